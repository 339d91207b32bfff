using System.Runtime.InteropServices;
using Orthrus.Tensor;

namespace Orthrus.Train;

/// <summary>What a draw is for: part of its key, so that one transform more or less changes no draw of another.</summary>
internal enum DrawFor : byte
{
    Order = 1, Batches, Partner, CombineUtr, Crop, MaskCds, MaskSplice, DropCds, DropSplice, MaskSequence, MaskAll, Split, Fragment, CropSize,
}

/// <summary>
/// Random numbers of one purpose: Philox words of a counter that is made of epoch, sample, view and purpose, under the seed as key. What was drawn for other
/// samples has no influence.
/// </summary>
/// <param name="seed">Key.</param>
/// <param name="epoch">Epoch, from 0.</param>
/// <param name="sample">Transcript, or any number that tells samples apart.</param>
/// <param name="purpose">What it is for.</param>
/// <param name="view">0 for the first view or the pair, 1 for the second view.</param>
internal struct Draws(ulong seed, uint epoch, uint sample, DrawFor purpose, int view = 0)
{
    private readonly uint _key0 = (uint)seed, _key1 = (uint)(seed >> 32), _use = (uint)purpose << 8 | (uint)view;
    private uint _block, _w1, _w2, _w3;
    private int _left;

    /// <summary>The next 32 bits.</summary>
    internal uint Next()
    {
        switch (_left--)
        {
            case 3: return _w1;
            case 2: return _w2;
            case 1: return _w3;
        }
        _left = 3;
        (uint word, _w1, _w2, _w3) = Philox.Words(_block++, sample, epoch, _use, _key0, _key1);
        return word;
    }

    /// <summary>A number from 0 to below <paramref name="limit"/>, every one with exactly the same chance.</summary>
    /// <remarks>Source: Lemire 2019, "Fast random integer generation in an interval".</remarks>
    internal int Below(int limit)
    {
        ulong product = (ulong)Next() * (uint)limit;
        if ((uint)product < (uint)limit)
        {
            uint threshold = (uint)-limit % (uint)limit;
            while ((uint)product < threshold) product = (ulong)Next() * (uint)limit;
        }
        return (int)(product >> 32);
    }

    /// <summary>True with this probability, to 2^-32.</summary>
    internal bool Chance(double probability) => Next() < probability * 4294967296.0;

    /// <summary>A number from 0 to below 1.</summary>
    internal double Share() => Next() / 4294967296.0;

    /// <summary>Fills a buffer with random bytes, in whole blocks of 16; what was left of the current block is dropped.</summary>
    internal void Fill(Span<byte> bytes)
    {
        _left = 0;
        var words = MemoryMarshal.Cast<byte, uint>(bytes);
        int i = 0;
        for (; i + 4 <= words.Length; i += 4)
            (words[i], words[i + 1], words[i + 2], words[i + 3]) = Philox.Words(_block++, sample, epoch, _use, _key0, _key1);
        Span<uint> last = stackalloc uint[4];
        (last[0], last[1], last[2], last[3]) = Philox.Words(_block++, sample, epoch, _use, _key0, _key1);
        int done = i * 4;
        MemoryMarshal.AsBytes(last)[..(bytes.Length - done)].CopyTo(bytes[done..]);
    }

    /// <summary>Puts items into random order.</summary>
    internal void Shuffle<T>(Span<T> items)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int j = Below(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    /// <summary>
    /// Draws a set of exactly <paramref name="count"/> positions, every set with the same chance: 255 where a position is in the set, else 0.
    /// </summary>
    /// <remarks>
    /// Each position is first drawn alone, from one byte, with a chance near the wanted share. Given how many that hit, every set of that many is as likely as any
    /// other; taking out or adding uniform positions until the number is right keeps it so.
    /// </remarks>
    internal void Positions(Span<byte> set, int count)
    {
        Fill(set);
        byte threshold = (byte)Math.Min(255, (int)(256.0 * count / Math.Max(1, set.Length) + 0.5));
        int hit = BelowThreshold(set, threshold);
        for (; hit > count; hit--) Turn(set, 255, 0);
        for (; hit < count; hit++) Turn(set, 0, 255);
    }

    /// <summary>
    /// Clears a bit at exactly <paramref name="count"/> distinct positions, every set of positions with the same chance, without drawing the positions that do
    /// not bear it: for marks, which are few.
    /// </summary>
    /// <remarks>
    /// Selection sampling (Knuth, The Art of Computer Programming 2, algorithm S) with the marked positions first: which positions come first does not
    /// matter to a uniform set, and after the marked ones nothing is left to be cleared.
    /// </remarks>
    internal void Thin(Span<byte> tracks, byte bit, int count)
    {
        ulong bits = bit * 0x0101010101010101UL;
        int left = tracks.Length;
        for (int i = 0; i < tracks.Length && count > 0; i++)
        {
            if (i + 8 <= tracks.Length && (System.Runtime.CompilerServices.Unsafe.ReadUnaligned<ulong>(ref tracks[i]) & bits) == 0)
            {
                i += 7;
                continue;
            }
            if ((tracks[i] & bit) == 0) continue;
            if (Below(left--) >= count) continue;
            tracks[i] &= (byte)~bit;
            count--;
        }
    }

    private void Turn(Span<byte> set, byte from, byte to)
    {
        int i;
        do i = Below(set.Length);
        while (set[i] != from);
        set[i] = to;
    }

    // 255 where a byte is below the threshold, else 0; returns how many are.
    private static int BelowThreshold(Span<byte> bytes, byte threshold)
    {
        int hits = 0, i = 0;
        if (System.Numerics.Vector.IsHardwareAccelerated)
        {
            var limit = new System.Numerics.Vector<byte>(threshold);
            int width = System.Numerics.Vector<byte>.Count;
            while (i + width <= bytes.Length)
            {
                // A lane counts at most 255 hits before it is summed.
                var counts = System.Numerics.Vector<byte>.Zero;
                for (int n = 0; n < 255 && i + width <= bytes.Length; n++, i += width)
                {
                    var hit = System.Numerics.Vector.LessThan(new System.Numerics.Vector<byte>(bytes[i..]), limit);
                    hit.CopyTo(bytes[i..]);
                    counts -= hit;
                }
                System.Numerics.Vector.Widen(counts, out var low, out var high);
                hits += System.Numerics.Vector.Sum(low) + System.Numerics.Vector.Sum(high);
            }
        }
        for (; i < bytes.Length; i++)
        {
            bool hit = bytes[i] < threshold;
            bytes[i] = hit ? (byte)255 : (byte)0;
            hits += hit ? 1 : 0;
        }
        return hits;
    }
}
