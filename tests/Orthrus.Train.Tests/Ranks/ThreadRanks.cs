using Orthrus.Tensor;

namespace Orthrus.Train.Tests.Ranks;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Ranks that are threads of this process, each with a device of its own: the exchange is a table that all of them write to and read from between barriers.</summary>
internal sealed class ThreadRanks(int ranks) : IDisposable
{
    private readonly Barrier _barrier = new(ranks);
    private readonly byte[][] _table = new byte[ranks][];

    /// <summary>Runs the same work on all ranks and returns what each gave; the first error is thrown.</summary>
    internal static T[] Run<T>(int ranks, Func<ICollective, T> work)
    {
        using var all = new ThreadRanks(ranks);
        var results = new T[ranks];
        Exception? error = null;
        Thread[] threads = [.. Enumerable.Range(0, ranks).Select(r => new Thread(() =>
        {
            try
            {
                results[r] = work(new One(all, r));
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref error, e, null);
                // The others would wait for ever.
                all._barrier.RemoveParticipant();
            }
        }))];
        foreach (var t in threads) t.Start();
        foreach (var t in threads) Assert.True(t.Join(TimeSpan.FromMinutes(2)), "a rank waits for another");
        if (error is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error);
        return results;
    }

    public void Dispose() => _barrier.Dispose();

    private sealed class One(ThreadRanks all, int rank) : ICollective
    {
        public int Rank => rank;
        public int Ranks => all._table.Length;
        public string Name => "threads";

        private void Exchange(byte[] mine, Action<byte[][]> read)
        {
            all._table[rank] = mine;
            all._barrier.SignalAndWait();
            read(all._table);
            all._barrier.SignalAndWait();
        }

        public void AllGather(ReadOnlySpan<byte> mine, Span<byte> gathered)
        {
            byte[] whole = [];
            int n = mine.Length;
            Exchange(mine.ToArray(), table =>
            {
                Assert.All(table, t => Assert.Equal(n, t.Length));
                whole = [.. table.SelectMany(t => t)];
            });
            whole.CopyTo(gathered);
        }

        public void Broadcast(Span<byte> data)
        {
            byte[] first = [];
            Exchange(data.ToArray(), table => first = table[0]);
            first.CopyTo(data);
        }

        public void AllGather(in Tensor mine, in Tensor gathered) => AllGather(mine.AsSpan<byte>(mine.Bytes), gathered.AsSpan<byte>(gathered.Bytes));

        public void AllToAll(in Tensor mine, in Tensor got)
        {
            int block = (int)(mine.Bytes / Ranks);
            byte[] whole = [];
            Exchange(mine.AsSpan<byte>(mine.Bytes).ToArray(), table => whole = [.. table.SelectMany(t => t.AsSpan(rank * block, block).ToArray())]);
            whole.CopyTo(got.AsSpan<byte>(got.Bytes));
        }

        public void Broadcast(in Tensor data) => Broadcast(data.AsSpan<byte>(data.Bytes));

        public void Barrier() => all._barrier.SignalAndWait();

        public void Dispose()
        {
        }
    }
}

internal static unsafe class TensorBytes
{
    /// <summary>The memory of a tensor of the CPU.</summary>
    internal static Span<T> AsSpan<T>(this in Tensor t, long bytes) where T : unmanaged => new((void*)t.Address, checked((int)bytes));
}
