using System.Globalization;
using Orthrus.Tensor;

namespace Orthrus.Autograd;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// Checks a state update's kernel against its own specification, as <see cref="GradCheck"/> does for operators: in both precisions within the computed error
/// bound, the same bits for every number of threads, nothing changed that is only read, nothing left in use, no managed allocation.
/// </summary>
public static class UpdateCheck
{
    /// <summary>Checks all samples of an update that are not for timing alone.</summary>
    /// <param name="update">The update.</param>
    /// <param name="options">Seed, sample and thread counts; null for the defaults.</param>
    /// <returns>One result per sample, in their order; the members about gradients stay 0.</returns>
    /// <exception cref="ArgumentException">The options name a sample that does not exist.</exception>
    public static IReadOnlyList<GradCheckResult> Run(UpdateRow update, GradCheckOptions? options = null)
    {
        options ??= new();
        var samples = update.Samples.Where(s => options.Sample is null ? !s.Bench : s.Name == options.Sample).ToArray();
        if (samples.Length == 0 && options.Sample is not null)
            throw new ArgumentException($"{update.Name} has no sample {options.Sample}; it has {string.Join(", ", update.Samples.Select(s => s.Name))}");
        return [.. samples.Select(s => Check(update, s, options))];
    }

    private static GradCheckResult Check(UpdateRow update, UpdateSampleRow sample, GradCheckOptions options)
    {
        var problems = new List<string>();
        var single = new PrecisionCheck();
        var full = new PrecisionCheck();
        try
        {
            var values = sample.Lists.Select((list, l) => list.Select((recipe, k) => recipe.Make(options.Seed, 100 * l + k)).ToArray()).ToArray();
            var want = values.Select(list => list.Select(v => Array.ConvertAll(v, Bound.From)).ToArray()).ToArray();
            var wantResults = sample.Reference(want);
            if (options.DTypes.Contains(DType.F32)) Precision(DType.F32, ref single);
            if (options.DTypes.Contains(DType.F64)) Precision(DType.F64, ref full);

            void Precision(DType dtype, ref PrecisionCheck worst)
            {
                double[][]? first = null;
                double[] firstResults = [];
                foreach (var device in options.Devices ?? [.. options.Threads.Select(t => new CpuDevice(t, options.VectorWidth))])
                {
                    using var owned = options.Devices is null ? device : null;
                    int live = device.LiveBlocks, overruns = device.Pool.Overruns;
                    device.Pool.Guard = true;
                    using (var scope = device.OpenScope())
                    {
                        var got = Call(scope, dtype, values, out var results);
                        if (first is null)
                        {
                            (first, firstResults) = (got, results);
                            Compare(dtype, got, results, want, wantResults, ref worst);
                        }
                        else if (!first.Zip(got).All(p => p.First.AsSpan().SequenceEqual(p.Second)) || !firstResults.AsSpan().SequenceEqual(results))
                            problems.Add($"{dtype}: {device.Name} gives other bits than the first device");
                    }
                    if (device.LiveBlocks > live) problems.Add($"{dtype}: {device.LiveBlocks - live} blocks stay in use");
                    if (device.Pool.Overruns > overruns) problems.Add($"{dtype}: something was written behind a tensor");
                    device.Pool.Guard = false;
                }
                if (problems.Count == 0 && options.Devices is null) Allocations(dtype, values);
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // A kernel that throws is a finding about that kernel; the other samples still get their verdict.
            problems.Add($"{e.GetType().Name}: {e.Message}");
        }
        return new(update.Name, sample.Name, single, full, problems, options.DTypes);

        double[][] Call(Scope scope, DType dtype, double[][][] values, out double[] results)
        {
            var tensors = Place(scope, dtype, values);
            var outputs = new Tensor[update.Signature.Results.Length];
            sample.Run(scope, tensors, outputs);
            results = [.. outputs.Select(o => Numbers(o)[0])];
            return [.. tensors.Select(Numbers)];
        }

        void Compare(DType dtype, double[][] got, double[] results, Bound[][][] want, Bound[] wantResults, ref PrecisionCheck worst)
        {
            int count = want[0].Length;
            for (int t = 0; t < got.Length; t++)
                for (int i = 0; i < got[t].Length; i++) Element(dtype, got[t][i], want[t / count][t % count][i], $"{update.Signature.Lists[t / count].Name}[{t % count}][{i}]", ref worst);
            for (int r = 0; r < results.Length; r++) Element(dtype, results[r], wantResults[r], update.Signature.Results[r], ref worst);
        }

        void Element(DType dtype, double got, Bound want, string what, ref PrecisionCheck worst)
        {
            if (double.IsNaN(want.Value) && double.IsNaN(got)) return;
            double unit = dtype == DType.F32 ? 1.0 / (1 << 24) : 1.0 / (1L << 53), tiny = dtype == DType.F32 ? 1.1754943508222875e-38 : 2.2250738585072014e-308;
            double error = Math.Abs(got - want.Value), limit = (dtype == DType.F32 ? sample.Slack : sample.Slack + 1) * (unit * want.Error + tiny);
            worst = worst.WorseForward(error, limit);
            if (!(error <= limit) && problems.Count < 12)
                problems.Add(string.Create(CultureInfo.InvariantCulture, $"{dtype}: {what} is {got:G9}, specification {want.Value:G9}, limit {limit:G3}"));
        }

        void Allocations(DType dtype, double[][][] values)
        {
            using var device = new CpuDevice(1, options.VectorWidth);
            using var scope = device.OpenScope();
            var tensors = Place(scope, dtype, values);
            var outputs = new Tensor[update.Signature.Results.Length];
            long bytes = 0;
            for (int round = 0; round < 6; round++)
            {
                long start = GC.GetAllocatedBytesForCurrentThread();
                using (var inner = device.OpenScope()) sample.Run(inner, tensors, outputs);
                bytes = GC.GetAllocatedBytesForCurrentThread() - start;
                if (round >= 3 && bytes == 0) return;
            }
            problems.Add($"{dtype}: a call allocates {bytes} managed bytes");
        }

        Tensor[] Place(Scope scope, DType dtype, double[][][] values) =>
            [.. values.SelectMany((list, l) => list.Select((v, k) => dtype == DType.F32
                ? scope.From<float>(Array.ConvertAll(v, x => (float)x), sample.Lists[l][k].Shape)
                : scope.From<double>(v, sample.Lists[l][k].Shape)))];
    }

    private static double[] Numbers(Tensor t) => t.DType == DType.F32 ? Array.ConvertAll(t.ToArray<float>(), v => (double)v) : t.ToArray<double>();
}
