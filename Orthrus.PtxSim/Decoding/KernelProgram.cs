using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim.Execution;
using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim.Decoding;

/// <summary>A basic block: how many instructions of each class it counts.</summary>
internal sealed class BasicBlock
{
    public int[] PerClass { get; } = new int[(int)InstructionClass.Other + 1];

    /// <summary>Floating-point operations of its mma instructions by <see cref="MatrixRate"/>.</summary>
    public long[] MatrixFlops { get; } = new long[3];

    /// <summary>Index in the code of each counted instruction's info, for counts by line.</summary>
    public List<int> Instructions { get; } = [];
}

/// <summary>A kernel ready to run: code in native memory, the layout of register frames, constants.</summary>
internal sealed unsafe class KernelProgram
{
    public const int TrueOffset = 256;
    private readonly List<nint> native = [];
    private readonly List<nint> caches = [];

    public required string Name { get; init; }

    public Instr* Code { get; private set; }

    public int Count { get; private set; }

    public int FrameBytes { get; set; }

    /// <summary>Where the registers that hold no constant begin in a frame.</summary>
    public int FirstSlot { get; set; }

    public int LocalBytes { get; set; }

    public int StaticShared { get; set; }

    public int SharedGranuleShift { get; set; } = 2;

    public List<(string Name, int Start, long Bytes)> SharedVariables { get; } = [];

    public InstrInfo[] Infos { get; set; } = [];

    public BasicBlock[] Blocks { get; set; } = [];

    public List<VirtualRegister> Constants { get; } = [];

    /// <summary>Bytes of the register frame of one thread, for the report.</summary>
    public int RegisterWords { get; set; }

    public int ParameterBytes { get; set; }

    public PtxFunction Function { get; init; } = null!;

    public Instr* AllocateCode(int count)
    {
        Count = count;
        Code = (Instr*)Native(count * sizeof(Instr));
        return Code;
    }

    /// <summary>Native memory that lives as long as the process keeps the program.</summary>
    public void* Native(int bytes)
    {
        void* p = NativeMemory.AllocZeroed((nuint)Math.Max(bytes, 8));
        native.Add((nint)p);
        return p;
    }

    /// <summary>Instructions whose <see cref="Instr.Cache"/> holds what the handler learns during a launch.</summary>
    public void Caches(Instr* i) => caches.Add((nint)i);

    public void ResetCaches()
    {
        foreach (nint p in caches)
            ((Instr*)p)->Cache = null;
    }

    public void Free()
    {
        foreach (nint p in native)
            NativeMemory.Free((void*)p);
        native.Clear();
        Code = null;
    }

    /// <summary>Writes what is constant for the launch into the frames of a new block.</summary>
    public void FillConstants(BlockState block, Launch launch)
    {
        foreach (WarpState warp in block.Warps)
        {
            *(uint*)(warp.Regs + TrueOffset) = Lanes.All;
            foreach (VirtualRegister c in Constants)
            {
                byte* p = warp.Regs + c.Offset;
                if (c.Width == RegisterWidth.Predicate)
                    *(uint*)p = c.Bits != 0 ? Lanes.All : 0;
                else if (c.Width == RegisterWidth.Double)
                    new Span<ulong>(p, 32).Fill(ValueOf(c, launch, warp.Index, 0));
                else
                {
                    for (int l = 0; l < 32; l++)
                        ((uint*)p)[l] = (uint)ValueOf(c, launch, warp.Index, l);
                }
            }
        }
    }

    /// <summary>Writes the block's position into its frames; where checks are on, a register that nobody has written holds no useful number: NaN, or -1.</summary>
    public void FillBlock(BlockState block, bool checks)
    {
        if (checks)
        {
            foreach (WarpState warp in block.Warps)
                NativeMemory.Fill(warp.Regs + FirstSlot, (nuint)RegisterWords * 128, 0xFF);
        }

        foreach (VirtualRegister c in Constants)
        {
            if (c.Source is < ConstantSource.BlockX or > ConstantSource.BlockZ && c.Source != ConstantSource.Multiprocessor)
                continue;
            uint value = c.Source switch
            {
                ConstantSource.BlockX => (uint)block.Position.X,
                ConstantSource.BlockY => (uint)block.Position.Y,
                ConstantSource.BlockZ => (uint)block.Position.Z,
                _ => (uint)block.Number,
            };
            Vector512<uint> v = Vector512.Create(value);
            foreach (WarpState warp in block.Warps)
                Lanes.Store(warp.Regs + c.Offset, v, v, Lanes.All);
        }
    }

    private static ulong ValueOf(VirtualRegister c, Launch launch, int warp, int lane)
    {
        Dim3 size = launch.BlockSize, grid = launch.Grid;
        int thread = (warp * 32) + lane;
        return c.Source switch
        {
            ConstantSource.Immediate => c.Bits,
            ConstantSource.Parameter => Parameter(c, launch.Parameters),
            ConstantSource.ThreadX => (uint)(thread % size.X),
            ConstantSource.ThreadY => (uint)(thread / size.X % size.Y),
            ConstantSource.ThreadZ => (uint)(thread / (size.X * size.Y)),
            ConstantSource.SizeX => (uint)size.X,
            ConstantSource.SizeY => (uint)size.Y,
            ConstantSource.SizeZ => (uint)size.Z,
            ConstantSource.GridX => (uint)grid.X,
            ConstantSource.GridY => (uint)grid.Y,
            ConstantSource.GridZ => (uint)grid.Z,
            ConstantSource.Lane => (uint)lane,
            ConstantSource.WarpIndex => (uint)warp,
            ConstantSource.WarpCount => (uint)((launch.Threads + 31) / 32),
            ConstantSource.MaskEq => 1u << lane,
            ConstantSource.MaskLt => (1u << lane) - 1,
            ConstantSource.MaskLe => (uint)((1ul << (lane + 1)) - 1),
            ConstantSource.MaskGt => ~(uint)((1ul << (lane + 1)) - 1),
            ConstantSource.MaskGe => ~((1u << lane) - 1),
            ConstantSource.Multiprocessors => (uint)launch.Device.Spec.Multiprocessors,
            ConstantSource.DynamicShared => (uint)launch.DynamicShared,
            ConstantSource.TotalShared => (uint)(launch.DynamicShared + launch.Program.StaticShared),
            _ => 0,
        };
    }

    private static ulong Parameter(VirtualRegister c, byte[] parameters)
    {
        int offset = (int)(uint)c.Bits;
        bool into16 = (c.Bits >> 32 & 1) != 0;
        ReadOnlySpan<byte> p = parameters.AsSpan(offset, c.Type.Size());
        ulong value = c.Type.Size() switch
        {
            1 => c.Type.IsSigned() ? (uint)(sbyte)p[0] : p[0],
            2 => c.Type.IsSigned() && !into16 ? (uint)BinaryPrimitives.ReadInt16LittleEndian(p) : BinaryPrimitives.ReadUInt16LittleEndian(p),
            4 => BinaryPrimitives.ReadUInt32LittleEndian(p),
            _ => BinaryPrimitives.ReadUInt64LittleEndian(p),
        };
        return into16 ? value & 0xFFFF : value;
    }
}
