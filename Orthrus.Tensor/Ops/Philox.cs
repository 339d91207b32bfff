namespace Orthrus.Tensor;

/// <summary>
/// Philox4x32-10: a counter-based generator. A counter and a key give four random words, and nothing else does: any element of a stream is at hand without
/// those before it, on any device.
/// </summary>
/// <remarks>Source: Salmon, Moraes, Dror and Shaw 2011 (Random123), whose known answers it gives.</remarks>
public static class Philox
{
    private const ulong MultiplierA = 0xD2511F53, MultiplierB = 0xCD9E8D57;
    private const uint WeylA = 0x9E3779B9, WeylB = 0xBB67AE85;

    /// <summary>Four words for a counter and a key.</summary>
    /// <param name="c0">Counter, lowest word.</param>
    /// <param name="c1">Counter.</param>
    /// <param name="c2">Counter.</param>
    /// <param name="c3">Counter, highest word.</param>
    /// <param name="k0">Key, low word.</param>
    /// <param name="k1">Key, high word.</param>
    public static (uint W0, uint W1, uint W2, uint W3) Words(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        for (int round = 0; round < 10; round++)
        {
            ulong a = MultiplierA * c0, b = MultiplierB * c2;
            (c0, c1, c2, c3) = ((uint)(b >> 32) ^ c1 ^ k0, (uint)b, (uint)(a >> 32) ^ c3 ^ k1, (uint)a);
            k0 = unchecked(k0 + WeylA);
            k1 = unchecked(k1 + WeylB);
        }
        return (c0, c1, c2, c3);
    }

    /// <summary>Four words of a stream: the words of elements 4 <paramref name="block"/> to 4 <paramref name="block"/> + 3.</summary>
    /// <param name="seed">Key.</param>
    /// <param name="stream">High half of the counter.</param>
    /// <param name="block">Low half of the counter.</param>
    public static (uint W0, uint W1, uint W2, uint W3) Words(ulong seed, ulong stream, ulong block) =>
        Words((uint)block, (uint)(block >> 32), (uint)stream, (uint)(stream >> 32), (uint)seed, (uint)(seed >> 32));
}
