using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>
/// Batches of pairs from a corpus file. A batch is a function of corpus, options and step; those ahead are made on other threads. Safe to use from several threads.
/// </summary>
/// <remarks>
/// Memory: about twenty bytes for each transcript of the split, twice eight bytes for each key (the plans of two epochs), and the batches made ahead.
/// </remarks>
public sealed class PairSource : IPairBatches, IDisposable
{
    // Rows of a batch are counted in 32 bits.
    private const long MostBytes = int.MaxValue;

    private readonly CorpusFile _corpus;
    private readonly bool _owns;
    private readonly PairOptions _options;
    private readonly PartnerDraw _partners;
    private readonly ViewMaker _views;
    private readonly Lock _lock = new();
    private readonly SortedDictionary<uint, Lazy<EpochPlan>> _plans = [];
    private readonly SortedDictionary<long, Task<PairBatch>> _ahead = [];
    private readonly SemaphoreSlim _workers;
    private readonly CancellationTokenSource _closing = new();

    private PairSource(CorpusFile corpus, bool owns, PairOptions options)
    {
        Check(options);
        _corpus = corpus;
        _owns = owns;
        _options = options;
        _partners = new PartnerDraw(corpus, options);
        _views = new ViewMaker(corpus, options.Augmentation, options.Seed);
        _workers = new SemaphoreSlim(options.Threads);
        BatchesPerEpoch = Plan(0).Batches;
        if (BatchesPerEpoch > 0) return;
        int pairs = options.Rank == 0 ? options.LongPairs : options.Pairs;
        throw new InputDataException(corpus.Path, null,
            $"split {options.Split.ToString().ToLowerInvariant()} has {Keys:N0} transcripts with a partner{(options.Rank is null ? "" : $" for rank {options.Rank}")}, too few for a batch of {pairs:N0} pairs",
            Keys == 0 ? "give homology groups or several isoforms a gene, or keep transcripts that are alone" : "ask for fewer pairs a batch");
    }

    /// <summary>Opens a corpus file and draws pairs from it as the options say.</summary>
    /// <exception cref="InputDataException">The file is no corpus or damaged, or has too few pairs for one batch.</exception>
    /// <exception cref="ArgumentException">The options contradict each other.</exception>
    public static PairSource Open(string path, PairOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var corpus = CorpusFile.Open(path);
        try
        {
            return new PairSource(corpus, owns: true, options);
        }
        catch
        {
            corpus.Dispose();
            throw;
        }
    }

    /// <summary>Draws pairs from a corpus that is open and stays the caller's: several sources (ranks, validation) share one.</summary>
    /// <exception cref="InputDataException">It has too few pairs for one batch.</exception>
    /// <exception cref="ArgumentException">The options contradict each other.</exception>
    public static PairSource Of(CorpusFile corpus, PairOptions options)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        ArgumentNullException.ThrowIfNull(options);
        return new PairSource(corpus, owns: false, options);
    }

    /// <summary>The corpus that pairs are drawn from.</summary>
    public CorpusFile Corpus => _corpus;

    /// <summary>
    /// Batches of an epoch. Where a number of nucleotides decides how many pairs go together it is that of the first epoch: a later epoch that has more leaves the
    /// rest out, one that has fewer gives its first ones again.
    /// </summary>
    public int BatchesPerEpoch { get; }

    /// <summary>Transcripts that are drawn in an epoch, each once as the first of a pair.</summary>
    public int Keys => _partners.Count;

    /// <inheritdoc/>
    /// <exception cref="ObjectDisposedException">The source is closed.</exception>
    public PairBatch Batch(long step)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        ObjectDisposedException.ThrowIf(_closing.IsCancellationRequested, this);
        if (_options.Prefetch == 0) return Make(step);
        Task<PairBatch> wanted;
        lock (_lock)
        {
            for (long s = step; s <= step + _options.Prefetch; s++)
                if (!_ahead.ContainsKey(s)) _ahead.Add(s, Begin(s));
            wanted = _ahead[step];
            // Those behind will hardly be asked for again, and those far ahead belong to another place in the run.
            foreach (long s in _ahead.Keys.Where(s => s <= step || s > step + _options.Prefetch).ToArray()) _ahead.Remove(s);
        }
        return wanted.GetAwaiter().GetResult();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_closing.IsCancellationRequested) return;
        _closing.Cancel();
        Task[] running;
        lock (_lock) running = [.. _ahead.Values];
        // The file stays mapped until nobody reads it.
        Task.WaitAll(running.Select(t => t.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default)).ToArray());
        if (_owns) _corpus.Dispose();
        _workers.Dispose();
        _closing.Dispose();
    }

    private Task<PairBatch> Begin(long step) => Task.Run(async () =>
    {
        await _workers.WaitAsync(_closing.Token).ConfigureAwait(false);
        try
        {
            return Make(step);
        }
        finally
        {
            _workers.Release();
        }
    });

    private PairBatch Make(long step)
    {
        long number = Math.DivRem(step, BatchesPerEpoch, out long index);
        uint epoch = _options.Fixed ? 0 : (uint)number;
        var plan = Plan(epoch);
        var keys = plan.Keys((int)(index % plan.Batches));
        int pairs = keys.Length;
        var facts = new PairFacts[pairs];
        var shapes = new ViewShape[2 * pairs];
        var lengths = new int[2 * pairs];
        var kinds = new PairKind[pairs];
        for (int i = 0; i < pairs; i++)
        {
            facts[i] = Pair(keys[i], epoch);
            (shapes[i], shapes[pairs + i]) = _views.Shapes(facts[i], epoch);
            lengths[i] = shapes[i].Length;
            lengths[pairs + i] = shapes[pairs + i].Length;
            kinds[i] = facts[i].Kind;
        }
        int length = lengths.Max();
        if (2L * pairs * length > MostBytes) throw new InputDataException(_corpus.Path, null, $"a batch of {pairs:N0} pairs of {length:N0} nucleotides is larger than one array can be", "ask for fewer pairs a batch");
        var tracks = new byte[2 * pairs * length];
        var scratch = new byte[length];
        for (int row = 0; row < 2 * pairs; row++)
        {
            int view = row < pairs ? 0 : 1;
            _views.Write(facts[row % pairs], shapes[row], view, epoch, tracks.AsSpan(row * length, lengths[row]), scratch);
        }
        // A byte outside the alphabet would be read as a row beyond the encoder's table.
        if (tracks.AsSpan().IndexOfAnyExceptInRange((byte)0, (byte)63) >= 0) throw CorpusFile.Damaged(_corpus.Path, "a track byte has bits that no track has");
        return new PairBatch(tracks, length, lengths, kinds);
    }

    private PairFacts Pair(int key, uint epoch)
    {
        var (first, second, kind) = _partners.Draw(key, epoch, out int limit);
        return _views.Facts(first, second, kind, limit);
    }

    private EpochPlan Plan(uint epoch)
    {
        Lazy<EpochPlan>? plan;
        lock (_lock)
        {
            if (!_plans.TryGetValue(epoch, out plan))
            {
                if (_plans.Count > 1) _plans.Remove(_plans.Keys.MaxBy(e => Math.Abs((long)e - epoch)));
                _plans.Add(epoch, plan = new Lazy<EpochPlan>(() => EpochPlan.Build(_options, epoch, _partners.Count, key =>
                {
                    var (first, second) = _views.Shapes(Pair(key, epoch), epoch);
                    return Math.Max(first.Length, second.Length);
                })));
            }
        }
        return plan.Value;
    }

    private static void Check(PairOptions o)
    {
        Require(o.Pairs >= 1 && o.LongPairs >= 1, "a batch has at least one pair");
        Require(o.Nucleotides is null or >= 1, "a batch has at least one nucleotide");
        Require(o.OrthologWeight is >= 0 and <= 1, "the weight of orthologs is from 0 to 1");
        Require(o.ShortLength >= 1 && o.MaxLength >= 1, "lengths are at least 1");
        Require(o.Threads >= 1 && o.Prefetch >= 0, "there is at least one thread and no negative prefetch");
        Require(o.Rank is null || (o.Ranks >= 2 && o.Rank >= 0 && o.Rank < o.Ranks && o.ShortLength < o.MaxLength), "a rank is from 0 to below the number of ranks, at least 2, and the short length below the greatest");
        var a = o.Augmentation;
        Require(new[] { a.CombineUtr, a.MaskCds, a.MaskSplice, a.DropCds, a.DropSplice, a.MaskSequence, a.MaskAll }.All(p => p is >= 0 and <= 1), "shares and probabilities are from 0 to 1");
        Require(a.Fragment is > 0 and <= 1, "the share of a fragment is above 0 and at most 1");
        Require(a.Crop >= 0, "a crop has no negative length");
        Require(a.CropLeast == 0 || (a.CropLeast > 0 && a.CropLeast <= a.Crop), "the least size of a window is from 1 to that of the crop, or 0 for windows of one size");

        static void Require(bool right, string rule)
        {
            if (!right) throw new ArgumentException(rule);
        }
    }
}
