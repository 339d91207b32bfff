using System.Globalization;
using System.Text;

namespace Orthrus.Mamba.Outputs;

/// <summary>
/// Header of NumPy's array format 1.0 (numpy.lib.format), always <see cref="Size"/> bytes long, so that it can be rewritten when the
/// number of rows is known.
/// </summary>
internal static class NpyHeader
{
    internal const int Size = 128;

    /// <summary>The header.</summary>
    /// <param name="descr">NumPy's name of the element type, e.g. "&lt;f4".</param>
    /// <param name="shape">Dimensions, C order.</param>
    internal static byte[] Of(string descr, params ReadOnlySpan<long> shape)
    {
        var text = new StringBuilder("{'descr': '").Append(descr).Append("', 'fortran_order': False, 'shape': (");
        for (int i = 0; i < shape.Length; i++)
            text.Append(i > 0 ? ", " : "").Append(shape[i].ToString(CultureInfo.InvariantCulture));
        text.Append(shape.Length == 1 ? ",), }" : "), }");
        var header = new byte[Size];
        header.AsSpan().Fill((byte)' ');
        header[0] = 0x93;
        "NUMPY"u8.CopyTo(header.AsSpan(1));
        header[6] = 1;
        header[7] = 0;
        header[8] = Size - 10;
        header[9] = 0;
        Encoding.ASCII.GetBytes(text.ToString(), header.AsSpan(10));
        header[^1] = (byte)'\n';
        return header;
    }

    internal static string Descr(EmbeddingDType type) => type == EmbeddingDType.F64 ? "<f8" : "<f4";
}

/// <summary>npy: one array (records, width); identifiers are in the index beside it.</summary>
internal sealed class NpyEmbeddings : EmbeddingWriter
{
    internal NpyEmbeddings(Stream stream, EmbeddingLayout layout) : base(stream, layout) => stream.Write(Header());

    private protected override void AddVector(string id, long length, ReadOnlySpan<float> single, ReadOnlySpan<double> wide) =>
        Stream.Write(Bytes(single, wide));

    private protected override void ReplayRecord(string id, long length)
    {
        if (Stream.Position + Layout.VectorBytes > Stream.Length) throw NotHeld(id);
        Stream.Position += Layout.VectorBytes;
    }

    private protected override ReadOnlyMemory<byte> FinishStream()
    {
        Patch(0, Header());
        return default;
    }

    private byte[] Header() => NpyHeader.Of(NpyHeader.Descr(Layout.DType), Records, Layout.Width);
}
