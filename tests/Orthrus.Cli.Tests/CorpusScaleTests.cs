using System.Diagnostics;
using Orthrus.Train;

namespace Orthrus.Cli.Tests;

/// <summary>A million transcripts: built in bounded memory, sampled fast.</summary>
[Trait("tier", "long")]
[Trait("machine", "alone")]
public sealed class CorpusScaleTests : IDisposable
{
    private const int Transcripts = 1_000_000, Species = 10, PerGroup = 20;
    private const long NeededMegabytes = 4_000, BuildMegabytes = 700, SampleMegabytes = 1_500;
    private const double LeastPairsPerSecond = 100_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-million-").FullName;

    [Fact]
    public async Task A_million_transcripts_build_in_bounded_memory_and_are_sampled_at_100_000_a_second()
    {
        long free = new DriveInfo(_folder).AvailableFreeSpace >> 20;
        if (free < NeededMegabytes) Assert.Skip($"the temporary folder has {free:N0} MB left and this needs {NeededMegabytes:N0}");
        Write();
        var clock = Stopwatch.StartNew();
        using (var child = ChildProcess.Start("corpus", "--transcripts", At("t.fa"), "--table", At("t.tsv"), "-o", At("c")))
        {
            child.StandardInput.Close();
            var error = child.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            long peak = CorpusRealDataTests.Peak(child);
            Assert.True(child.ExitCode == 0, await error);
            TestContext.Current.SendDiagnosticMessage($"{Transcripts:N0} transcripts built in {clock.Elapsed.TotalSeconds:F0} s, peak {peak:N0} MB: {await error}");
            Assert.InRange(peak, 1, BuildMegabytes);
        }

        clock.Restart();
        using var source = PairSource.Open(At("c"), PairOptions.V1 with { Pairs = 256, Threads = 2, Prefetch = 8 });
        TestContext.Current.SendDiagnosticMessage($"opened, first epoch planned in {clock.Elapsed.TotalSeconds:F1} s; {source.Keys:N0} keys, {source.BatchesPerEpoch:N0} batches");
        long nucleotides = 0, managed = 0;
        int pairs = 0;
        var processor = Process.GetCurrentProcess().TotalProcessorTime;
        clock.Restart();
        for (int step = 0; clock.Elapsed < TimeSpan.FromSeconds(8); step++)
        {
            var batch = source.Batch(step);
            pairs += batch.Pairs;
            foreach (int l in batch.Lengths) nucleotides += l;
            managed = Math.Max(managed, GC.GetTotalMemory(false) >> 20);
        }
        double rate = pairs / clock.Elapsed.TotalSeconds, work = (Process.GetCurrentProcess().TotalProcessorTime - processor).TotalSeconds;
        TestContext.Current.SendDiagnosticMessage($"{rate:N0} pairs a second with all of v1's transforms on 2 threads, {pairs / work:N0} a second of processor time ({work / clock.Elapsed.TotalSeconds:N2} processors), {nucleotides / clock.Elapsed.TotalSeconds / 1e6:N0} million nt a second, mean view {nucleotides / 2.0 / pairs:N0} nt; managed memory at most {managed:N0} MB");
        // Other programs take processors away: what counts is the work of both threads.
        Assert.True(2 * pairs / work >= LeastPairsPerSecond, $"{pairs / work:N0} pairs a second of one processor, {rate:N0} a second");
        Assert.InRange(managed, 1, SampleMegabytes);
    }

    // Twenty transcripts a group, two of each of ten species; 150 to 1,349 nt.
    private void Write()
    {
        var random = new Random(1);
        char[] pool = [.. Enumerable.Range(0, 1 << 20).Select(_ => "ACGT"[random.Next(4)])];
        using var fasta = new StreamWriter(At("t.fa"));
        using var table = new StreamWriter(At("t.tsv"));
        table.WriteLine("transcript_id\tgene_id\tspecies\tcds_start\tcds_end\texon_junctions\thomology_group");
        for (int t = 0; t < Transcripts; t++)
        {
            int group = t / PerGroup, species = t % PerGroup / 2, length = 150 + random.Next(1200), start = length / 5, end = start + length / 6 * 3;
            fasta.Write($">T{t:D9}\n");
            fasta.Write(pool, random.Next(pool.Length - length), length);
            fasta.Write('\n');
            table.WriteLine($"T{t:D9}\tG{group:D7}S{species}\tspecies_{species}\t{start}\t{end}\t{(t % 3 == 0 ? "NA" : $"{length / 3},{length / 2}")}\tOG{group:D7}");
        }
    }

    private string At(string name) => Path.Combine(_folder, name);

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
