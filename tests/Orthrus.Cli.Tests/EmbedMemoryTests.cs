using System.Diagnostics;
using System.Text;
using Orthrus.Mamba;

namespace Orthrus.Cli.Tests;

/// <summary>Resident memory of `orthrus embed` on a record of a million nucleotides, the largest published size.</summary>
[Trait("tier", "long")]
public class EmbedMemoryTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(512, 6)]
    [InlineData(256, 3)]
    public void A_million_nucleotides_stay_under_150_megabytes(int d, int layers)
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("reads /proc");
        using var files = new HostileFiles();
        string fasta = files.PathOf("long.fa"), model = files.PathOf("model");
        OrthrusModel.Create(new MambaConfig(d, layers, 4), 1).SaveHuggingFace(model);
        var random = new Random(1);
        var text = new StringBuilder(">long\n");
        for (int i = 0; i < 1_000_000; i++) text.Append("ACGT"[random.Next(4)]);
        File.WriteAllText(fasta, text.Append('\n').ToString());

        using var p = ChildProcess.Start("embed", fasta, "--model", model, "-o", files.Out(), "--quiet");
        p.StandardInput.Close();
        long peak = 0;
        while (!p.WaitForExit(20)) peak = Math.Max(peak, HighWaterMark(p.Id));
        Assert.True(p.ExitCode == 0, p.StandardError.ReadToEnd());
        output.WriteLine($"{d} x {layers}: {peak / 1000:N0} kB resident at most");
        // Less than the runtime alone would mean that the measurement failed.
        Assert.InRange(peak, 10_000_000, 150_000_000);
    }

    private static long HighWaterMark(int process)
    {
        try
        {
            string? line = File.ReadLines($"/proc/{process}/status").FirstOrDefault(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
            return line is null ? 0 : long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1]) * 1024;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It has just ended.
            return 0;
        }
    }
}
