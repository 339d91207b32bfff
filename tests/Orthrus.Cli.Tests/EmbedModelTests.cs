using Orthrus.Mamba;

namespace Orthrus.Cli.Tests;

/// <summary>`orthrus embed` and `orthrus info` with models of unusual kinds.</summary>
public class EmbedModelTests
{
    /// <summary>A model whose weights are finite and whose sums are not, in F32.</summary>
    private static string Overflowing(HostileFiles files, float scale)
    {
        var model = OrthrusModel.Create(new MambaConfig(16, 2, 4), 1);
        var tensors = new StateDict();
        foreach (var t in model.Encoder)
            tensors.Add(t.Name.EndsWith("out_proj.weight", StringComparison.Ordinal) ? StateTensor.FromSingle(t.Name, Array.ConvertAll(t.ToSingle(), v => v * scale), [.. t.Shape]) : t);
        string path = files.PathOf("overflow.safetensors");
        new OrthrusModel { Config = model.Config, Encoder = tensors, Name = "x", Source = path, Format = "safetensors", Sha256 = "" }.SaveSafeTensors(path);
        return path;
    }

    [Theory]
    [InlineData("x.npy", "mean", false)]
    [InlineData("x.tsv", "last", false)]
    [InlineData("x.jsonl", "max", false)]
    [InlineData("x.npz", "mean", true)]
    public void An_embedding_that_is_not_finite_is_an_error(string name, string pool, bool perPosition)
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 3), output = files.Out(name), model = Overflowing(files, 1e38f);
        string[] args = ["embed", fasta, "--model", model, "-o", output, "--pool", pool, "--quiet", .. perPosition ? new[] { "--per-position" } : []];
        var run = CliRun.Of(args);
        Assert.Equal(3, run.Code);
        string line = Assert.Single(run.ErrorLines);
        foreach (string part in new[] { model, "record tx0", "overflow", "--dtype f64" }) Assert.Contains(part, line);
        Assert.False(File.Exists(output));
        Assert.False(Directory.Exists(output + ".partial"));
        // Doubles reach further.
        CliRun.Of([.. args, "--dtype", "f64"]).Succeeded();
    }

    [Fact]
    public void A_bidirectional_model_says_what_memory_it_takes()
    {
        using var files = new HostileFiles();
        string folder = files.PathOf("model"), single = files.PathOf("single.safetensors"), fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 9), output = files.Out();
        OrthrusModel.Create(new MambaConfig(16, 2, 4) { Bidirectional = true }, 1).SaveHuggingFace(folder);
        var info = CliRun.Of("info", folder).Succeeded();
        Assert.Contains("16 x 2, 4 tracks, bidirectional", info.Out);
        Assert.Contains("kB per nucleotide of the longest", info.Out);
        Assert.Contains("records are held whole in memory, 1.1 kB per nucleotide", CliRun.Of("embed", fasta, "--model", folder, "-o", output).Succeeded().Error);
        // Converted, it is the same model.
        CliRun.Of("convert", folder, "-o", single).Succeeded();
        string again = files.Out("again.npy");
        CliRun.Of("embed", fasta, "--model", single, "-o", again).Succeeded();
        Assert.Equal(File.ReadAllBytes(output), File.ReadAllBytes(again));
        Assert.DoesNotContain("held whole", CliRun.Of("embed", fasta, "-o", files.Out("other.npy")).Succeeded().Error);
    }
}
