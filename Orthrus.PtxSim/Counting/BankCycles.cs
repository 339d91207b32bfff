using System.Numerics;

namespace Orthrus.PtxSim.Execution;

/// <summary>
/// Cycles of an access to the 32 banks of shared memory: of each phase the largest number of distinct 4-byte words in one bank. 8-byte accesses go
/// in two phases of 16 lanes, 16-byte accesses in four of 8, even where lanes share addresses.
/// </summary>
internal static unsafe class BankCycles
{
    public static void Count(int* offsets, uint mask, int width, out int cycles, out int ideal, out int bytes)
    {
        int phases = width <= 4 ? 1 : width / 4;
        int lanes = 32 / phases;
        cycles = 0;
        ideal = 0;
        bytes = 0;
        Span<int> words = stackalloc int[128];
        Span<int> perBank = stackalloc int[32];
        for (int phase = 0; phase < phases; phase++)
        {
            uint active = lanes == 32 ? mask : mask >> (phase * lanes) & ((1u << lanes) - 1);
            if (active == 0)
                continue;
            int count = 0;
            perBank.Clear();
            for (; active != 0; active &= active - 1)
            {
                int lane = (phase * lanes) + BitOperations.TrailingZeroCount(active);
                int first = offsets[lane] >> 2, last = (offsets[lane] + width - 1) >> 2;
                for (int w = first; w <= last; w++)
                {
                    if (words[..count].Contains(w))
                        continue;
                    words[count++] = w;
                    perBank[w & 31]++;
                }
            }

            int most = 0;
            foreach (int n in perBank)
                most = Math.Max(most, n);
            cycles += most;
            ideal++;
            bytes += count * 4;
        }
    }
}
