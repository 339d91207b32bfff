using System.IO.Compression;
using System.Text;
using Orthrus.Rna;
using Orthrus.TestSupport;

namespace Orthrus.Train.Tests.Corpus;

/// <summary>Upstream's own storage: names of folders, npz files in either order of the axes, evaluation sets.</summary>
public sealed class UpstreamStorageTests
{
    public static IEnumerable<TheoryDataRow<string>> Cases(string op) => GoldenCase.Names("split", c => c.Op == op);

    [Theory]
    [MemberData(nameof(Cases), "storage_folder")]
    public void Golden_folders(string name)
    {
        var golden = GoldenCase.Find("split", name);
        string[] ids = Texts(golden, "ids");
        Assert.NotEmpty(ids);
        Assert.Equal(Texts(golden, "folders"), ids.Select(UpstreamStore.Folder));
        Assert.Equal(Texts(golden, "paths"), ids.Select(UpstreamStore.RelativePath));
    }

    [Theory]
    [MemberData(nameof(Cases), "pair_class")]
    public void Golden_projections(string name)
    {
        var golden = GoldenCase.Find("split", name);
        foreach (string side in new[] { "base", "pair" })
            Assert.Equal(golden.Attrs.GetProperty(side + "_is_ortholog").EnumerateArray().Select(e => e.GetBoolean()), Texts(golden, side).Select(UpstreamStore.IsProjection));
    }

    [Theory]
    [MemberData(nameof(Cases), "npz_six_track")]
    public void Golden_npz(string name)
    {
        var golden = GoldenCase.Find("split", name);
        byte[] tracks = UpstreamStore.Read(Path.Combine(golden.Folder, golden.Text("npz")));
        byte[] want = Pack(golden.Output("six_track_data"));
        Assert.Equal(want, tracks);
        Assert.Equal(golden.Output("length").Values[0], tracks.Length);
    }

    [Theory]
    [MemberData(nameof(Cases), "recover_lengths")]
    public void Golden_lengths(string name)
    {
        var golden = GoldenCase.Find("split", name);
        var x = golden.Input("x");
        int rows = x.Dims[0], length = x.Dims[2];
        var want = golden.Output("lengths").ToInt32();
        for (int r = 0; r < rows; r++)
        {
            var row = new GoldenTensor("U8", [6, length], x.Values[(r * 6 * length)..((r + 1) * 6 * length)]);
            Assert.Equal(want[r], EvaluationNpz.RecoverLength(Pack(row)));
        }
    }

    [Fact]
    public void A_store_becomes_a_corpus_with_what_its_table_names()
    {
        using var small = new SmallCorpus();
        byte[] tracks = [1, 2 | 16, 4, 8 | 32, 1 | 16, 0 | 32];
        Npz(Path.Combine(small.Folder, "ENST/00/000/000/001/ENST00000000001.npz"), ("six_track_data", "|u1", true, "(6, 6)", PositionMajor(tracks)), ("length", "<i8", false, "()", BitConverter.GetBytes(6L)));
        Npz(Path.Combine(small.Folder, "ENST/00/000/000/001/ENST00000000001_HLx_5.npz"), ("six_track_data", "|u1", true, "(6, 6)", PositionMajor(tracks)), ("length", "<i8", false, "()", BitConverter.GetBytes(6L)));
        string table = small.Text("s.tsv", "transcript_id\tgene_id\tspecies\nENST00000000001\ttp53\tman\nENST00000000001_HLx_5\ttp53\tHLx\nENST00000000009\ttp53\tman\n");
        CorpusBuilder.Build(new CorpusOptions { Sets = [new CorpusSet(CorpusSetKind.Store, small.Folder) { Table = table }] }, small.At("c"), small.Remarks.Add, TestContext.Current.CancellationToken);
        using var corpus = CorpusFile.Open(small.At("c"));
        Assert.Equal(2, corpus.Count);
        Assert.Equal(tracks, corpus.Tracks(0).ToArray());
        Assert.Equal(TranscriptFlags.Coding, corpus.Flags(0));
        Assert.Equal(TranscriptFlags.Coding | TranscriptFlags.Projected, corpus.Flags(1));
        Assert.Equal(corpus.Group(0), corpus.Group(1));
        Assert.Contains(small.Remarks, r => r.Contains("1 transcripts of the table have no file"));
    }

    [Theory]
    [InlineData("<f4")]
    [InlineData("|u1")]
    [InlineData("<f8")]
    [InlineData("<f2")]
    [InlineData("<i8")]
    public void An_evaluation_set_becomes_a_corpus(string type)
    {
        using var small = new SmallCorpus();
        byte[][] rows = [[1, 2 | 16, 4 | 32], [8, 1 | 32]];
        var x = new MemoryStream();
        foreach (byte[] row in rows)
            for (int i = 0; i < 4; i++)
                for (int t = 0; t < 6; t++) x.Write(Element(type, i < row.Length ? row[i] >> t & 1 : 0));
        string path = small.At("e.npz");
        Npz(path, ("X", type, false, "(2, 4, 6)", x.ToArray()), ("genes", "<U3", false, "(2,)", Encoding.UTF32.GetBytes("A1\0BCD")), ("y", "<f8", false, "(2, 2)", [.. new[] { 1.0, 2, 3, 4 }.SelectMany(BitConverter.GetBytes)]));
        CorpusBuilder.Build(new CorpusOptions { Sets = [new CorpusSet(CorpusSetKind.Evaluation, path) { Species = "man" }] }, small.At("c"), small.Remarks.Add, TestContext.Current.CancellationToken);
        using var corpus = CorpusFile.Open(small.At("c"));
        Assert.Equal(rows, [corpus.Tracks(0).ToArray(), corpus.Tracks(1).ToArray()]);
        Assert.Equal(["A1", "BCD"], [corpus.GeneId(corpus.Gene(0)), corpus.GeneId(corpus.Gene(1))]);
        var (n, columns, values) = EvaluationNpz.Labels(path);
        Assert.Equal((2, 2), (n, columns));
        Assert.Equal([1.0, 2, 3, 4], values);
    }

    [Fact]
    public void Damaged_and_hostile_npz_files_are_refused_in_one_line()
    {
        using var small = new SmallCorpus();
        byte[] tracks = [1, 2, 4, 8];
        string path = small.At("x.npz");
        Refused("objects", ("six_track_data", "|O", false, "(6, 4)", PositionMajor(tracks)));
        Refused("big-endian", ("six_track_data", ">i2", false, "(6, 4)", PositionMajor(tracks)));
        Refused("six tracks", ("six_track_data", "|u1", false, "(4, 6)", PositionMajor(tracks)));
        Refused("six tracks", ("six_track_data", "|u1", false, "(6, 0)", []));
        Refused("impossible shape", ("six_track_data", "|u1", false, "(6, 99999999999999999)", []));
        Refused("cut off", ("six_track_data", "|u1", false, "(6, 5)", PositionMajor(tracks)));
        Refused("holds 7", ("six_track_data", "|u1", false, "(6, 4)", [.. Enumerable.Repeat((byte)7, 24)]));
        Refused("no array six_track_data", ("other", "|u1", false, "(6, 4)", PositionMajor(tracks)));
        Refused("says 9", ("six_track_data", "|u1", true, "(6, 4)", PositionMajor(tracks)), ("length", "<i8", false, "()", BitConverter.GetBytes(9L)));
        Npz(path, ("six_track_data", "|u1", true, "(6, 4)", PositionMajor(tracks)));
        byte[] whole = File.ReadAllBytes(path);
        for (int length = 0; length < whole.Length; length += 7)
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.DoesNotContain('\n', Assert.Throws<InputDataException>(() => UpstreamStore.Read(path)).Message);
        }

        void Refused(string says, params (string, string, bool, string, byte[])[] arrays)
        {
            Npz(path, arrays);
            Assert.Contains(says, Assert.Throws<InputDataException>(() => UpstreamStore.Read(path)).Message);
        }
    }

    private static byte[] Element(string type, int value) => type switch
    {
        "<f4" => BitConverter.GetBytes((float)value),
        "<f8" => BitConverter.GetBytes((double)value),
        "<f2" => BitConverter.GetBytes((Half)value),
        "<i8" => BitConverter.GetBytes((long)value),
        _ => [(byte)value],
    };

    private static byte[] PositionMajor(byte[] tracks) => [.. tracks.SelectMany(b => Enumerable.Range(0, 6).Select(t => (byte)(b >> t & 1)))];

    private static byte[] Pack(GoldenTensor sixByLength)
    {
        int length = sixByLength.Dims[1];
        var tracks = new byte[length];
        for (int t = 0; t < 6; t++)
            for (int i = 0; i < length; i++) tracks[i] |= (byte)((int)sixByLength.Values[t * length + i] << t);
        return tracks;
    }

    private static void Npz(string path, params (string Name, string Type, bool Fortran, string Shape, byte[] Data)[] arrays)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using var file = File.Create(path);
        using var zip = new ZipArchive(file, ZipArchiveMode.Create);
        foreach (var a in arrays)
        {
            using var entry = zip.CreateEntry(a.Name + ".npy").Open();
            string header = $"{{'descr': '{a.Type}', 'fortran_order': {(a.Fortran ? "True" : "False")}, 'shape': {a.Shape}, }}";
            header = header.PadRight(117) + "\n";
            entry.Write([0x93, .. "NUMPY"u8, 1, 0, (byte)header.Length, 0, .. Encoding.ASCII.GetBytes(header), .. a.Data]);
        }
    }

    private static string[] Texts(GoldenCase golden, string attr) => [.. golden.Attrs.GetProperty(attr).EnumerateArray().Select(e => e.GetString()!)];
}
