using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Orthrus.Cli.Tests;

/// <summary>orthrus train from the outside: options, files, interruptions, kills.</summary>
public sealed class TrainVerbTests : IDisposable
{
    private static readonly string[] Quick = ["--set", "model.width=16", "--set", "model.head_body=16", "--set", "data.pairs=6", "--set", "data.crop=48", "--set", "run.validate_every=0", "--threads", "2"];

    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-train-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string PathOf(string name) => Path.Combine(_folder, name);

    /// <summary>A corpus of synthetic genes with three isoforms each.</summary>
    private string Corpus()
    {
        string corpus = PathOf("c.safetensors");
        if (File.Exists(corpus)) return corpus;
        var random = new Random(3);
        var fasta = new StringBuilder();
        var table = new StringBuilder("transcript_id\tgene_id\tspecies\tcds_start\tcds_end\texon_junctions\tsplit\n");
        for (int gene = 0; gene < 24; gene++)
        {
            string[] exons = [.. Enumerable.Range(0, 5).Select(_ => new string([.. Enumerable.Range(0, 14 + random.Next(8)).Select(_ => "ACGT"[random.Next(4)])]))];
            for (int without = 1; without < 4; without++)
            {
                string[] kept = [.. exons.Where((_, e) => e != without)];
                int[] ends = [.. kept.Take(3).Select((_, e) => kept.Take(e + 1).Sum(x => x.Length))];
                fasta.Append($">g{gene}.{without}\n{string.Concat(kept)}\n");
                table.Append($"g{gene}.{without}\tg{gene}\thuman\t3\t33\t{string.Join(',', ends)}\t{(gene < 20 ? "train" : "validation")}\n");
            }
        }
        File.WriteAllText(PathOf("t.fa"), fasta.ToString());
        File.WriteAllText(PathOf("t.tsv"), table.ToString());
        CliRun.Of("corpus", "--transcripts", PathOf("t.fa"), "--table", PathOf("t.tsv"), "-o", corpus).Succeeded();
        return corpus;
    }

    private string[] Command(string run, int steps, params string[] more) => ["train", "--corpus", Corpus(), "--preset", "tiny", "-o", PathOf(run), "--steps", $"{steps}", "--seed", "1", .. Quick, .. more];

    private byte[] Model(string run) => File.ReadAllBytes(Path.Combine(PathOf(run), "final", "model.safetensors"));

    private JsonElement[] Log(string run) => [.. File.ReadAllLines(Path.Combine(PathOf(run), "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement.Clone())];

    [Fact]
    public void A_run_writes_log_checkpoints_and_a_model_that_embeds()
    {
        var run = CliRun.Of(Command("run", 30)).Succeeded();
        Assert.Contains("30 steps done", run.Error);
        var log = Log("run");
        Assert.Equal(Enumerable.Range(1, 30), log.Select(l => l.GetProperty("step").GetInt32()));
        Assert.All(log, l => Assert.True(l.GetProperty("loss").GetDouble() is > -50 and < 50 && l.GetProperty("lr").GetDouble() > 0));
        Assert.True(File.Exists(Path.Combine(PathOf("run"), "checkpoints", "step-00000030.safetensors")));
        Assert.NotEmpty(Directory.GetFiles(Path.Combine(PathOf("run"), "events")));
        CliRun.Of("embed", PathOf("t.fa"), "--tracks", PathOf("t.tsv"), "--model", Path.Combine(PathOf("run"), "final"), "-o", PathOf("e.npy"), "--quiet").Succeeded();
        // The configuration of the run is one that can be given again.
        CliRun.Of("train", "--corpus", Corpus(), "--config", Path.Combine(PathOf("run"), "config.yaml"), "-o", PathOf("again"), "--quiet").Succeeded();
        Assert.Equal(Model("run"), Model("again"));
    }

    [Fact]
    public void Fifty_steps_are_twenty_five_and_twenty_five()
    {
        CliRun.Of(Command("whole", 50, "--quiet")).Succeeded();
        Assert.Contains("stopped after step 25", CliRun.Of(Command("halves", 50, "--stop-at", "25")).Succeeded().Error);
        CliRun.Of(Command("halves", 50, "--resume", "--quiet")).Succeeded();
        CliRun.Of(Command("longer", 25, "--quiet")).Succeeded();
        string[] alone = Command("longer", 50, "--resume", "--quiet");
        alone[Array.IndexOf(alone, "--threads") + 1] = "1";
        CliRun.Of(alone).Succeeded();
        foreach (string run in new[] { "halves", "longer" })
        {
            Assert.Equal(Model("whole"), Model(run));
            Assert.Equal(File.ReadAllBytes(Path.Combine(PathOf("whole"), "log.jsonl")), File.ReadAllBytes(Path.Combine(PathOf(run), "log.jsonl")));
        }
        Assert.Contains("50 steps done", CliRun.Of(Command("whole", 50, "--resume")).Succeeded().Error);
    }

    [Fact]
    public void Ctrl_C_saves_and_says_so()
    {
        var run = CliRun.Of(Command("run", 20), new CancellationToken(canceled: true));
        Assert.Equal(130, run.Code);
        Assert.Contains("interrupted after step 0, which is saved; the same command with --resume goes on", run.ErrorLines[^1]);
        Assert.True(File.Exists(Path.Combine(PathOf("run"), "checkpoints", "step-00000000.safetensors")));
        CliRun.Of(Command("run", 20, "--resume", "--quiet")).Succeeded();
        CliRun.Of(Command("whole", 20, "--quiet")).Succeeded();
        Assert.Equal(Model("whole"), Model("run"));
    }

    [Theory]
    [InlineData(3)]
    [Trait("tier", "fast")]
    public void A_killed_run_ends_in_the_same_bytes(int kills) => Kill(kills);

    [Theory]
    [InlineData(20)]
    [Trait("tier", "long")]
    public void A_run_killed_many_times_ends_in_the_same_bytes(int kills) => Kill(kills);

    private void Kill(int kills)
    {
        ChildProcess.NeedUnix();
        const int steps = 40, every = 4;
        string[] options = ["--set", $"run.checkpoint_every={every}", "--set", "run.keep=100"];
        CliRun.Of(Command("whole", steps, [.. options, "--quiet"])).Succeeded();
        var random = new Random(8);
        int wentOn = 0;
        for (int k = 0, attempts = 0; k < kills; attempts++)
        {
            Assert.True(attempts < 3 * kills + 3, $"{k} of {attempts} runs were killed before their end");
            string name = "killed" + attempts;
            // A random moment between two checkpoints, or before the first: what a run takes is another thing on every machine.
            int checkpoints = random.Next(steps / every);
            double share = random.NextDouble();
            using (var p = ChildProcess.Start(Command(name, steps, [.. options, "--quiet"])))
            {
                var clock = Stopwatch.StartNew();
                TimeSpan? first = null;
                for (int now; (now = Checkpoints(name)) < checkpoints && !p.WaitForExit(1);)
                {
                    if (now > 0) first ??= clock.Elapsed;
                    Assert.True(clock.Elapsed.TotalMinutes < 2, "no checkpoint in two minutes");
                }
                // Before the first one it may be anywhere in the start; then as far as checkpoints are apart.
                var apart = checkpoints == 0 ? TimeSpan.FromMilliseconds(800) : checkpoints == 1 ? TimeSpan.FromMilliseconds(20) : (clock.Elapsed - (first ?? clock.Elapsed)) / (checkpoints - 1);
                bool over = p.WaitForExit(apart * share);
                if (!over) ChildProcess.Signal(p, ChildProcess.Kill);
                p.WaitForExit();
                if (over || Directory.Exists(Path.Combine(PathOf(name), "final"))) continue;
            }
            k++;
            var resumed = CliRun.Of(Command(name, steps, [.. options, "--resume"])).Succeeded();
            if (resumed.Error.Contains("going on at step", StringComparison.Ordinal)) wentOn++;
            Assert.Equal(Model("whole"), Model(name));
            Assert.Equal(File.ReadAllBytes(Path.Combine(PathOf("whole"), "log.jsonl")), File.ReadAllBytes(Path.Combine(PathOf(name), "log.jsonl")));
            string last = Path.Combine("checkpoints", $"step-{steps:D8}.safetensors");
            Assert.Equal(File.ReadAllBytes(Path.Combine(PathOf("whole"), last)), File.ReadAllBytes(Path.Combine(PathOf(name), last)));
        }
        Assert.True(wentOn >= kills / 2, $"{wentOn} of {kills} killed runs went on from a checkpoint");
    }

    private int Checkpoints(string run)
    {
        string folder = Path.Combine(PathOf(run), "checkpoints");
        return Directory.Exists(folder) ? Directory.GetFiles(folder, "*.safetensors").Length : 0;
    }

    [Fact]
    public void A_simulated_GPU_trains_as_the_CPU_does()
    {
        double[] Losses(string run, params string[] more)
        {
            string[] command = [.. Command(run, 3, [.. more, "--set", "data.pairs=4", "--set", "data.crop=32", "--quiet"])];
            int threads = Array.IndexOf(command, "--threads");
            CliRun.Of([.. command[..threads], .. command[(threads + 2)..]]).Succeeded();
            return [.. Log(run).Select(l => l.GetProperty("loss").GetDouble())];
        }
        double[] cpu = Losses("cpu", "--device", "cpu"), sim = Losses("sim", "--device", "sim"), half = Losses("half", "--device", "sim", "--set", "run.dtype=bf16", "--set", "loss.masked_bases=true", "--set", "masking.body=16");
        Losses("again", "--device", "sim");
        Assert.Equal(Model("sim"), Model("again"));
        for (int i = 0; i < cpu.Length; i++) Assert.Equal(cpu[i], sim[i], 1e-4 * Math.Abs(cpu[i]));
        Assert.All(half, l => Assert.True(double.IsFinite(l)));
        // What is published is float32, whatever the arithmetic.
        CliRun.Of("embed", PathOf("t.fa"), "--tracks", PathOf("t.tsv"), "--model", Path.Combine(PathOf("half"), "final"), "-o", PathOf("e.npy"), "--quiet").Succeeded();
    }

    [Fact]
    public void The_configuration_is_printed_and_can_be_read_again()
    {
        string printed = CliRun.Of("train", "--preset", "v1-6track,lower-lr", "--seed", "7", "--print-config").Succeeded().Out;
        Assert.Contains("  model_lr: 0.0001", printed);
        Assert.Contains("  seed: 7", printed);
        File.WriteAllText(PathOf("c.yaml"), printed);
        Assert.Equal(printed, CliRun.Of("train", "--config", PathOf("c.yaml"), "--print-config").Succeeded().Out);
    }

    [Theory]
    [InlineData(2, "--preset is missing", "--corpus", "x", "-o", "r")]
    [InlineData(2, "--corpus is missing", "--preset", "tiny", "-o", "r")]
    [InlineData(2, "--output is missing", "--preset", "tiny", "--corpus", "x")]
    [InlineData(2, "there is no preset nosuch", "--preset", "nosuch", "--corpus", "x", "-o", "r")]
    [InlineData(2, "nearest is", "--preset", "tiny", "--set", "loss.tua=1", "--corpus", "x", "-o", "r")]
    [InlineData(2, "want KEY=VALUE", "--preset", "tiny", "--set", "loss.tau", "--corpus", "x", "-o", "r")]
    [InlineData(2, "model.tracks", "--preset", "tiny", "--set", "model.tracks=5", "--corpus", "x", "-o", "r")]
    [InlineData(2, "run.dtype f64 is for the CPU alone", "--preset", "tiny", "--set", "run.dtype=f64", "--device", "sim", "--corpus", "x", "-o", "r")]
    [InlineData(2, "--threads is for the CPU alone", "--preset", "tiny", "--threads", "2", "--device", "sim", "--corpus", "x", "-o", "r")]
    [InlineData(2, "--gemm is for GPUs alone", "--preset", "tiny", "--gemm", "own", "--device", "cpu", "--corpus", "x", "-o", "r")]
    [InlineData(2, "--device tpu", "--preset", "tiny", "--device", "tpu", "--corpus", "x", "-o", "r")]
    [InlineData(4, "run.dtype bf16 is for GPUs alone", "--preset", "tiny", "--set", "run.dtype=bf16", "--corpus", "x", "-o", "r")]
    [InlineData(2, "--threads 0", "--preset", "tiny", "--threads", "0", "--corpus", "x", "-o", "r")]
    [InlineData(3, "nosuch.safetensors", "--preset", "tiny", "--corpus", "nosuch.safetensors", "-o", "r")]
    public void Mistakes_are_one_line(int code, string says, params string[] args)
    {
        var run = CliRun.Of(["train", .. args.Select(a => a == "r" ? PathOf("r") : a)]);
        Assert.Equal(code, run.Code);
        Assert.Contains(says, Assert.Single(run.ErrorLines));
        Assert.False(Directory.Exists(PathOf("r")));
    }

    [Fact]
    public void A_mistake_in_a_file_is_named_with_its_line()
    {
        File.WriteAllText(PathOf("c.yaml"), "preset: tiny\nloss:\n  tua: 1\n");
        var run = CliRun.Of("train", "--config", PathOf("c.yaml"), "--corpus", "x", "-o", PathOf("r"));
        Assert.Equal(3, run.Code);
        Assert.Contains("c.yaml, line 3: there is no key loss.tua", Assert.Single(run.ErrorLines));
    }

    [Fact]
    public void A_run_does_not_go_on_with_another_corpus()
    {
        CliRun.Of(Command("run", 4, "--stop-at", "2", "--quiet")).Succeeded();
        string[] command = Command("run", 4, "--resume", "--quiet");
        int corpus = Array.IndexOf(command, "--corpus") + 1;
        // Another name is no other corpus.
        File.Copy(command[corpus], PathOf("same.safetensors"));
        CliRun.Of([.. command[..corpus], PathOf("same.safetensors"), .. command[(corpus + 1)..], "--stop-at", "3"]).Succeeded();
        string fasta = File.ReadAllText(PathOf("t.fa"));
        int first = fasta.IndexOf('\n', StringComparison.Ordinal) + 1;
        File.WriteAllText(PathOf("t.fa"), fasta[..first] + (fasta[first] == 'A' ? 'C' : 'A') + fasta[(first + 1)..]);
        CliRun.Of("corpus", "--transcripts", PathOf("t.fa"), "--table", PathOf("t.tsv"), "-o", PathOf("other.safetensors")).Succeeded();
        var run = CliRun.Of([.. command[..corpus], PathOf("other.safetensors"), .. command[(corpus + 1)..]]);
        Assert.Equal(3, run.Code);
        Assert.Contains("its run was begun with another corpus", Assert.Single(run.ErrorLines));
    }

    [Fact]
    public void A_run_is_not_written_over_by_chance()
    {
        CliRun.Of(Command("run", 2, "--quiet")).Succeeded();
        var run = CliRun.Of(Command("run", 2));
        Assert.Equal(3, run.Code);
        Assert.Contains("--resume", run.ErrorLines[^1]);
    }
}
