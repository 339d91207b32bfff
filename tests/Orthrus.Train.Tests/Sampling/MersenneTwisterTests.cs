namespace Orthrus.Train.Tests.Sampling;

/// <summary>Sequences that NumPy and CPython give.</summary>
public class MersenneTwisterTests
{
    [Theory]
    [InlineData(0u, new[] { 6, 11, 4, 10, 2, 8, 1, 7, 9, 3, 0, 5 })]
    [InlineData(2541u, new[] { 1, 10, 3, 5, 2, 8, 6, 11, 0, 4, 9, 7 })]
    [InlineData(2547u, new[] { 4, 5, 11, 9, 7, 3, 6, 10, 8, 0, 1, 2 })]
    public void Shuffles_as_numpy_s_legacy_generator(uint seed, int[] expected) => Assert.Equal(expected, MersenneTwister.NumPy(seed).Permutation(12));

    [Fact]
    public void Shuffles_as_cpython() => Assert.Equal([7, 5, 2, 8, 9, 6, 11, 3, 4, 0, 1, 10], MersenneTwister.Python(42).Permutation(12));

    [Fact]
    public void The_ten_thousandth_number_of_the_standard_seed_is_that_of_the_c_plus_plus_standard()
    {
        var generator = MersenneTwister.NumPy(5489);
        for (int i = 1; i < 10_000; i++) generator.NextUInt32();
        Assert.Equal(4123659995u, generator.NextUInt32());
    }
}
