using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

/// <summary>How one product is cut into items of work, and the work itself. The cut depends on the sizes and the vector type alone.</summary>
/// <remarks>
/// An item is a block of rows times a block of columns, all of the depth or one part of it. Where A is row-major, B is the small operand and is packed once
/// for all items; where A is transposed both are long in the depth, and each item packs its own parts. The depth is only parted where there would be too few
/// items; the parts' results are then added up in their order.
/// </remarks>
internal unsafe struct GemmPlan<V, T> where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    // Blocks of rows and columns at the greatest depth fit a second cache of 1 MiB. Where both are packed for each item they are nearer to square and
    // shallower: each element that is fetched takes part in more products.
    private const int ColumnBytes = 1024, DepthBytes = 2048, TransposedDepthBytes = 1280, EnoughItems = 24;

    private readonly GemmSizes _sizes;
    private readonly GemmOperands<T> _operands;
    private readonly int _rowBlock, _columnBlock, _rowBlocks, _columnBlocks, _depthBlock, _depthBlocks, _partBlocks, _parts;

    internal GemmPlan(GemmSizes sizes, GemmOperands<T> operands)
    {
        _sizes = sizes;
        _operands = operands;
        // Multiples of every height of strips.
        _rowBlock = operands.TransposedA ? 240 : 120;
        _columnBlock = ColumnBytes / sizeof(T);
        _rowBlocks = checked((int)((sizes.Rows + _rowBlock - 1) / _rowBlock));
        _columnBlocks = (sizes.Columns + _columnBlock - 1) / _columnBlock;
        long most = (operands.TransposedA ? TransposedDepthBytes : DepthBytes) / sizeof(T);
        _depthBlocks = checked((int)((sizes.Depth + most - 1) / most));
        _depthBlock = Padded((int)((sizes.Depth + _depthBlocks - 1) / _depthBlocks));
        _depthBlocks = (int)((sizes.Depth + _depthBlock - 1) / _depthBlock);
        int items = _rowBlocks * _columnBlocks;
        _parts = operands.TransposedA && items < EnoughItems ? Math.Min(_depthBlocks, (EnoughItems + items - 1) / items) : 1;
        _partBlocks = (_depthBlocks + _parts - 1) / _parts;
        _parts = (_depthBlocks + _partBlocks - 1) / _partBlocks;
    }

    /// <summary>Rows of a strip: what fills the registers, or a little less where that leaves fewer rows empty.</summary>
    internal static int StripHeight(long rows)
    {
        bool many = V.ManyRegisters && V.Lanes * sizeof(T) != 32;
        int best = 4;
        double least = double.PositiveInfinity;
        foreach (int height in many ? (ReadOnlySpan<int>)[12, 8, 4] : [6, 4])
        {
            // Lower strips load more per multiplication.
            double cost = (rows + height - 1) / height * height * (1 + 0.3 / height);
            if (cost < least) (least, best) = (cost, height);
        }
        return best;
    }

    internal void Run<TRows, TLayout>(Scope scratch) where TRows : struct, IRows where TLayout : struct, IStripLayout
    {
        var device = (CpuDevice)scratch.Device;
        int columns = PaddedColumns(_sizes.Columns);
        long whole = _operands.TransposedA ? 0 : Padded(_sizes.Depth) * columns, bias = _operands.Bias is null ? 0 : columns;
        long partials = _parts > 1 ? _parts * _sizes.Rows * _sizes.Columns : 0;
        int height = (int)Math.Min(_rowBlock, (_sizes.Rows + TRows.Count - 1) / TRows.Count * TRows.Count);
        int left = height / TRows.Count * TLayout.Width(TRows.Count, V.Lanes) * _depthBlock, right = _operands.TransposedA ? Math.Min(_columnBlock, columns) * _depthBlock : 0;
        // Each thread packs into a slot of its own; which one does not matter to the result.
        int slots = device.Workers.Threads;
        var memory = scratch.Empty(new Shape(checked((int)(whole + bias + partials))), Tensor.DTypeOf<T>());
        var slotMemory = scratch.Empty(new Shape(slots, left + right), Tensor.DTypeOf<T>());
        var taken = scratch.Zeros(new Shape(slots), DType.I32);
        var job = new Job<TRows, TLayout>
        {
            Plan = this, Packed = memory.Pointer<T>(), Bias = null, Partials = memory.Pointer<T>() + whole + bias,
            Slots = slotMemory.Pointer<T>(), SlotSize = left + right, Left = left, Taken = taken.Pointer<int>(), SlotCount = slots,
        };
        if (bias > 0)
        {
            job.Bias = memory.Pointer<T>() + whole;
            for (int c = 0; c < columns; c++) job.Bias[c] = c < _sizes.Columns ? _operands.Bias[c] : T.Zero;
        }
        if (whole > 0)
        {
            var pack = new PackJob { Plan = this, Packed = job.Packed };
            device.Workers.Run((_sizes.Columns + 2 * V.Lanes - 1) / (2 * V.Lanes), ref pack);
        }
        device.Workers.Run(_rowBlocks * _columnBlocks * _parts, ref job);
        if (_parts > 1)
        {
            var add = new AddJob { Partials = job.Partials, C = _operands.C, Count = _sizes.Rows * _sizes.Columns, Parts = _parts };
            device.Workers.Run(add.Items, ref add);
        }
        scratch.Free(taken);
        scratch.Free(slotMemory);
        scratch.Free(memory);
    }

    private static long Padded(long depth) => (depth + V.Lanes - 1) / V.Lanes * V.Lanes;

    private static int Padded(int depth) => (depth + V.Lanes - 1) / V.Lanes * V.Lanes;

    private static int PaddedColumns(int columns) => (columns + 2 * V.Lanes - 1) / (2 * V.Lanes) * (2 * V.Lanes);

    private readonly int DepthOf(int block) => (int)Math.Min(_depthBlock, _sizes.Depth - (long)block * _depthBlock);

    /// <summary>Packs one panel of B, all of its depth.</summary>
    private struct PackJob : IParallelJob
    {
        internal GemmPlan<V, T> Plan;
        internal T* Packed;

        public readonly void Run(int panel)
        {
            int first = panel * 2 * V.Lanes, columns = Math.Min(2 * V.Lanes, Plan._sizes.Columns - first);
            nint allColumns = PaddedColumns(Plan._sizes.Columns);
            for (int block = 0; block < Plan._depthBlocks; block++)
            {
                int depth = Plan.DepthOf(block), padded = Padded(depth);
                nint start = (nint)block * Plan._depthBlock;
                T* to = Packed + start * allColumns + (nint)first * padded;
                if (Plan._operands.TransposedB) GemmPacking<V, T>.TransposedPanels(Plan._operands.B + first * Plan._operands.BStride + start, Plan._operands.BStride, columns, depth, padded, to);
                else GemmPacking<V, T>.Panels(Plan._operands.B + start * Plan._operands.BStride + first, Plan._operands.BStride, columns, depth, padded, to);
            }
        }
    }

    /// <summary>One block of rows times one block of columns over one part of the depth.</summary>
    private struct Job<TRows, TLayout> : IParallelJob where TRows : struct, IRows where TLayout : struct, IStripLayout
    {
        internal GemmPlan<V, T> Plan;
        internal T* Packed, Bias, Partials, Slots;
        internal int SlotSize, Left, SlotCount;
        internal int* Taken;

        public readonly void Run(int item)
        {
            int slot = 0;
            while (Interlocked.CompareExchange(ref Taken[slot], 1, 0) != 0) slot = (slot + 1) % SlotCount;
            Multiply(item, Slots + (nint)slot * SlotSize);
            Volatile.Write(ref Taken[slot], 0);
        }

        private readonly void Multiply(int item, T* left)
        {
            ref readonly var o = ref Plan._operands;
            int columnItem = item % Plan._columnBlocks, rowItem = item / Plan._columnBlocks % Plan._rowBlocks, part = item / Plan._columnBlocks / Plan._rowBlocks;
            long firstRow = (long)rowItem * Plan._rowBlock;
            int firstColumn = columnItem * Plan._columnBlock;
            int rows = (int)Math.Min(Plan._rowBlock, Plan._sizes.Rows - firstRow), columns = Math.Min(Plan._columnBlock, Plan._sizes.Columns - firstColumn);
            T* c = (Plan._parts > 1 ? Partials + part * Plan._sizes.Rows * Plan._sizes.Columns : o.C) + (nint)firstRow * Plan._sizes.Columns + firstColumn;
            nint allColumns = PaddedColumns(Plan._sizes.Columns);
            int from = part * Plan._partBlocks, to = Math.Min(Plan._depthBlocks, from + Plan._partBlocks);
            for (int block = from; block < to; block++)
            {
                int depth = Plan.DepthOf(block), padded = Padded(depth);
                nint start = (nint)block * Plan._depthBlock;
                T* right;
                if (o.TransposedA)
                {
                    right = left + Left;
                    GemmPacking<V, T>.Transposed(o.A + start * o.AStride + (nint)firstRow, o.AStride, rows, depth, padded, TRows.Count, TLayout.Width(TRows.Count, V.Lanes), left);
                    GemmPacking<V, T>.Panels(o.B + start * o.BStride + firstColumn, o.BStride, columns, depth, padded, right);
                }
                else
                {
                    right = Packed + start * allColumns + (nint)firstColumn * padded;
                    GemmPacking<V, T>.Rows(o.A + (nint)firstRow * o.AStride + start, o.AStride, rows, depth, padded, TRows.Count, left);
                }
                // The next part of the depth is fetched while this one is multiplied; without one, what is read anyway.
                var ahead = o.TransposedA && block + 1 < to
                    ? new Ahead(o.A + (start + depth) * o.AStride + (nint)firstRow, o.AStride, rows, o.B + (start + depth) * o.BStride + firstColumn, o.BStride, columns, Plan.DepthOf(block + 1))
                    : default;
                Block(left, right, padded, rows, columns, c, Bias is null || block > 0 ? null : Bias + firstColumn, block > from, ref ahead);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private readonly void Block(T* left, T* right, int depth, int rows, int columns, T* c, T* bias, bool accumulate, ref Ahead ahead)
        {
            T* tile = stackalloc T[TRows.Count * 2 * V.Lanes];
            nint stride = Plan._sizes.Columns;
            for (int column = 0; column < columns; column += 2 * V.Lanes)
            {
                int width = GemmPacking<V, T>.Width(columns - column), real = Math.Min(width, columns - column);
                T* panel = right + (nint)column * depth, b = bias is null ? null : bias + column;
                for (int row = 0; row < rows; row += TRows.Count)
                {
                    T* strip = left + (nint)(row / TRows.Count * TLayout.Width(TRows.Count, V.Lanes)) * depth, to = c + row * stride + column;
                    int height = Math.Min(TRows.Count, rows - row);
                    T* next = ahead.Take(depth / 4, strip, out nint nextStep);
                    if (height == TRows.Count && real == width) Strip(strip, panel, depth, width, to, stride, b, accumulate, next, nextStep);
                    else
                    {
                        Strip(strip, panel, depth, width, tile, width, b, false, next, nextStep);
                        for (int r = 0; r < height; r++)
                            for (int j = 0; j < real; j++) to[r * stride + j] = accumulate ? tile[r * width + j] + to[r * stride + j] : tile[r * width + j];
                    }
                }
            }
        }

        private static void Strip(T* strip, T* panel, int depth, int width, T* to, nint stride, T* bias, bool accumulate, T* next, nint nextStep)
        {
            if (width > V.Lanes) GemmKernel.Run<V, T, TRows, TLayout, TwoVectors>(strip, panel, depth / V.Lanes, to, stride, bias, accumulate, next, nextStep);
            else GemmKernel.Run<V, T, TRows, TLayout, OneVector>(strip, panel, depth / V.Lanes, to, stride, bias, accumulate, next, nextStep);
        }
    }

    /// <summary>Lines of both operands' next part that are still to be fetched: down one column of lines after the other.</summary>
    private struct Ahead
    {
        private readonly T* _a, _b;
        private readonly nint _aStride, _bStride;
        private readonly int _aLines, _lines, _depth;
        private int _line, _row;

        internal Ahead(T* a, nint aStride, int rows, T* b, nint bStride, int columns, int depth)
        {
            const int bytes = 64;
            int perLine = bytes / sizeof(T);
            _a = a;
            _b = b;
            (_aStride, _bStride, _depth) = (aStride, bStride, depth);
            _aLines = (rows + perLine - 1) / perLine;
            _lines = _aLines + (columns + perLine - 1) / perLine;
        }

        /// <summary>Where the next lines stand, at least as many as <paramref name="count"/> unless they end; something else where there are none.</summary>
        internal T* Take(int count, T* other, out nint step)
        {
            step = 0;
            if (_line >= _lines) return other;
            const int bytes = 64;
            int perLine = bytes / sizeof(T), line = _line, row = _row;
            _row += count;
            if (_row >= _depth) (_line, _row) = (_line + 1, 0);
            step = line < _aLines ? _aStride : _bStride;
            return line < _aLines ? _a + row * step + line * perLine : _b + row * step + (line - _aLines) * perLine;
        }
    }

    /// <summary>Adds up the parts of the depth.</summary>
    private struct AddJob : IParallelJob
    {
        private const int Chunk = 1 << 12;
        internal T* Partials, C;
        internal long Count;
        internal int Parts;

        internal readonly int Items => checked((int)((Count + Chunk - 1) / Chunk));

        public readonly void Run(int item)
        {
            long first = (long)item * Chunk;
            int n = (int)Math.Min(Chunk, Count - first), i = 0;
            for (; i <= n - V.Lanes; i += V.Lanes)
            {
                V sum = V.Load(Partials + first + i);
                for (int part = 1; part < Parts; part++) sum += V.Load(Partials + part * Count + first + i);
                V.Store(C + first + i, sum);
            }
            for (; i < n; i++)
            {
                T sum = Partials[first + i];
                for (int part = 1; part < Parts; part++) sum += Partials[part * Count + first + i];
                C[first + i] = sum;
            }
        }
    }
}
