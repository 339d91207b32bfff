using Orthrus.Rna;

namespace Orthrus.Train.Tests.Corpus;

/// <summary>Who is homologous to whom, and what goes into which split.</summary>
public sealed class CorpusBuilderTests
{
    private const string Compara = "gene_stable_id\tprotein_stable_id\tspecies\tidentity\thomology_type\thomology_gene_stable_id\thomology_protein_stable_id\thomology_species\thomology_identity\n";

    /// <summary>Four genes of three species; a1 and b1 are to be found together, c1 and a2 each alone.</summary>
    private static SmallCorpus Genes() => new SmallCorpus().Add("ta1", "a1", "man", symbol: "Tp53").Add("ta1b", "a1", "man", symbol: "Tp53")
        .Add("tb1", "b1", "mouse", symbol: "TP53").Add("tc1", "c1", "dog", symbol: "KRAS").Add("ta2", "a2", "man", symbol: "MYC");

    public static TheoryData<string, string> Forms() => new()
    {
        { "h.csv", "gene_name,gene_group\ntp53,7\nother,7\nMYC,8\n" },
        { "h.tsv", Compara + "a1\tp\thomo\t90\tortholog_one2one\tb1\tq\tmus\t90\na1\tp\thomo\t90\twithin_species_paralog\ta2\tq\thomo\t90\nc1\tp\tdog\t90\tortholog_one2many\tzzz\tq\tcat\t1\n" },
        { "Orthogroups.tsv", "Orthogroup\tdog\tman\tmouse\nOG1\t\ta1\tb1, b9\nOG2\tc1\t\t\nOG3\t\ta2\n" },
        { "two.tsv", "a1\tX\nb1\tX\na2\tY\nc1\tZ\n" },
        { "pairs.tsv", "a1\tb1\nc1\tabsent\n" },
        { "transcripts.tsv", "ta1b\tX\ntb1\tX\nta2\tY\n" },
    };

    [Theory]
    [MemberData(nameof(Forms))]
    public void A_table_of_homology_joins_what_it_names_and_nothing_else(string name, string table)
    {
        using var small = Genes();
        string path = small.Text(name, table);
        using var corpus = small.Build(o => o with { Homology = [path] });
        Assert.Equal(corpus.Group(0), corpus.Group(1));
        Assert.Equal(corpus.Group(0), corpus.Group(2));
        Assert.Equal(3, corpus.Groups);
        Assert.DoesNotContain(small.Remarks, r => r.Contains("symbol join"));
        Assert.Contains(small.Remarks, r => r.Contains(name) && r.Contains("names are in the corpus"));
    }

    [Fact]
    public void Symbols_join_with_a_warning_and_only_where_nothing_else_is_known()
    {
        using var small = Genes();
        using (var corpus = small.Build()) Assert.Equal(corpus.Group(0), corpus.Group(2));
        Assert.Contains(small.Remarks, r => r.StartsWith("warning: genes of the same symbol", StringComparison.Ordinal));
        using (var alone = small.Build(o => o with { Fallback = HomologyFallback.None })) Assert.Equal(4, alone.Groups);
        string path = small.Text("two.tsv", "a2\tY\nc1\tY\n");
        using var table = small.Build(o => o with { Homology = [path] });
        Assert.NotEqual(table.Group(0), table.Group(2));
        Assert.Equal(table.Group(3), table.Group(4));
        using var both = small.Build(o => o with { Homology = [path], Fallback = HomologyFallback.Symbols });
        Assert.Equal(2, both.Groups);
    }

    [Theory]
    [InlineData("x1\ty1\nx2\ty1\n", "none of its 2 names")]
    [InlineData("", "is empty")]
    [InlineData("a\tb\tc\tone more\n", "no table of homology")]
    [InlineData("gene_name,gene_group\na1\n", "1 columns")]
    [InlineData("gene_stable_id\thomology_gene_stable_id\na1\tb1\n", "lacks homology_type")]
    public void A_table_that_cannot_be_meant_is_refused(string table, string says)
    {
        using var small = Genes();
        string path = small.Text("bad", table);
        Assert.Contains(says, Assert.Throws<InputDataException>(() => small.Write(o => o with { Homology = [path] })).Message);
        Assert.False(File.Exists(small.At("c.safetensors")));
    }

    [Fact]
    public void Two_tables_may_call_different_groups_the_same()
    {
        using var small = Genes();
        string one = small.Text("one.tsv", "a1\t1\nb1\t1\n"), two = small.Text("two.tsv", "a2\t1\nc1\t1\n");
        using var corpus = small.Build(o => o with { Homology = [one, two] });
        Assert.Equal(2, corpus.Groups);
    }

    [Fact]
    public void Genes_of_a_group_lie_together_sorted_by_species()
    {
        using var small = new SmallCorpus().Add("t1", "m1", "mouse", group: "g").Add("t2", "x", "man", group: "h").Add("t4", "y", "man", group: "g").Add("t3", "m2", "mouse", group: "g");
        using var corpus = small.Build();
        var (first, count) = corpus.GenesOfGroup(corpus.Group(0));
        Assert.Equal(3, count);
        Assert.Equal(["m1", "m2", "y"], Enumerable.Range(first, count).Select(corpus.GeneId));
    }

    [Fact]
    public void Drawn_splits_cut_no_family_and_have_the_wanted_sizes()
    {
        using var small = new SmallCorpus();
        for (int i = 0; i < 600; i++) small.Add($"t{i}", $"g{i / 2}", i % 2 == 0 ? "man" : "mouse", group: $"og{i / 4}", family: $"f{i / 6}");
        CorpusSplit[] Splits(ulong seed)
        {
            using var corpus = small.Build(o => o with { SplitSeed = seed, Splits = (0.8, 0.1, 0.1) });
            Assert.Equal(0, CorpusSummary.Of(corpus).CutFamilies);
            return [.. Enumerable.Range(0, corpus.Count).Select(corpus.Split)];
        }
        var one = Splits(1);
        Assert.Equal(one, Splits(1));
        Assert.NotEqual(one, Splits(2));
        Assert.InRange(one.Count(s => s == CorpusSplit.Train), 460, 500);
        Assert.InRange(one.Count(s => s == CorpusSplit.Test), 48, 72);
        // Homology joins families that a table keeps apart: twelve rows are one component here.
        for (int i = 0; i < 600; i++) Assert.Equal(one[i / 12 * 12], one[i]);
    }

    [Fact]
    public void Splits_of_the_table_stay_and_their_families_follow_them()
    {
        using var small = new SmallCorpus().Add("t1", "g1", split: "test").Add("t2", "g1").Add("t3", "g2", split: "validation", family: "f").Add("t4", "g3", family: "f").Add("t5", "g4", split: "train");
        using (var corpus = small.Build())
            Assert.Equal([CorpusSplit.Test, CorpusSplit.Test, CorpusSplit.Valid, CorpusSplit.Valid, CorpusSplit.Train], Enumerable.Range(0, 5).Select(corpus.Split));
        using var drawn = small.Build(o => o with { IgnoreSplitColumn = true, Splits = (1, 0, 0) });
        Assert.All(Enumerable.Range(0, 5), t => Assert.Equal(CorpusSplit.Train, drawn.Split(t)));
    }

    [Fact]
    public void A_split_that_cuts_a_family_is_told()
    {
        using var small = new SmallCorpus().Add("t1", "g1", split: "test").Add("t2", "g1", split: "train");
        using var corpus = small.Build();
        Assert.Contains(small.Remarks, r => r.StartsWith("warning: 1 families", StringComparison.Ordinal));
        Assert.Equal(1, CorpusSummary.Of(corpus).CutFamilies);
    }

    [Fact]
    public void Pairs_are_counted_by_kind()
    {
        using var small = new SmallCorpus().Add("t1", "g1", "man", group: "g").Add("t2", "g1", "man", group: "g").Add("t3", "g1", "man", group: "g", length: 4000).Add("t4", "m1", "mouse", group: "g")
            .Add("t5", "x", "man", split: "train");
        using var corpus = small.Build(o => o with { Splits = (1, 0, 0) });
        var summary = CorpusSummary.Of(corpus);
        Assert.Equal((3, 3), (summary.SplicePairs, summary.OrthologPairs));
        // Short keys take short partners (t1, t2, t4), the long one any.
        Assert.Equal(new SplitSummary("train", 5, 3, 1, 2 + 2, 4 + 1), summary.Splits[0]);
        Assert.Equal((1, 1), (summary.SharedGroups, summary.GroupsAcrossSpecies));
    }

    [Fact]
    public void Projections_follow_their_reference_transcript_or_else_their_symbol()
    {
        using var small = new SmallCorpus().Add("ENST00000000001.4", "ENSG00000000001", "man").Add("ENST00000000002.1", "ENSG00000000002", "man", symbol: "KRAS");
        string genome = small.Text("g.fa", ">c1\n" + SmallCorpus.Bases("c1", 400) + "\n");
        string bed = small.Text("toga.bed", string.Concat(new[] { "ENST00000000001.SYM.7", "ENST00000000099.kras.8", "ENST00000000077.NEW.9" }
            .Select((n, i) => $"c1\t{i * 100}\t{i * 100 + 60}\t{n}\t0\t+\t{i * 100}\t{i * 100 + 60}\t0\t1\t60,\t0,\n")));
        using var corpus = small.Build(o => o with { Sets = [.. o.Sets, new CorpusSet(CorpusSetKind.Toga, bed) { Genome = genome, Species = "HLcanFam4" }], Fallback = HomologyFallback.None });
        Assert.Equal(["ENST00000000001_HLcanFam4_7", "ENST00000000099_HLcanFam4_8", "ENST00000000077_HLcanFam4_9"], Enumerable.Range(2, 3).Select(corpus.Id));
        Assert.All(Enumerable.Range(2, 3), t => Assert.True(corpus.Flags(t).HasFlag(TranscriptFlags.Projected)));
        Assert.Equal(corpus.Group(0), corpus.Group(2));
        Assert.Equal(corpus.Group(1), corpus.Group(3));
        Assert.Equal(3, corpus.Groups);
        var e = Assert.Throws<InputDataException>(() => small.Write(o => o with { Sets = [new CorpusSet(CorpusSetKind.Toga, small.Text("x.bed", "c1\t0\t60\tplain\t0\t+\t0\t60\t0\t1\t60,\t0,\n")) { Genome = genome, Species = "x" }] }));
        Assert.Contains("no name of a projection", e.Message);
    }

    [Theory]
    [InlineData("ENST00000646410.TP53.123", "ENST00000646410", "TP53", "123")]
    [InlineData("ENST00000646410.A.B.123", "ENST00000646410", "A.B", "123")]
    [InlineData("ENST00000646410.TP53#123", "ENST00000646410", "TP53", "123")]
    [InlineData("ENST00000646410.123", "ENST00000646410", null, "123")]
    [InlineData("ENST00000646410.TP53.1,2", "ENST00000646410", "TP53", "1,2")]
    public void Names_of_projections_are_taken_apart(string name, string reference, string? gene, string chain)
    {
        Assert.True(TogaId.TryParse(name, out var id));
        Assert.Equal(new TogaId(reference, gene, chain), id);
    }

    [Fact]
    public void Upstream_keeps_chromosomes_1_to_22_of_man_and_mouse()
    {
        using var small = new SmallCorpus();
        string[] contigs = ["chr1", "chrX", "22", "chrM", "chr1_alt", "chrUn", "chr23", "0"];
        string genome = small.Text("g.fa", string.Concat(contigs.Select(c => $">{c}\n{SmallCorpus.Bases(c, 80)}\n")));
        string bed = small.Text("a.bed", string.Concat(contigs.Select(c => $"{c}\t0\t60\tt_{c}\t0\t+\t0\t60\t0\t1\t60,\t0,\n")));
        string[] Ids(string species, bool only)
        {
            using var corpus = small.Build(o => o with { Sets = [new CorpusSet(CorpusSetKind.Annotation, bed) { Genome = genome, Species = species }], AutosomesOnly = only });
            return [.. Enumerable.Range(0, corpus.Count).Select(corpus.Id)];
        }
        small.Add("t", "g");
        Assert.Equal(8, Ids("homo_sapiens", false).Length);
        Assert.Equal(["t_chr1", "t_22"], Ids("homo_sapiens", true));
        Assert.Equal(8, Ids("canis_familiaris", true).Length);
    }
}
