namespace Orthrus.Train;

/// <summary>
/// The generator MT19937 (Matsumoto and Nishimura, 1998), seeded and used for shuffling as NumPy's legacy generator and as CPython's <c>random</c> do it:
/// splits that were drawn by those are drawn here as well, row for row.
/// </summary>
public sealed class MersenneTwister
{
    private const int Words = 624, Middle = 397;

    private readonly uint[] _state = new uint[Words];
    private readonly bool _python;
    private int _next = Words;

    private MersenneTwister(uint seed, bool python)
    {
        _python = python;
        Fill(seed);
    }

    /// <summary>As <c>numpy.random.seed(seed)</c>.</summary>
    /// <param name="seed">Any 32-bit number.</param>
    public static MersenneTwister NumPy(uint seed) => new(seed, python: false);

    /// <summary>As <c>random.seed(seed)</c> of CPython.</summary>
    /// <param name="seed">Any number; its sign does not count.</param>
    public static MersenneTwister Python(long seed)
    {
        var generator = new MersenneTwister(19650218, python: true);
        ulong size = (ulong)Int128.Abs(seed);
        generator.Mix(size <= uint.MaxValue ? [(uint)size] : [(uint)size, (uint)(size >> 32)]);
        return generator;
    }

    /// <summary>The next 32 random bits.</summary>
    public uint NextUInt32()
    {
        if (_next == Words) Twist();
        uint y = _state[_next++];
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c5680;
        y ^= y << 15 & 0xefc60000;
        return y ^ y >> 18;
    }

    /// <summary>Shuffles as <c>numpy.random.shuffle</c> or <c>random.shuffle</c> does, whichever the generator was made for.</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int j = _python ? BelowPython((uint)i + 1) : UpToNumPy((uint)i);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    /// <summary>0 to n - 1 in random order: <c>numpy.random.permutation(n)</c>, the first k of which are <c>numpy.random.choice(n, k, replace=False)</c>.</summary>
    public int[] Permutation(int n)
    {
        int[] items = [.. Enumerable.Range(0, n)];
        Shuffle<int>(items);
        return items;
    }

    // Rejection under the smallest mask of ones that covers the bound.
    private int UpToNumPy(uint bound)
    {
        uint mask = uint.MaxValue >> System.Numerics.BitOperations.LeadingZeroCount(bound), u;
        do u = NextUInt32() & mask;
        while (u > bound);
        return (int)u;
    }

    /// <summary>A number from 0 to below <paramref name="count"/> as CPython draws it.</summary>
    internal int BelowPython(uint count)
    {
        int shift = System.Numerics.BitOperations.LeadingZeroCount(count);
        uint u;
        do u = NextUInt32() >> shift;
        while (u >= count);
        return (int)u;
    }

    private void Fill(uint seed)
    {
        _state[0] = seed;
        for (uint i = 1; i < Words; i++) _state[i] = 1812433253 * Previous(i) + i;
    }

    // Seeding by an array of fewer keys than there are words.
    private void Mix(ReadOnlySpan<uint> keys)
    {
        uint i = 1;
        for (int k = 0; k < Words; k++)
        {
            int j = k % keys.Length;
            _state[i] = (_state[i] ^ Previous(i) * 1664525) + keys[j] + (uint)j;
            Advance(ref i);
        }
        for (int k = 0; k < Words - 1; k++)
        {
            _state[i] = (_state[i] ^ Previous(i) * 1566083941) - i;
            Advance(ref i);
        }
        _state[0] = 0x80000000;
    }

    private uint Previous(uint i) => _state[i - 1] ^ _state[i - 1] >> 30;

    private void Advance(ref uint i)
    {
        if (++i < Words) return;
        _state[0] = _state[Words - 1];
        i = 1;
    }

    private void Twist()
    {
        for (int i = 0; i < Words; i++)
        {
            uint y = _state[i] & 0x80000000 | _state[(i + 1) % Words] & 0x7fffffff;
            _state[i] = _state[(i + Middle) % Words] ^ y >> 1 ^ ((y & 1) == 0 ? 0 : 0x9908b0df);
        }
        _next = 0;
    }
}
