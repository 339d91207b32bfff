namespace Orthrus.Train;

/// <summary>The keys of a run of training - transcripts that are drawn as the first of a pair - and how their partners are drawn.</summary>
internal sealed class PartnerDraw
{
    private readonly PairOptions _options;
    private readonly PartnerIndex _short, _all;
    private readonly int[] _keys;
    private readonly int _shortKeys;

    /// <summary>Finds the keys: short ones first, then long ones, each in the order of the corpus' groups.</summary>
    internal PartnerDraw(CorpusFile corpus, PairOptions options)
    {
        _options = options;
        int below = Math.Min(options.ShortLength, options.MaxLength);
        CorpusSplit? split = options.UpstreamSplit ? null : options.Split;
        _short = PartnerIndex.Build(corpus, split, below, options.Orthologs);
        _all = below == options.MaxLength ? _short : PartnerIndex.Build(corpus, split, options.MaxLength, options.Orthologs);
        var keys = new List<int>();
        if (options.Rank != 0) Add(_short, 0);
        if (options.UpstreamSplit) keys = UpstreamSplit(keys, p => _short.Transcript(p), options.Split);
        _shortKeys = keys.Count;
        bool longKeys = options.Rank is null or 0 && !(options.UpstreamSplit && options.Split != CorpusSplit.Train);
        if (longKeys && _all != _short) Add(_all, below);
        _keys = [.. keys];

        void Add(PartnerIndex index, int least)
        {
            for (int place = 0; place < index.Count; place++)
            {
                if (!index.IsKey(place) || corpus.Length(index.Transcript(place)) < least) continue;
                var (splice, orthologs) = index.Partners(place);
                if (splice + orthologs > 0 || options.KeepAlone || !(options.UseSplice || options.UseOrthologs)) keys.Add(place);
            }
        }
    }

    /// <summary>Number of keys.</summary>
    internal int Count => _keys.Length;

    // Upstream's 95 %: its percentage is cut off to a whole number of items.
    private static List<int> UpstreamSplit(List<int> places, Func<int, int> transcript, CorpusSplit split)
    {
        int[] shuffled = [.. places.OrderBy(transcript)];
        MersenneTwister.Python(42).Shuffle<int>(shuffled);
        int train = (int)(shuffled.Length * 0.95);
        return split switch { CorpusSplit.Train => [.. shuffled[..train]], CorpusSplit.Valid => [.. shuffled[train..]], _ => [] };
    }

    /// <summary>A pair: the key and a partner, drawn for an epoch.</summary>
    /// <param name="key">Number of the key.</param>
    /// <param name="epoch">Epoch.</param>
    /// <param name="limit">Greatest length that a merged view of this pair may have.</param>
    internal (int First, int Second, PairKind Kind) Draw(int key, uint epoch, out int limit)
    {
        bool isShort = key < _shortKeys;
        limit = isShort && _options.ShortLength < _options.MaxLength ? _options.ShortLength : _options.MaxLength;
        var index = isShort ? _short : _all;
        int place = _keys[key], first = index.Transcript(place);
        var (splice, orthologs) = index.Partners(place);
        var draws = new Draws(_options.Seed, epoch, (uint)first, DrawFor.Partner);
        bool byKind = _options.Choice == PartnerChoice.ByKind;
        if (!_options.UseSplice || (byKind && _options.OrthologWeight >= 1)) splice = 0;
        if (!_options.UseOrthologs || (byKind && _options.OrthologWeight <= 0)) orthologs = 0;
        if (splice + orthologs == 0) return (first, first, PairKind.Self);
        int n;
        bool ortholog;
        if (byKind)
        {
            ortholog = splice == 0 || (orthologs > 0 && draws.Chance(_options.OrthologWeight));
            n = draws.Below(ortholog ? orthologs : splice);
        }
        else
        {
            n = draws.Below(splice + orthologs);
            ortholog = n >= splice;
            if (ortholog) n -= splice;
        }
        return (first, index.Transcript(ortholog ? index.Ortholog(place, n) : index.Splice(place, n)), ortholog ? PairKind.Ortholog : PairKind.Splice);
    }
}
