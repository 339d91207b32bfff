namespace Orthrus.Train;

/// <summary>
/// Transcripts that may be paired with one another, in runs: a homology group is a row of runs, one a species (or one of annotated transcripts and one of
/// projections), so that splice isoforms are the rest of a run and orthologs the other runs. A partner is drawn in constant time.
/// </summary>
internal sealed class PartnerIndex
{
    private readonly int[] _members, _runOf, _runFirst, _groupFirstRun, _groupEndRun;
    private readonly bool _projection;

    private PartnerIndex(int[] members, int[] runOf, int[] runFirst, int[] groupFirstRun, int[] groupEndRun, bool projection)
    {
        _members = members;
        _runOf = runOf;
        _runFirst = runFirst;
        _groupFirstRun = groupFirstRun;
        _groupEndRun = groupEndRun;
        _projection = projection;
    }

    /// <summary>Number of transcripts.</summary>
    internal int Count => _members.Length;

    /// <summary>Builds the index of the transcripts of a split, or of all (null), that are shorter than a length.</summary>
    internal static PartnerIndex Build(CorpusFile corpus, CorpusSplit? split, int below, OrthologRule rule)
    {
        bool projection = rule == OrthologRule.Projection;
        int count = 0;
        for (int t = 0; t < corpus.Count; t++)
            if (Takes(t)) count++;
        var members = new int[count];
        var runOf = new int[count];
        var runFirst = new List<int>();
        var groupFirstRun = new List<int>();
        var groupEndRun = new List<int>();
        int at = 0;
        for (int group = 0; group < corpus.Groups; group++)
        {
            var (firstGene, genes) = corpus.GenesOfGroup(group);
            int firstRun = runFirst.Count;
            if (projection)
            {
                Run(firstGene, genes, t => (corpus.Flags(t) & TranscriptFlags.Projected) == 0);
                Run(firstGene, genes, t => (corpus.Flags(t) & TranscriptFlags.Projected) != 0);
            }
            else
            {
                for (int g = firstGene, next; g < firstGene + genes; g = next)
                {
                    int species = corpus.GeneOf(g).Species;
                    for (next = g; next < firstGene + genes && corpus.GeneOf(next).Species == species; next++)
                    {
                    }
                    Run(g, next - g, _ => true);
                }
            }
            for (int r = firstRun; r < runFirst.Count; r++)
            {
                groupFirstRun.Add(firstRun);
                groupEndRun.Add(runFirst.Count);
            }
        }
        runFirst.Add(at);
        return new PartnerIndex(members, runOf, [.. runFirst], [.. groupFirstRun], [.. groupEndRun], projection);

        bool Takes(int t) => (split is null || corpus.Split(t) == split) && corpus.Length(t) < below;

        // With the rule of projections both runs stand, also empty ones: the second is that of projections.
        void Run(int firstGene, int genes, Func<int, bool> takes)
        {
            int first = at;
            for (int g = firstGene; g < firstGene + genes; g++)
                foreach (int t in corpus.TranscriptsOfGene(g))
                    if (Takes(t) && takes(t))
                    {
                        runOf[at] = runFirst.Count;
                        members[at++] = t;
                    }
            if (at > first || projection) runFirst.Add(first);
        }
    }

    /// <summary>The transcript at a place.</summary>
    internal int Transcript(int place) => _members[place];

    /// <summary>Number of splice isoforms and of orthologs that the transcript at a place may be paired with.</summary>
    internal (int Splice, int Orthologs) Partners(int place)
    {
        var (first, end, groupFirst, groupEnd) = Runs(place);
        bool inside = place >= first && place < end;
        return (end - first - (inside ? 1 : 0), groupEnd - groupFirst - (end - first) - (inside ? 0 : 1));
    }

    /// <summary>True where the transcript may be the first of a pair: with the rule of projections, no projection where the group has an annotated transcript.</summary>
    internal bool IsKey(int place) => !_projection || _runOf[place] == _groupFirstRun[_runOf[place]] || _runFirst[_groupFirstRun[_runOf[place]] + 1] == _runFirst[_groupFirstRun[_runOf[place]]];

    /// <summary>The place of the n-th splice isoform.</summary>
    internal int Splice(int place, int n)
    {
        var (first, end, _, _) = Runs(place);
        int at = first + n;
        return place >= first && place < end && at >= place ? at + 1 : at;
    }

    /// <summary>The place of the n-th ortholog.</summary>
    internal int Ortholog(int place, int n)
    {
        var (first, end, groupFirst, _) = Runs(place);
        int at = groupFirst + n;
        if (at >= first) at += end - first;
        return (place < first || place >= end) && at >= place ? at + 1 : at;
    }

    // Bounds of the run of splice isoforms and of the group, as places.
    private (int First, int End, int GroupFirst, int GroupEnd) Runs(int place)
    {
        int run = _runOf[place], firstRun = _groupFirstRun[run], endRun = _groupEndRun[run];
        int splice = _projection ? firstRun : run;
        return (_runFirst[splice], _runFirst[splice + 1], _runFirst[firstRun], _runFirst[endRun]);
    }
}
