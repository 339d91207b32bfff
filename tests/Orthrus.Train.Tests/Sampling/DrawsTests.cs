namespace Orthrus.Train.Tests.Sampling;

/// <summary>Draws are exact in number, uniform in place, and depend on their key alone.</summary>
public class DrawsTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 2)]
    [InlineData(37, 11)]
    [InlineData(300, 1)]
    [InlineData(300, 299)]
    [InlineData(300, 300)]
    [InlineData(5000, 1500)]
    [InlineData(9000, 8999)]
    public void Sets_have_exactly_the_wanted_number(int length, int count)
    {
        var set = new byte[length];
        for (uint sample = 0; sample < 50; sample++)
        {
            new Draws(3, 1, sample, DrawFor.MaskAll).Positions(set, count);
            Assert.Equal(count, set.Count(b => b == 255));
            Assert.Equal(length - count, set.Count(b => b == 0));
        }
    }

    [Theory]
    [InlineData(5, 2)]
    [InlineData(6, 3)]
    [InlineData(6, 5)]
    public void Every_set_is_as_likely_as_any_other(int length, int count)
    {
        const int Trials = 60_000;
        var seen = new Dictionary<int, int>();
        var set = new byte[length];
        for (uint sample = 0; sample < Trials; sample++)
        {
            new Draws(11, 0, sample, DrawFor.MaskCds).Positions(set, count);
            int key = Enumerable.Range(0, length).Sum(i => set[i] == 0 ? 0 : 1 << i);
            seen[key] = seen.GetValueOrDefault(key) + 1;
        }
        double sets = 1;
        for (int i = 0; i < count; i++) sets = sets * (length - i) / (i + 1);
        Assert.Equal((int)Math.Round(sets), seen.Count);
        double expected = Trials / sets, chi = seen.Values.Sum(n => (n - expected) * (n - expected) / expected);
        // Mean k, standard deviation sqrt(2k): five of them away has a chance of about one in a million, and the draws are fixed.
        Assert.InRange(chi, 0, sets + 5 * Math.Sqrt(2 * sets));
    }

    [Fact]
    public void Positions_of_a_long_set_are_uniform()
    {
        const int Length = 700, Count = 210, Trials = 4000;
        var hits = new int[Length];
        var set = new byte[Length];
        for (uint sample = 0; sample < Trials; sample++)
        {
            new Draws(4, 2, sample, DrawFor.MaskSequence, 1).Positions(set, Count);
            for (int i = 0; i < Length; i++) hits[i] += set[i] & 1;
        }
        const double P = (double)Count / Length;
        double deviation = Math.Sqrt(Trials * P * (1 - P));
        Assert.All(hits, h => Assert.InRange(h, Trials * P - 5 * deviation, Trials * P + 5 * deviation));
    }

    [Fact]
    public void Marks_are_thinned_as_a_uniform_set_of_all_positions_would()
    {
        // 20 positions with marks at four of them, 6 positions drawn: the number of marks hit is hypergeometric, and each is hit alike.
        const int Trials = 40_000;
        int[] marks = [0, 7, 8, 19];
        var number = new int[5];
        var each = new int[4];
        for (uint sample = 0; sample < Trials; sample++)
        {
            var tracks = new byte[20];
            Array.Fill(tracks, (byte)5);
            foreach (int m in marks) tracks[m] |= 32;
            new Draws(2, 0, sample, DrawFor.MaskSplice).Thin(tracks, 32, 6);
            Assert.All(tracks, b => Assert.Equal(5, b & 31));
            for (int m = 0; m < 4; m++) each[m] += (tracks[marks[m]] & 32) == 0 ? 1 : 0;
            number[marks.Count(m => (tracks[m] & 32) == 0)]++;
        }
        double[] expected = [.. Enumerable.Range(0, 5).Select(k => Trials * Choose(4, k) * Choose(16, 6 - k) / Choose(20, 6))];
        double chi = number.Zip(expected).Sum(x => (x.First - x.Second) * (x.First - x.Second) / x.Second);
        Assert.InRange(chi, 0, 5 + 5 * Math.Sqrt(10));
        Assert.All(each, n => Assert.InRange(n, 0.3 * Trials - 5 * Math.Sqrt(0.21 * Trials), 0.3 * Trials + 5 * Math.Sqrt(0.21 * Trials)));
        byte[] all = [.. Enumerable.Repeat((byte)63, 100)];
        new Draws(1, 0, 0, DrawFor.MaskCds).Thin(all, 16, 30);
        Assert.Equal(30, all.Count(b => b == 47));

        static double Choose(int n, int k) => Enumerable.Range(0, k).Aggregate(1.0, (c, i) => c * (n - i) / (i + 1));
    }

    [Fact]
    public void Below_is_uniform_and_below()
    {
        var draws = new Draws(1, 0, 0, DrawFor.Order);
        var counts = new int[7];
        for (int i = 0; i < 70_000; i++) counts[draws.Below(7)]++;
        Assert.All(counts, c => Assert.InRange(c, 9_500, 10_500));
        Assert.Equal(0, draws.Below(1));
    }

    [Fact]
    public void A_key_gives_its_own_numbers_whatever_was_drawn_before()
    {
        static uint First(ulong seed, uint epoch, uint sample, DrawFor purpose, int view) => new Draws(seed, epoch, sample, purpose, view).Next();
        uint one = First(1, 2, 3, DrawFor.Crop, 0);
        Assert.Equal(one, First(1, 2, 3, DrawFor.Crop, 0));
        Assert.Equal(6, new HashSet<uint> { one, First(2, 2, 3, DrawFor.Crop, 0), First(1, 3, 3, DrawFor.Crop, 0), First(1, 2, 4, DrawFor.Crop, 0), First(1, 2, 3, DrawFor.MaskCds, 0), First(1, 2, 3, DrawFor.Crop, 1) }.Count);
        Assert.NotEqual(one, First(1UL << 32 | 1, 2, 3, DrawFor.Crop, 0));
    }
}
