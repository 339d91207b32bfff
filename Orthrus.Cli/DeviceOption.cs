using System.CommandLine;
using System.Globalization;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cli;

/// <summary>Where a verb computes.</summary>
internal enum DevicePlace { Cpu, Cuda, Sim }

/// <summary>--device auto|cpu|cuda[:n]|sim, the same in every verb that computes.</summary>
internal static class DeviceOption
{
    /// <param name="several">Whether GPUs may share the work.</param>
    internal static Option<string> Create(bool several = false) => new("--device")
    {
        HelpName = several ? "auto|cpu|cuda[:N[,N]|:all]|sim" : "auto|cpu|cuda[:N]|sim",
        Description = "where to compute: the CPU, an NVIDIA GPU, or a simulated GPU; auto takes the first GPU, else the CPU, and says which" + (several ? "; several GPUs of one kind share the records" : ""),
        DefaultValueFactory = _ => "auto",
    };

    /// <param name="text">The words.</param>
    /// <param name="several">Whether GPUs may share the work.</param>
    /// <exception cref="UsageException">No such device name.</exception>
    internal static DeviceChoice Parse(string text, bool several = false)
    {
        const string cuda = "cuda:";
        if (text.StartsWith(cuda, StringComparison.Ordinal) && (text == cuda + "all" || text.Contains(',')))
        {
            if (!several) throw new UsageException($"--device {text}: only `orthrus embed` shares work among GPUs; use cuda:N (as cuda:1)");
            int[] numbers = text == cuda + "all" ? [] : [.. text[cuda.Length..].Split(',').Select(Number)];
            if (numbers.Distinct().Count() < numbers.Length) throw new UsageException($"--device {text}: names a GPU twice");
            return new(text, DevicePlace.Cuda, numbers.FirstOrDefault(), numbers);
        }
        return text switch
        {
            "auto" => new(text, null),
            "cpu" => new(text, DevicePlace.Cpu),
            "cuda" => new(text, DevicePlace.Cuda),
            "sim" => new(text, DevicePlace.Sim),
            _ when text.StartsWith(cuda, StringComparison.Ordinal) && int.TryParse(text.AsSpan(cuda.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int n) => new(text, DevicePlace.Cuda, n),
            _ => throw Unknown(),
        };

        int Number(string part) => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int n) ? n : throw Unknown();

        UsageException Unknown() => new($"--device {text}: use auto, cpu, cuda, cuda:N (as cuda:1){(several ? ", cuda:all, cuda:N,N" : "")} or sim");
    }
}

/// <summary>--gemm own|cublas|auto: who multiplies matrices on a GPU.</summary>
internal static class GemmOption
{
    internal const string Name = "--gemm";

    internal static Option<string?> Create(string description)
    {
        var option = new Option<string?>(Name) { HelpName = "own|cublas|auto", Description = description };
        option.AcceptOnlyFromAmong("own", "cublas", "auto");
        return option;
    }

    /// <summary>Refuses cuBLAS on a simulated GPU, in every verb with the same words.</summary>
    /// <exception cref="UsageException">The two do not go together.</exception>
    internal static void Check(GemmBackend? gemm, DeviceTarget target)
    {
        if (gemm == GemmBackend.Cublas && target.Place == DevicePlace.Sim) throw new UsageException($"{Name} cublas: cuBLAS runs on NVIDIA's hardware alone; leave it out with a simulated GPU");
    }

    /// <summary>The choice, or null where none was given.</summary>
    internal static GemmBackend? Parse(string? text) => text switch { null => null, "own" => GemmBackend.Own, "cublas" => GemmBackend.Cublas, _ => GemmBackend.Auto };
}

/// <summary>What --device said.</summary>
/// <param name="Text">The words.</param>
/// <param name="Place">Where to compute; null for auto.</param>
/// <param name="Ordinal">Number among the driver's devices.</param>
/// <param name="Ordinals">Numbers of GPUs that share the work, none for all; null for one.</param>
internal sealed record DeviceChoice(string Text, DevicePlace? Place, int Ordinal = 0, IReadOnlyList<int>? Ordinals = null)
{
    /// <summary>Decides where to compute; auto looks for a GPU.</summary>
    /// <param name="cpuAlone">An option that was given and that only the CPU has, as "--dtype f64": auto takes the CPU, another device is refused.</param>
    /// <param name="gpuAlone">An option that was given and that the CPU has not: auto needs a GPU, the CPU is refused.</param>
    /// <exception cref="UsageException">An option does not go with the device.</exception>
    /// <exception cref="DeviceException">Auto finds no GPU although an option needs one.</exception>
    internal DeviceTarget Resolve(string? cpuAlone = null, string? gpuAlone = null)
    {
        if (cpuAlone is not null && gpuAlone is not null) throw new UsageException($"{cpuAlone} is for the CPU alone and {gpuAlone} for GPUs alone: give one of the two");
        switch (Place)
        {
            case DevicePlace.Cpu when gpuAlone is not null:
                throw new UsageException($"{gpuAlone} is for GPUs alone: leave it out, or choose --device cuda or sim");
            case DevicePlace.Cuda or DevicePlace.Sim when cpuAlone is not null:
                throw new UsageException($"{cpuAlone} is for the CPU alone: leave it out with --device {Text}, or choose --device cpu");
            case { } place:
                return new DeviceTarget(place, Ordinal, null, Ordinals);
        }
        if (cpuAlone is not null) return new DeviceTarget(DevicePlace.Cpu, 0, $"{cpuAlone} is for the CPU alone");
        if (WhyNoGpu() is not { } why) return new DeviceTarget(DevicePlace.Cuda, 0, "the first GPU that the driver shows");
        if (gpuAlone is not null) throw new DeviceException($"{gpuAlone} is for GPUs alone, and {why}; leave it out, or choose --device sim");
        return new DeviceTarget(DevicePlace.Cpu, 0, why);
    }

    /// <summary>Why there is no GPU to compute on, or null where there is one.</summary>
    private static string? WhyNoGpu()
    {
        if (!NativeLibraries.CudaDriverStatus.Found) return "no CUDA driver was found";
        try
        {
            return CudaInventory.Read().Devices.Count > 0 ? null : "the CUDA driver shows no GPU";
        }
        catch (CudaException e)
        {
            return e.Message;
        }
    }
}

/// <summary>A decision where to compute.</summary>
/// <param name="Place">The kind of device.</param>
/// <param name="Ordinal">Number among the driver's devices.</param>
/// <param name="Why">Why auto decided so; null where the user named the device.</param>
/// <param name="Ordinals">Numbers of GPUs that share the work, none for all; null for one.</param>
internal sealed record DeviceTarget(DevicePlace Place, int Ordinal, string? Why, IReadOnlyList<int>? Ordinals = null)
{
    internal bool IsCpu => Place == DevicePlace.Cpu;

    /// <summary>The line for stderr.</summary>
    /// <param name="description">The device in words.</param>
    internal string Line(string description) => $"device: {description}{(Why is null ? "" : $" (auto: {Why})")}";

    /// <summary>Opens the GPU; null for the CPU.</summary>
    /// <param name="options">How a simulated device behaves; null for the defaults.</param>
    /// <param name="spec">Which device is simulated; null for an H100.</param>
    /// <exception cref="CudaException">No driver, no device, or one that does not work.</exception>
    /// <exception cref="DeviceException">No device of that number.</exception>
    internal OpenDevice? Open(SimOptions? options = null, SimDeviceSpec? spec = null)
    {
        if (IsCpu) return null;
        if (Ordinals is not null) return OneKind(new OpenDevice(Ordinals.Count == 0 ? CudaDevice.OpenAll() : OpenEach(Ordinals), null));
        var simulator = Place == DevicePlace.Sim ? new SimDriver(options ?? new SimOptions { Seed = 1 }, spec is null ? [] : [spec]) : null;
        return new OpenDevice([simulator is null ? CudaDevice.Open(Ordinal) : simulator.OpenDevice()], simulator);
    }

    private static OpenDevice OneKind(OpenDevice open)
    {
        var first = open.Device;
        if (open.Devices.FirstOrDefault(d => d.Model != first.Model || d.ComputeCapability != first.ComputeCapability) is not { } other) return open;
        string message = $"{first.Name} and {other.Name} are of two kinds, and results would depend on which took the record: name GPUs of one kind, as --device cuda:{first.Ordinal}";
        open.Dispose();
        throw new UsageException(message);
    }

    private static List<CudaDevice> OpenEach(IReadOnlyList<int> ordinals)
    {
        List<CudaDevice> opened = [];
        try
        {
            foreach (int n in ordinals) opened.Add(CudaDevice.Open(n));
            return opened;
        }
        catch
        {
            foreach (var device in opened) device.Dispose();
            throw;
        }
    }
}

/// <summary>One GPU or several, and the simulator of a simulated one.</summary>
internal sealed class OpenDevice(IReadOnlyList<CudaDevice> devices, SimDriver? simulator) : IDisposable
{
    /// <summary>The first.</summary>
    internal CudaDevice Device => devices[0];

    internal IReadOnlyList<CudaDevice> Devices => devices;

    internal SimDriver? Simulator => simulator;

    public void Dispose()
    {
        foreach (var device in devices) device.Dispose();
        simulator?.Dispose();
    }
}
