using System.CommandLine;
using Orthrus.Cli.Finetuning;

namespace Orthrus.Cli;

/// <summary>orthrus predict: applies a fine-tuned model to transcripts.</summary>
internal static class PredictVerb
{
    private const string Help = """
        Apply a model of `orthrus finetune` to transcripts, or to the sequences of a task table: a tab-separated line per transcript with its
        id and a column per target. Numbers have the units of the training table; labels are probabilities.

        Records stream through, of any length. The file is complete or absent. 6-track models want CDS and exons as in `orthrus embed`.

        Examples:
          orthrus finetune --task examples/data/halflife.tsv.gz --target halflife -o run --freeze encoder --quiet && orthrus predict --model run/final transcripts.fa.gz --tracks transcripts.tsv -o p.tsv
        """;

    internal static Command Build()
    {
        var input = new InputOptions();
        var model = new Option<string>("--model") { HelpName = "PATH", Description = "folder of a fine-tuned model (RUN/final)", Required = true };
        var task = new Option<string?>("--task") { HelpName = "TABLE", Description = "predict for the sequences of this table, as of `orthrus probe`, instead of transcripts" };
        var sequence = new Option<string>("--sequence-column") { HelpName = "COLUMN", Description = "its column of sequences", DefaultValueFactory = _ => "sequence" };
        var output = new Option<string>("--output", "-o") { HelpName = "FILE", Description = "output file; - for stdout", Required = true };
        var device = DeviceOption.Create();
        var threads = new Option<int?>("--threads") { HelpName = "N", Description = "worker threads of the CPU (default: all cores); never changes the numbers" };
        var quiet = new Option<bool>("--quiet") { Description = "no progress and no summary on stderr" };
        var command = new Command("predict", Help);
        input.AddTo(command);
        foreach (var option in new Option[] { model, task, sequence, output, device, threads, quiet }) command.Options.Add(option);
        command.SetAction(r =>
        {
            string? table = r.GetValue(task);
            string path = r.GetValue(output)!;
            if (table is not null && input.Given(r) is { } other) throw new UsageException($"--task reads a table of sequences, and {other} says to read transcripts: give one of the two");
            if (table is null && r.GetResult(sequence) is { Implicit: false }) throw new UsageException("--sequence-column belongs to --task");
            if (r.GetValue(threads) is < 1 or > 1024) throw new UsageException($"--threads {r.GetValue(threads)}: give a number from 1 to 1024");
            var request = new PredictRequest(r.GetValue(model)!, table is null ? input.Read(r) : null, table, r.GetValue(sequence)!, input.Policy(r), path, DeviceOption.Parse(r.GetValue(device)!), r.GetValue(threads), r.GetValue(quiet));
            if (!request.ToStdout) Check(request);
            return new PredictCommand(request, CliHost.Of(r)).Run();
        });
        return command;
    }

    private static void Check(PredictRequest request)
    {
        string path = request.Output;
        OutputGuard.Refuse(path, [path], request.Files);
        OutputGuard.RefuseModel(path, [path], request.Model);
        if (Directory.Exists(path)) throw new OutputException($"{path}: is a folder; give the name of a file");
        if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } parent && !Directory.Exists(parent)) throw new OutputException($"{path}: the output folder {parent} does not exist; create it first");
    }
}
