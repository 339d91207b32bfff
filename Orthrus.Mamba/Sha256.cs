using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Mamba;

/// <summary>
/// SHA-256 (FIPS 180-4). .NET's own comes from OpenSSL on Linux, which a bare machine need not have and which takes a while to load.
/// </summary>
internal sealed class Sha256
{
    private const int BlockSize = 64;

    private static ReadOnlySpan<uint> Constants =>
    [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
        0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
        0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
        0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    ];

    private readonly uint[] _state = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
    private readonly byte[] _rest = new byte[BlockSize];
    private long _length;

    /// <summary>Sum of everything that a stream still holds, as lower-case hex.</summary>
    internal static string OfStream(Stream stream)
    {
        var sum = new Sha256();
        var buffer = new byte[1 << 17];
        while (stream.Read(buffer) is > 0 and var n) sum.Append(buffer.AsSpan(0, n));
        return sum.Finish();
    }

    internal void Append(ReadOnlySpan<byte> bytes)
    {
        int held = (int)(_length % BlockSize);
        _length += bytes.Length;
        if (held > 0)
        {
            int take = Math.Min(BlockSize - held, bytes.Length);
            bytes[..take].CopyTo(_rest.AsSpan(held));
            bytes = bytes[take..];
            if (held + take < BlockSize) return;
            Blocks(_rest);
        }
        int whole = bytes.Length / BlockSize * BlockSize;
        Blocks(bytes[..whole]);
        bytes[whole..].CopyTo(_rest);
    }

    /// <summary>The sum as lower-case hex. Nothing may be appended afterwards.</summary>
    internal string Finish()
    {
        long bits = 8 * _length;
        Span<byte> end = stackalloc byte[2 * BlockSize];
        end.Clear();
        end[0] = 0x80;
        int padding = (int)((BlockSize + 56 - 1 - _length % BlockSize) % BlockSize) + 1;
        BinaryPrimitives.WriteInt64BigEndian(end[padding..], bits);
        Append(end[..(padding + 8)]);
        Span<byte> sum = stackalloc byte[32];
        for (int i = 0; i < 8; i++) BinaryPrimitives.WriteUInt32BigEndian(sum[(4 * i)..], _state[i]);
        return Convert.ToHexStringLower(sum);
    }

    private void Blocks(ReadOnlySpan<byte> bytes)
    {
        Span<uint> w = stackalloc uint[64];
        uint[] s = _state;
        for (; bytes.Length > 0; bytes = bytes[BlockSize..])
        {
            for (int i = 0; i < 16; i++) w[i] = BinaryPrimitives.ReadUInt32BigEndian(bytes[(4 * i)..]);
            for (int i = 16; i < 64; i++)
            {
                uint x = w[i - 15], y = w[i - 2];
                w[i] = w[i - 16] + (BitOperations.RotateRight(x, 7) ^ BitOperations.RotateRight(x, 18) ^ (x >> 3))
                    + w[i - 7] + (BitOperations.RotateRight(y, 17) ^ BitOperations.RotateRight(y, 19) ^ (y >> 10));
            }
            uint a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
            // Eight rounds bring every variable back to its place.
            for (int i = 0; i < 64; i += 8)
            {
                Round(a, b, c, ref d, e, f, g, ref h, w[i] + Constants[i]);
                Round(h, a, b, ref c, d, e, f, ref g, w[i + 1] + Constants[i + 1]);
                Round(g, h, a, ref b, c, d, e, ref f, w[i + 2] + Constants[i + 2]);
                Round(f, g, h, ref a, b, c, d, ref e, w[i + 3] + Constants[i + 3]);
                Round(e, f, g, ref h, a, b, c, ref d, w[i + 4] + Constants[i + 4]);
                Round(d, e, f, ref g, h, a, b, ref c, w[i + 5] + Constants[i + 5]);
                Round(c, d, e, ref f, g, h, a, ref b, w[i + 6] + Constants[i + 6]);
                Round(b, c, d, ref e, f, g, h, ref a, w[i + 7] + Constants[i + 7]);
            }
            s[0] += a; s[1] += b; s[2] += c; s[3] += d; s[4] += e; s[5] += f; s[6] += g; s[7] += h;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Round(uint a, uint b, uint c, ref uint d, uint e, uint f, uint g, ref uint h, uint word)
    {
        uint one = h + (BitOperations.RotateRight(e, 6) ^ BitOperations.RotateRight(e, 11) ^ BitOperations.RotateRight(e, 25)) + (g ^ (e & (f ^ g))) + word;
        d += one;
        h = one + (BitOperations.RotateRight(a, 2) ^ BitOperations.RotateRight(a, 13) ^ BitOperations.RotateRight(a, 22)) + ((a & b) | (c & (a | b)));
    }
}
