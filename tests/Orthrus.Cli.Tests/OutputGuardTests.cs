using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>No output replaces what it was made from, or what another output needs.</summary>
public class OutputGuardTests
{
    private static readonly string Examples = Path.Combine(TestPaths.Repository, "examples", "data");

    // Each row is a command line in a folder of copies; the file that must survive comes first.
    public static TheoryData<string, string> Overwriting => new()
    {
        { "t.tsv", "embed t.fa.gz --tracks t.tsv -o t.tsv" },
        { "in.csv", "embed in.csv -o in.csv" },
        { "x.index.tsv", "embed t.fa.gz --tracks x.index.tsv -o x.npy" },
        { "y.json", "embed y.json -o y.npy" },
        { "ids.csv", "embed in.csv --ids ids.csv -o ids.csv" },
        { "x.npy.partial/in.fa", "embed x.npy.partial/in.fa -o x.npy" },
        { "mod.safetensors", "embed in.csv --model mod.safetensors -o mod.safetensors" },
        { "mod.safetensors", "embed in.csv --model alias.safetensors -o mod.safetensors" },
        { "L/model.safetensors", "embed in.csv --model L -o L/model.safetensors" },
        { "L/config.json", "embed in.csv --model L -o L/config.npy" },
        { "real/in.csv", "embed link/in.csv -o real/in.csv" },
        { "real/in.csv", "embed real/in.csv -o link/in.csv" },
        { "real/in.fa", "transcripts real/in.fa -o link/in.fa" },
        { "real/in.fa", "transcripts link/in.fa -o real/in.fa" },
        { "in.tsv", "transcripts in.csv --ids in.tsv -o in.fa" },
    };

    [Theory]
    [MemberData(nameof(Overwriting))]
    public void An_output_never_replaces_an_input_or_the_model(string survivor, string line)
    {
        using var files = new HostileFiles();
        string[] folders = ["real", "x.npy.partial"];
        foreach (string folder in folders) Directory.CreateDirectory(files.PathOf(folder));
        File.Copy(Path.Combine(Examples, "transcripts.fa.gz"), files.PathOf("t.fa.gz"));
        foreach (string table in new[] { "t.tsv", "x.index.tsv" }) File.Copy(Path.Combine(Examples, "transcripts.tsv"), files.PathOf(table));
        foreach (string fasta in new[] { "in.csv", "y.json", "real/in.csv", "real/in.fa", "x.npy.partial/in.fa" }) files.Text(fasta, HostileFiles.FastaText(3));
        foreach (string ids in new[] { "ids.csv", "in.tsv" }) files.Text(ids, "tx1\n");
        var model = Mamba.OrthrusModel.Create(new Mamba.MambaConfig(8, 1, 4), seed: 1);
        model.SaveSafeTensors(files.PathOf("mod.safetensors"));
        model.SaveHuggingFace(files.PathOf("L"));
        try
        {
            File.CreateSymbolicLink(files.PathOf("alias.safetensors"), "mod.safetensors");
            Directory.CreateSymbolicLink(files.PathOf("link"), "real");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Assert.Skip("may not make links here");
        }
        byte[] before = File.ReadAllBytes(files.PathOf(survivor));
        string[] there = [.. Directory.GetFileSystemEntries(files.Folder, "*", SearchOption.AllDirectories).Order()];
        // Names of files become paths in the folder; verbs and options stay.
        string[] args = [.. line.Split(' ').Select((a, i) => i == 0 || a.StartsWith('-') ? a : files.PathOf(a))];

        var run = CliRun.Of(args);
        Assert.True(run.Code == 2, $"exit code {run.Code}: {run.Error}");
        string said = Assert.Single(run.ErrorLines);
        Assert.Contains(args[Array.IndexOf(args, "-o") + 1], said);
        Assert.Contains("would write over the input " + files.Folder, said);
        Assert.Equal(before, File.ReadAllBytes(files.PathOf(survivor)));
        Assert.Equal(there, Directory.GetFileSystemEntries(files.Folder, "*", SearchOption.AllDirectories).Order());
    }

    [Fact]
    public void An_output_may_lie_in_the_model_s_folder_and_be_made_again()
    {
        using var files = new HostileFiles();
        Mamba.OrthrusModel.Create(new Mamba.MambaConfig(8, 1, 4), seed: 1).SaveHuggingFace(files.PathOf("L"));
        string[] args = ["embed", files.Fasta(), "--model", files.PathOf("L"), "-o", files.PathOf("L/x.npy"), "--quiet"];
        CliRun.Of(args).Succeeded();
        CliRun.Of(args).Succeeded();
    }

    [Fact]
    public void Links_that_lead_round_end()
    {
        using var files = new HostileFiles();
        try
        {
            Directory.CreateSymbolicLink(files.PathOf("a"), files.PathOf("b/c"));
            Directory.CreateSymbolicLink(files.PathOf("b"), files.PathOf("a/c"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Assert.Skip("may not make links here");
        }
        var run = CliRun.Of("embed", files.PathOf("a/t.fa"), "-o", files.Out());
        Assert.Equal(3, run.Code);
        Assert.Contains("a/t.fa", Assert.Single(run.ErrorLines));
    }

    [Fact]
    public void Companions_of_another_output_are_not_replaced()
    {
        using var files = new HostileFiles();
        string a = files.Fasta(), b = files.Text("other.fa", HostileFiles.FastaText(2));
        CliRun.Of("embed", a, "-o", files.Out("s.npy"), "--quiet").Succeeded();
        var first = EmbedFiles.Read(files.Out("s.npy"));
        foreach (string[] more in new[] { Array.Empty<string>(), ["--resume"] })
            Refused(["embed", b, "-o", files.Out("s.csv"), "--quiet", .. more], "s.csv", "s.json", "s.npy", "another name");
        Assert.Equal(first, EmbedFiles.Read(files.Out("s.npy")));
        // The same embeddings in another format have the same index, and either can be made again.
        CliRun.Of("embed", a, "-o", files.Out("s.csv"), "--quiet").Succeeded();
        Assert.Equal(first.Index, EmbedFiles.Read(files.Out("s.csv")).Index);
        CliRun.Of("embed", a, "-o", files.Out("s.npy"), "--quiet", "--resume").Succeeded();
        Assert.Equal(first, EmbedFiles.Read(files.Out("s.npy")));
        // Without the description nobody knows whose the index is.
        File.Delete(files.Out("s.json"));
        File.Delete(files.Out("s.csv"));
        Refused(["embed", a, "-o", files.Out("s.csv"), "--quiet"], "s.csv", "s.index.tsv", "another name");
        CliRun.Of("embed", a, "-o", files.Out("s.npy"), "--quiet").Succeeded();
    }

    [Theory]
    [InlineData("cfg.json", "{\"mine\": 1}")]
    [InlineData("cfg.json", "[1, 2]")]
    [InlineData("cfg.json", "not JSON")]
    [InlineData("cfg.index.tsv", "row\tmine\n")]
    public void A_file_that_no_output_made_is_not_replaced(string name, string content)
    {
        using var files = new HostileFiles();
        File.WriteAllText(files.Out(name), content);
        Refused(["embed", files.Fasta(), "-o", files.Out("cfg.npy"), "--quiet"], "cfg.npy", name, "another name");
        Assert.Equal([files.Out(name)], Directory.GetFileSystemEntries(files.OutputFolder));
        Assert.Equal(content, File.ReadAllText(files.Out(name)));
    }

    [Fact]
    public void Two_runs_whose_companions_have_one_name_are_not_at_work_together()
    {
        using var files = new HostileFiles();
        string partial = Directory.CreateDirectory(files.Out("s.npy.partial")).FullName;
        File.WriteAllText(Path.Combine(partial, "owner"), "process 7");
        using (new FileStream(Path.Combine(partial, "lock"), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None))
        {
            Refused(["embed", files.Fasta(), "-o", files.Out("s.csv"), "--quiet"], "s.csv", "process 7 is writing s.npy");
            CliRun.Of("embed", files.Fasta(), "-o", files.Out("other.csv"), "--quiet").Succeeded();
        }
        CliRun.Of("embed", files.Fasta(), "-o", files.Out("s.csv"), "--quiet").Succeeded();
    }

    private static void Refused(string[] args, params string[] says)
    {
        var run = CliRun.Of(args);
        Assert.True(run.Code == 3, $"exit code {run.Code}: {run.Error}");
        string line = Assert.Single(run.ErrorLines);
        Assert.All(says, s => Assert.Contains(s, line));
    }
}
