using System.Globalization;

namespace Orthrus.Rna;

/// <summary>What to keep of an input.</summary>
internal sealed class RecordFilter
{
    private readonly TranscriptInput _input;
    private readonly IdMatcher<bool>? _ids;
    private readonly HashSet<string> _found = new(StringComparer.Ordinal);
    private readonly HashSet<string>? _biotypes;
    private readonly string? _regionContig;
    private readonly long _regionStart, _regionEnd = long.MaxValue;
    private long _foundByVersion;
    private bool _anyBiotype, _anyCds;

    internal RecordFilter(TranscriptInput input)
    {
        _input = input;
        if (input.IdsFile is not null) _ids = ReadIds(input.IdsFile);
        if (input.Biotypes.Count > 0) _biotypes = new HashSet<string>(input.Biotypes, StringComparer.OrdinalIgnoreCase);
        if (input.Region is not null) (_regionContig, _regionStart, _regionEnd) = ParseRegion(input.Region);
    }

    /// <summary>Contig of the region as typed, or null.</summary>
    internal string? RegionContig => _regionContig;

    internal bool KeepsNames(string id, string? biotype)
    {
        _anyBiotype |= biotype is not null;
        if (_biotypes is not null && (biotype is null || !_biotypes.Contains(biotype))) return false;
        if (_ids is null) return true;
        if (!_ids.TryFind(id, out _, out string matched)) return false;
        if (_found.Add(matched) && matched != id) _foundByVersion++;
        return true;
    }

    /// <summary>True where [start, end) overlaps the region.</summary>
    internal bool KeepsPlace(int start, int end) => start < _regionEnd && end > _regionStart;

    internal bool KeepsBuilt(int length, bool hasCds)
    {
        _anyCds |= hasCds;
        return (hasCds || !_input.CodingOnly) && length >= (_input.MinLength ?? 0) && length <= (_input.MaxLength ?? int.MaxValue);
    }

    /// <summary>The error for an input of which nothing is left: a filter that asks for what no record tells is named.</summary>
    internal InputDataException NothingLeft(InputReport report)
    {
        if (_biotypes is not null && !_anyBiotype)
            return Error("no record has a biotype that --biotype could select by", "give --annotation, or --tracks with a biotype column");
        if (_input.CodingOnly && !_anyCds)
            return Error("no record has a known CDS, so that --coding-only leaves nothing", "give --tracks or --annotation, or call CDS with --cds longest-orf");
        return report.Skipped == 0
            ? Error($"none of its {report.Filtered:N0} transcripts passes the filters", "relax them")
            : Error($"nothing is left: {report.Filtered:N0} transcripts do not pass the filters, {report.Skipped:N0} records cannot be used ({string.Join(", ", report.SkippedByReason.Keys)})",
                "relax the filters, or correct the records");
    }

    /// <summary>The error for --longest-per-gene where no record names a gene: it would keep everything without a sign.</summary>
    internal InputDataException NoGenes() =>
        Error("no record names its gene, so that --longest-per-gene has nothing to choose from", "give an annotation that names genes (GTF, GFF3, refFlat), or --tracks with a gene_id column");

    private InputDataException Error(string problem, string remedy) => new(_input.Fasta ?? _input.Annotation, null, problem, remedy);

    internal void Finish(InputReport report, bool strict)
    {
        if (_ids is null) return;
        if (_foundByVersion > 0) report.Remark($"{_foundByVersion:N0} of the listed ids matched without regard to the version");
        var missing = _ids.Ids.Where(id => !_found.Contains(id)).ToList();
        if (missing.Count == 0) return;
        string some = string.Join(", ", missing.Take(3)) + (missing.Count > 3 ? ", ..." : "");
        if (_found.Count == 0)
            throw new InputDataException(_input.IdsFile, null, $"none of its {_ids.Count:N0} ids ({some}) is in {_input.Fasta ?? _input.Annotation}", "check that the ids are transcript ids of the same source");
        if (strict) throw new InputDataException(_input.IdsFile, null, $"{missing.Count:N0} ids are not in the input ({some})", "remove them, or run without --strict");
        report.Remark($"{missing.Count:N0} of the listed ids are not in the input ({some})");
    }

    private static IdMatcher<bool> ReadIds(string path)
    {
        var ids = new IdMatcher<bool>();
        using var lines = new LineReader(path, InputFile.Open(path));
        while (lines.Next())
        {
            string id = FastaReader.Text(lines.Line).Trim();
            if (id.Length == 0 || id[0] == '#') continue;
            if (id.AsSpan().IndexOfAny('\t', ' ') >= 0) throw lines.Error("more than one word where one id is needed", "give one transcript id a line");
            ids.TryAdd(id, true);
        }
        if (ids.Count == 0) throw new InputDataException(path, null, "holds no ids", "give one transcript id a line");
        return ids;
    }

    // "chr1", "chr1:5,000-9,000" or "chr1:5000", 1-based and inclusive; the last colon counts, since contig names may have colons.
    private static (string Contig, long Start, long End) ParseRegion(string region)
    {
        int colon = region.LastIndexOf(':');
        if (colon <= 0) return (region, 0, long.MaxValue);
        string[] bounds = region[(colon + 1)..].Replace(",", "", StringComparison.Ordinal).Split('-');
        if (bounds.Length is 1 or 2 && long.TryParse(bounds[0], NumberStyles.None, CultureInfo.InvariantCulture, out long first) && first >= 1)
        {
            if (bounds.Length == 1) return (region[..colon], first - 1, first);
            if (long.TryParse(bounds[1], NumberStyles.None, CultureInfo.InvariantCulture, out long last) && last >= first) return (region[..colon], first - 1, last);
        }
        throw new InputDataException(null, "region " + region, "is not understood", "write it as chr1, or chr1:5000-9000 (1-based, both ends included)");
    }
}
