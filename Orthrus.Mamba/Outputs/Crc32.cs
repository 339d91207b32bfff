using System.Buffers.Binary;

namespace Orthrus.Mamba.Outputs;

/// <summary>CRC-32 of zip and gzip (polynomial 0x04C11DB7, reflected), eight bytes a step through eight tables.</summary>
internal struct Crc32
{
    private static readonly uint[] Tables = MakeTables();
    private uint _inverse;

    /// <summary>The sum of everything appended; 0 for nothing.</summary>
    internal readonly uint Value => _inverse;

    internal void Append(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~_inverse;
        uint[] t = Tables;
        while (bytes.Length >= 8)
        {
            uint low = BinaryPrimitives.ReadUInt32LittleEndian(bytes) ^ crc;
            uint high = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            crc = t[(7 << 8) + (byte)low] ^ t[(6 << 8) + (byte)(low >> 8)] ^ t[(5 << 8) + (byte)(low >> 16)] ^ t[(4 << 8) + (int)(low >> 24)]
                ^ t[(3 << 8) + (byte)high] ^ t[(2 << 8) + (byte)(high >> 8)] ^ t[(1 << 8) + (byte)(high >> 16)] ^ t[(int)(high >> 24)];
            bytes = bytes[8..];
        }
        foreach (byte b in bytes) crc = t[(byte)(crc ^ b)] ^ (crc >> 8);
        _inverse = ~crc;
    }

    private static uint[] MakeTables()
    {
        var t = new uint[8 << 8];
        for (uint i = 0; i < 256; i++)
        {
            uint c = i;
            for (int k = 0; k < 8; k++) c = (c & 1) != 0 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
            t[i] = c;
        }
        for (int k = 1; k < 8; k++)
            for (int i = 0; i < 256; i++)
                t[(k << 8) + i] = t[(byte)t[((k - 1) << 8) + i]] ^ (t[((k - 1) << 8) + i] >> 8);
        return t;
    }
}
