using System.Buffers.Binary;
using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>
/// A reference set as plain models and letters, read with code of the tests' own: split at tabs, nothing checked, every row believed.
/// </summary>
/// <param name="Annotations">All annotation files of the set; each holds the same transcripts.</param>
/// <param name="Genomes">All genome files of the set; each holds the same bases.</param>
internal sealed record RealSet(string[] Annotations, string[] Genomes, List<Model> Models, List<(string Name, string Bases)> Contigs)
{
    internal static RealSet Load(string folder, string annotations, string genomes)
    {
        string root = Data(folder.Split('/'));
        string[] a = annotations.Split(' ').Select(f => Path.Combine(root, f)).ToArray(), g = genomes.Split(' ').Select(f => Path.Combine(root, f)).ToArray();
        return new RealSet(a, g, ModelsOf(a[0]), ReadGenome(g[0]));
    }

    /// <summary>Track bytes of every model, in order.</summary>
    internal List<byte[]> Splice()
    {
        var bases = Contigs.ToDictionary(c => c.Name, c => c.Bases);
        return Models.Select(m => m.Splice(bases[m.Contig])).ToList();
    }

    internal static List<(string Name, string Bases)> ReadGenome(string path) =>
        path.EndsWith(".2bit", StringComparison.Ordinal) ? TwoBit(File.ReadAllBytes(path)) : Fasta(path).Select(c => (c.Key, c.Value)).ToList();

    internal static List<Model> ModelsOf(string path)
    {
        var rows = Text(path).Split('\n').Where(l => l.Length > 0 && l[0] != '#').Select(l => l.TrimEnd('\r').Split('\t')).ToList();
        string name = Path.GetFileName(path);
        if (name.Contains(".bed")) return rows.Select(Bed).ToList();
        if (name.EndsWith("refGene.txt", StringComparison.Ordinal)) return rows.Select(f => GenePred(f[1], f[12], f[2..])).ToList();
        if (name.EndsWith(".refflat", StringComparison.Ordinal)) return rows.Select(f => GenePred(f[1], f[0], f[2..])).ToList();
        return name.Contains(".gtf") ? Gtf(rows) : Gff3(rows);
    }

    private static Model Bed(string[] f)
    {
        int start = int.Parse(f[1]), cs = int.Parse(f[6]), ce = int.Parse(f[7]);
        var exons = Numbers(f[11]).Zip(Numbers(f[10]), (at, size) => (start + at, start + at + size));
        return new Model(f[3], f[3], f[0], f[5] == "-", [.. exons], cs == ce ? null : (cs, ce));
    }

    private static Model GenePred(string id, string gene, string[] f)
    {
        int cs = int.Parse(f[4]), ce = int.Parse(f[5]);
        return new Model(id, gene, f[0], f[1] == "-", [.. Numbers(f[7]).Zip(Numbers(f[8]))], cs == ce ? null : (cs, ce));
    }

    private static IEnumerable<int> Numbers(string list) => list.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse);

    private static List<Model> Gtf(List<string[]> rows)
    {
        string Value(string[] f, string key) => f[8].Split(key + " \"")[1].Split('"')[0];
        return rows.Where(f => f[2] is "exon" or "CDS" or "stop_codon").GroupBy(f => Value(f, "transcript_id"))
            .Select(g => Build(g.Key, Value(g.First(), "gene_id"), g.Where(f => f[2] == "exon"), g.Where(f => f[2] != "exon"))).ToList();
    }

    private static List<Model> Gff3(List<string[]> rows)
    {
        string? Value(string[] f, string key) => f[8].Split(';').FirstOrDefault(a => a.StartsWith(key + "=", StringComparison.Ordinal))?[(key.Length + 1)..];
        var parentOf = new Dictionary<string, string?>();
        foreach (var f in rows.Where(f => f.Length == 9 && f[2] != "CDS" && f[2] != "exon"))
            if (Value(f, "ID") is { } id) parentOf.TryAdd(id, Value(f, "Parent"));
        ILookup<string, string[]> Hanging(Func<string, bool> type) => rows.Where(f => f.Length == 9 && type(f[2]))
            .SelectMany(f => (Value(f, "Parent") ?? "").Split(',').Select(p => (Parent: p, Row: f))).ToLookup(x => x.Parent, x => x.Row);
        var exons = Hanging(t => t is "exon" or "pseudogenic_exon");
        var cds = Hanging(t => t == "CDS");
        var models = new List<Model>();
        foreach (var g in exons.Where(g => parentOf.ContainsKey(g.Key)))
        {
            var own = cds[g.Key];
            // GenBank hangs the CDS that slips on the gene; such a gene has one transcript here.
            if (!own.Any() && parentOf[g.Key] is { } gene) own = cds[gene];
            models.Add(Build(Value(g.First(), "transcript_id") ?? Bare(g.Key), Bare(parentOf[g.Key] ?? g.Key), g, own));
        }
        // A CDS alone on its gene is its own exon.
        var genes = rows.Where(f => f.Length == 9 && f[2].EndsWith("gene", StringComparison.Ordinal)).Select(f => Value(f, "ID")).ToHashSet();
        var genesWithTranscript = parentOf.Where(p => p.Value is not null && exons.Contains(p.Key)).Select(p => p.Value!).ToHashSet();
        foreach (var g in cds.Where(g => genes.Contains(g.Key) && !exons.Contains(g.Key) && !genesWithTranscript.Contains(g.Key)))
            models.Add(Build(Value(g.First(), "protein_id") ?? Bare(Value(g.First(), "ID")!), Bare(g.Key), g, g));
        return models;
    }

    internal static string Bare(string id)
    {
        foreach (string prefix in new[] { "Transcript:", "transcript:", "Gene:", "gene:", "rna-", "gene-", "cds-" }) if (id.StartsWith(prefix, StringComparison.Ordinal)) return id[prefix.Length..];
        return id;
    }

    private static Model Build(string id, string gene, IEnumerable<string[]> exons, IEnumerable<string[]> coding)
    {
        (int, int)[] Places(IEnumerable<string[]> rows) => [.. rows.Select(f => (int.Parse(f[3]) - 1, int.Parse(f[4]))).Distinct().Order()];
        var cds = Places(coding);
        var first = exons.First();
        return new Model(id, gene, first[0], first[6] == "-", Places(exons), cds.Length == 0 ? null : (cds[0].Item1, cds.Max(x => x.Item2)));
    }

    private static List<(string, string)> TwoBit(byte[] file)
    {
        int Word(int at) => (int)BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at));
        var contigs = new List<(string, string)>();
        for (int i = 0, at = 16; i < Word(8); i++)
        {
            string name = System.Text.Encoding.ASCII.GetString(file, at + 1, file[at]);
            int record = Word(at + 1 + file[at]);
            at += 5 + file[at];
            int length = Word(record), unknown = Word(record + 4), masks = Word(record + 8 + 8 * unknown), packed = record + 16 + 8 * unknown + 8 * masks;
            var bases = new char[length];
            for (int p = 0; p < length; p++) bases[p] = "TCAG"[(file[packed + p / 4] >> (6 - 2 * (p % 4))) & 3];
            for (int n = 0; n < unknown; n++) Array.Fill(bases, 'N', Word(record + 8 + 4 * n), Word(record + 8 + 4 * (unknown + n)));
            contigs.Add((name, new string(bases)));
        }
        return contigs;
    }
}
