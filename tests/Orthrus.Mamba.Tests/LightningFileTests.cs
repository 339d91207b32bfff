using System.Diagnostics;
using System.IO.Compression;

namespace Orthrus.Mamba.Tests;

/// <summary>Lightning checkpoints as they are written; torch.load of PyTorch 1.13 read them when they were made.</summary>
public sealed class LightningFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-lightning-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Written(out OrthrusModel model)
    {
        var random = OrthrusModel.Create(new MambaConfig(16, 2, 6), 3);
        var heads = new StateDict();
        heads.Add(StateTensor.FromSingle("contrastive_projection_head.layers.0.weight", [1, 2, 3, 4, 5, 6], 3, 2));
        heads.Add(new StateTensor("sequence_head.norm1.num_batches_tracked", Tensor.DType.I64, [], to => BitConverter.TryWriteBytes(to, 1L << 40)));
        heads.Add(StateTensor.FromSingle("word_head.layers.0.bias", [7], 1));
        model = new OrthrusModel { Config = random.Config, Encoder = random.Encoder, Heads = heads, Name = "m", Source = "m", Format = "training", Sha256 = "", Provenance = new Dictionary<string, string> { ["global_step"] = "20000" } };
        string path = Path.Combine(_folder, "m.ckpt");
        model.SaveLightning(path);
        return path;
    }

    [Fact]
    public void What_is_written_is_read_again()
    {
        string path = Written(out var model);
        var read = OrthrusModel.Load(path);
        Assert.Equal("lightning", read.Format);
        Assert.Equal(model.Config, read.Config);
        Assert.Equal("20000", read.Provenance["global_step"]);
        // Upstream has no such head.
        Assert.DoesNotContain(read.Heads, t => t.Name.StartsWith("word_head", StringComparison.Ordinal));
        Assert.Equal(2, read.Heads.Count);
        foreach (var (expected, actual) in model.Encoder.Concat(model.Heads).Zip(read.Encoder.Concat(read.Heads)))
        {
            Assert.Equal((expected.Name, expected.DType), (actual.Name, actual.DType));
            Assert.Equal(expected.Shape, actual.Shape);
            Assert.Equal(expected.ToBytes(), actual.ToBytes());
        }
        Assert.Equal([Path.GetFileName(path)], Directory.GetFiles(_folder).Select(Path.GetFileName));
        byte[] first = File.ReadAllBytes(path);
        Written(out _);
        Assert.Equal(first, File.ReadAllBytes(path));
    }

    [Fact]
    public async Task Python_takes_the_pickle_apart()
    {
        string path = Written(out _), pickle = Path.Combine(_folder, "data.pkl");
        using (var zip = ZipFile.OpenRead(path)) zip.GetEntry("archive/data.pkl")!.ExtractToFile(pickle);
        Process python;
        try
        {
            python = Process.Start(new ProcessStartInfo("python3", ["-m", "pickletools", pickle]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("needs python3");
            return;
        }
        using (python)
        {
            var error = python.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            string said = await python.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            await python.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.True(python.ExitCode == 0, said + await error);
            Assert.Contains("highest protocol among opcodes = 2", said);
            Assert.Contains("BINPERSID", said);
        }
    }
}
