using Orthrus.Tensor;

namespace Orthrus.Mamba.Tests;

/// <summary>The embedder as its users meet it: options, errors, what an interrupted call leaves.</summary>
public class EmbedderTests
{
    private static readonly byte[] Bases = [1, 2, 4, 8, 8, 4, 2, 1, 1];

    public static TheoryData<bool> Kinds => [false, true];

    private static Embedder Make(bool bidirectional, EmbedderOptions? options = null) =>
        new(OrthrusModel.Create(new MambaConfig(16, 2, 4) { Bidirectional = bidirectional }, 3), options ?? new EmbedderOptions { Threads = 2, ChunkLength = 4 });

    private static IEnumerable<byte[]> Endless()
    {
        while (true) yield return Bases;
    }

    private static ReadOnlyMemory<byte> Self(byte[] bytes) => bytes;

    [Fact]
    public void Options_that_do_not_exist_are_refused()
    {
        foreach (var options in new EmbedderOptions[]
        {
            new() { DType = DType.BF16 }, new() { DType = DType.U8 }, new() { Threads = -1 }, new() { Threads = 5000 }, new() { ChunkLength = -1 }, new() { ChunkLength = 1 << 20 },
            new() { Pooling = (Pooling)9 }, new() { VectorWidth = 64 },
        })
            Assert.Throws<ArgumentException>(() => Make(false, options));
        Assert.Throws<ArgumentNullException>(() => new Embedder((OrthrusModel)null!));
        var wide = new MambaConfig(16, 1, 4) { DConv = 3 };
        Assert.Contains("3 positions", Assert.Throws<ArgumentException>(() => new Embedder(OrthrusModel.Create(wide, 1))).Message);
        using var whole = new Embedder(OrthrusModel.Create(wide with { Bidirectional = true }, 1));
        Assert.All(whole.Embed(Bases), v => Assert.True(float.IsFinite(v)));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_model_of_wrong_tensors_is_refused(bool bidirectional)
    {
        var config = new MambaConfig(16, 2, 4) { Bidirectional = bidirectional };
        string mixer = bidirectional ? "layers.1.mixer.mamba_rev." : "layers.1.mixer.";
        Refused(mixer + "D", t => StateTensor.FromSingle(t.Name, new float[t.ElementCount + 1], t.ElementCount + 1));
        Refused("norm_f.bias", t => StateTensor.FromSingle(t.Name, [1], 1));
        Refused(mixer + "A_log", t => null);

        void Refused(string name, Func<StateTensor, StateTensor?> change)
        {
            var model = OrthrusModel.Create(config, 1);
            var tensors = new StateDict();
            foreach (var t in model.Encoder)
                if ((t.Name == name ? change(t) : t) is { } kept) tensors.Add(kept);
            var broken = new OrthrusModel { Config = config, Encoder = tensors, Name = "x", Source = "x", Format = "x", Sha256 = "" };
            Assert.Contains(name, Assert.Throws<CheckpointException>(() => new Embedder(broken)).Message);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_record_without_positions_is_an_error(bool bidirectional)
    {
        using var embedder = Make(bidirectional);
        Assert.Contains("no positions", Assert.Throws<ArgumentException>(() => embedder.Embed(default)).Message);
        Assert.Throws<ArgumentException>(() => embedder.EmbedAll([Bases, [], Bases], Self).Count());
        AssertUsable(embedder, bidirectional);
        Assert.Empty(embedder.EmbedAll(Array.Empty<byte[]>(), Self));
        Assert.Throws<ArgumentNullException>(() => embedder.EmbedAll<byte[]>(null!, Self));
        Assert.Throws<ArgumentNullException>(() => embedder.EmbedAll([Bases], null!));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_second_call_while_one_is_under_way_is_an_error(bool bidirectional)
    {
        using var embedder = Make(bidirectional);
        int inside = 0;
        foreach (var _ in embedder.EmbedAll([Bases, Bases], Self))
        {
            Assert.Contains("already at work", Assert.Throws<InvalidOperationException>(() => embedder.Embed(Bases)).Message);
            inside++;
        }
        Assert.Equal(2, inside);
        AssertUsable(embedder, bidirectional);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Exceptions_of_the_caller_pass_through(bool bidirectional)
    {
        using var embedder = Make(bidirectional);
        for (int failAt = 0; failAt < 40; failAt += 13)
        {
            Assert.Throws<FormatException>(() => embedder.EmbedAll(Failing(failAt), Self).Count());
            Assert.Throws<FormatException>(() => embedder.EmbedAll(Endless(), Throwing(failAt)).Count());
            // Thrown on a worker thread, caught here.
            int seen = 0;
            Assert.Throws<FormatException>(() => embedder.EmbedAll(Endless(), Self, (_, _, _, _) =>
            {
                if (seen++ == failAt) throw new FormatException();
            }).Count());
            AssertUsable(embedder, bidirectional);
        }

        static IEnumerable<byte[]> Failing(int after)
        {
            for (int i = 0; i < after; i++) yield return Bases;
            throw new FormatException();
        }

        static Func<byte[], ReadOnlyMemory<byte>> Throwing(int after)
        {
            int seen = 0;
            return r => seen++ == after ? throw new FormatException() : r;
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void An_enumeration_that_is_given_up_leaves_it_usable(bool bidirectional)
    {
        using var embedder = Make(bidirectional);
        bool disposed = false;
        for (int taken = 1; taken < 30; taken += 9)
        {
            Assert.Equal(taken, embedder.EmbedAll(Watched(), Self).Take(taken).Count());
            Assert.True(disposed, "the caller's enumerator was not disposed");
            AssertUsable(embedder, bidirectional);
        }

        IEnumerable<byte[]> Watched()
        {
            disposed = false;
            try
            {
                while (true) yield return Bases;
            }
            finally
            {
                disposed = true;
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Disposal(bool bidirectional)
    {
        var embedder = Make(bidirectional);
        embedder.Dispose();
        embedder.Dispose();
        Assert.Throws<ObjectDisposedException>(() => embedder.Embed(Bases));
        // In the middle of a call: the call ends with an exception and frees what it used.
        embedder = Make(bidirectional);
        using var results = embedder.EmbedAll(Endless(), Self).GetEnumerator();
        var late = embedder.EmbedAll([Bases], Self);
        Assert.True(results.MoveNext());
        embedder.Dispose();
        Assert.Throws<ObjectDisposedException>(() => results.MoveNext());
        Assert.Throws<ObjectDisposedException>(() => late.Count());
        embedder.Dispose();
    }

    [Fact]
    public void Results_come_long_before_the_input_ends()
    {
        using var embedder = Make(false);
        int read = 0;
        foreach (var _ in embedder.EmbedAll(Enumerable.Range(0, 10_000), _ => { read++; return Bases; })) break;
        Assert.InRange(read, 1, 40);
    }

    [Fact]
    public void Several_threads_take_part_in_one_record()
    {
        // A handler runs on the thread that ran the last layer's step; over enough chunks that is not always the same one.
        using var embedder = Make(false, new EmbedderOptions { Threads = 4, ChunkLength = 8 });
        var seen = new HashSet<int>();
        for (int attempt = 0; attempt < 50 && seen.Count < 2; attempt++)
            foreach (var _ in embedder.EmbedAll([new byte[8000]], Self, (_, _, _, _) =>
            {
                seen.Add(Environment.CurrentManagedThreadId);
                Thread.Yield();
            })) { }
        Assert.True(seen.Count >= 2, "one thread did all the work");
    }

    private static void AssertUsable(Embedder embedder, bool bidirectional)
    {
        using var fresh = Make(bidirectional);
        Assert.Equal(fresh.Embed(Bases), embedder.Embed(Bases));
    }
}
