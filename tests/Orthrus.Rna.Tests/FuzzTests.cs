using System.Diagnostics;
using System.Text;
using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>
/// Small real files, damaged by seed in the ways that copies, editors and scripts damage them. Whatever comes of it, reading either
/// succeeds or throws <see cref="InputDataException"/>, soon.
/// </summary>
public class FuzzTests
{
    private const int CasesPerFormat = 120;
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(20);

    public static TheoryData<string> Formats() =>
        ["gtf", "gtf flybase", "gff3 wormbase", "gff3 tair", "gff3 gencode", "gff3 with genome", "genePred", "genePredExt", "refGene", "refFlat", "bed12",
         "annotation.gz", "fasta", "fasta gencode", "fasta.gz", "bgzip", "table", "ids", "aliases", "genome.fa", "genome.2bit", "genome.2bit wide"];

    [Theory]
    [MemberData(nameof(Formats))]
    public void DamagedFilesAreReadOrRefused(string format)
    {
        using var scratch = new Scratch();
        var (data, text, input) = Prepare(scratch, format);
        Read(input(scratch.Put("victim", data)));
        int refused = 0;
        for (int seed = 0; seed < CasesPerFormat; seed++)
        {
            byte[] damaged = Damage(data, text, new Random(StableSeed(format) + seed));
            string path = scratch.Put("victim", damaged);
            var clock = Stopwatch.StartNew();
            try
            {
                Read(input(path));
            }
            catch (InputDataException e)
            {
                refused++;
                Assert.DoesNotContain(e.Message, char.IsControl);
                Assert.True(e.Message.Length < 3000, $"{format}, seed {seed}: a message of {e.Message.Length} letters");
            }
            catch (Exception e)
            {
                Assert.Fail($"{format}, seed {seed}: {e}");
            }
            Assert.True(clock.Elapsed < Longest, $"{format}, seed {seed}: took {clock.Elapsed}");
        }
        // Damage that nothing ever notices would mean that the victim is not read.
        Assert.True(refused > 0, $"{format}: no damaged file was refused");
    }

    private static void Read(TranscriptInput input)
    {
        using var source = TranscriptSource.Open(input);
        foreach (var record in source.Read())
            if (record.Transcript is { } t) Assert.Equal(t.Length, t.ToSequence().Length);
        Assert.NotEmpty(source.Report.ToLines());
    }

    private static (byte[] Data, bool Text, Func<string, TranscriptInput> Input) Prepare(Scratch scratch, string format)
    {
        string examples = Path.Combine(TestSupport.TestPaths.Repository, "examples", "data");
        string gtf = Path.Combine(examples, "genes.gtf");
        var models = RealSet.ModelsOf(gtf);
        string genome = scratch.Put("genome.fa", Text(Path.Combine(examples, "genome.fa.gz")));
        var contigs = Fasta(genome).Select(c => (c.Key, c.Value)).ToList();
        Func<string, TranscriptInput> annotated = path => new TranscriptInput { Annotation = path, Genome = genome }, fasta = path => new TranscriptInput { Fasta = path };
        byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);
        byte[] Head(string path, int lines) => Bytes(string.Join('\n', Text(path).Split('\n').Take(lines)) + "\n");
        // Three records of some hundred letters: damage must hit headers, too.
        string sequences = string.Concat(models.Take(3).Select(m => $">{m.Id} gene:{m.Gene} CDS:4-30\n{contigs[0].Value[..180]}\nACGUNRYacgt\n"));
        (byte[], bool, Func<string, TranscriptInput>) OfFolder(string folder, string annotation, string bases, int lines) =>
            (Head(Fixture($"{folder}/{annotation}"), lines), true, path => new TranscriptInput { Annotation = path, Genome = Fixture($"{folder}/{bases}") });
        switch (format)
        {
            case "gtf": return (Head(gtf, 60), true, annotated);
            case "gtf flybase": return OfFolder("flybase", "genes.gtf", "genome.fa.gz", 40);
            case "gff3 wormbase": return OfFolder("wormbase", "genes.gff3", "genome.fa.gz", 60);
            case "gff3 tair": return OfFolder("tair", "genes.gff3", "genome.fa.gz", 60);
            case "gff3 gencode": return OfFolder("gencode", "genes.gff3.gz", "chr2.2bit", 60);
            case "gff3 with genome":
                return (Bytes(Write.Gff3([new Model("t", "g", "c", false, [(2, 20), (30, 44)], (4, 40))]) + "##FASTA\n" + Write.Fasta([("c", contigs[0].Value[..60])])),
                    true, path => new TranscriptInput { Annotation = path });
            case "genePred": return (Bytes(Write.GenePred(models, "genePred")), true, annotated);
            case "genePredExt": return (Bytes(Write.GenePred(models, "ext")), true, annotated);
            case "refGene": return OfFolder("gencode", "refGene.txt", "chr2.2bit", 5);
            case "refFlat": return OfFolder("flybase", "genes.refflat", "genome.fa.gz", 20);
            case "bed12": return (Bytes(Write.Bed12(models)), true, annotated);
            case "annotation.gz": return (Write.Gzip(Head(gtf, 60)), false, annotated);
            case "fasta": return (Bytes(sequences), true, fasta);
            case "fasta gencode":
                return (Bytes(">ENST1.2|ENSG1.7|OTT1|OTT2|X-201|X|60|UTR5:1-3|CDS:4-30|UTR3:31-60|\n" + contigs[0].Value[..60] + "\n>ENST2.1|ENSG1.7|-|-|X-202|X|40|lncRNA|\n" + contigs[0].Value[..40] + "\n"), true, fasta);
            case "fasta.gz": return (Write.Gzip(sequences), false, fasta);
            case "bgzip": return (Write.Bgzip(sequences), false, fasta);
            case "table":
                scratch.Put("t.fa", sequences);
                return (Bytes(string.Join('\t', TracksTable.Columns) + "\n" + string.Concat(models.Take(3).Select(m => $"{m.Id}\t{m.Gene}\tNA\t0\t30\t12,40,77\tNA\tNA\tNA\tNA\tannotated\t191\tx\n"))), true,
                    path => new TranscriptInput { Fasta = scratch["t.fa"], TracksTable = path });
            case "ids": return (Bytes(string.Concat(models.Select(m => m.Id + "\n"))), true, path => new TranscriptInput { Annotation = gtf, Genome = genome, IdsFile = path });
            case "aliases":
                scratch.Put("other.fa", Write.Fasta(contigs.Select(c => ("other_" + c.Key, c.Value))));
                return (Bytes(string.Concat(contigs.Select(c => $"{c.Key}\tother_{c.Key}\n"))), true, path => new TranscriptInput { Annotation = gtf, Genome = scratch["other.fa"], ContigAliases = path });
            default:
                var (small, bed) = SmallGenome(scratch, contigs[0].Value);
                return format == "genome.fa"
                    ? (Bytes(Write.Fasta(small)), true, path => new TranscriptInput { Annotation = bed, Genome = path })
                    : (Write.TwoBit(small, wide: format.EndsWith("wide", StringComparison.Ordinal)), false, path => new TranscriptInput { Annotation = bed, Genome = path });
        }
    }

    // So small that damage reaches its headers.
    private static (List<(string, string)> Contigs, string Bed) SmallGenome(Scratch scratch, string bases) =>
        ([("a", bases[..300]), ("b", bases[300..420])],
            scratch.Put("small.bed", Write.Bed12([new Model("t", "g", "a", true, [(5, 60), (80, 290)], (10, 100)), new Model("u", "g", "b", false, [(0, 119)], null)])));

    [Fact]
    public void ADamagedIndexNeverChangesTheBases()
    {
        using var scratch = new Scratch();
        var random = new Random(5);
        var (contigs, bed) = SmallGenome(scratch, new string(Enumerable.Range(0, 420).Select(_ => "ACGT"[random.Next(4)]).ToArray()));
        var input = new TranscriptInput { Annotation = bed, Genome = scratch.Put("g.fa", Write.Fasta(contigs)) };
        byte[] index = Encoding.UTF8.GetBytes(FormatTests.Fai(contigs, 60));
        var want = ReadTranscripts(input).Select(t => t.Tracks.ToArray()).ToList();
        int ignored = 0;
        for (int seed = 0; seed < CasesPerFormat; seed++)
        {
            scratch.Put("g.fa.fai", Damage(index, true, new Random(seed)));
            var got = ReadAll(input, out var report);
            Assert.Equal(want, got.Select(r => r.Transcript!.Tracks.ToArray()));
            if (report.Remarks.Any(r => r.Contains("is ignored"))) ignored++;
        }
        Assert.True(ignored > CasesPerFormat / 2, $"{ignored} damaged indexes were noticed");
    }

    private static int StableSeed(string format) => format.Aggregate(17, (h, c) => unchecked(h * 31 + c)) & 0xfffffff;

    private static byte[] Damage(byte[] data, bool text, Random random)
    {
        byte[] result = data;
        for (int n = random.Next(1, 4); n > 0 && result.Length > 0; n--) result = text && random.Next(3) > 0 ? DamageLines(result, random) : DamageBytes(result, random);
        return result;
    }

    private static byte[] DamageBytes(byte[] data, Random random)
    {
        int at = random.Next(data.Length), length = Math.Min(data.Length - at, random.Next(1, 40));
        byte[] copy = [.. data];
        switch (random.Next(6))
        {
            case 0: copy[at] ^= (byte)(1 << random.Next(8)); return copy;
            case 1: copy[at] = (byte)random.Next(256); return copy;
            case 2: return data[..at];
            case 3: return [.. data[..at], .. data[(at + length)..]];
            case 4: return [.. data[..at], .. data.AsSpan(random.Next(data.Length - length + 1), length), .. data[at..]];
            default: copy.AsSpan(at, Math.Min(4, length)).Fill(random.Next(2) == 0 ? (byte)0 : (byte)0xff); return copy;
        }
    }

    private static byte[] DamageLines(byte[] data, Random random)
    {
        var lines = Encoding.Latin1.GetString(data).Split('\n').ToList();
        int at = random.Next(lines.Count);
        string[] columns = lines[at].Split('\t');
        int column = random.Next(columns.Length);
        switch (random.Next(8))
        {
            case 0: lines.RemoveAt(at); break;
            case 1: lines.Insert(random.Next(lines.Count), lines[at]); break;
            case 2: lines[at] = string.Join('\t', columns.Where((_, i) => i != column)); break;
            case 3: lines[at] = string.Join('\t', columns.Select((c, i) => i == column ? Values[random.Next(Values.Length)] : c)); break;
            case 4: lines[at] = string.Join('\t', columns.Select((c, i) => i == column ? c[..random.Next(c.Length + 1)] : c)); break;
            case 5: lines[at] = lines[at].Replace('\t', ' '); break;
            case 6: lines = lines.Select(l => l + "\r").ToList(); break;
            default: (lines[at], lines[0]) = (lines[0], lines[at]); break;
        }
        return Encoding.Latin1.GetBytes(string.Join('\n', lines));
    }

    private static readonly string[] Values =
        ["", "0", "-1", "1", "NA", ".", "2147483647", "4294967295", "99999999999", "1e9", "x", ">", "#", "+", "-", ",", ",,,", "1,", "%", "%4", ";;;=", "\"", "Parent=", "ID=;Parent=ID", "transcript_id \"", "\u00ff\u00fe", "\0"];
}
