using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Orthrus.Rna;
using Orthrus.Train;

namespace Orthrus.Cli;

/// <summary>orthrus corpus: transcripts of many sources as one file to train on.</summary>
internal static class CorpusVerb
{
    private const string Help = """
        Build a corpus to pre-train on: transcripts as track bytes with genes, homology groups and splits, in one file. Sets of transcripts may be
        given any number of times: --transcripts with --table, --annotation with --genome, --toga with --genome, --store with --table, --npz; what
        follows one of them (--species, --genome, --table, --contig-aliases) belongs to it.

        Example: orthrus corpus --transcripts examples/data/transcripts.fa.gz --table examples/data/transcripts.tsv -o c.safetensors
        """;

    private static readonly Option<string[]> Transcripts = Repeated("--transcripts", "FASTA", "spliced transcripts (plain, gzip or bgzip)");
    private static readonly Option<string[]> Table = Repeated("--table", "FILE", "table of the transcripts: CDS, junctions, gene, species, homology_group, family_group, split");
    private static readonly Option<string[]> Annotation = Repeated("--annotation", "FILE", "GTF, GFF3, genePred, refFlat or BED12 (plain or gzip)");
    private static readonly Option<string[]> Genome = Repeated("--genome", "FILE", "genome of the annotation: FASTA (plain or gzip) or 2bit");
    private static readonly Option<string[]> Aliases = Repeated("--contig-aliases", "FILE", "table of contig names of this annotation and genome that mean the same");
    private static readonly Option<string[]> Species = Repeated("--species", "NAME", "species of the set, such as homo_sapiens; of projections the assembly");
    private static readonly Option<string[]> Toga = Repeated("--toga", "BED12", "projections by TOGA; names are transcript.gene.chain");
    private static readonly Option<string[]> Store = Repeated("--store", "FOLDER", "upstream's folder of npz files, with --table (transcript_id, gene_id, ...)");
    private static readonly Option<string[]> Npz = Repeated("--npz", "FILE", "upstream's evaluation set (X, genes, y)");

    private static readonly Option<string[]> Homology = Repeated("--homology", "FILE|symbols|none", "who is homologous: Compara TSV, OrthoFinder's Orthogroups.tsv, two columns (name, group); symbols: genes of the same symbol; none: nobody but whom tables name");
    private static readonly Option<string[]> Families = Repeated("--families", "FILE", "gene families, in the same forms: splits never cut one");
    private static readonly Option<int> MinLength = new("--min-length") { HelpName = "NT", Description = "keep transcripts of at least this length", DefaultValueFactory = _ => 1 };
    private static readonly Option<int> MaxLength = new("--max-length") { HelpName = "NT", Description = "keep transcripts of at most this length", DefaultValueFactory = _ => 12_288 };
    private static readonly Option<bool> Autosomes = new("--autosomes-only") { Description = "of human and mouse annotation keep chromosomes 1 to 22 alone, as upstream does (no X, Y, M, other contigs)" };
    private static readonly Option<bool> Coding = new("--coding-only") { Description = "keep transcripts with a CDS" };
    private static readonly Option<string> Cds = new("--cds") { HelpName = "annotated|longest-orf", Description = "where codon marks come from; longest-orf calls a CDS where none is known", DefaultValueFactory = _ => "annotated" };
    private static readonly Option<bool> Strict = new("--strict") { Description = "a record that would be skipped is an error" };
    private static readonly Option<bool> Lenient = new("--lenient") { Description = "skip records of a FASTA that do not fit their table, instead of an error" };
    private static readonly Option<string> Splits = new("--splits") { HelpName = "TRAIN,VALID,TEST", Description = "shares of transcripts, drawn by family where no table names a split", DefaultValueFactory = _ => "0.9,0.05,0.05" };
    private static readonly Option<ulong> Seed = new("--split-seed") { HelpName = "N", Description = "seed of the draw of splits", DefaultValueFactory = _ => 1 };
    private static readonly Option<bool> NewSplits = new("--new-splits") { Description = "draw splits also where tables name them" };

    internal static Command Build()
    {
        var output = new Option<string?>("--output", "-o") { HelpName = "FILE", Description = "corpus file to write (needed, unless `info` is asked for)" };
        var command = new Command("corpus", Help);
        foreach (var option in new Option[]
        {
            Transcripts, Table, Annotation, Genome, Aliases, Species, Toga, Store, Npz, Homology, Families, MinLength, MaxLength, Autosomes, Coding, Cds, Strict, Lenient, Splits, Seed, NewSplits, output,
        })
            command.Options.Add(option);
        command.Subcommands.Add(CorpusInfo.Build());
        command.SetAction(parsed => Run(parsed, parsed.GetValue(output), CliHost.Of(parsed)));
        return command;
    }

    private static int Run(ParseResult parsed, string? output, CliHost host)
    {
        if (output is null) throw new UsageException("say which file to write with -o FILE");
        if (output == "-") throw new UsageException("a corpus cannot be written to stdout: its header is written last; give a file");
        var options = Read(parsed);
        if (Directory.Exists(output)) throw new OutputException($"{output}: is a folder; give the corpus file another name");
        OutputGuard.Refuse(output, [output], [.. options.Sets.SelectMany(s => s.Files().Select(f => f.Path).Append(s.Path)), .. options.Homology, .. options.Families]);
        try
        {
            CorpusBuilder.Build(options, output, line => host.Error.WriteLine(line), host.Cancel);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw IoErrors.Writing(output, e, resumable: false);
        }
        return ExitCode.Done;
    }

    private static CorpusOptions Read(ParseResult parsed)
    {
        string[] homology = parsed.GetValue(Homology) ?? [];
        string cds = parsed.GetValue(Cds)!;
        int min = parsed.GetValue(MinLength), max = parsed.GetValue(MaxLength);
        var sets = Sets(parsed);
        Refuse(sets.Count == 0, "give transcripts: --transcripts with --table, or --annotation with --genome (see `orthrus corpus --help`)");
        Refuse(cds is not ("annotated" or "longest-orf"), $"--cds is annotated or longest-orf, not '{cds}'");
        Refuse(min < 1 || max < min, "--min-length and --max-length leave no length");
        Refuse(parsed.GetValue(Strict) && parsed.GetValue(Lenient), "--strict and --lenient exclude each other");
        Refuse(homology.Contains("none") && homology.Contains("symbols"), "--homology none and --homology symbols exclude each other");
        var options = new CorpusOptions
        {
            Sets = sets, Homology = [.. homology.Where(h => h is not ("symbols" or "none"))], Families = parsed.GetValue(Families) ?? [],
            Fallback = homology.Contains("symbols") ? HomologyFallback.Symbols : homology.Contains("none") ? HomologyFallback.None : HomologyFallback.Automatic,
            MinLength = min, MaxLength = max, AutosomesOnly = parsed.GetValue(Autosomes), CodingOnly = parsed.GetValue(Coding),
            Cds = cds == "annotated" ? CdsPolicy.Annotated : CdsPolicy.LongestOrf, Strict = parsed.GetValue(Strict), Lenient = parsed.GetValue(Lenient),
            Splits = Shares(parsed.GetValue(Splits)!), SplitSeed = parsed.GetValue(Seed), IgnoreSplitColumn = parsed.GetValue(NewSplits),
        };
        Refuse(sets.SelectMany(s => s.Files().Select(f => f.Path)).Concat(options.Homology).Concat(options.Families).Contains("-"), "a corpus reads its files twice (once for their SHA-256): give files, not stdin");
        return options;
    }

    // Options are taken in the order of the command line: one of a set belongs to the set that it follows, and where that has such a one already, or there is
    // none yet, to the next.
    private static List<CorpusSet> Sets(ParseResult parsed)
    {
        var sets = new List<CorpusSet>();
        var waiting = new Dictionary<string, string>();
        string? option = null;
        foreach (var token in parsed.Tokens)
        {
            if (token.Type == TokenType.Option)
            {
                option = token.Value;
                continue;
            }
            if (token.Type != TokenType.Argument || option is null) continue;
            if (Kind(option) is { } kind)
            {
                var set = new CorpusSet(kind, token.Value);
                foreach (var (name, value) in waiting) set = With(set, name, value) ?? throw Foreign(name, value);
                waiting.Clear();
                sets.Add(set);
            }
            else if (option is "--genome" or "--table" or "--species" or "--contig-aliases")
            {
                if (sets.Count > 0 && waiting.Count == 0 && With(sets[^1], option, token.Value) is { } fuller) sets[^1] = fuller;
                else if (!waiting.TryAdd(option, token.Value)) throw Foreign(option, token.Value);
            }
            option = null;
        }
        foreach (var (name, value) in waiting) throw Foreign(name, value);
        foreach (var set in sets)
        {
            Refuse(set.Kind == CorpusSetKind.Store && set.Table is null, $"--store {set.Path} needs --table with columns transcript_id and gene_id");
            Refuse(set.Kind is CorpusSetKind.Toga or CorpusSetKind.Evaluation && set.Species is null, $"{Name(set.Kind)} {set.Path} needs --species NAME");
        }
        return sets;
    }

    // Null where the set has such a one already, or takes none.
    private static CorpusSet? With(CorpusSet set, string option, string value)
    {
        bool annotated = set.Kind is CorpusSetKind.Annotation or CorpusSetKind.Toga;
        return option switch
        {
            "--genome" when annotated && set.Genome is null => set with { Genome = value },
            "--contig-aliases" when annotated && set.ContigAliases is null => set with { ContigAliases = value },
            "--table" when set.Kind is CorpusSetKind.Transcripts or CorpusSetKind.Store && set.Table is null => set with { Table = value },
            "--species" when set.Species is null => set with { Species = value },
            _ => null,
        };
    }

    private static CorpusSetKind? Kind(string option) => option switch
    {
        "--transcripts" => CorpusSetKind.Transcripts,
        "--annotation" => CorpusSetKind.Annotation,
        "--toga" => CorpusSetKind.Toga,
        "--store" => CorpusSetKind.Store,
        "--npz" => CorpusSetKind.Evaluation,
        _ => null,
    };

    private static string Name(CorpusSetKind kind) => kind == CorpusSetKind.Toga ? "--toga" : "--npz";

    private static UsageException Foreign(string option, string value) => new($"{option} {value} belongs to no set of transcripts: it follows the --transcripts, --annotation, --toga, --store or --npz that it is of");

    private static (double, double, double) Shares(string text)
    {
        string[] parts = text.Split(',');
        var shares = new double[3];
        bool right = parts.Length == 3;
        for (int i = 0; right && i < 3; i++) right = double.TryParse(parts[i], NumberStyles.Float, CultureInfo.InvariantCulture, out shares[i]) && shares[i] >= 0;
        Refuse(!right || Math.Abs(shares.Sum() - 1) > 1e-6, $"--splits is three shares that add up to 1, such as 0.9,0.05,0.05, not '{text}'");
        return (shares[0], shares[1], shares[2]);
    }

    private static Option<string[]> Repeated(string name, string value, string description) => new(name) { HelpName = value, Description = description, AllowMultipleArgumentsPerToken = false };

    private static void Refuse(bool wrong, string message)
    {
        if (wrong) throw new UsageException(message);
    }
}
