using Orthrus.TestSupport;

namespace Orthrus.Mamba.Tests;

/// <summary>Damaged checkpoints: whatever bytes are changed or cut off, the file loads or is refused; nothing else comes out, and nothing large is allocated.</summary>
public class CheckpointFuzzTests
{
    public static IEnumerable<TheoryDataRow<string>> Sources() =>
        new[] { "torch_state_dict_pt", "torch_legacy_pt", "lightning_v1_mlm", "hf_c6" }.Where(n => GoldenCase.Area("checkpoints").Any(c => c.Name == n)).Select(n => new TheoryDataRow<string>(n));

    [Theory]
    [MemberData(nameof(Sources))]
    public void A_damaged_file_loads_or_is_refused(string name)
    {
        var golden = GoldenCase.Find("checkpoints", name);
        string path = Path.Combine(golden.Folder, golden.Json.GetProperty("checkpoint").GetString()!);
        if (Directory.Exists(path)) path = Path.Combine(path, "model.safetensors");
        byte[] good = File.ReadAllBytes(path);
        // The structure lies at the two ends; the middle is numbers, in which any bit pattern but NaN is as good as another.
        int ends = Math.Min(good.Length / 2, 6000), refused = 0;
        var random = new Random(17);
        string aside = Path.Combine(Directory.CreateTempSubdirectory("orthrus-fuzz-").FullName, "x.ckpt");
        try
        {
            for (int i = 0; i < 150; i++)
            {
                byte[] bad = (byte[])good.Clone();
                if (i % 5 == 4) bad = bad[..random.Next(bad.Length)];
                else
                    for (int k = 0; k <= i % 3; k++)
                    {
                        int at = random.Next(2) == 0 ? random.Next(ends) : bad.Length - 1 - random.Next(ends);
                        bad[at] = random.Next(3) == 0 ? (byte)random.Next(256) : (byte)(bad[at] ^ (1 << random.Next(8)));
                    }
                File.WriteAllBytes(aside, bad);
                long before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    OrthrusModel.Load(aside);
                }
                catch (CheckpointException)
                {
                    refused++;
                }
                Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < (64 << 20) + 40L * good.Length, $"{name}, change {i}: allocated too much");
            }
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(aside)!, recursive: true);
        }
        Assert.True(refused >= 30, $"only {refused} of 150 damaged files were refused");
    }

    // The length of the header begins the file: as bytes it may look like the beginning of an archive ("PK"), a page (" <") or a pickle (0x80).
    [Theory]
    [InlineData(0x4b50)]
    [InlineData(0x3c20)]
    [InlineData(0x5080)]
    public void A_header_of_any_length_is_one_of_safetensors(int length)
    {
        string folder = Directory.CreateTempSubdirectory("orthrus-header-").FullName;
        try
        {
            var model = OrthrusModel.Create(new MambaConfig(8, 1, 4), seed: 1);
            string path = Path.Combine(folder, "model.safetensors");
            int Written(int pad)
            {
                SafeTensors.Write(path, [.. model.Encoder], new Dictionary<string, string> { ["pad"] = new('x', pad) });
                return BitConverter.ToInt32(File.ReadAllBytes(path).AsSpan(0, 4));
            }
            int pad = Math.Max(0, length - Written(0) - 8);
            while (Written(pad) < length) pad++;
            Assert.Equal(length, Written(pad));
            var read = OrthrusModel.Load(path);
            Assert.Equal("safetensors", read.Format);
            foreach (var t in model.Encoder) Assert.Equal(t.ToBytes(), read.Encoder[t.Name].ToBytes());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
