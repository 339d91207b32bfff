using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Orthrus.Mamba;
using Orthrus.PtxSim;
using Orthrus.Tensor.Cpu;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cli;

/// <summary>orthrus info: what a model is, or what this machine has.</summary>
internal static class InfoVerb
{
    private const string Help = """
        Describe a model (configuration, tensors, parameters, heads, provenance), or, without argument, this machine (processor, devices,
        libraries found or why not).

        Example: orthrus info orthrus-mini-6track
        """;

    internal static Command Build()
    {
        var model = new Argument<string?>("model") { Description = "checkpoint, folder or built-in name; none for the machine", Arity = ArgumentArity.ZeroOrOne };
        var tensors = new Option<bool>("--tensors") { Description = "list every tensor" };
        var command = new Command("info", Help) { model, tensors };
        command.SetAction(r =>
        {
            var output = CliHost.Of(r).Output;
            if (r.GetValue(model) is { } path) Model(output, OrthrusModel.Load(path), r.GetValue(tensors));
            else if (r.GetValue(tensors)) throw new UsageException("--tensors lists those of a model: name one");
            else Machine(output);
            return ExitCode.Done;
        });
        return command;
    }

    private static void Model(TextWriter output, OrthrusModel model, bool all)
    {
        var c = model.Config;
        Row(output, "model", model.Name);
        Row(output, "source", model.Source);
        Row(output, "form", model.Format);
        Row(output, "sha256", model.Sha256);
        Row(output, "trained", model.Trained ? "yes" : "no, random weights");
        Row(output, "encoder", $"{c.DModel} x {c.NLayer}, {c.NTracks} tracks{(c.Bidirectional ? ", bidirectional" : "")}");
        Row(output, "inner width", $"{c.DInner}, dt rank {c.DtRank}, {c.DState} states, convolution of {c.DConv}");
        if (c.Bidirectional) Row(output, "memory", $"records are embedded whole: {Embedder.WholeRecordBytes(c, Orthrus.Tensor.DType.F32) / 1000.0:0.0} kB per nucleotide of the longest one");
        Row(output, "parameters", model.ParameterCount.ToString("N0", CultureInfo.InvariantCulture) + " (encoder)");
        Row(output, "tensors", $"{model.Encoder.Count} of the encoder ({string.Join(", ", model.Encoder.Select(t => t.DType).Distinct())}), {model.Heads.Count} of heads");
        foreach (var h in model.DescribeHeads())
            Row(output, "head", $"{h.Name}: {h.DIn} -> {(h.Body > 0 ? string.Concat(Enumerable.Repeat($"{h.Body} -> ", h.Layers - 1)) : "")}{h.DOut}{(h.PerPosition ? ", per position" : "")}, {h.Norm}, {h.ParameterCount.ToString("N0", CultureInfo.InvariantCulture)} parameters");
        if (model.Task is { } task) Row(output, "predicts", $"{string.Join(", ", task.Targets)} ({task.Kind.ToString().ToLowerInvariant()}, task {task.Name})");
        if (model.Optimizer.Count > 0) Row(output, "optimiser", $"states of {model.Optimizer.Count} tensors");
        foreach (var (key, value) in model.Provenance)
        {
            // JSON values come with the line breaks and indents of their file.
            string text = string.Join(' ', value.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
            Row(output, key, text.Length > 120 ? text[..117] + "..." : text);
        }
        if (!all) return;
        foreach (var t in model.Encoder.Concat(model.Heads)) output.WriteLine($"  {t.Name}\t({string.Join(", ", t.Shape)})\t{t.DType}");
    }

    private static void Machine(TextWriter output)
    {
        Row(output, "orthrus", Embed.EmbedRun.Version);
        Row(output, "system", $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}, {RuntimeInformation.FrameworkDescription}");
        Row(output, "processors", $"{Environment.ProcessorCount} logical");
        Row(output, "memory", $"{GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 20:N0} MB available to the process");
        Row(output, "features", string.Join(" ", Features()));
        Row(output, "vectors", $"{VectorWidths.Default} bits in use; native: {string.Join(", ", VectorWidths.Native)} ({VectorWidths.Variable} forces one)");
        foreach (string device in Devices()) Row(output, "device", device);
        Row(output, "CUDA driver", Library(NativeLibraries.CudaDriverStatus, () => $"supports CUDA {CudaInventory.Read().DriverVersion}"));
        Row(output, "NVRTC", Library(NativeLibraries.NvrtcStatus, () => $"version {Nvrtc.Version}, compute capabilities {string.Join(' ', Nvrtc.Architectures)}"));
        Row(output, "cuBLAS", Library(NativeLibraries.CuBlasStatus, () => $"version {Cublas.Version}"));
        Row(output, "kernels", $"compiled ones are kept in {CudaWarmup.Folder}");
        Row(output, "models", string.Join(", ", OrthrusModel.BuiltIn));
    }

    private static IEnumerable<string> Features()
    {
        if (Avx2.IsSupported) yield return "avx2";
        if (Fma.IsSupported) yield return "fma";
        if (Avx512F.IsSupported) yield return "avx512f";
        if (Avx512F.VL.IsSupported) yield return "avx512vl";
        if (AdvSimd.IsSupported) yield return "neon";
        if (AdvSimd.Arm64.IsSupported) yield return "neon64";
        if (!Avx2.IsSupported && !AdvSimd.IsSupported) yield return "none of avx2, avx512, neon: kernels are emulated and slow";
    }

    private static string Library(NativeLibraryStatus status, Func<string> describe)
    {
        if (!status.Found) return $"not found, and not needed on the CPU ({status.Why})";
        try
        {
            string text = describe();
            return $"found: {status.Path}{(text.Length > 0 ? "; " + text : "")}";
        }
        catch (CudaException e)
        {
            return $"found: {status.Path}, unusable: {e.Message}";
        }
    }

    private static IEnumerable<string> Devices()
    {
        yield return "cpu";
        foreach (string gpu in Gpus()) yield return gpu;
        yield return $"sim: a simulated {SimDeviceSpec.H100.Name} (`orthrus bench --simulate` also simulates {string.Join(", ", SimDeviceSpec.All.Where(s => s != SimDeviceSpec.H100).Select(s => s.Name))})";
    }

    private static string[] Gpus()
    {
        if (!NativeLibraries.CudaDriverStatus.Found) return ["cuda: none, no CUDA driver was found"];
        try
        {
            var devices = CudaInventory.Read().Devices;
            return devices.Count == 0 ? ["cuda: none, the driver shows no GPU"]
                : [.. devices.Select(d => $"cuda:{d.Ordinal}: {d.Name}, compute {d.ComputeCapability / 10}.{d.ComputeCapability % 10}, {d.Multiprocessors} SMs, {d.MemoryBytes >> 20:N0} MB")];
        }
        catch (CudaException e)
        {
            return [$"cuda: none, {e.Message}"];
        }
    }

    private static void Row(TextWriter output, string key, string value) => output.WriteLine($"{key,-12} {value.ReplaceLineEndings(" ")}");
}
