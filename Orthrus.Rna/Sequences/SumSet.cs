using System.Numerics;

namespace Orthrus.Rna;

/// <summary>A set of hash sums, which are their own hashes: at most three quarters of one array are taken, nothing else.</summary>
/// <typeparam name="T">Unsigned integers whose low bits are well mixed.</typeparam>
internal sealed class SumSet<T> where T : unmanaged, IUnsignedNumber<T>, IBinaryInteger<T>
{
    // Zero marks a free place.
    private T[] _places = new T[1 << 10];
    private int _count;
    private bool _zero;

    /// <summary>Takes a sum in; false where it is there.</summary>
    internal bool Add(T sum)
    {
        if (T.IsZero(sum)) return !_zero && (_zero = true);
        if (!Place(_places, sum)) return false;
        if (++_count > _places.Length / 4L * 3) Grow();
        return true;
    }

    private void Grow()
    {
        var larger = new T[checked(_places.Length * 2)];
        foreach (T sum in _places)
            if (!T.IsZero(sum)) Place(larger, sum);
        _places = larger;
    }

    private static bool Place(T[] places, T sum)
    {
        int mask = places.Length - 1;
        // A multiplication spreads sums whose low bits are alike.
        for (int at = (int)((ulong.CreateTruncating(sum) * 0x9E3779B97F4A7C15) >> 32) & mask; ; at = (at + 1) & mask)
        {
            if (T.IsZero(places[at]))
            {
                places[at] = sum;
                return true;
            }
            if (places[at] == sum) return false;
        }
    }
}
