using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>What is made of the exchanges. Sums are taken in the order of the ranks, so that as many ranks give the same bytes every time, on every rank.</summary>
internal static class Collectives
{
    /// <summary>The sums of numbers of all ranks, element by element.</summary>
    internal static double[] Sum(this ICollective ranks, double[] mine)
    {
        var all = new double[ranks.Ranks * mine.Length];
        ranks.AllGather(MemoryMarshal.AsBytes(mine.AsSpan()), MemoryMarshal.AsBytes(all.AsSpan()));
        var sums = new double[mine.Length];
        for (int i = 0; i < all.Length; i++) sums[i % mine.Length] += all[i];
        return sums;
    }

    /// <summary>True on every rank where it is true on any.</summary>
    internal static bool Any(this ICollective ranks, bool mine)
    {
        var all = new byte[ranks.Ranks];
        ranks.AllGather([mine ? (byte)1 : (byte)0], all);
        return all.AsSpan().Contains((byte)1);
    }

    /// <summary>A text of rank 0.</summary>
    internal static string Broadcast(this ICollective ranks, string text)
    {
        var length = new int[1];
        byte[] bytes = ranks.Rank == 0 ? Encoding.UTF8.GetBytes(text) : [];
        length[0] = bytes.Length;
        ranks.Broadcast(MemoryMarshal.AsBytes(length.AsSpan()));
        if (ranks.Rank != 0) bytes = new byte[length[0]];
        ranks.Broadcast(bytes);
        return Encoding.UTF8.GetString(bytes);
    }

    /// <summary>Refuses to go on where ranks have different facts.</summary>
    /// <param name="ranks">The ranks.</param>
    /// <param name="facts">What must be the same.</param>
    /// <param name="what">Its name, for the message.</param>
    /// <exception cref="CollectiveException">Some rank's differ from those of rank 0.</exception>
    internal static void Same(this ICollective ranks, ReadOnlySpan<byte> facts, string what)
    {
        byte[] mine = SHA256.HashData(facts), all = new byte[ranks.Ranks * mine.Length];
        ranks.AllGather(mine, all);
        for (int r = 1; r < ranks.Ranks; r++)
            if (!all.AsSpan(r * mine.Length, mine.Length).SequenceEqual(all.AsSpan(0, mine.Length))) throw new CollectiveException($"rank {r} has another {what} than rank 0; start the same command with the same files on all");
    }

    /// <summary>
    /// Gradients of all ranks added up, on every rank. A rank adds one block of all numbers and gives the sum to the others: twice the gradients go over the wire,
    /// however many ranks there are. A parameter without gradient on any rank keeps none.
    /// </summary>
    /// <param name="ranks">The ranks.</param>
    /// <param name="parameters">Parameters in the same order on every rank.</param>
    /// <param name="counts">Whether this rank's gradient of a parameter counts; a rank whose does not still receives the sum.</param>
    internal static void SumGradients(this ICollective ranks, IReadOnlyList<Parameter> parameters, Func<Parameter, bool> counts)
    {
        bool Adds(Parameter p) => counts(p) && !p.Grad.IsNone;
        byte[] mine = [.. parameters.Select(p => Adds(p) ? (byte)1 : (byte)0)], all = new byte[mine.Length * ranks.Ranks];
        ranks.AllGather(mine, all);
        Parameter[] present = [.. parameters.Where((_, i) => Enumerable.Range(0, ranks.Ranks).Any(r => all[r * mine.Length + i] != 0))];
        foreach (var same in present.GroupBy(p => p.GradType)) Sum(ranks, [.. same], Adds);
    }

    private static void Sum(ICollective ranks, Parameter[] parameters, Func<Parameter, bool> adds)
    {
        var device = parameters[0].Value.Device;
        var dtype = parameters[0].GradType;
        using var scope = device.OpenScope();
        int block = checked((int)((parameters.Sum(p => p.Value.Count) + ranks.Ranks - 1) / ranks.Ranks));
        Tensor flat = scope.Zeros(new Shape(ranks.Ranks, block), dtype), got = scope.Empty(flat.Shape, dtype);
        var values = flat.Reshape(new Shape(checked((int)flat.Count)));
        int at = 0;
        foreach (var p in parameters)
        {
            if (adds(p)) device.Copy(values.Rows(at, (int)p.Value.Count).Address, p.Grad.Address, p.Grad.Bytes);
            at += (int)p.Value.Count;
        }
        ranks.AllToAll(flat, got);
        var sum = got.Rows(0, 1);
        for (int r = 1; r < ranks.Ranks; r++) Accumulate.Into(sum, got.Rows(r, 1));
        ranks.AllGather(sum, flat);
        at = 0;
        foreach (var p in parameters)
        {
            p.SetGrad(values.Rows(at, (int)p.Value.Count));
            at += (int)p.Value.Count;
        }
    }

    /// <summary>Rows of a tensor that each rank has computed some of, complete on every rank.</summary>
    /// <param name="ranks">The ranks.</param>
    /// <param name="whole">(n, D); this rank's rows hold values, the others are overwritten.</param>
    /// <param name="owned">Rows of each rank.</param>
    internal static void GatherRows(this ICollective ranks, in Tensor whole, IReadOnlyList<int[]> owned)
    {
        using var scope = whole.Device.OpenScope();
        int most = owned.Max(rows => rows.Length);
        var mine = scope.Zeros(new Shape(most, whole.Shape[1]), whole.DType);
        var all = scope.Empty(new Shape(ranks.Ranks * most, whole.Shape[1]), whole.DType);
        int[] own = owned[ranks.Rank];
        for (int i = 0; i < own.Length; i++) mine.Rows(i, 1).Assign(whole.Rows(own[i], 1));
        ranks.AllGather(mine, all);
        for (int r = 0; r < ranks.Ranks; r++)
            for (int i = 0; r != ranks.Rank && i < owned[r].Length; i++) whole.Rows(owned[r][i], 1).Assign(all.Rows(r * most + i, 1));
    }
}
