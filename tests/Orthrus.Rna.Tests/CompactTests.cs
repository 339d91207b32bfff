namespace Orthrus.Rna.Tests;

/// <summary>What keeps millions of records small: lists in chunks, sets of sums, identifiers and rows of tables without objects.</summary>
public sealed class CompactTests
{
    [Fact]
    public void A_set_of_sums_is_a_set()
    {
        var random = new Random(1);
        var sums = new SumSet<ulong>();
        var wide = new SumSet<UInt128>();
        var expected = new HashSet<ulong>();
        for (int i = 0; i < 100_000; i++)
        {
            // Zero, sums with equal low bits, and repetitions are among them.
            ulong sum = i % 3 == 0 ? (ulong)random.Next(5_000) << 40 : (ulong)random.NextInt64(60_000);
            bool fresh = expected.Add(sum);
            Assert.Equal(fresh, sums.Add(sum));
            Assert.Equal(fresh, wide.Add(new UInt128(sum, sum)));
        }
        Assert.Contains(0ul, expected);
    }

    [Fact]
    public void A_list_in_chunks_is_a_list()
    {
        var list = new ChunkedList<int>();
        Assert.Empty(list.Pieces());
        for (int i = 0; i < 50_000; i++) list.Add(i);
        list[20_000] = -1;
        int[] expected = [.. Enumerable.Range(0, 50_000).Select(i => i == 20_000 ? -1 : i)];
        Assert.Equal(expected, list.Pieces().SelectMany(p => p.ToArray()));
        Assert.Equal(expected, Enumerable.Range(0, list.Count).Select(i => list[i]));
    }

    [Theory]
    [InlineData("ENST00000263946.3", "ENST00000263946.3")]
    [InlineData("ENST00000263946", "ENST00000263946.3")]
    [InlineData("ENST00000263946.4", null)]
    [InlineData("NM_000546.6", "NM_000546")]
    [InlineData("NM_000547", null)]
    [InlineData("NM_000547.1", "NM_000547.1")]
    [InlineData("NM_000547.3", null)]
    [InlineData("NM_000548.7", null)]
    [InlineData("NM_000548", "NM_000548")]
    [InlineData("AT1G01010", null)]
    [InlineData("AT1G01010.1", "AT1G01010.1")]
    [InlineData("Säure", "Säure")]
    [InlineData("", null)]
    public void Identifiers_are_found_with_and_without_version(string asked, string? found)
    {
        string[] all = ["ENST00000263946.3", "NM_000546", "NM_000547.1", "NM_000547.2", "NM_000548", "NM_000548.2", "AT1G01010.1", "Säure", new string('x', 1000)];
        var ids = new IdMatcher<int>();
        for (int i = 0; i < all.Length; i++) Assert.True(ids.TryAdd(all[i], i));
        Assert.All(all, id => Assert.False(ids.TryAdd(id, -1)));
        Assert.Equal(all, ids.Ids);
        Assert.Equal(found is not null, ids.TryFind(asked, out int value, out string matched));
        if (found is not null) Assert.Equal((found, Array.IndexOf(all, found)), (matched, value));
        Assert.True(ids.TryFind(new string('x', 1000), out value, out _));
        Assert.Equal(all.Length - 1, value);
    }

    [Fact]
    public void Rows_of_a_table_come_back_as_they_stand()
    {
        string path = Path.GetTempFileName();
        try
        {
            // The second has more junctions than a chunk holds.
            int[] many = [.. Enumerable.Range(1, 70_000)];
            File.WriteAllText(path, "transcript_id\tgene_id\tspecies\tcds_start\tcds_end\texon_junctions\tcds_source\tlength\n"
                + "a\tG\tman\t3\t9\t5,8\tlongest_orf\t20\n" + $"b\tG\tman\t-1\t-1\t{string.Join(',', many)}\tNA\tNA\n" + "c\tH\tNA\tNA\tNA\tNA\tNA\tNA\n" + "d\tG\tman\t-1\t-1\t-\tnone\t7\n");
            var table = TracksTable.Read(path);
            Assert.Equal(["a", "b", "c", "d"], table.Ids);
            var a = Row("a");
            Assert.Equal((2L, (3, 9), true, true, 20), (a.Line, a.Cds!.Value, a.CdsKnown, a.CdsCalled, a.Length!.Value));
            Assert.Equal([4, 7], a.Junctions!);
            Assert.Equal(new TracksTable.RowNames("G", null, null, "man", null, null, null), a.Names);
            var b = Row("b");
            Assert.Equal((3L, null, false, false, null), (b.Line, b.Cds, b.CdsKnown, b.CdsCalled, b.Length));
            Assert.Equal(many.Select(p => p - 1), b.Junctions!);
            var c = Row("c");
            Assert.Equal((null, false, null), (c.Cds, c.CdsKnown, c.Junctions));
            Assert.Equal(new TracksTable.RowNames("H", null, null, null, null, null, null), c.Names);
            var d = Row("d");
            Assert.Equal((null, true, 7), (d.Cds, d.CdsKnown, d.Length));
            Assert.Empty(d.Junctions!);
            Assert.Equal(a.Names, d.Names);

            TracksTable.Row Row(string id)
            {
                Assert.True(table.TryFind(id, out var row, out _));
                return row;
            }
        }
        finally
        {
            File.Delete(path);
        }
    }
}
