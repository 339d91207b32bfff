namespace Orthrus.Rna;

/// <summary>Transcripts spliced from a genome as an annotation says, in the annotation's order.</summary>
internal sealed class AnnotationTranscripts : TranscriptSource
{
    private readonly TranscriptInput _input;
    private readonly AnnotationFile _annotation;
    private readonly Genome _genome;
    private readonly ContigMap _contigs;
    private readonly bool _anyCds;
    private int _position;

    internal AnnotationTranscripts(TranscriptInput input) : base(input)
    {
        _input = input;
        if (input.Annotation == "-" && input.Genome == "-") throw new InputDataException("-", null, "stdin cannot be both annotation and genome", "give one of them as a file");
        _annotation = AnnotationFile.Read(input.Annotation!);
        foreach (string remark in _annotation.Remarks) Report.Remark(remark);
        _anyCds = _annotation.Transcripts.Any(t => t.HasCds);
        HasTracks = _annotation.Transcripts.Any(CdsKnown);
        if (input.Genome is null && _annotation.Embedded is null)
            throw new InputDataException(input.Annotation, null, "an annotation has no bases", "give the genome it belongs to with --genome (FASTA or 2bit)");
        _genome = input.Genome is null ? _annotation.Embedded! : Genome.Open(input.Genome, Report.Remark);
        try
        {
            _contigs = new ContigMap(_genome, input.ContigAliases);
            CheckContigs();
        }
        catch
        {
            _genome.Dispose();
            throw;
        }
    }

    public override bool HasTracks { get; }

    public override double? Progress => (double)_position / Math.Max(1, _annotation.Transcripts.Count);

    // An annotation of which no transcript has a CDS (exon rows alone) says nothing about CDS, unless it gives a biotype.
    private bool CdsKnown(AnnotatedTranscript t) => _anyCds || (t.Biotype is not null && t.Biotype != "protein_coding");

    private void CheckContigs()
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        int found = 0;
        foreach (var t in _annotation.Transcripts)
            if (names.Add(t.Contig) && _contigs.Find(t.Contig) >= 0) found++;
        if (found == 0) throw _contigs.NothingInCommon(_annotation.Path, _annotation.Transcripts.Select(t => t.Contig));
        if (_contigs.PrefixExample is var (mine, theirs))
            Report.Remark($"{_contigs.PrefixMatches:N0} contig names matched by chr prefix ({mine} in the annotation, {theirs} in the genome)");
        if (names.Count > found)
            Report.Remark(_contigs.SomeMissing(names.Where(n => _contigs.Find(n) < 0).ToList(), names.Count));
        if (Filter.RegionContig is { } region && !names.Any(n => IsRegion(n, region)))
            throw new InputDataException(_annotation.Path, "region " + _input.Region, $"no transcript lies on contig {region}", $"the annotation has {string.Join(", ", names.Take(3))}");
    }

    private bool IsRegion(string contig, string region) => contig == region || (_contigs.Find(contig) is >= 0 and var c && _contigs.Find(region) == c);

    private static bool IsAutosome(string contig) =>
        int.TryParse(contig.StartsWith("chr", StringComparison.OrdinalIgnoreCase) ? contig.AsSpan(3) : contig, System.Globalization.NumberStyles.None,
            System.Globalization.CultureInfo.InvariantCulture, out int n) && n is >= 1 and <= 22;

    private protected override IEnumerable<Candidate> Candidates()
    {
        foreach (var t in _annotation.Transcripts)
        {
            _position++;
            bool kept = (Filter.RegionContig is not { } region || (IsRegion(t.Contig, region) && (t.Exons.Length == 0 || Filter.KeepsPlace(t.Exons[0], t.Exons[^1]))))
                && (!_input.AutosomesOnly || IsAutosome(t.Contig))
                && Filter.KeepsNames(t.Id, t.Biotype);
            if (kept && t.Fault is null && _input.Cds != CdsPolicy.LongestOrf) kept = Filter.KeepsBuilt((int)Math.Min(int.MaxValue, t.SplicedLength), t.HasCds);
            if (kept) yield return Build(t);
            else Report.Filtered++;
        }
    }

    private Candidate Build(AnnotatedTranscript t)
    {
        string where = $"line {t.Line}, transcript {t.Id}";
        var notes = new List<string>();
        int contig = _contigs.Find(t.Contig);
        if ((t.Fault ?? CheckPlace(t, contig)) is { } fault) return new Candidate(t.Id, where, null, fault, false, default, notes);

        byte[] bases = Splice(t, contig);
        var cds = CdsOf(t, bases.Length);
        if (t.Cds5Incomplete) notes.Add(TranscriptBuilder.FiveIncomplete);
        if (t.Cds3Incomplete) notes.Add(TranscriptBuilder.ThreeIncomplete);
        if (t.CdsShifted) notes.Add(TranscriptBuilder.Shifted);
        var letters = new LetterCounts(0, 0, TranscriptBuilder.CountUnknown(bases), 0);
        var transcript = TranscriptBuilder.Finish(new Transcript
        {
            Id = t.Id, Tracks = bases, GeneId = t.GeneId, GeneName = t.GeneName, Biotype = t.Biotype, Cds = cds, CdsKnown = CdsKnown(t), Junctions = JunctionsOf(t),
        }, bases, _input.Cds, notes);
        return new Candidate(t.Id, where, transcript, null, transcript.Cds is not null || t.HasCds, letters, notes);
    }

    private Fault? CheckPlace(AnnotatedTranscript t, int contig)
    {
        if (contig < 0) return new Fault("contig not in the genome", $"contig {t.Contig} is not in the genome");
        if (t.Exons[^1] > _genome.Length(contig))
            return new Fault("runs off the end of the contig", $"ends at {t.Exons[^1]}, past the end of contig {t.Contig} ({_genome.Length(contig)} bases)");
        if (t.SplicedLength > Array.MaxLength) return new Fault("longer than 2,147,483,591 nt");
        return null;
    }

    private byte[] Splice(AnnotatedTranscript t, int contig)
    {
        var bases = new byte[t.SplicedLength];
        int at = 0;
        for (int i = 0; i < t.Exons.Length; i += 2)
        {
            int length = t.Exons[i + 1] - t.Exons[i];
            _genome.Read(contig, t.Exons[i], bases.AsSpan(at, length));
            at += length;
        }
        if (!t.Minus) return bases;
        // The reverse complement of the whole is the concatenation of the exons' reverse complements in descending order.
        Array.Reverse(bases);
        var complement = Nucleotide.Complement;
        for (int i = 0; i < bases.Length; i++) bases[i] = complement[bases[i]];
        return bases;
    }

    private static (int, int)? CdsOf(AnnotatedTranscript t, int length)
    {
        if (!t.HasCds) return null;
        int before = (int)TranscriptAssembler.ExonicBetween(t.Exons, 0, t.CdsStart), upTo = (int)TranscriptAssembler.ExonicBetween(t.Exons, 0, t.CdsEnd);
        return t.Minus ? (length - upTo, length - before) : (before, upTo);
    }

    private static int[] JunctionsOf(AnnotatedTranscript t)
    {
        int exons = t.Exons.Length / 2;
        var junctions = new int[exons - 1];
        int length = 0;
        for (int i = 0; i < junctions.Length; i++)
        {
            int exon = t.Minus ? exons - 1 - i : i;
            length += t.Exons[2 * exon + 1] - t.Exons[2 * exon];
            junctions[i] = length - 1;
        }
        return junctions;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _genome.Dispose();
    }
}
