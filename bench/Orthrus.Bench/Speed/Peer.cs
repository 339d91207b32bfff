using System.Globalization;
using System.Text.Json;

namespace Orthrus.Bench.Speed;

/// <summary>The PyTorch program, run as it is in its best form.</summary>
internal sealed class Peer
{
    // They choose a slower matrix product than the one that OpenBLAS finds for the processor.
    private static readonly string[] Unset = ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"];
    private static readonly Dictionary<string, string?> Environment = Unset.ToDictionary(n => n, _ => (string?)null);

    private readonly string _python, _script;

    private Peer(string python, string script, string description) => (_python, _script, Description) = (python, script, description);

    /// <summary>Version of PyTorch, its BLAS, and what was changed in the environment.</summary>
    internal string Description { get; }

    /// <summary>Finds the program and a Python that can run it.</summary>
    /// <param name="path">The program; null for the copy in bench/peers.</param>
    /// <param name="missing">Why there is none.</param>
    internal static Peer? Find(string? path, out string missing)
    {
        string? script = path ?? Above(AppContext.BaseDirectory, Path.Combine("bench", "peers", "pytorch_encoder_bench.py"));
        missing = "";
        if (script is null || !File.Exists(script))
        {
            missing = $"{path ?? "bench/peers/pytorch_encoder_bench.py"} is not there";
            return null;
        }
        foreach (string python in new[] { "python3", "/usr/bin/python3", "python" })
        {
            string found;
            try
            {
                found = Measurement.Child(python, ["-c", "import torch\nm = open('/proc/self/maps').read() if __import__('os').path.exists('/proc/self/maps') else ''\nprint(torch.__version__, 'OpenBLAS' if 'openblas' in m else 'MKL' if 'libmkl' in m or torch.backends.mkl.is_available() else 'reference-BLAS')"], Environment);
            }
            catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception)
            {
                continue;
            }
            string[] words = found.Trim().Split(' ');
            if (words[1] == "reference-BLAS")
            {
                missing = $"PyTorch {words[0]} of {python} has only the reference BLAS, which is not its best form (Debian: libopenblas0-pthread)";
                continue;
            }
            string unset = string.Join(", ", Unset.Where(n => System.Environment.GetEnvironmentVariable(n) is not null));
            return new Peer(python, script, $"PyTorch {words[0]} with {words[1]}" + (unset == "" ? "" : $", {unset} unset"));
        }
        if (missing == "") missing = "no Python with PyTorch (Debian: python3-torch libopenblas0-pthread)";
        return null;
    }

    /// <summary>Nucleotides per second of one run: a batch of one transcript of 3,000 per thread.</summary>
    internal double Rate(BenchModel model, int threads)
    {
        string n = threads.ToString(CultureInfo.InvariantCulture);
        string output = Measurement.Child(_python, [_script, "--config", model.PeerName, "--batch", n, "--threads", n, "--json"], Environment);
        using var json = JsonDocument.Parse(output);
        return json.RootElement.GetProperty("nt_per_s").GetDouble();
    }

    /// <summary>Nucleotides per second and peak memory in MiB of training passes over a batch.</summary>
    internal (double Rate, double Mib) Train(BenchModel model, int threads, int batch, int length)
    {
        string[] numbers = [.. new[] { batch, length, threads }.Select(n => n.ToString(CultureInfo.InvariantCulture))];
        string output = Measurement.Child(_python, [_script, "--mode", "train", "--config", model.PeerName, "--batch", numbers[0], "--length", numbers[1], "--threads", numbers[2], "--json"], Environment);
        using var json = JsonDocument.Parse(output);
        return (json.RootElement.GetProperty("nt_per_s").GetDouble(), json.RootElement.GetProperty("peak_rss_mib").GetDouble());
    }

    private static string? Above(string folder, string path)
    {
        for (string? f = folder; f is not null; f = Path.GetDirectoryName(f))
            if (File.Exists(Path.Combine(f, path))) return Path.Combine(f, path);
        return null;
    }
}
