using System.Diagnostics;
using System.IO.Compression;
using System.Text;

namespace Orthrus.Cli.Tests;

/// <summary>A genome and an annotation as large as a mammal's: 3.1 gigabases on 24 contigs, 252,000 transcripts of 7 exons.</summary>
[Trait("tier", "long")]
public sealed class MammalTests : IDisposable
{
    private const int Contigs = 24, Megabases = 130, TranscriptsPerContig = 10_500, Transcripts = Contigs * TranscriptsPerContig;
    private const long NeededMegabytes = 5_000, LimitMegabytes = 2_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-mammal-").FullName;

    [Theory]
    [InlineData("plain")]
    [InlineData("gzip")]
    public async Task FitsInto2Gigabytes(string form)
    {
        long free = new DriveInfo(_folder).AvailableFreeSpace >> 20;
        if (free < NeededMegabytes) Assert.Skip($"the temporary folder has {free:N0} MB left and this needs {NeededMegabytes:N0}");
        WriteGenome(gzip: form == "gzip");
        WriteAnnotation();
        var clock = Stopwatch.StartNew();
        using var child = ChildProcess.Start("transcripts", "--annotation", At("a.gtf"), "--genome", At("g.fa"), "-o", "-");
        child.StandardInput.Close();
        var output = child.StandardOutput.BaseStream.CopyToAsync(Stream.Null, TestContext.Current.CancellationToken);
        var error = child.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        long peak = 0;
        while (!child.WaitForExit(100))
        {
            child.Refresh();
            if (!child.HasExited) peak = Math.Max(peak, child.PeakWorkingSet64 >> 20);
        }
        await output;
        Assert.True(child.ExitCode == 0, await error);
        Assert.Contains($"{Transcripts:N0} transcripts", await error);
        Assert.True(peak is > 0 and < LimitMegabytes, $"peak resident {peak:N0} MB");
        TestContext.Current.SendDiagnosticMessage($"{form}: {clock.Elapsed.TotalSeconds:F0} s, peak {peak:N0} MB");
    }

    // One random megabase over and over: as large as a genome, and written in seconds.
    private void WriteGenome(bool gzip)
    {
        var random = new Random(1);
        var megabase = new StringBuilder();
        for (int line = 0; line < 12_500; line++)
        {
            for (int i = 0; i < 80; i++) megabase.Append("ACGT"[random.Next(4)]);
            megabase.Append('\n');
        }
        byte[] bases = Bytes(megabase.ToString(), gzip);
        using var genome = File.Create(At("g.fa"));
        for (int c = 1; c <= Contigs; c++)
        {
            genome.Write(Bytes($">chr{c}\n", gzip));
            for (int m = 0; m < Megabases; m++) genome.Write(bases);
        }
    }

    private void WriteAnnotation()
    {
        var random = new Random(2);
        using var gtf = new StreamWriter(At("a.gtf"));
        for (int t = 0; t < Transcripts; t++)
        {
            int start = random.Next(1, 129_000_000);
            for (int x = 0; x < 7; x++, start += random.Next(1_000, 20_000))
                gtf.WriteLine($"chr{t % Contigs + 1}\thavana\texon\t{start}\t{start + random.Next(50, 400)}\t.\t+\t.\tgene_id \"ENSG{t / 4:D11}.1\"; transcript_id \"ENST{t:D11}.1\"; gene_type \"protein_coding\"; gene_name \"G{t / 4}\"; transcript_type \"protein_coding\"; exon_number {x + 1}; level 2; tag \"basic\";");
        }
    }

    private static byte[] Bytes(string text, bool gzip)
    {
        byte[] plain = Encoding.ASCII.GetBytes(text);
        if (!gzip) return plain;
        using var memory = new MemoryStream();
        using (var member = new GZipStream(memory, CompressionLevel.Fastest, leaveOpen: true)) member.Write(plain);
        return memory.ToArray();
    }

    private string At(string name) => Path.Combine(_folder, name);

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
