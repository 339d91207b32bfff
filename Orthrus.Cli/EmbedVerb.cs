using System.CommandLine;
using Orthrus.Cli.Embed;
using Orthrus.Mamba.Outputs;
using Orthrus.Tensor;

namespace Orthrus.Cli;

/// <summary>orthrus embed: transcripts to vectors.</summary>
internal static class EmbedVerb
{
    private const string Help = """
        Embed mature transcripts: one vector per transcript, or one per nucleotide with --per-position.

        Writes OUTPUT, OUTPUT's index (x.index.tsv beside x.npy: row, id, length, cds, exons, notes) and a
        description (x.json: model and its SHA-256, inputs and theirs, tracks, options, counts).

        Example:
          orthrus embed transcripts.fa.gz -o embeddings.npy

        6-track models also want CDS and exons, from one of:
          orthrus embed --annotation genes.gtf.gz --genome genome.fa --model MODEL -o embeddings.npy
          orthrus embed transcripts.fa --tracks transcripts.tsv --model MODEL -o embeddings.npy
          GENCODE headers (CDS:61-978), --cds longest-orf, or --blank-tracks
        """;

    internal static Command Build()
    {
        var input = new InputOptions();
        var model = new Option<string>("--model") { HelpName = "PATH|NAME", Description = "checkpoint, folder or built-in name", DefaultValueFactory = _ => EmbedOptions.DefaultModel };
        var output = new Option<string>("--output", "-o") { HelpName = "FILE", Description = "output file; - for stdout (text formats)", Required = true };
        var format = Choice("--format", null, "output format (default: by the extension of --output; tsv for stdout)", "npy", "npz", "csv", "tsv", "jsonl", "safetensors");
        var perPosition = Flag("--per-position", "one (length, width) array per transcript (npz, safetensors)");
        var pool = Choice("--pool", "mean", "how positions become one vector", "mean", "last", "max");
        var threads = Number("--threads", "N", "worker threads of the CPU (default: all cores); never changes the numbers");
        var dtype = Choice("--dtype", "f32", "arithmetic: f32; f64 on the CPU, which also writes doubles; bf16 activations on a GPU", "f32", "f64", "bf16");
        var device = DeviceOption.Create(several: true);
        var gemm = GemmOption.Create("who multiplies matrices on a GPU: own kernels (default, auto: bits do not depend on the batch) or NVIDIA's cuBLAS");
        var shard = new Option<string?>("--shard") { HelpName = "I/N", Description = "only part I of N of the transcripts (every N-th)" };
        var resume = Flag("--resume", "go on where an interrupted run of the same command was");
        var saveEvery = new Option<double>("--save-every") { HelpName = "SECONDS", Description = "how often the state for --resume is saved", DefaultValueFactory = _ => 5 };
        var quiet = Flag("--quiet", "no progress and no summary on stderr");

        var command = new Command("embed", Help);
        input.AddTo(command);
        foreach (var option in new Option[] { model, output, format, perPosition, pool, threads, dtype, device, gemm, shard, resume, saveEvery, quiet })
            command.Options.Add(option);
        command.SetAction(r =>
        {
            string path = r.GetValue(output)!;
            double seconds = r.GetValue(saveEvery);
            if (!(seconds >= 0 && seconds <= 86_400)) throw new UsageException("--save-every takes 0 to 86400 seconds");
            var options = new EmbedOptions
            {
                Input = input.Read(r),
                Model = r.GetValue(model)!,
                Output = path,
                Format = FormatOf(r.GetValue(format), path),
                PerPosition = r.GetValue(perPosition),
                Pool = r.GetValue(pool) switch { "last" => Pool.Last, "max" => Pool.Max, _ => Pool.Mean },
                DType = r.GetValue(dtype) switch { "f64" => DType.F64, "bf16" => DType.BF16, _ => DType.F32 },
                Threads = Positive(r.GetValue(threads), "--threads", 1024),
                Device = DeviceOption.Parse(r.GetValue(device)!, several: true),
                Gemm = GemmOption.Parse(r.GetValue(gemm)),
                Shard = Shard.Parse(r.GetValue(shard)),
                Resume = r.GetValue(resume),
                Quiet = r.GetValue(quiet),
                SaveEvery = TimeSpan.FromSeconds(seconds),
            };
            return new EmbedRun(options.Checked(), CliHost.Of(r)).Run();
        });
        return command;
    }

    private static EmbeddingFormat FormatOf(string? name, string path) => name switch
    {
        "npy" => EmbeddingFormat.Npy,
        "npz" => EmbeddingFormat.Npz,
        "csv" => EmbeddingFormat.Csv,
        "tsv" => EmbeddingFormat.Tsv,
        "jsonl" => EmbeddingFormat.Jsonl,
        "safetensors" => EmbeddingFormat.Safetensors,
        _ when path == "-" => EmbeddingFormat.Tsv,
        _ => EmbeddingLayout.FormatOf(path)
            ?? throw new UsageException($"--output {path}: the extension names no format; use .npy, .npz, .csv, .tsv, .jsonl or .safetensors, or give --format"),
    };

    private static int? Positive(int? value, string option, int most) =>
        value is null or >= 1 && !(value > most) ? value : throw new UsageException($"{option} {value}: give a number from 1 to {most}");

    private static Option<bool> Flag(string name, string description) => new(name) { Description = description };

    private static Option<int?> Number(string name, string value, string description) => new(name) { HelpName = value, Description = description };

    private static Option<string?> Choice(string name, string? otherwise, string description, params string[] values)
    {
        var option = new Option<string?>(name) { HelpName = string.Join('|', values), Description = description };
        if (otherwise is not null) option.DefaultValueFactory = _ => otherwise;
        option.AcceptOnlyFromAmong(values);
        return option;
    }
}
