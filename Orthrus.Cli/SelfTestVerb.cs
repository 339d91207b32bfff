using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;
using Orthrus.Cli.SelfTest;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cli;

/// <summary>orthrus selftest: whether this program computes right on this machine's device.</summary>
internal static class SelfTestVerb
{
    private const string Help = """
        Check a device from end to end; nothing is needed but this program and, for a GPU, its driver. Every operator and state update against its
        specification, values and gradients, in every precision; encoders against numbers of PyTorch, and in the published sizes against the CPU in
        float64; the same bits twice and in every batch; memory that comes back. On the simulated GPU operators run once more with special functions
        that err as far as the PTX manual allows. --full adds transcripts of 12,000 nt.
        Exit code 0 when all pass, 1 when one fails, 4 without the device.

        Example: orthrus selftest --op silu --op adamw

        The simulated GPU, as JSON (docs/GPU-VALIDATION.md says what to do with that of a real one):
          orthrus selftest --op silu --device sim --json
        """;

    internal static Command Build()
    {
        var device = DeviceOption.Create();
        var full = new Option<bool>("--full") { Description = "also transcripts of 12,000 nt (gradients there of the base encoder alone), and more coordinates of each gradient" };
        var op = new Option<string[]>("--op") { Description = "only this operator or state update (may be given several times), and nothing else", HelpName = "NAME" };
        var json = new Option<bool>("--json") { Description = "print JSON instead of the table, which then goes to stderr" };
        var gemm = GemmOption.Create("whose matrix products to check on a GPU (default own)");
        var command = new Command("selftest", Help) { device, gemm, full, op, json };
        command.SetAction(r => Run(DeviceOption.Parse(r.GetValue(device)!), GemmOption.Parse(r.GetValue(gemm)), r.GetValue(full), r.GetValue(op) ?? [], r.GetValue(json), CliHost.Of(r)));
        return command;
    }

    private static int Run(DeviceChoice choice, GemmBackend? gemm, bool full, string[] names, bool json, CliHost host)
    {
        var (ops, updates) = OpNames.Choose(names);
        var target = choice.Resolve(gpuAlone: gemm is null ? null : GemmOption.Name);
        GemmOption.Check(gemm, target);
        using var devices = new CheckDevices(target, gemm);
        string name = devices.Gpu?.Name ?? $"cpu ({VectorWidths.Default}-bit vectors)";
        if (target.Why is not null) host.Error.WriteLine(target.Line(name));
        var log = new SelfTestLog(json ? host.Error : host.Output, host.Cancel);
        log.Head($"{name}; orthrus {Embed.EmbedRun.Version}{(devices.Place == DevicePlace.Sim ? "; simulated: this says nothing about hardware" : "")}");
        try
        {
            OperatorChecks.Run(log, devices, ops, updates, full);
            if (names.Length == 0)
            {
                EncoderChecks.Run(log, devices, full);
                RepeatChecks.Run(log, devices);
            }
        }
        catch (DeviceLostException)
        {
            host.Error.WriteLine("the device is lost for this process: the other checks were left out");
        }
        log.Tail();
        if (json) WriteJson(host, devices, name, full, names, log);
        return log.Passed ? ExitCode.Done : ExitCode.Bug;
    }

    private static void WriteJson(CliHost host, CheckDevices devices, string name, bool full, string[] names, SelfTestLog log)
    {
        using var output = host.StandardOutput();
        using var json = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteString("orthrus", Embed.EmbedRun.Version);
        json.WriteString("system", $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}");
        json.WriteString("device", name);
        json.WriteBoolean("simulated", devices.Place == DevicePlace.Sim);
        if (devices.Place == DevicePlace.Cuda)
        {
            json.WriteString("driver", CudaInventory.Read().DriverVersion.ToString());
            json.WriteString("kernels", Nvrtc.IsAvailable ? $"NVRTC {Nvrtc.Version}" : "embedded PTX");
        }
        json.WriteBoolean("full", full);
        json.WriteBoolean("all_operators", names.Length == 0);
        log.WriteJson(json);
        json.WriteEndObject();
    }
}
