using System.Text;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;
using SimulateYourKernel;

Launch launch;
try
{
    launch = Launch.Parse(args);
}
catch (FormatException e)
{
    Console.Error.WriteLine($"{e.Message}\n\n{Launch.Usage}");
    return 2;
}

string text;
try
{
    text = File.ReadAllText(launch.File);
    if (launch.File.EndsWith(".cu", StringComparison.Ordinal))
    {
        if (!Nvrtc.IsAvailable)
        {
            Console.Error.WriteLine($"{launch.File}: {Nvrtc.WhyNot}; give a .ptx file, or install NVRTC (libnvrtc of CUDA 11.8 to 13)");
            return 4;
        }
        text = Encoding.UTF8.GetString(Nvrtc.Compile(text, Path.GetFileName(launch.File), new Dictionary<string, string>(), [$"--gpu-architecture=compute_{launch.Architecture}", "--std=c++17"]).Image);
    }

    using var device = new SimDevice(launch.Device, new SimOptions { Seed = launch.Seed });
    var module = device.Load(PtxModule.Parse(text));
    if (launch.Kernel is null && module.Source.Kernels.Count != 1) throw new FormatException($"{launch.File} has {string.Join(", ", module.Source.Kernels)}: choose one with --kernel");
    var kernel = module[launch.Kernel ?? module.Source.Kernels[0]];
    kernel.RegistersPerThread = launch.Registers;
    kernel.MaxDynamicShared = Math.Max(kernel.MaxDynamicShared, launch.Shared);

    if (launch.Arguments.Count != kernel.Parameters.Count)
        throw new FormatException($"{kernel.Name} has {kernel.Parameters.Count} parameters ({string.Join(", ", kernel.Parameters.Select(p => $"{p.Bytes} bytes"))}), {launch.Arguments.Count} arguments are given");
    var addresses = new ulong[launch.Arguments.Count];
    KernelArgument[] arguments = [.. launch.Arguments.Select((a, i) => a.Place(device, i, out addresses[i]))];
    for (int i = 0; i < arguments.Length; i++)
    {
        int given = arguments[i].Bytes.Length, wanted = kernel.Parameters[i].Bytes;
        if (given != wanted) throw new FormatException($"argument {i + 1} has {given} bytes, parameter '{kernel.Parameters[i].Name}' of {kernel.Name} {wanted}");
    }
    var report = device.Launch(kernel, launch.Grid, launch.Block, launch.Shared, arguments);
    foreach (string line in report.Output) Console.Write(line);
    Report.Print(Console.Out, report);
    for (int i = 0; i < addresses.Length && launch.Show > 0; i++)
        if (launch.Arguments[i].IsBuffer) Console.WriteLine($"argument {i + 1}: {launch.Arguments[i].First(device, addresses[i], launch.Show)}");
    return 0;
}
catch (SimFault fault)
{
    Console.Error.WriteLine($"check failed, {fault.Kind}: {fault.Message}");
    if (fault.Line > 0) Console.Error.WriteLine($"kernel {fault.Kernel}, PTX line {fault.Line}, block {fault.Block}, thread {fault.Thread}, address 0x{fault.Address:x}");
    return 1;
}
catch (FormatException e)
{
    Console.Error.WriteLine(e.Message);
    return 2;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException or PtxException or CudaException)
{
    Console.Error.WriteLine($"{launch.File}: {e.Message}");
    return 3;
}
