using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Kernels;

/// <summary>
/// For people who change kernels: `ptx FOLDER` compiles every source in cuda/ to the PTX that is committed and embedded; files whose source has not
/// changed stay as they are.
/// </summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        if (args is not ["ptx", var folder])
        {
            Console.Error.WriteLine("usage: Orthrus.Kernels ptx cuda/ptx");
            return 2;
        }
        try
        {
            return WritePtx(folder);
        }
        catch (CudaException e)
        {
            Console.Error.WriteLine(e.Message);
            return e.Call == "dlopen" ? 4 : 1;
        }
    }

    private static int WritePtx(string folder)
    {
        Directory.CreateDirectory(folder);
        var wanted = new HashSet<string>();
        foreach (string name in CudaResources.Sources)
        {
            var source = CudaSource.BuiltIn(name);
            foreach (var variant in CudaVariant.Embedded)
            {
                string path = Path.Combine(folder, $"{name}.{variant}.ptx");
                wanted.Add(Path.GetFileName(path));
                if (File.Exists(path) && File.ReadLines(path).FirstOrDefault() == CudaResources.Stamp(source, variant)) continue;
                File.WriteAllText(path, CudaResources.CompilePtx(source, variant));
                Console.WriteLine($"wrote {path}");
            }
        }
        foreach (string file in Directory.EnumerateFiles(folder, "*.ptx"))
        {
            if (wanted.Contains(Path.GetFileName(file))) continue;
            File.Delete(file);
            Console.WriteLine($"deleted {file}: it has no source");
        }
        return 0;
    }
}
