using System.Buffers.Binary;

namespace Orthrus.Rna;

/// <summary>A 2bit genome.</summary>
internal static class TwoBitGenome
{
    internal const uint Signature = 0x1A412743;

    internal static bool HasSignature(ReadOnlySpan<byte> head) => head.Length >= 4
        && (BinaryPrimitives.ReadUInt32LittleEndian(head) == Signature || BinaryPrimitives.ReadUInt32BigEndian(head) == Signature);
}
