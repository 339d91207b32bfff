using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Kernels;

/// <summary>
/// For people who change kernels: `ptx FOLDER` compiles every source in cuda/ to the PTX that is committed and embedded (files whose source has not
/// changed stay as they are); `report PAGE` writes the tables of docs/KERNELS.md, `report --static PAGE` in seconds that of registers and memory alone; `sim-speed` measures the simulator on this machine.
/// </summary>
internal static class Program
{
    // Lengths of the encoder's bound, batches of 8: a short, a usual and a long transcript.
    private static readonly int[] Lengths = [531, 3001, 11_990];

    private static int Main(string[] args)
    {
        try
        {
            switch (args)
            {
                case ["ptx", var folder]:
                    return WritePtx(folder);
                case ["report", var page]:
                    File.WriteAllText(page, KernelsDocument.Report(File.ReadAllText(page), Lengths));
                    return 0;
                case ["report", "--static", var page]:
                    File.WriteAllText(page, KernelsDocument.ReportStatic(File.ReadAllText(page)));
                    return 0;
                case ["sim-speed"]:
                    SimulatorSpeed.Run(Console.Out);
                    return 0;
                case ["sim-speed", "--cold"]:
                    return SimulatorSpeed.Cold();
                default:
                    Console.Error.WriteLine("usage: Orthrus.Kernels ptx cuda/ptx | report [--static] docs/KERNELS.md | sim-speed");
                    return 2;
            }
        }
        catch (CudaException e)
        {
            Console.Error.WriteLine(e.Message);
            return e.Call == "dlopen" ? 4 : 1;
        }
    }

    /// <summary>Lengths of the encoder's bound.</summary>
    internal static IReadOnlyList<int> EncoderLengths => Lengths;

    private static int WritePtx(string folder)
    {
        Directory.CreateDirectory(folder);
        var wanted = new HashSet<string>();
        foreach (string name in CudaResources.Sources)
            foreach (var (file, text) in EmbeddedPtx.Of(CudaSource.BuiltIn(name), f => Existing(Path.Combine(folder, f))))
            {
                wanted.Add(file);
                string path = Path.Combine(folder, file);
                if (Existing(path) == text) continue;
                File.WriteAllText(path, text);
                Console.WriteLine($"wrote {path}");
            }
        foreach (string file in Directory.EnumerateFiles(folder, "*.ptx"))
        {
            if (wanted.Contains(Path.GetFileName(file))) continue;
            File.Delete(file);
            Console.WriteLine($"deleted {file}: it is not needed");
        }
        return 0;
    }

    private static string? Existing(string path) => File.Exists(path) ? File.ReadAllText(path) : null;
}
