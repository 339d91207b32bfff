using System.Runtime.InteropServices;

namespace Orthrus.Train;

/// <summary>
/// What joins genes into sets: homology, or family. Labels of groups, and names that are no gene (yet), are nodes beside the genes, so that whatever is joined with
/// one of them becomes one set.
/// </summary>
internal sealed class GeneRelation
{
    private readonly List<int> _parent = [], _geneNode = [];
    private readonly Dictionary<string, int> _labels = new(StringComparer.Ordinal), _names = new(StringComparer.Ordinal);

    /// <summary>Adds the gene whose number follows that of the last one added.</summary>
    internal void AddGene() => _geneNode.Add(AddNode());

    /// <summary>Joins two genes.</summary>
    internal void Join(int geneA, int geneB) => JoinNodes(_geneNode[geneA], _geneNode[geneB]);

    /// <summary>A number that genes of one set share, until the next join.</summary>
    internal int SetOf(int gene) => Root(_geneNode[gene]);

    /// <summary>Puts a gene into the group of this label.</summary>
    internal void JoinLabel(int gene, string label) => JoinNodes(_geneNode[gene], Node(_labels, label));

    /// <summary>Joins a gene with a name that may turn out to be that of a transcript.</summary>
    internal void JoinName(int gene, string name) => JoinNodes(_geneNode[gene], Node(_names, name));

    /// <summary>Puts a name that may turn out to be that of a transcript into the group of this label.</summary>
    internal void JoinNameToLabel(string name, string label) => JoinNodes(Node(_names, name), Node(_labels, label));

    /// <summary>True where names wait for transcripts.</summary>
    internal bool NamesWait => _names.Count > 0;

    /// <summary>Joins a name with the gene of the transcript that is so called; false where nobody waits for it.</summary>
    internal bool Resolve(string name, int gene)
    {
        if (!_names.TryGetValue(name, out int node)) return false;
        JoinNodes(node, _geneNode[gene]);
        return true;
    }

    /// <summary>The number of each gene's set, in the order of their first genes.</summary>
    /// <param name="nameOf">Name of a set without label, by its first gene.</param>
    /// <returns>Set of each gene, and the names of the sets: the first label in it, or that of its first gene.</returns>
    internal (int[] SetOf, List<string> Names) Number(Func<int, string> nameOf)
    {
        var named = new Dictionary<int, string>();
        foreach (var (label, node) in _labels) named.TryAdd(Root(node), label);
        var numbers = new Dictionary<int, int>();
        var names = new List<string>();
        var of = new int[_geneNode.Count];
        for (int g = 0; g < of.Length; g++)
        {
            int root = Root(_geneNode[g]);
            if (!numbers.TryGetValue(root, out of[g]))
            {
                numbers.Add(root, of[g] = names.Count);
                names.Add(named.TryGetValue(root, out string? label) ? label : nameOf(g));
            }
        }
        return (of, names);
    }

    private int AddNode()
    {
        _parent.Add(_parent.Count);
        return _parent.Count - 1;
    }

    private int Node(Dictionary<string, int> nodes, string text)
    {
        ref int node = ref CollectionsMarshal.GetValueRefOrAddDefault(nodes, text, out bool known);
        if (!known) node = AddNode();
        return node;
    }

    private int Root(int node)
    {
        while (_parent[node] != node) node = _parent[node] = _parent[_parent[node]];
        return node;
    }

    private void JoinNodes(int a, int b)
    {
        a = Root(a);
        b = Root(b);
        if (a < b) _parent[b] = a;
        else _parent[a] = b;
    }
}
