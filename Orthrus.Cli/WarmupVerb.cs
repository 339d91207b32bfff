using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cli;

/// <summary>orthrus warmup: compile every kernel before it is needed.</summary>
internal static class WarmupVerb
{
    private const string Help = """
        Compile every CUDA kernel for a GPU into the cache of compiled kernels, so that the first embedding does not wait. Says of each where it came
        from: NVRTC compiled it now, the cache had it, or it comes with the program as PTX, which the driver finishes and keeps in a cache of its own.
        The cache lies in the user's cache folder, or where ORTHRUS_CACHE says. Exit code 4 without a GPU.

        Example: orthrus warmup || test $? = 4
        """;

    internal static Command Build()
    {
        var device = DeviceOption.Create();
        device.HelpName = "auto|cuda[:N]";
        device.Description = "the GPU to compile for; auto is the first";
        device.DefaultValueFactory = _ => "cuda";
        var command = new Command("warmup", Help) { device };
        command.SetAction(r => Run(DeviceOption.Parse(r.GetValue(device) is var named and not "auto" ? named! : "cuda"), CliHost.Of(r)));
        return command;
    }

    // There is nothing to warm up on a CPU, so the advice to use one would lead nowhere.
    private static OpenDevice Open(DeviceChoice choice)
    {
        try
        {
            return choice.Resolve().Open()!;
        }
        catch (CudaException e) when (e.Message.EndsWith(CudaErrors.UseCpu, StringComparison.Ordinal))
        {
            throw new DeviceException(e.Message[..^CudaErrors.UseCpu.Length].TrimEnd(' ', ',', ';'));
        }
    }

    private static int Run(DeviceChoice choice, CliHost host)
    {
        if (choice.Place != DevicePlace.Cuda) throw new UsageException($"--device {choice.Text}: kernels are compiled for a GPU, cuda or cuda:N (the CPU has none, the simulated GPU reads PTX)");
        using var open = Open(choice);
        host.Error.WriteLine(Nvrtc.IsAvailable
            ? $"{open.Device.Name}: NVRTC {Nvrtc.Version}, cache {CudaWarmup.Folder}"
            : $"{open.Device.Name}: {Nvrtc.WhyNot}; the kernels come with the program as PTX, which the driver finishes");
        if (Nvrtc.IsAvailable && CudaWarmup.WhyNotWritable is { } why)
            Errors.Report(host.Error, $"the cache {CudaWarmup.Folder} cannot be written ({why}): every process compiles anew; let ORTHRUS_CACHE name a folder that can");
        host.Output.WriteLine($"{"kernels",-22}  {"type",-4}  {"from",-12}  {"time",8}");
        var clock = Stopwatch.StartNew();
        List<WarmKernels> rows = [];
        foreach (var row in CudaWarmup.Run(open.Device))
        {
            rows.Add(row);
            host.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{row.Source,-22}  {row.Activations,-4}  {row.Origin,-12}  {row.Elapsed.TotalSeconds,6:F2} s"));
            host.Cancel.ThrowIfCancellationRequested();
        }
        string origins = string.Join(", ", rows.GroupBy(r => r.Origin).Select(g => $"{g.Count()} from {g.Key}"));
        host.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{rows.Count} images: {origins}; {clock.Elapsed.TotalSeconds:F1} s"));
        return ExitCode.Done;
    }
}
