namespace Orthrus.Cli.Tests;

/// <summary>Runs that are interrupted, changed, finished or repeated, inside the test process.</summary>
public class ResumeTests
{
    private static readonly CancellationToken Cancelled = new(canceled: true);

    public static TheoryData<string, string[]> Kinds => new()
    {
        { "x.npy", [] }, { "x.npy", ["--dtype", "f64"] }, { "x.npz", [] }, { "x.csv", [] }, { "x.tsv", [] }, { "x.jsonl", [] }, { "x.safetensors", [] },
        { "x.npz", ["--per-position"] }, { "x.safetensors", ["--per-position"] }, { "x.npz", ["--per-position", "--dtype", "f64"] }, { "x.npy", ["--shard", "2/3"] },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Interrupted_after_every_record_gives_the_same_bytes(string name, string[] options)
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 24);
        string output = files.Out(name);
        string[] args = ["embed", fasta, "-o", output, "--quiet", .. options];
        CliRun.Of(args).Succeeded();
        var whole = EmbedFiles.Read(output);
        EmbedFiles.Delete(output);

        int interruptions = 0;
        for (; ; interruptions++)
        {
            Assert.True(interruptions < 100);
            var run = CliRun.Of([.. args, "--resume"], Cancelled);
            if (run.Code == 0) break;
            Assert.True(run.Code == 130, $"run {interruptions}: exit {run.Code}: {string.Join(" | ", run.ErrorLines)}");
            Assert.Contains("--resume", Assert.Single(run.ErrorLines));
            Assert.False(File.Exists(output));
        }
        Assert.True(interruptions >= 5, $"{interruptions} interruptions");
        Assert.Equal(whole, EmbedFiles.Read(output));
        Assert.False(Directory.Exists(output + ".partial"));
    }

    [Fact]
    public void What_a_killed_run_wrote_after_its_last_saved_state_is_cut_off()
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 24);
        foreach (string name in new[] { "x.npy", "x.npz", "x.csv", "x.safetensors" })
        {
            string output = files.Out(name);
            string[] args = ["embed", fasta, "-o", output, "--quiet"];
            CliRun.Of(args).Succeeded();
            var whole = EmbedFiles.Read(output);
            EmbedFiles.Delete(output);
            Assert.Equal(130, CliRun.Of(args, Cancelled).Code);
            foreach (string part in new[] { "data", "index.tsv" })
                File.AppendAllText(Path.Combine(output + ".partial", part), "what a killed process had begun to write\n");
            CliRun.Of([.. args, "--resume"]).Succeeded();
            Assert.Equal(whole, EmbedFiles.Read(output));
        }
    }

    public static TheoryData<string, string[]> Changes => new()
    {
        { "dtype", ["--dtype", "f64"] }, { "pool", ["--pool", "max"] }, { "shard", ["--shard", "1/2"] }, { "strict", ["--strict"] },
        { "cds", ["--cds", "longest-orf"] }, { "min length", ["--min-length", "30"] }, { "coding only", ["--coding-only"] }, { "per position", ["--per-position"] },
        { "model", ["--model", "random-mamba-6track", "--blank-tracks"] },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public void Going_on_with_other_options_is_an_error_that_keeps_the_state(string what, string[] change)
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 12);
        string output = files.Out("x.npz");
        string[] args = ["embed", fasta, "-o", output, "--quiet", "--model", "random-mamba-4track"];
        string[] changed = ["embed", fasta, "-o", output, "--quiet", "--resume", .. change, .. change.Contains("--model") ? Array.Empty<string>() : ["--model", "random-mamba-4track"]];
        Assert.Equal(130, CliRun.Of(args, Cancelled).Code);
        var run = CliRun.Of(changed);
        Assert.Equal(3, run.Code);
        string line = Assert.Single(run.ErrorLines);
        Assert.Contains("unfinished output was made with another", line);
        Assert.Contains("without --resume", line);
        // The first difference is named; a model also brings its own digest and tracks.
        Assert.Contains("another " + what, line);
        CliRun.Of([.. args, "--resume"]).Succeeded();

        run = CliRun.Of(changed);
        Assert.Equal(3, run.Code);
        Assert.Contains("finished output was made with another " + what, Assert.Single(run.ErrorLines));
    }

    [Fact]
    public void Going_on_with_another_input_is_an_error_even_where_size_and_time_are_the_same()
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 12);
        var time = File.GetLastWriteTimeUtc(fasta);
        string[] args = ["embed", fasta, "-o", files.Out(), "--quiet", "--resume"];
        Assert.Equal(130, CliRun.Of(args, Cancelled).Code);
        string text = File.ReadAllText(fasta);
        File.WriteAllText(fasta, text[..^2] + (text[^2] == 'A' ? "C\n" : "A\n"));
        File.SetLastWriteTimeUtc(fasta, time);
        var run = CliRun.Of(args);
        Assert.Equal(3, run.Code);
        Assert.Contains("another input sha256", Assert.Single(run.ErrorLines));
        File.WriteAllText(fasta, text);
        CliRun.Of(args).Succeeded();
    }

    [Fact]
    public void A_damaged_state_is_an_error()
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 12);
        string[] args = ["embed", fasta, "-o", files.Out(), "--quiet", "--resume"];
        Assert.Equal(130, CliRun.Of(args, Cancelled).Code);
        File.WriteAllText(Path.Combine(files.Out() + ".partial", "data"), "short");
        var run = CliRun.Of(args);
        Assert.Equal(3, run.Code);
        Assert.Contains("without --resume", Assert.Single(run.ErrorLines));
        CliRun.Of(args[..^1]).Succeeded();
    }

    [Fact]
    public void A_finished_output_is_left_alone()
    {
        using var files = new HostileFiles();
        string[] args = ["embed", EmbedFiles.Fasta(files.PathOf("t.fa"), 12), "-o", files.Out(), "--resume"];
        CliRun.Of(args).Succeeded();
        var long_ago = new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        File.SetLastWriteTimeUtc(files.Out(), long_ago);
        Assert.Contains("complete already", CliRun.Of(args).Succeeded().Error);
        Assert.Equal(long_ago, File.GetLastWriteTimeUtc(files.Out()));
        Assert.Equal(3, Directory.GetFileSystemEntries(files.OutputFolder).Length);
    }

    [Theory]
    [InlineData("x.npy", 500, "500 bytes")]
    [InlineData("x.index.tsv", 20, "20 bytes")]
    [InlineData("x.index.tsv", -1, "missing")]
    public void A_finished_output_that_was_damaged_is_not_called_complete(string part, int length, string says)
    {
        using var files = new HostileFiles();
        string[] args = ["embed", EmbedFiles.Fasta(files.PathOf("t.fa"), 12), "-o", files.Out(), "--quiet"];
        CliRun.Of(args).Succeeded();
        var whole = EmbedFiles.Read(files.Out());
        if (length < 0) File.Delete(files.Out(part));
        else
            using (var file = new FileStream(files.Out(part), FileMode.Open)) file.SetLength(length);
        var run = CliRun.Of([.. args, "--resume"]);
        Assert.Equal(3, run.Code);
        string line = Assert.Single(run.ErrorLines);
        Assert.Contains(files.Out(part), line);
        Assert.Contains(says, line);
        Assert.Contains("without --resume", line);
        CliRun.Of(args).Succeeded();
        Assert.Equal(whole, EmbedFiles.Read(files.Out()));
    }

    [Theory]
    [InlineData("x.index.tsv", "x.npy")]
    [InlineData("x.json", "x.npy")]
    [InlineData("x.index.tsv", "x.safetensors")]
    public void A_run_that_died_between_its_renames_is_finished(string obstacle, string name)
    {
        using var files = new HostileFiles();
        string output = files.Out(name);
        string[] args = ["embed", EmbedFiles.Fasta(files.PathOf("t.fa"), 12), "-o", output, "--quiet", .. name == "x.safetensors" ? new[] { "--per-position" } : []];
        CliRun.Of(args).Succeeded();
        var whole = EmbedFiles.Read(output);
        EmbedFiles.Delete(output);
        // A folder of that name stops the second or third rename.
        Directory.CreateDirectory(files.Out(obstacle));
        var run = CliRun.Of(args);
        Assert.Equal(3, run.Code);
        Assert.Single(run.ErrorLines);
        Directory.Delete(files.Out(obstacle));
        CliRun.Of([.. args, "--resume"]).Succeeded();
        Assert.Equal(whole, EmbedFiles.Read(output));
        Assert.False(Directory.Exists(output + ".partial"));
    }

    [Fact]
    public void Without_resume_an_output_is_replaced_and_a_failed_run_leaves_the_old_one()
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 12);
        string[] args = ["embed", fasta, "-o", files.Out(), "--quiet"];
        CliRun.Of(args).Succeeded();
        var first = EmbedFiles.Read(files.Out());
        Assert.Equal(3, CliRun.Of(["embed", files.Text("bad.fa", ">a\nACGT\n>b\nAC!T\n"), "-o", files.Out(), "--quiet"]).Code);
        Assert.Equal(first, EmbedFiles.Read(files.Out()));
        Assert.False(Directory.Exists(files.Out() + ".partial"));
        CliRun.Of([.. args, "--min-length", "100"]).Succeeded();
        Assert.NotEqual(first, EmbedFiles.Read(files.Out()));
    }

    [Fact]
    public void Starting_over_says_that_an_unfinished_output_was_there()
    {
        using var files = new HostileFiles();
        string[] args = ["embed", EmbedFiles.Fasta(files.PathOf("t.fa"), 12), "-o", files.Out()];
        Assert.Equal(130, CliRun.Of(args, Cancelled).Code);
        Assert.Contains("starting over", CliRun.Of(args).Succeeded().Error);
    }

    [Fact]
    public void Threads_are_no_part_of_the_identity()
    {
        using var files = new HostileFiles();
        string[] args = ["embed", EmbedFiles.Fasta(files.PathOf("t.fa"), 12), "-o", files.Out(), "--quiet", "--resume"];
        Assert.Equal(130, CliRun.Of([.. args, "--threads", "1"], Cancelled).Code);
        CliRun.Of([.. args, "--threads", "2"]).Succeeded();
    }
}
