using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// How golden tests run that this thread calls: with which order of blocks, warps and streams, and whether in double precision from operands that were rounded to BF16.
/// Everything that they compare is noted, so that two runs can be compared with each other.
/// </summary>
internal sealed class GoldenRun
{
    private static readonly AsyncLocal<GoldenRun?> OfThread = new();

    /// <summary>The run under way, or null where a test runs by itself.</summary>
    internal static GoldenRun? Current
    {
        get => OfThread.Value;
        set => OfThread.Value = value;
    }

    /// <summary>Seed of the simulated device.</summary>
    internal int Seed { get; init; }

    /// <summary>Seeds of the simulated devices on which an operator in BF16 must give the same bits.</summary>
    internal IReadOnlyList<int> Seeds { get; init; } = [1, 2];

    /// <summary>Kernels that ran.</summary>
    internal HashSet<string> Kernels { get; } = [];

    /// <summary>A simulated device whose kernels the run notes.</summary>
    internal static CudaDevice Open(int seed)
    {
        var driver = new SimDriver(new SimOptions { Seed = seed });
        if (Current is { } run)
            driver.Launched = r =>
            {
                lock (run.Kernels) run.Kernels.Add(r.Kernel);
            };
        return driver.OpenDevice();
    }

    /// <summary>Operands are rounded to BF16 and results are noted only: where they are not, they would differ from what is expected.</summary>
    internal bool Rounded { get; init; }

    /// <summary>Names of parameters that a BF16 model keeps in BF16.</summary>
    internal HashSet<string> HalfParameters { get; init; } = [];

    /// <summary>Everything compared, by key in the case and how often it came before; of modules also what is expected.</summary>
    internal Dictionary<string, (double[] Values, DType DType, double[] Want)> Results { get; } = [];

    internal void Note(string key, double[] values, DType dtype, double[]? want = null)
    {
        string name = key;
        for (int k = 2; Results.ContainsKey(name); k++) name = $"{key} ({k})";
        Results.Add(name, (values, dtype, want ?? []));
    }

    internal void Note(string key, Tensor got)
    {
        if (got.DType == DType.F32) Note(key, Array.ConvertAll(got.ToArray<float>(), v => (double)v), DType.F32);
        else if (got.DType == DType.BF16) Note(key, Array.ConvertAll(got.ToArray<BFloat16>(), v => (double)(float)v), DType.BF16);
    }

    internal static double Round(double v) => (float)(BFloat16)(float)v;
}
