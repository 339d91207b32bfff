using System.IO.Compression;
using Orthrus.Rna;
using Orthrus.TestSupport;
using Orthrus.Train.Probing;

namespace Orthrus.Train.Tests.Probing;

/// <summary>Task tables as they come, and what is refused of them.</summary>
public sealed class ProbeTableTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-probe-table-").FullName;

    private string Table(string text, bool gzip = false)
    {
        string path = Path.Combine(_folder, "t.tsv");
        using var file = File.Create(path);
        using Stream stream = gzip ? new GZipStream(file, CompressionLevel.Fastest) : file;
        stream.Write(System.Text.Encoding.UTF8.GetBytes(text.Replace(' ', '\t')));
        return path;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rows_have_sequence_marks_targets_part_and_group(bool gzip)
    {
        string path = Table("""
            name cds_start cds_end exon_junctions y fam split sequence
            a 0 6 4 1.5 F1 train ACGTAGuu
            b -1 -1 NA NA F2 val acgn
            c NA NA - -2e-1 NA NA ATGTAA

            d 3 6 - nan F1 TEST ATGTAA
            """, gzip);
        var t = ProbeTable.Read(path, new ProbeColumns { Targets = ["y"], Split = "split", Groups = "fam", Units = "fam" }, CdsPolicy.Annotated);
        Assert.Equal(["a", "b", "c", "d"], t.Transcripts.Select(x => x.Id));
        Assert.Equal(["ACGTAGTT", "ACGN", "ATGTAA", "ATGTAA"], t.Transcripts.Select(x => x.ToSequence()));
        Assert.Equal([16 + 1, 2, 4, 32 + 16 + 8, 1, 4, 8, 32 + 8], t.Transcripts[0].Tracks.ToArray());
        Assert.Equal([32 + 8, 32], new[] { t.Transcripts[3].Tracks.Span[1] | 32, t.Transcripts[1].Tracks.Span[3] });
        Assert.Equal([1.5, double.NaN, -0.2, double.NaN], Enumerable.Range(0, 4).Select(i => t.Target(i, 0)));
        Assert.Equal([Part.Train, Part.Validation, Part.None, Part.Test], Enumerable.Range(0, 4).Select(t.PartOf));
        Assert.Equal([0, 1, -1, 0], t.Groups);
        Assert.Equal(3, t.Units.Distinct().Count());
        Assert.Equal(t.Units[0], t.Units[3]);
        Assert.True(t.HasTracks);
        // -1 -1 says that there is none, NA NA that it is not known.
        Assert.Equal(1, t.WithoutCds);
        Assert.Equal(ProbeKind.Regression, ProbeOptions.KindOf(t));
    }

    [Fact]
    public void A_cds_can_be_called_or_left_blank()
    {
        string orf = "ATG" + string.Concat(Enumerable.Repeat("GCC", 70)) + "TAA";
        string path = Table($"id y sequence\na 1 CC{orf}\n");
        Transcript Read(CdsPolicy policy) => ProbeTable.Read(path, new ProbeColumns { Targets = ["y"] }, policy).Transcripts[0];
        Assert.Equal((2, 2 + orf.Length), Read(CdsPolicy.LongestOrf).Cds);
        Assert.Null(Read(CdsPolicy.Annotated).Cds);
        Assert.DoesNotContain(Read(CdsPolicy.Blank).Tracks.ToArray(), b => (b & TrackByte.Cds) != 0);
    }

    [Theory]
    [InlineData("id y\na 1\n", "has no column sequence", "name one of id, y")]
    [InlineData("id sequence\na ACGT\n", "has no column y", "name one of")]
    [InlineData("id y sequence\n", "header and no rows", "check")]
    [InlineData("id y sequence\na 1 ACGT x\n", "line 2", "4 columns where the header has 3")]
    [InlineData("id y sequence\na one ACGT\n", "line 2", "y is no number: 'one'")]
    [InlineData("id y sequence\na inf ACGT\n", "line 2", "y is no number: 'inf'")]
    [InlineData("id y sequence\na 1 AC-T\n", "line 2", "no nucleotide at position 3")]
    [InlineData("id y sequence\na 1 \n", "line 2", "empty sequence")]
    [InlineData("id y cds_start sequence\na 1 0 ACGT\n", "cds_start without cds_end", "give both")]
    [InlineData("id y cds_start cds_end sequence\na 1 0 9 ACGT\n", "line 2", "CDS 0-9")]
    [InlineData("id y cds_start cds_end sequence\na 1 0 x ACGT\n", "line 2", "cds_end is not a position")]
    [InlineData("id y exon_junctions sequence\na 1 3,2 ACGT\n", "line 2", "exon_junctions")]
    public void What_cannot_be_read_is_refused(string text, params string[] says)
    {
        string path = Table(text);
        var e = Assert.Throws<InputDataException>(() => ProbeTable.Read(path, new ProbeColumns { Targets = ["y"] }, CdsPolicy.Annotated));
        Assert.StartsWith(path, e.Message);
        Assert.All(says, s => Assert.Contains(s, e.Message));
    }

    [Fact]
    public void A_part_of_another_name_is_refused() =>
        Assert.Contains("fold1", Assert.Throws<InputDataException>(() =>
            ProbeTable.Read(Table("id y part sequence\na 1 fold1 ACGT\n"), new ProbeColumns { Targets = ["y"], Split = "part" }, CdsPolicy.Annotated)).Message);

    // Counts of the files, which are those of their descriptions but for coding potential.
    [Theory]
    [InlineData("task-rna-halflife/halflife.tsv.gz", "halflife", 2788, 373, 413, 0, true)]
    [InlineData("task-protein-localization/labels.tsv.gz", "nucleus,lysosome", 1359, 205, 197, 0, true)]
    [InlineData("task-go-molecular-function/labels.tsv.gz", "gpcr,actin_binding", 1146, 171, 153, 0, true)]
    [InlineData("task-mrl-5utr/mrl.tsv.gz", "mrl", 1805, 354, 322, 0, false)]
    [InlineData("task-utr3-stability/mpra.tsv.gz", "stability_jurkat", 18634, 3649, 3477, 657, false)]
    [InlineData("task-coding-potential/coding.tsv.gz", "is_coding", 3584, 588, 565, 0, false)]
    [InlineData("task-invitro-degradation/degradation.tsv.gz", "k_deg_per_hour", 170, 0, 23, 0, true)]
    public void Shared_tasks_read_as_they_are(string file, string targets, int train, int valid, int test, int missing, bool tracks)
    {
        if (TestPaths.Data is not { } data || !File.Exists(Path.Combine(data, file))) Assert.Skip("needs the shared tasks");
        var t = ProbeTable.Read(Path.Combine(TestPaths.Data!, file), new ProbeColumns { Targets = targets.Split(','), Split = "split" }, CdsPolicy.Annotated);
        int[] parts = [.. Enum.GetValues<Part>().Select(p => Enumerable.Range(0, t.Rows).Count(i => t.PartOf(i) == p))];
        Assert.Equal([0, train, valid, test], parts);
        Assert.Equal(missing, Enumerable.Range(0, t.Rows).Count(i => double.IsNaN(t.Target(i, 0))));
        Assert.Equal(tracks, t.HasTracks);
        Assert.Equal(file.Contains("labels") ? ProbeKind.Multilabel : file.Contains("coding") ? ProbeKind.Binary : ProbeKind.Regression, ProbeOptions.KindOf(t));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
