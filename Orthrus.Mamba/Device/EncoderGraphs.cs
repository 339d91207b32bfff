using Orthrus.Tensor;

namespace Orthrus.Mamba;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// The work of a batch's shape, recorded when the shape comes a second time and from then on given to the device by one call. Operands and results have buffers of their
/// own; everything between lies in an arena that all shapes share, for they run one after the other. Where nothing can be recorded the work is given as it is.
/// </summary>
internal sealed class EncoderGraphs(CudaDevice device) : IDisposable
{
    /// <summary>Graphs kept, and shapes remembered; those used longest ago go.</summary>
    internal const int MostGraphs = 32, MostShapes = 1024;

    private readonly Dictionary<(int Records, int Length), Plan> _plans = [];
    private readonly BlockArena _arena = new();
    private long _clock;

    /// <summary>A shape that has come.</summary>
    private sealed class Plan
    {
        internal Scope? Scope;
        internal Tensor Tracks, Lengths, Result;
        internal CudaGraph? Graph;
        internal bool Plain;
        internal long Used;

        internal void Drop()
        {
            Graph?.Dispose();
            Scope?.Dispose();
            (Graph, Scope) = (null, null);
        }
    }

    /// <summary>What a batch computes: result (B, D) from track bytes (B, L) and lengths (B). It leaves nothing behind.</summary>
    internal delegate void Work(Tensor tracks, Tensor lengths, Tensor result);

    /// <summary>Graphs at the moment.</summary>
    internal int Count => _plans.Values.Count(p => p.Graph is not null);

    /// <summary>Batches that a graph has computed.</summary>
    internal long Replays { get; private set; }

    /// <summary>Why the last shape that could not be recorded could not; null where all could.</summary>
    internal string? Why { get; private set; }

    /// <summary>Bytes that are kept for intermediate results.</summary>
    internal long ArenaBytes => _arena.Bytes;

    /// <summary>Lets the memory of what follows come from the arena, until the result is disposed.</summary>
    internal Loan Borrow() => new(device.Pool, _arena);

    /// <summary>Computes a batch by its graph; false where its shape has none, which says that the caller computes it.</summary>
    /// <param name="tracks">B x L bytes.</param>
    /// <param name="lengths">B lengths.</param>
    /// <param name="width">D.</param>
    /// <param name="work">What to record.</param>
    /// <param name="result">Receives B x D floats.</param>
    internal bool TryRun(ReadOnlySpan<byte> tracks, int[] lengths, int width, Work work, out float[] result)
    {
        result = [];
        var shape = (lengths.Length, tracks.Length / lengths.Length);
        if (!_plans.TryGetValue(shape, out var plan))
        {
            if (_plans.Count >= MostShapes) Forget(_plans.MinBy(p => p.Value.Used).Key);
            _plans[shape] = new Plan { Used = ++_clock };
            return false;
        }
        plan.Used = ++_clock;
        if (plan.Plain) return false;
        if (plan.Graph is null && !Record(plan, shape, width, work)) return false;
        plan.Tracks.CopyFrom(tracks);
        plan.Lengths.CopyFrom<int>(lengths);
        plan.Graph!.Launch();
        result = plan.Result.ToArray<float>();
        Replays++;
        return true;
    }

    /// <summary>Gives all memory back; what is recorded is forgotten.</summary>
    internal void Drop()
    {
        foreach (var plan in _plans.Values) plan.Drop();
        _plans.Clear();
        device.Pool.End(_arena);
    }

    public void Dispose() => Drop();

    private bool Record(Plan plan, (int Records, int Length) shape, int width, Work work)
    {
        if (Count >= MostGraphs) _plans.Values.Where(p => p.Graph is not null).MinBy(p => p.Used)!.Drop();
        // The buffers live as long as the graph; they must not lie among what each run hands out anew.
        using (new Loan(device.Pool, null))
        {
            plan.Scope = device.OpenScope();
            plan.Tracks = plan.Scope.Empty(new Shape(shape.Records, shape.Length), DType.U8);
            plan.Lengths = plan.Scope.Empty(new Shape(shape.Records), DType.I32);
            plan.Result = plan.Scope.Empty(new Shape(shape.Records, width), DType.F32);
        }
        try
        {
            plan.Graph = device.Capture(() => work(plan.Tracks, plan.Lengths, plan.Result), out string? why);
            if (plan.Graph is not null) return true;
            (plan.Plain, Why) = (true, why);
        }
        catch
        {
            plan.Drop();
            throw;
        }
        plan.Drop();
        return false;
    }

    private void Forget((int, int) shape)
    {
        _plans[shape].Drop();
        _plans.Remove(shape);
    }

    /// <summary>A stretch in which a pool takes memory from an arena.</summary>
    internal readonly struct Loan : IDisposable
    {
        private readonly BlockPool _pool;
        private readonly BlockArena? _before;

        internal Loan(BlockPool pool, BlockArena? arena)
        {
            (_pool, _before) = (pool, pool.Arena);
            pool.Arena = arena;
        }

        public void Dispose() => _pool.Arena = _before;
    }
}
