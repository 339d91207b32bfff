namespace Orthrus.Train;

/// <summary>Training rows in batches: every epoch all rows once, in an order of its own, which depends on seed and epoch alone.</summary>
internal sealed class FineTuneBatches
{
    private readonly int[] _rows;
    private readonly uint _seed;
    private readonly int _batch;
    private int[] _order = [];
    private long _epoch = -1;

    internal FineTuneBatches(int[] rows, int batch, uint seed)
    {
        (_rows, _seed, _batch) = (rows, seed, Math.Min(batch, rows.Length));
        // The last, incomplete batch counts; a single row joins the one before it, for batch normalisation needs two.
        PerEpoch = rows.Length / _batch + (rows.Length % _batch > 1 ? 1 : 0);
    }

    /// <summary>Batches of an epoch.</summary>
    internal int PerEpoch { get; }

    /// <summary>Rows of the batch of an update, from 0.</summary>
    internal int[] Of(long step)
    {
        var (epoch, at) = (step / PerEpoch, (int)(step % PerEpoch));
        if (epoch != _epoch) (_epoch, _order) = (epoch, Shuffled(epoch));
        return at == PerEpoch - 1 ? _order[(at * _batch)..] : _order[(at * _batch)..((at + 1) * _batch)];
    }

    private int[] Shuffled(long epoch)
    {
        int[] order = [.. _rows];
        var draws = new Draws(_seed, (uint)epoch, 0, DrawFor.Order);
        for (int i = order.Length - 1; i > 0; i--)
        {
            int j = draws.Below(i + 1);
            (order[i], order[j]) = (order[j], order[i]);
        }
        return order;
    }
}
