using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

/// <summary>Loads and stores of the global, local, constant, parameter and generic spaces.</summary>
internal sealed unsafe partial class Core
{
    /// <summary>ld.global and ld.const, X as in <see cref="MoveCode"/>, registers in Ext.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* LoadGlobal(Core core, Instr* i, byte* r, uint m)
    {
        int width = MoveCode.Width(i->X);
        AccessShape shape = core.Locate(i, r, m, width, false);
        if ((i->X & MoveCode.Strong) != 0)
            core.Poll();
        if (core.checks)
            core.CheckGlobal(i, m, width, shape, false, (i->X & MoveCode.Strong) != 0);
        switch (shape)
        {
            case AccessShape.Contiguous:
                Moves.LoadContiguous(core.Host, i, r, m);
                break;
            case AccessShape.Uniform:
                Moves.LoadUniform(core.Host, i, r, m);
                break;
            default:
                Moves.LoadScattered(core.Pointers, i, r, m);
                break;
        }

        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* StoreGlobal(Core core, Instr* i, byte* r, uint m)
    {
        int width = MoveCode.Width(i->X);
        AccessShape shape = core.Locate(i, r, m, width, true);
        if (shape != AccessShape.Scattered ? core.Target->ReadOnly : core.AnyReadOnly(m))
            throw core.Fault(FaultKind.ReadOnly, i, BitOperations.TrailingZeroCount(m), core.Addresses[0], "a store to constant memory" + core.memory.Describe(core.Addresses[0]));
        if (core.checks)
            core.CheckGlobal(i, m, width, shape, true, (i->X & MoveCode.Strong) != 0);
        switch (shape)
        {
            case AccessShape.Contiguous:
                Moves.StoreContiguous(core.Host, i, r, m);
                break;
            case AccessShape.Uniform:
                Moves.StoreUniform(core.Host, i, r, m);
                break;
            default:
                Moves.StoreScattered(core.Pointers, i, r, m);
                break;
        }

        return i + 1;
    }

    /// <summary>A generic access: Cache holds three instructions, for global, shared and local memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Generic(Core core, Instr* i, byte* r, uint m)
    {
        uint shared = 0, local = 0, parameter = 0;
        core.Spaces(i, r, m, ref shared, ref local, ref parameter);
        var forms = (Instr*)i->Cache;
        uint global = m & ~(shared | local | parameter);
        if (global != 0)
            forms[0].Handler(core, forms, r, global);
        if (shared != 0)
            forms[1].Handler(core, forms + 1, r, shared);
        if (local != 0)
            forms[2].Handler(core, forms + 2, r, local);
        if (parameter != 0)
        {
            if (core.program.Infos[forms[1].Index].Class != InstructionClass.LoadShared)
                throw core.Fault(FaultKind.ReadOnly, i, BitOperations.TrailingZeroCount(parameter), 0, "a write to the kernel's parameters");
            LoadParameter(core, forms, r, parameter);
        }

        return i + 1;
    }

    private void Spaces(Instr* i, byte* r, uint m, ref uint shared, ref uint local, ref uint parameter)
    {
        var a = (ulong*)(r + i->A);
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            ulong address = a[l] + (ulong)i->Imm;
            if (address >= SharedWindow && address < SharedWindow + WindowBytes)
                shared |= 1u << l;
            else if (address >= LocalWindow && address < LocalWindow + WindowBytes)
                local |= 1u << l;
            else if (address >= ParameterWindow && address < ParameterWindow + WindowBytes)
                parameter |= 1u << l;
        }
    }

    /// <summary>isspacep: X is 0 global, 1 shared, 2 local, 3 const or param.</summary>
    public static Instr* IsSpace(Core core, Instr* i, byte* r, uint m)
    {
        uint shared = 0, local = 0, parameter = 0;
        core.Spaces(i, r, m, ref shared, ref local, ref parameter);
        uint value = i->X switch { 0 => ~(shared | local | parameter), 1 => shared, 2 => local, _ => parameter };
        Lanes.StorePredicate(r + i->D, value, m);
        return i + 1;
    }

    /// <summary>ld.param through a register: addresses in the parameter window.</summary>
    public static Instr* LoadParameter(Core core, Instr* i, byte* r, uint m)
    {
        var a = (ulong*)(r + i->A);
        int width = MoveCode.Width(i->X);
        byte[] parameters = core.launch.Parameters;
        fixed (byte* p = parameters)
        {
            for (uint k = m; k != 0; k &= k - 1)
            {
                int l = BitOperations.TrailingZeroCount(k);
                uint offset = (uint)a[l] + (uint)i->Imm;
                if ((ulong)offset + (ulong)width > (ulong)parameters.Length)
                    throw core.Fault(FaultKind.OutOfBounds, i, l, ParameterWindow + offset, $"a read of {width} bytes at offset {offset} of {parameters.Length} bytes of parameters");
                core.Pointers[l] = p + offset;
            }

            Moves.LoadScattered(core.Pointers, i, r, m);
        }

        return i + 1;
    }

    public static Instr* LoadLocal(Core core, Instr* i, byte* r, uint m)
    {
        core.LocateLocal(i, r, m, false);
        Moves.LoadScattered(core.Pointers, i, r, m);
        return i + 1;
    }

    public static Instr* StoreLocal(Core core, Instr* i, byte* r, uint m)
    {
        core.LocateLocal(i, r, m, true);
        Moves.StoreScattered(core.Pointers, i, r, m);
        return i + 1;
    }

    /// <summary>Copies Imm bytes of each lane's local memory from offset A to offset B: arguments and results of calls.</summary>
    public static Instr* CopyLocal(Core core, Instr* i, byte* r, uint m)
    {
        WarpState warp = core.Warp;
        for (uint k = m; k != 0; k &= k - 1)
        {
            byte* lane = warp.Local + (BitOperations.TrailingZeroCount(k) * warp.LocalBytes);
            byte* written = warp.LocalWritten + (BitOperations.TrailingZeroCount(k) * warp.LocalBytes);
            Unsafe.CopyBlock(lane + i->B, lane + i->A, (uint)i->Imm);
            Unsafe.CopyBlock(written + i->B, written + i->A, (uint)i->Imm);
        }

        return i + 1;
    }

    private bool AnyReadOnly(uint m)
    {
        if (!severalTargets)
            return Target->ReadOnly;
        for (uint k = m; k != 0; k &= k - 1)
        {
            if (targets[BitOperations.TrailingZeroCount(k)]->ReadOnly)
                return true;
        }

        return false;
    }

    private void LocateLocal(Instr* i, byte* r, uint m, bool write)
    {
        int width = MoveCode.Width(i->X);
        bool wide = (i->X & MoveCode.Wide) != 0;
        WarpState warp = Warp;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            uint offset = (wide ? (uint)((ulong*)(r + i->A))[l] : ((uint*)(r + i->A))[l]) + (uint)i->Imm;
            if ((ulong)offset + (ulong)width > (ulong)warp.LocalBytes)
            {
                throw Fault(FaultKind.OutOfBounds, i, l, LocalWindow + offset,
                    $"{program.Infos[i->Index].Opcode} {(write ? "writes" : "reads")} {width} bytes at local offset {(int)offset}, outside the thread's {warp.LocalBytes} bytes");
            }

            if ((offset & (uint)(width - 1)) != 0)
                throw Fault(FaultKind.Misaligned, i, l, LocalWindow + offset, $"{program.Infos[i->Index].Opcode} of {width} bytes at local offset {offset}, which is no multiple of {width}");
            int at = (l * warp.LocalBytes) + (int)offset;
            Pointers[l] = warp.Local + at;
            var written = new Span<byte>(warp.LocalWritten + at, width);
            if (write)
                written.Fill(1);
            else if (checks && written.Contains((byte)0))
                throw Fault(FaultKind.Uninitialised, i, l, LocalWindow + offset, $"{program.Infos[i->Index].Opcode} reads local memory at offset {offset} that the thread did not write");
        }

        long* stats = InstrStats + (4 * i->Index);
        int bytes = BitOperations.PopCount(m) * width;
        stats[0]++;
        stats[1] += (bytes + 31) / 32;
        stats[2] += (bytes + 31) / 32;
        stats[3] += bytes;
    }

    /// <summary>Host pointer of a generic address for printf and assert, or null.</summary>
    public byte* HostPointer(ulong address, int lane)
    {
        if (address >= LocalWindow && address < LocalWindow + (ulong)Warp.LocalBytes)
            return Warp.Local + (lane * Warp.LocalBytes) + (address - LocalWindow);
        if (address >= SharedWindow && address < SharedWindow + (ulong)Block.SharedBytes)
            return Block.Shared + (address - SharedWindow);
        Memory.MemoryBlock* block = memory.Find(address);
        return block == null ? null : block->Host + (address - block->Start);
    }

    /// <summary>Text that ends with zero.</summary>
    public string HostText(ulong address, int lane)
    {
        byte* p = HostPointer(address, lane);
        if (p == null)
            return "?";
        int length = 0;
        while (length < 4096 && p[length] != 0)
            length++;
        return System.Text.Encoding.UTF8.GetString(p, length);
    }

    /// <summary>Fills pointers and addresses of the lanes for instructions that go lane by lane.</summary>
    public void Spread(uint m, int width, AccessShape shape)
    {
        if (shape == AccessShape.Scattered)
            return;
        ulong start = Addresses[0];
        severalTargets = false;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            long step = shape == AccessShape.Uniform ? 0 : (long)l * width;
            Addresses[l] = start + (ulong)step;
            Pointers[l] = Host + step;
        }
    }

}
