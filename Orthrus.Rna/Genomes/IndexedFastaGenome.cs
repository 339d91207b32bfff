using Microsoft.Win32.SafeHandles;

namespace Orthrus.Rna;

/// <summary>A plain FASTA genome that stays on disk: each read takes the bytes it needs.</summary>
internal sealed class IndexedFastaGenome : Genome
{
    private readonly SafeFileHandle _file;
    private readonly IReadOnlyList<FastaContig> _contigs;
    private byte[] _buffer = new byte[1 << 14];

    internal IndexedFastaGenome(string path, IReadOnlyList<FastaContig> contigs) : base(path)
    {
        _contigs = contigs;
        foreach (var contig in contigs) AddContig(contig.Name, contig.Length);
        _file = File.OpenHandle(path);
    }

    internal override void Read(int contig, long start, Span<byte> bits)
    {
        var layout = _contigs[contig];
        while (!bits.IsEmpty)
        {
            // A piece of at most 1 MiB at a time bounds the buffer for an exon of any length.
            int piece = Math.Min(bits.Length, 1 << 20);
            long from = layout.At(start), to = layout.At(start + piece - 1) + 1;
            int bytes = (int)(to - from);
            if (_buffer.Length < bytes) _buffer = new byte[bytes];
            ReadFully(_buffer.AsSpan(0, bytes), from, layout);
            Encode(_buffer.AsSpan(0, bytes), (int)(start % layout.LineBases), layout, bits[..piece]);
            bits = bits[piece..];
            start += piece;
        }
    }

    private void ReadFully(Span<byte> into, long offset, FastaContig contig)
    {
        while (!into.IsEmpty)
        {
            int n = RandomAccess.Read(_file, into, offset);
            if (n == 0) throw new InputDataException(Path, "contig " + contig.Name, "the file became shorter while it was read", "leave the genome in place until the end");
            into = into[n..];
            offset += n;
        }
    }

    private void Encode(ReadOnlySpan<byte> text, int column, FastaContig layout, Span<byte> bits)
    {
        var table = Nucleotide.Bits;
        var kinds = Nucleotide.Kinds;
        int lineEnd = layout.LineWidth - layout.LineBases;
        int seen = 0;
        for (int from = 0, to = 0; to < bits.Length;)
        {
            int run = Math.Min(bits.Length - to, layout.LineBases - column);
            for (int i = 0; i < run; i++)
            {
                byte letter = text[from + i];
                bits[to + i] = table[letter];
                seen |= 1 << (kinds[letter] & 15);
            }
            from += run + lineEnd;
            to += run;
            column = 0;
        }
        const int Allowed = 1 << Nucleotide.Base | 1 << Nucleotide.Unknown | 1 << Nucleotide.Ambiguous | 1 << Nucleotide.Gap;
        if ((seen & ~Allowed) != 0)
            throw new InputDataException(Path, "contig " + layout.Name, "holds bytes that are no nucleotides", "check that it is a genome as FASTA, and delete a stale .fai");
    }

    public override void Dispose()
    {
        _file.Dispose();
        base.Dispose();
    }
}
