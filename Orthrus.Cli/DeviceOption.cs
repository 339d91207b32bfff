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
    internal static Option<string> Create(string otherwise = "auto") => new("--device")
    {
        HelpName = "auto|cpu|cuda[:N]|sim",
        Description = "where to compute: the CPU, an NVIDIA GPU, or a simulated GPU; auto takes the first GPU, else the CPU, and says which",
        DefaultValueFactory = _ => otherwise,
    };

    /// <exception cref="UsageException">No such device name.</exception>
    internal static DeviceChoice Parse(string text)
    {
        const string cuda = "cuda:";
        return text switch
        {
            "auto" => new(text, null),
            "cpu" => new(text, DevicePlace.Cpu),
            "cuda" => new(text, DevicePlace.Cuda),
            "sim" => new(text, DevicePlace.Sim),
            _ when text.StartsWith(cuda, StringComparison.Ordinal) && int.TryParse(text.AsSpan(cuda.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int n) => new(text, DevicePlace.Cuda, n),
            _ => throw new UsageException($"--device {text}: use auto, cpu, cuda, cuda:N (as cuda:1) or sim"),
        };
    }
}

/// <summary>What --device said.</summary>
/// <param name="Text">The words.</param>
/// <param name="Place">Where to compute; null for auto.</param>
/// <param name="Ordinal">Number among the driver's devices.</param>
internal sealed record DeviceChoice(string Text, DevicePlace? Place, int Ordinal = 0)
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
                return new DeviceTarget(place, Ordinal, null);
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
internal sealed record DeviceTarget(DevicePlace Place, int Ordinal, string? Why)
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
        var simulator = Place == DevicePlace.Sim ? new SimDriver(options ?? new SimOptions { Seed = 1 }, spec is null ? [] : [spec]) : null;
        return new OpenDevice(simulator is null ? CudaDevice.Open(Ordinal) : simulator.OpenDevice(), simulator);
    }
}

/// <summary>A GPU and, where it is simulated, its simulator.</summary>
internal sealed class OpenDevice(CudaDevice device, SimDriver? simulator) : IDisposable
{
    internal CudaDevice Device => device;

    internal SimDriver? Simulator => simulator;

    public void Dispose()
    {
        device.Dispose();
        simulator?.Dispose();
    }
}
