using System.Text;

namespace Orthrus.Rna;

/// <summary>Attributes of one GFF3 row; names are numbers of the tree's pool, -1 where absent.</summary>
internal sealed class Gff3Node
{
    internal int Id = -1, Parent = -1, Type = -1, Name = -1, TranscriptId = -1, GeneId = -1, GeneName = -1, Gene = -1, ProteinId = -1;
    internal int Biotype = -1, GeneBiotype = -1, Contig;
    internal List<int>? MoreParents;
    internal long Line;
    internal byte Strand;
    internal bool Start5, End3, OpenLeft, OpenRight, TransSpliced, Slips, Implied;
}

/// <summary>
/// Parents and children of a GFF3 file. Which node is a transcript follows from what hangs on it:
/// <list type="bullet">
/// <item>a node with exon, CDS or UTR rows is a transcript, unless it is a gene or a protein (TAIR lists the protein as second parent of a CDS);</item>
/// <item>exon rows directly on a gene that has no transcripts make the gene a transcript (pseudogenes, tRNAs);</item>
/// <item>CDS rows directly on a gene go to the transcript of that gene that has no CDS and whose exons hold them; where there is none, each
/// CDS id is a transcript of its own, made of its CDS rows (GenBank, prokaryotes);</item>
/// <item>CDS rows without parent are grouped by their id likewise;</item>
/// <item>a parent that no row defines is reported and skipped: in files cut to a region such transcripts lack exons;</item>
/// <item>an mRNA, transcript or ...RNA row without any of these is reported as having no exons.</item>
/// </list>
/// </summary>
internal sealed class Gff3Tree
{
    /// <summary>A transcript in the making: the node that names it, and its rows.</summary>
    private sealed class Draft
    {
        internal required Gff3Node Node;
        internal int Number;
        internal Gff3Node? Gene;
        internal bool HasExon, HasCds, FromCds;
        internal bool Start5, End3, OpenLeft, OpenRight, TransSpliced, Slips;
    }

    private readonly Dictionary<(int Id, int Contig), Gff3Node> _nodes = [];
    private readonly List<(int Parent, Gff3Node Row, AnnotationRow Part)> _geneLevel = [];
    private readonly Dictionary<(int Id, int Contig), Draft> _drafts = [];
    private readonly List<Draft> _order = [];
    private readonly List<(int Draft, AnnotationRow Row)> _rows = [];
    private readonly List<(int Parent, Gff3Node Row, AnnotationRow Part)> _parts = [];

    private Gff3Node? _slim;

    internal Utf8Pool Names { get; } = new();

    internal void AddNode(Gff3Node node)
    {
        if (_nodes.TryGetValue((node.Id, node.Contig), out var known))
        {
            // A transcript in several rows under one id is how trans-splicing is written.
            known.TransSpliced |= node.TransSpliced || node.Strand != known.Strand;
            return;
        }
        _nodes.Add((node.Id, node.Contig), node);
    }

    internal void AddPart(Gff3Node row, AnnotationRow part)
    {
        _parts.Add((row.Parent, Slim(row, row.Parent, part.Kind), part));
        if (row.MoreParents is null) return;
        foreach (int parent in row.MoreParents) _parts.Add((parent, Slim(row, parent, part.Kind), part));
    }

    // Exon rows under one parent differ in nothing that matters here: they share one object instead of millions.
    private Gff3Node Slim(Gff3Node row, int parent, RowKind kind)
    {
        if (_slim is not null && kind != RowKind.Cds && parent >= 0 && _slim.Parent == parent && _slim.Contig == row.Contig && _slim.TransSpliced == row.TransSpliced
            && _slim.Start5 == row.Start5 && _slim.End3 == row.End3) return _slim;
        return _slim = new Gff3Node
        {
            Parent = parent, Id = kind == RowKind.Cds ? row.Id : -1, Name = row.Name, ProteinId = row.ProteinId, GeneId = row.GeneId, GeneName = row.GeneName,
            Gene = row.Gene, TranscriptId = row.TranscriptId, Contig = row.Contig, Line = row.Line, Strand = row.Strand, Start5 = row.Start5, End3 = row.End3,
            OpenLeft = row.OpenLeft, OpenRight = row.OpenRight, TransSpliced = row.TransSpliced, Slips = row.Slips,
        };
    }

    internal List<AnnotatedTranscript> Finish(List<string> remarks)
    {
        long orphans = 0;
        foreach (var (parent, row, part) in _parts)
        {
            if (parent < 0)
            {
                if (part.Kind == RowKind.Cds) _geneLevel.Add((-1, row, part));
                else orphans++;
                continue;
            }
            if (_nodes.TryGetValue((parent, row.Contig), out var node))
            {
                if (IsProtein(node)) continue;
                if (IsGene(node))
                {
                    _geneLevel.Add((parent, row, part));
                    continue;
                }
            }
            else
            {
                node = new Gff3Node { Id = parent, Contig = row.Contig, Line = row.Line, Strand = row.Strand, GeneId = row.GeneId, GeneName = row.GeneName, Gene = row.Gene, Implied = true };
                _nodes.Add((parent, row.Contig), node);
            }
            Add(DraftOf(node), row, part);
        }
        if (orphans > 0) remarks.Add($"{orphans:N0} exon or UTR rows without Parent left out");
        GeneLevel();
        WithoutRows();
        return Assemble();
    }

    private Draft DraftOf(Gff3Node node)
    {
        if (_drafts.TryGetValue((node.Id, node.Contig), out var draft)) return draft;
        draft = new Draft { Node = node, Number = _order.Count, Gene = GeneOf(node), TransSpliced = node.TransSpliced, Start5 = node.Start5, End3 = node.End3, Slips = node.Slips };
        _drafts.Add((node.Id, node.Contig), draft);
        _order.Add(draft);
        return draft;
    }

    private void Add(Draft draft, Gff3Node row, AnnotationRow part)
    {
        draft.HasExon |= part.Kind == RowKind.Exon;
        draft.HasCds |= part.Kind == RowKind.Cds;
        draft.TransSpliced |= row.TransSpliced;
        if (part.Kind == RowKind.Cds)
        {
            draft.Slips |= row.Slips;
            draft.OpenLeft |= row.OpenLeft;
            draft.OpenRight |= row.OpenRight;
        }
        draft.Start5 |= row.Start5;
        draft.End3 |= row.End3;
        _rows.Add((draft.Number, part));
    }

    // Rows that hang on a gene, or CDS rows that hang on nothing.
    private void GeneLevel()
    {
        if (_geneLevel.Count == 0) return;
        var transcripts = new Dictionary<(int, int), List<Draft>>();
        foreach (var draft in _order)
        {
            if (draft.Gene is not { } gene) continue;
            if (!transcripts.TryGetValue((gene.Id, gene.Contig), out var list)) transcripts.Add((gene.Id, gene.Contig), list = []);
            list.Add(draft);
        }
        var exons = new Dictionary<int, List<(int Start, int End)>>();
        foreach (var (draft, row) in _rows)
        {
            if (row.Kind != RowKind.Exon || !(_order[draft].Gene is { } g && transcripts.ContainsKey((g.Id, g.Contig)))) continue;
            if (!exons.TryGetValue(draft, out var list)) exons.Add(draft, list = []);
            list.Add((row.Start, row.End));
        }

        // Exon, UTR and stop codon rows first: they decide whether the gene itself is a transcript.
        foreach (var (parent, row, part) in _geneLevel)
        {
            if (part.Kind == RowKind.Cds) continue;
            var gene = _nodes[(parent, row.Contig)];
            if (transcripts.ContainsKey((gene.Id, gene.Contig))) continue;
            Add(DraftOf(gene), row, part);
        }
        foreach (var group in _geneLevel.Where(r => r.Part.Kind == RowKind.Cds).GroupBy(r => (r.Parent, r.Row.Contig, Key: CdsKey(r.Row))))
        {
            var parts = group.ToList();
            Draft? home = null;
            if (group.Key.Parent >= 0)
            {
                var gene = _nodes[(group.Key.Parent, group.Key.Contig)];
                if (transcripts.TryGetValue((gene.Id, gene.Contig), out var siblings))
                    home = siblings.FirstOrDefault(d => !d.HasCds && exons.TryGetValue(d.Number, out var e) && parts.TrueForAll(p => e.Exists(x => p.Part.Start >= x.Start && p.Part.End <= x.End)));
                else if (_drafts.TryGetValue((gene.Id, gene.Contig), out var self) && !self.HasCds && !self.FromCds) home = self;
            }
            home ??= CdsTranscript(parts[0].Row, group.Key.Parent);
            foreach (var (_, row, part) in parts) Add(home, row, part);
        }
    }

    // Without an id each row stands for itself.
    private static long CdsKey(Gff3Node row) => row.Id >= 0 ? row.Id : -row.Line - 1;

    private Draft CdsTranscript(Gff3Node row, int parent)
    {
        Gff3Node? gene = parent >= 0 ? _nodes[(parent, row.Contig)] : null;
        var draft = new Draft { Node = row, Number = _order.Count, Gene = gene, FromCds = true, Slips = row.Slips };
        _order.Add(draft);
        return draft;
    }

    // A transcript row on which nothing hangs is reported; a precursor whose children carry the exons is not.
    private void WithoutRows()
    {
        var parents = new HashSet<(int, int)>();
        foreach (var draft in _order)
            for (var n = draft.Node; n.Parent >= 0 && parents.Add((n.Parent, n.Contig)) && _nodes.TryGetValue((n.Parent, n.Contig), out var up); n = up) { }
        foreach (var node in _nodes.Values)
            if (IsTranscript(node) && !_drafts.ContainsKey((node.Id, node.Contig)) && !parents.Contains((node.Id, node.Contig))) DraftOf(node);
    }

    private List<AnnotatedTranscript> Assemble()
    {
        var groups = new RowGroups(_order.Count, _rows);
        var transcripts = new List<AnnotatedTranscript>(_order.Count);
        foreach (var draft in _order.OrderBy(d => d.Node.Line))
        {
            var assembly = TranscriptAssembler.FromRows(groups[draft.Number]);
            bool coding = assembly.CdsEnd > assembly.CdsStart;
            bool open5 = assembly.Minus ? draft.OpenRight : draft.OpenLeft, open3 = assembly.Minus ? draft.OpenLeft : draft.OpenRight;
            transcripts.Add(new AnnotatedTranscript
            {
                Id = TranscriptId(draft), Contig = Names[draft.Node.Contig], GeneId = GeneId(draft), GeneName = GeneName(draft), Biotype = Biotype(draft, coding),
                Minus = assembly.Minus, Exons = assembly.Exons, CdsStart = assembly.CdsStart, CdsEnd = assembly.CdsEnd,
                CdsShifted = coding && (assembly.Shifted || draft.Slips),
                Cds5Incomplete = coding && (draft.Start5 || open5 || assembly.StartsInsideCodon), Cds3Incomplete = coding && (draft.End3 || open3),
                Fault = draft.Node.Implied ? new Fault("parent row missing", $"no row defines the parent {Names[draft.Node.Id]}: the file may be a cut")
                    : draft.TransSpliced ? new Fault("rows on both strands (trans-splicing)", "the source marks it as trans-splicing") : assembly.Fault,
                Line = draft.Node.Line,
            });
        }
        return transcripts;
    }

    private Gff3Node? GeneOf(Gff3Node node)
    {
        var top = node;
        for (int depth = 0; depth < 16 && top.Parent >= 0 && _nodes.TryGetValue((top.Parent, top.Contig), out var up); depth++)
        {
            top = up;
            if (IsGene(top)) return top;
        }
        return top == node ? (IsGene(node) ? node : null) : top;
    }

    private string TranscriptId(Draft draft)
    {
        var node = draft.Node;
        if (draft.FromCds && draft.Gene is { } gene) return GroupedUnderGene(node, gene);
        if (draft.FromCds) return Text(node.ProteinId) ?? Text(node.Name) ?? (node.Id >= 0 ? Bare(Names[node.Id]) : $"CDS_line_{node.Line}");
        // GENCODE tells the copy on Y by its ID alone.
        if (node.TranscriptId >= 0 && !(node.Id >= 0 && Names[node.Id].EndsWith("_PAR_Y", StringComparison.Ordinal))) return Names[node.TranscriptId];
        return Bare(Names[node.Id]);
    }

    private string GroupedUnderGene(Gff3Node cds, Gff3Node gene) =>
        Text(cds.ProteinId) ?? Text(cds.Name) ?? (cds.Id >= 0 ? Bare(Names[cds.Id]) : Bare(Names[gene.Id]));

    private string? GeneId(Draft draft)
    {
        var gene = draft.Gene;
        return Text(gene?.GeneId ?? -1) ?? Text(draft.Node.GeneId) ?? (gene is { Id: >= 0 } ? Bare(Names[gene.Id]) : draft.Node.Parent >= 0 ? Bare(Names[draft.Node.Parent]) : Text(draft.Node.Gene));
    }

    private string? GeneName(Draft draft) =>
        Text(draft.Node.GeneName) ?? Text(draft.Gene?.GeneName ?? -1) ?? Text(draft.Node.Gene) ?? Text(draft.Gene?.Gene ?? -1) ?? Text(draft.Gene?.Name ?? -1);

    private string? Biotype(Draft draft, bool coding)
    {
        if (Text(draft.Node.Biotype) is { } own) return own;
        string? type = Text(draft.Node.Type), gene = Text(draft.Gene?.GeneBiotype ?? -1) ?? Text(draft.Gene?.Biotype ?? -1);
        return type switch
        {
            "mRNA" => "protein_coding",
            "lnc_RNA" or "lncRNA" => "lncRNA",
            null or "transcript" or "primary_transcript" => gene ?? (coding ? "protein_coding" : null),
            _ when draft.Gene == draft.Node || draft.FromCds => gene ?? (coding ? "protein_coding" : type),
            _ => type,
        };
    }

    private string? Text(int number) => number < 0 ? null : Names[number];

    // Ensembl, WormBase and RefSeq put the kind of feature before the identifier.
    private static string Bare(string id)
    {
        foreach (string prefix in new[] { "transcript:", "Transcript:", "gene:", "Gene:", "CDS:", "rna-", "gene-", "cds-", "id-" })
            if (id.StartsWith(prefix, StringComparison.Ordinal) && id.Length > prefix.Length) return id[prefix.Length..];
        return id;
    }

    private bool TypeIs(Gff3Node node, ReadOnlySpan<byte> type) => node.Type >= 0 && Names.Bytes(node.Type).SequenceEqual(type);

    private bool IsProtein(Gff3Node node) => TypeIs(node, "protein"u8) || TypeIs(node, "polypeptide"u8);

    // TAIR's mRNA_TE_gene is the transcript of a transposable_element_gene in spite of its name.
    private bool IsGene(Gff3Node node)
    {
        if (node.Type < 0) return false;
        var type = Names.Bytes(node.Type);
        return (type.EndsWith("gene"u8) && !type.StartsWith("mRNA"u8)) || type.SequenceEqual("mobile_genetic_element"u8) || type.SequenceEqual("gene_segment"u8);
    }

    private bool IsTranscript(Gff3Node node)
    {
        if (node.Type < 0) return false;
        var type = Names.Bytes(node.Type);
        return type.SequenceEqual("transcript"u8) || type.EndsWith("RNA"u8) || type.EndsWith("_transcript"u8);
    }
}
