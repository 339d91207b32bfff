using System.Security.Cryptography;

namespace Orthrus.Mamba.Tests;

/// <summary>The own SHA-256 against the platform's, over every way in which bytes meet the blocks of 64.</summary>
public class Sha256Tests
{
    [Fact]
    public void Known_answer() =>
        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Sha256.OfStream(new MemoryStream("abc"u8.ToArray())));

    [Fact]
    public void Equals_the_platform_s_for_all_lengths_and_pieces()
    {
        var random = new Random(5);
        for (int length = 0; length < 300; length++)
        {
            var bytes = new byte[length];
            random.NextBytes(bytes);
            var sum = new Sha256();
            for (int at = 0; at < length;)
            {
                int n = Math.Min(length - at, random.Next(0, 130));
                sum.Append(bytes.AsSpan(at, n));
                at += n;
            }
            Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(bytes)), sum.Finish());
        }
    }
}
