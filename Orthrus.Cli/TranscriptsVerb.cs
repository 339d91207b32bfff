using System.CommandLine;
using Orthrus.Rna;

namespace Orthrus.Cli;

/// <summary>`orthrus transcripts`: what an annotation and a genome give, as FASTA and table.</summary>
internal static class TranscriptsVerb
{
    // The summary counts all of them by reason.
    private const int SkipsShown = 10;

    internal static Command Build()
    {
        var input = new InputOptions();
        var output = new Option<string>("--output", "-o")
        {
            Required = true, HelpName = "FILE",
            Description = "FASTA to write (.gz compresses); the table goes beside it as .tsv; - writes FASTA alone to stdout",
        };
        var command = new Command("transcripts",
            "Splice transcripts from a genome as an annotation says, and write them as FASTA and as a table of CDS and exon junctions.\n\n" +
            "Example: orthrus transcripts --annotation examples/data/genes.gtf --genome examples/data/genome.fa.gz -o x.fa");
        input.AddTo(command);
        command.Options.Add(output);
        command.SetAction(parsed => Run(input.Read(parsed), parsed.GetValue(output)!, CliHost.Of(parsed)));
        return command;
    }

    private static int Run(TranscriptInput input, string output, CliHost host)
    {
        string? table = output == "-" ? null : TablePath(output);
        foreach (string path in table is null ? Array.Empty<string>() : [output, table])
            if (Directory.Exists(path)) throw new OutputException($"{path}: is a folder; give the FASTA another name");
        if (table is not null) OutputGuard.Refuse(output, [output, table], input.Files().Select(f => f.Path));
        using var source = TranscriptSource.Open(input);
        Write(source, input, output, table, host);
        foreach (string line in source.Report.ToLines()) host.Error.WriteLine(line);
        return ExitCode.Done;
    }

    private static void Write(TranscriptSource source, TranscriptInput input, string output, string? table, CliHost host)
    {
        using var stdout = table is null ? host.StandardOutput() : null;
        using var writer = Writing(output, () => table is null ? new TranscriptWriter(stdout!) : new TranscriptWriter(output, table, Path.GetFileName(input.Annotation ?? input.Fasta)));
        int skipped = 0;
        foreach (var record in source.Read())
        {
            host.Cancel.ThrowIfCancellationRequested();
            if (record.Transcript is { } transcript) Writing(output, () => writer.Write(transcript));
            else if (++skipped <= SkipsShown) Errors.Report(host.Error, $"skipped {record.Id}: {record.SkipReason}");
        }
        Writing(output, writer.Commit);
    }

    private static void Writing(string output, Action write) => Writing(output, () =>
    {
        write();
        return true;
    });

    // Only what writes is judged as output: what the system says against an input passes through.
    private static T Writing<T>(string output, Func<T> write)
    {
        try
        {
            return write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw IoErrors.Writing(output == "-" ? "stdout" : output, e, resumable: false);
        }
    }

    // x.fa and x.fa.gz have their table in x.tsv.
    private static string TablePath(string output)
    {
        string stem = output.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? output[..^3] : output;
        string table = Path.ChangeExtension(stem, ".tsv");
        if (table == output || table == stem) throw new UsageException($"--output {output} is the name of the table; name the FASTA, such as {Path.ChangeExtension(stem, ".fa")}");
        return table;
    }
}
