using System.CommandLine;
using Orthrus.Rna;

namespace Orthrus.Cli;

/// <summary>The options that say which transcripts to read; the same in every verb that reads transcripts.</summary>
internal sealed class InputOptions
{
    private readonly Argument<string?> _fasta = new("transcripts")
    {
        Arity = ArgumentArity.ZeroOrOne,
        Description = "FASTA of spliced transcripts (plain, gzip or bgzip), or - for stdin",
    };

    private readonly Option<string?> _tracks = new("--tracks") { HelpName = "TABLE", Description = "table of CDS and exon junctions of the FASTA's records (as `orthrus transcripts` writes)" };
    private readonly Option<string?> _annotation = new("--annotation") { HelpName = "FILE", Description = "GTF, GFF3, genePred, refFlat or BED12 (plain or gzip) instead of a FASTA" };
    private readonly Option<string?> _genome = new("--genome") { HelpName = "FILE", Description = "genome of the annotation: FASTA (plain or gzip) or 2bit; a GFF3 with a ##FASTA part needs none" };
    private readonly Option<string?> _aliases = new("--contig-aliases") { HelpName = "FILE", Description = "table of contig names that mean the same, two or more a line; chr1 and 1, chrM and MT are matched without" };
    private readonly Option<string> _cds = new("--cds") { HelpName = "annotated|longest-orf", Description = "where codon marks come from; longest-orf calls a CDS where none is known", DefaultValueFactory = _ => "annotated" };
    private readonly Option<bool> _blank = new("--blank-tracks") { Description = "leave codon and splice marks out" };
    private readonly Option<bool> _strict = new("--strict") { Description = "a record that would be skipped is an error" };
    private readonly Option<string?> _region = new("--region") { HelpName = "CONTIG[:FIRST-LAST]", Description = "keep transcripts that overlap this region, introns included (1-based, both ends included); needs --annotation" };
    private readonly Option<string?> _ids = new("--ids") { HelpName = "FILE", Description = "keep the transcripts listed in this file, one id a line, with or without version" };
    private readonly Option<string[]> _biotypes = new("--biotype") { HelpName = "NAME", Description = "keep this biotype (protein_coding, lncRNA, ...); may be repeated or separated by commas", AllowMultipleArgumentsPerToken = false };
    private readonly Option<bool> _coding = new("--coding-only") { Description = "keep transcripts with a known or called CDS" };
    private readonly Option<bool> _longest = new("--longest-per-gene") { Description = "keep the longest transcript of each gene, of what the other filters leave" };
    private readonly Option<int?> _min = new("--min-length") { HelpName = "NT", Description = "keep transcripts of at least this length" };
    private readonly Option<int?> _max = new("--max-length") { HelpName = "NT", Description = "keep transcripts of at most this length" };

    internal void AddTo(Command command)
    {
        command.Arguments.Add(_fasta);
        foreach (var option in new Option[] { _tracks, _annotation, _genome, _aliases, _cds, _blank, _strict, _region, _ids, _biotypes, _coding, _longest, _min, _max })
            command.Options.Add(option);
    }

    /// <summary>What the user asked for; options that contradict each other are a <see cref="UsageException"/>.</summary>
    internal TranscriptInput Read(ParseResult parsed)
    {
        string? fasta = parsed.GetValue(_fasta), annotation = parsed.GetValue(_annotation), genome = parsed.GetValue(_genome), tracks = parsed.GetValue(_tracks);
        string? region = parsed.GetValue(_region), aliases = parsed.GetValue(_aliases);
        int? min = parsed.GetValue(_min), max = parsed.GetValue(_max);
        Refuse(fasta is null && annotation is null, "give a FASTA of transcripts, or --annotation with --genome");
        Refuse(fasta is not null && annotation is not null, "give either a FASTA of transcripts or --annotation, not both");
        Refuse(genome is not null && annotation is null, "--genome needs --annotation");
        Refuse(tracks is not null && fasta is null, "--tracks belongs to a FASTA of transcripts; an annotation has its own");
        Refuse(region is not null && annotation is null, "--region needs --annotation: a FASTA of transcripts has no genome positions");
        Refuse(aliases is not null && annotation is null, "--contig-aliases needs --annotation");
        var policy = Policy(parsed);
        Refuse(min < 0 || max < 0 || min > max, "--min-length and --max-length leave no length");
        var input = new TranscriptInput
        {
            Fasta = fasta, TracksTable = tracks, Annotation = annotation, Genome = genome, ContigAliases = aliases,
            Cds = policy,
            Strict = parsed.GetValue(_strict), Region = region, IdsFile = parsed.GetValue(_ids),
            Biotypes = (parsed.GetValue(_biotypes) ?? []).SelectMany(b => b.Split(',', StringSplitOptions.RemoveEmptyEntries)).ToArray(),
            CodingOnly = parsed.GetValue(_coding), LongestPerGene = parsed.GetValue(_longest), MinLength = min, MaxLength = max,
        };
        if (input.Files().Any(f => f.Path == "-") && !StandardStreams.IsGiven(StandardStreams.Input))
            throw new InputDataException("-", null, "stdin is closed", "pipe the input into it, or name a file");
        return input;
    }

    /// <summary>Where codon marks come from, for a verb that also reads something else than transcripts.</summary>
    internal CdsPolicy Policy(ParseResult parsed)
    {
        string? cds = parsed.GetValue(_cds);
        bool blank = parsed.GetValue(_blank);
        Refuse(cds is not ("annotated" or "longest-orf"), $"--cds is annotated or longest-orf, not '{cds}'");
        Refuse(blank && cds == "longest-orf", "--blank-tracks and --cds longest-orf exclude each other");
        return blank ? CdsPolicy.Blank : cds == "longest-orf" ? CdsPolicy.LongestOrf : CdsPolicy.Annotated;
    }

    /// <summary>The first option that says which transcripts to read, as it was given; null where none was.</summary>
    internal string? Given(ParseResult parsed)
    {
        if (parsed.GetValue(_fasta) is { } fasta) return fasta;
        return new Option[] { _tracks, _annotation, _genome, _aliases, _strict, _region, _ids, _biotypes, _coding, _longest, _min, _max }.FirstOrDefault(o => parsed.GetResult(o) is { Implicit: false })?.Name;
    }

    private static void Refuse(bool wrong, string message)
    {
        if (wrong) throw new UsageException(message);
    }
}

/// <summary>The files of an input.</summary>
internal static class InputFiles
{
    /// <summary>Those that were named, by role, in a fixed order.</summary>
    internal static IEnumerable<(string Role, string Path)> Files(this TranscriptInput input)
    {
        if (input.Fasta is { } fasta) yield return ("fasta", fasta);
        if (input.TracksTable is { } table) yield return ("tracks", table);
        if (input.Annotation is { } annotation) yield return ("annotation", annotation);
        if (input.Genome is { } genome) yield return ("genome", genome);
        if (input.ContigAliases is { } aliases) yield return ("contig_aliases", aliases);
        if (input.IdsFile is { } ids) yield return ("ids", ids);
    }
}
