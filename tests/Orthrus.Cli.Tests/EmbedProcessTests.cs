using System.Diagnostics;

namespace Orthrus.Cli.Tests;

/// <summary>`orthrus embed` as a process: killed, signalled, without disk, without reader, with a rival.</summary>
public class EmbedProcessTests
{
    private static string[] Lines(string error) => error.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Waits until the run has saved a state after at least so many records; false where it ended before.</summary>
    private static bool WaitForState(Process p, string output, long records)
    {
        string state = Path.Combine(output + ".partial", "state");
        while (!p.HasExited)
        {
            try
            {
                if (File.Exists(state) && long.Parse(File.ReadAllText(state).Split(' ')[0]) >= records) return true;
            }
            catch (IOException)
            {
                // It is just being replaced.
            }
            Thread.Sleep(1);
        }
        return false;
    }

    private static void Collect(Process p)
    {
        p.StandardInput.Close();
        p.WaitForExit();
    }

    [Theory]
    [InlineData("x.npy", "")]
    [InlineData("x.jsonl", "")]
    [InlineData("x.npz", "--per-position")]
    public void Killed_again_and_again_it_goes_on_and_gives_the_same_bytes(string name, string option)
    {
        ChildProcess.NeedUnix();
        using var files = new HostileFiles();
        string output = files.Out(name);
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 240, 50, 600);
        string[] args = ["embed", fasta, "-o", output, "--quiet", "--threads", "1", .. option.Length > 0 ? new[] { option } : []];
        CliRun.Of(args).Succeeded();
        var whole = EmbedFiles.Read(output);
        EmbedFiles.Delete(output);

        var random = new Random(7);
        int kills = 0;
        long reached = 0;
        for (int attempt = 0; attempt < 60; attempt++)
        {
            using var p = ChildProcess.Start([.. args, "--resume", "--save-every", "0"]);
            reached += random.Next(1, 40);
            bool running = WaitForState(p, output, Math.Min(reached, 180));
            // Anywhere inside the work on the next few records.
            Thread.SpinWait(random.Next(1, 200_000));
            if (running && kills < 6)
            {
                ChildProcess.Signal(p, ChildProcess.Kill);
                Collect(p);
                if (p.ExitCode != 0) kills++;
            }
            else
            {
                var (code, _, error) = ChildProcess.Finish(p);
                Assert.True(code == 0, error);
            }
            if (File.Exists(output) && !Directory.Exists(output + ".partial")) break;
        }
        Assert.True(kills >= 2, $"only {kills} runs could be killed");
        Assert.Equal(whole, EmbedFiles.Read(output));
    }

    [Theory]
    [InlineData(ChildProcess.Interrupt, 130)]
    [InlineData(ChildProcess.Terminate, 143)]
    public void A_signal_leaves_a_state_to_go_on_from(int signal, int expected)
    {
        ChildProcess.NeedUnix();
        using var files = new HostileFiles();
        string output = files.Out();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 3000, 500, 1500);
        string[] args = ["embed", fasta, "-o", output, "--threads", "1", "--save-every", "0"];
        using var p = ChildProcess.StartInForeground(args);
        Assert.True(WaitForState(p, output, 3), "the run ended before it could be interrupted");
        ChildProcess.Signal(p, signal);
        var (code, _, error) = ChildProcess.Finish(p);
        Assert.Equal(expected, code);
        Assert.Contains("--resume", Assert.Single(Lines(error), l => l.StartsWith("orthrus: ")));
        Assert.False(File.Exists(output));
        Assert.True(File.Exists(Path.Combine(output + ".partial", "state")));
    }

    [Fact]
    public void The_reader_of_a_pipe_may_go_away()
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 2000);
        var (_, output, error) = ChildProcess.Shell($"\"$orthrus\" embed '{fasta}' -o - --quiet | head -c 100 > /dev/null; echo ${{PIPESTATUS[0]}}");
        Assert.Equal("141", output.Trim());
        Assert.Contains("reader went away", Assert.Single(Lines(error)));
    }

    [Fact]
    public void A_full_device_on_stdout_is_one_line()
    {
        if (!File.Exists("/dev/full")) Assert.Skip("needs /dev/full");
        using var files = new HostileFiles();
        var (code, _, error) = ChildProcess.Shell($"\"$orthrus\" embed '{files.Fasta()}' -o - --quiet > /dev/full");
        Assert.Equal(3, code);
        string line = Assert.Single(Lines(error));
        Assert.Contains("stdout: no space left", line);
    }

    [Fact]
    public void A_device_is_no_output_file()
    {
        if (!File.Exists("/dev/full")) Assert.Skip("needs /dev/full");
        var run = CliRun.Of("embed", "x.fa", "-o", "/dev/full", "--format", "npy");
        Assert.Equal(3, run.Code);
        Assert.Contains("/dev/full", Assert.Single(run.ErrorLines));
        Assert.False(Directory.Exists("/dev/full.partial"));
    }

    // With the ordinary interval the disk fills between two states, while buffers hold what it can no longer take.
    [Theory]
    [InlineData("x.npy", "--save-every", "0")]
    [InlineData("x.csv", "--save-every", "0")]
    [InlineData("x.npz", "--save-every", "0")]
    [InlineData("x.npy")]
    [InlineData("x.csv")]
    [InlineData("x.jsonl")]
    [InlineData("x.npz", "--per-position")]
    [InlineData("x.safetensors", "--per-position")]
    [InlineData("x.npz", "--per-position", "--save-every", "0")]
    public void A_full_disk_is_one_line_and_can_be_gone_on_with(string name, params string[] options)
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), options.Contains("--per-position") ? 120 : 900, 20, 60);
        string mount = Directory.CreateDirectory(files.PathOf("disk")).FullName;
        var (mounted, _, _) = ChildProcess.Shell($"mount -t tmpfs -o size=128k orthrus-test '{mount}'");
        if (mounted != 0) Assert.Skip("may not mount a small disk here");
        try
        {
            string output = Path.Combine(mount, name);
            string[] args = ["embed", fasta, "-o", output, "--quiet", .. options];
            var run = CliRun.Of(args);
            Assert.Equal(3, run.Code);
            string line = Assert.Single(run.ErrorLines);
            Assert.Contains(name, line);
            Assert.Contains(output + ": no space left", line);
            Assert.Contains("--resume", line);
            Assert.False(File.Exists(output));
            string[] left = [.. Directory.GetFiles(output + ".partial").Select(f => Path.GetFileName(f)!)];
            Assert.DoesNotContain("lock", left);
            Assert.DoesNotContain("owner", left);

            Assert.Equal(0, ChildProcess.Shell($"mount -o remount,size=16m '{mount}'").Code);
            CliRun.Of([.. args, "--resume"]).Succeeded();
            string elsewhere = files.Out(name);
            CliRun.Of(["embed", fasta, "-o", elsewhere, "--quiet", .. options]).Succeeded();
            Assert.Equal(EmbedFiles.Read(elsewhere), EmbedFiles.Read(output));
        }
        finally
        {
            ChildProcess.Shell($"umount '{mount}'");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4096)]
    [InlineData(8192)]
    public void A_disk_that_is_full_at_the_start_leaves_nothing(int free)
    {
        using var files = new HostileFiles();
        string mount = Directory.CreateDirectory(files.PathOf("disk")).FullName;
        var (mounted, _, _) = ChildProcess.Shell($"mount -t tmpfs -o size=64k orthrus-test '{mount}'");
        if (mounted != 0) Assert.Skip("may not mount a small disk here");
        try
        {
            string full = Path.Combine(mount, "full");
            File.WriteAllBytes(full, new byte[65536 - free]);
            var run = CliRun.Of("embed", EmbedFiles.Fasta(files.PathOf("t.fa"), 90, 20, 60), "-o", Path.Combine(mount, "x.npz"), "--quiet");
            Assert.Equal(3, run.Code);
            Assert.Contains("x.npz: no space left to write to; free some, then", Assert.Single(run.ErrorLines));
            Assert.Equal([full], Directory.GetFileSystemEntries(mount));
        }
        finally
        {
            ChildProcess.Shell($"umount '{mount}'");
        }
    }

    [Fact]
    public void Stdin_is_read_like_a_file()
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 12);
        CliRun.Of("embed", fasta, "-o", files.Out("a.npy"), "--quiet").Succeeded();
        var (code, _, error) = ChildProcess.Shell($"gzip -c '{fasta}' | \"$orthrus\" embed - -o '{files.Out("b.npy")}' --quiet");
        Assert.True(code == 0, error);
        Assert.Equal(EmbedFiles.Read(files.Out("a.npy")).Data, EmbedFiles.Read(files.Out("b.npy")).Data);
        Assert.Equal(EmbedFiles.Read(files.Out("a.npy")).Index, EmbedFiles.Read(files.Out("b.npy")).Index);
        (code, _, error) = ChildProcess.Shell($"\"$orthrus\" embed <(cat '{fasta}') -o '{files.Out("c.npy")}' --resume --quiet");
        Assert.Equal(2, code);
        Assert.Contains("pipe", Assert.Single(Lines(error)));
    }

    [Fact]
    public void Of_two_writers_the_second_is_refused_and_a_dead_one_does_not_count()
    {
        ChildProcess.NeedUnix();
        using var files = new HostileFiles();
        string output = files.Out();
        string fasta = files.Fasta();
        using var first = ChildProcess.Start("embed", "-", "-o", output, "--quiet");
        try
        {
            // It waits for its stdin and holds the output meanwhile.
            first.StandardInput.Write(">a\nACGT\n");
            first.StandardInput.Flush();
            string owner = Path.Combine(output + ".partial", "owner");
            var clock = Stopwatch.StartNew();
            while (!File.Exists(owner) || new FileInfo(owner).Length == 0)
            {
                Assert.True(clock.Elapsed < TimeSpan.FromSeconds(60) && !first.HasExited, "the first writer did not begin");
                Thread.Sleep(5);
            }
            foreach (string[] more in new[] { Array.Empty<string>(), ["--resume"] })
            {
                var second = CliRun.Of(["embed", fasta, "-o", output, "--quiet", .. more]);
                Assert.Equal(3, second.Code);
                string line = Assert.Single(second.ErrorLines);
                Assert.Contains(output, line);
                Assert.Contains($"process {first.Id}", line);
            }
        }
        finally
        {
            ChildProcess.Signal(first, ChildProcess.Kill);
            Collect(first);
        }
        CliRun.Of("embed", fasta, "-o", output, "--quiet").Succeeded();
        Assert.False(Directory.Exists(output + ".partial"));
    }

    [Theory]
    [InlineData("2>/dev/full", 0)]
    [InlineData("2>&-", 0)]
    [InlineData("--tracks absent.tsv 2>/dev/full", 3)]
    [InlineData("--nonsense 2>&-", 2)]
    public void What_cannot_be_said_does_not_end_the_work(string rest, int expected)
    {
        if (!File.Exists("/dev/full")) Assert.Skip("needs /dev/full");
        using var files = new HostileFiles();
        var (code, _, error) = ChildProcess.Shell($"\"$orthrus\" embed '{files.Fasta()}' -o '{files.Out()}' {rest}");
        Assert.Equal((expected, ""), (code, error));
        Assert.Equal(expected == 0, File.Exists(files.Out()));
    }

    [Fact]
    public void A_closed_stdin_is_one_line()
    {
        using var files = new HostileFiles();
        var (code, _, error) = ChildProcess.Shell($"timeout 60 \"$orthrus\" embed - -o '{files.Out()}' <&-");
        Assert.Equal(3, code);
        Assert.Contains("stdin is closed", Assert.Single(Lines(error)));
    }

    [Fact]
    public void Usage_errors_and_help_have_their_codes()
    {
        Assert.Equal(2, ChildProcess.Shell("\"$orthrus\" embed --nonsense").Code);
        var (code, output, error) = ChildProcess.Shell("\"$orthrus\" embed --help");
        Assert.Equal((0, ""), (code, error));
        Assert.Contains("orthrus embed transcripts.fa.gz -o embeddings.npy", output);
    }
}
