using System.Globalization;
using System.Runtime.InteropServices;
using Orthrus.PtxSim.Decoding;
using Orthrus.PtxSim.Execution;
using Orthrus.PtxSim.Memory;
using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim;

/// <summary>
/// A simulated CUDA device: memory, modules, launches. A launch runs on the calling thread and has ended when the call returns. One thread at a
/// time may use a device; several devices run in parallel.
/// </summary>
public sealed unsafe class SimDevice : IDisposable
{
    private readonly List<SimModule> modules = [];
    private SimFault? sticky;

    /// <summary>A device.</summary>
    /// <param name="spec">Limits and rates; null for an H100.</param>
    /// <param name="options">Checks, seed, memory; null for the defaults.</param>
    public SimDevice(SimDeviceSpec? spec = null, SimOptions? options = null)
        : this(spec, options, 0)
    {
    }

    /// <summary>One of several devices: like those of a machine they share one address space.</summary>
    internal SimDevice(SimDeviceSpec? spec, SimOptions? options, int ordinal)
    {
        Spec = spec ?? SimDeviceSpec.H100;
        Options = options ?? new SimOptions();
        Memory = new DeviceMemory(Options.MemoryBytes > 0 ? Options.MemoryBytes : Spec.MemoryBytes, Options.Checks, ordinal);
    }

    /// <summary>Limits and rates.</summary>
    public SimDeviceSpec Spec { get; }

    /// <summary>Checks, seed, memory.</summary>
    public SimOptions Options { get; }

    /// <summary>Bytes of device memory in use.</summary>
    public long UsedBytes => Memory.Used;

    /// <summary>Bytes of device memory.</summary>
    public long MemoryBytes => Memory.Capacity;

    /// <summary>Allocations, pool blocks and variables that live, for leak checks.</summary>
    public int LiveBlocks => Memory.Live.Count;

    internal DeviceMemory Memory { get; }

    internal uint GlobalTime { get; set; } = 1;

    internal long LaunchNumber { get; private set; }

    /// <summary>Allocates device memory; it counts as uninitialised.</summary>
    /// <param name="bytes">Size in bytes.</param>
    /// <param name="tag">Name for messages.</param>
    /// <exception cref="SimFault">Out of memory, or a size that is not positive.</exception>
    public ulong Alloc(long bytes, string tag = "memory") => Memory.Allocate(bytes, tag)->Start;

    /// <summary>Frees what <see cref="Alloc"/> returned, with all blocks carved from it.</summary>
    /// <param name="address">Start of the allocation.</param>
    /// <exception cref="SimFault">No allocation starts there.</exception>
    public void Free(ulong address) => Memory.Free(address);

    /// <summary>
    /// For caching pools: hands out part of an allocation as a block of its own. From the first call on only handed-out parts of that allocation
    /// may be touched; the block counts as uninitialised.
    /// </summary>
    /// <param name="address">Start of the block.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="tag">Name for messages.</param>
    /// <exception cref="SimFault">The block is not inside one allocation, or overlaps another.</exception>
    public void Carve(ulong address, long bytes, string tag = "block") => Memory.Carve(address, bytes, tag);

    /// <summary>For caching pools: takes a block back; touching it afterwards is a use after free.</summary>
    /// <param name="address">Start of the block.</param>
    /// <exception cref="SimFault">No block starts there.</exception>
    public void Return(ulong address) => Memory.Return(address);

    /// <summary>Copies from the host.</summary>
    /// <param name="target">Device address.</param>
    /// <param name="source">The data.</param>
    /// <exception cref="SimFault">The range is not inside one block.</exception>
    public void CopyToDevice(ulong target, ReadOnlySpan<byte> source)
    {
        MemoryBlock* block = Memory.Range(target, source.Length, "copy to the device");
        source.CopyTo(new Span<byte>(block->Host + (target - block->Start), source.Length));
        Memory.Mark(block, target, source.Length, true);
    }

    /// <summary>Copies elements from the host.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="target">Device address.</param>
    /// <param name="source">The data.</param>
    /// <exception cref="SimFault">The range is not inside one block.</exception>
    public void CopyToDevice<T>(ulong target, ReadOnlySpan<T> source)
        where T : unmanaged => CopyToDevice(target, MemoryMarshal.AsBytes(source));

    /// <summary>Copies to the host. Uninitialised bytes come as 0xFF.</summary>
    /// <param name="target">Where to.</param>
    /// <param name="source">Device address.</param>
    /// <exception cref="SimFault">The range is not inside one block.</exception>
    public void CopyToHost(Span<byte> target, ulong source)
    {
        MemoryBlock* block = Memory.Range(source, target.Length, "copy to the host");
        new ReadOnlySpan<byte>(block->Host + (source - block->Start), target.Length).CopyTo(target);
    }

    /// <summary>Reads elements from the device.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="source">Device address.</param>
    /// <param name="count">Number of elements.</param>
    /// <exception cref="SimFault">The range is not inside one block.</exception>
    public T[] Read<T>(ulong source, int count)
        where T : unmanaged
    {
        var values = new T[count];
        CopyToHost(MemoryMarshal.AsBytes(values.AsSpan()), source);
        return values;
    }

    /// <summary>Copies within the device; uninitialised bytes stay uninitialised.</summary>
    /// <param name="target">Device address.</param>
    /// <param name="source">Device address.</param>
    /// <param name="bytes">Number of bytes.</param>
    /// <exception cref="SimFault">A range is not inside one block.</exception>
    public void CopyDevice(ulong target, ulong source, long bytes)
    {
        MemoryBlock* to = Memory.Range(target, bytes, "copy on the device"), from = Memory.Range(source, bytes, "copy on the device");
        Buffer.MemoryCopy(from->Host + (source - from->Start), to->Host + (target - to->Start), bytes, bytes);
        Memory.CopyMarks(to, target, from, source, bytes);
    }

    /// <summary>Fills memory with a byte.</summary>
    /// <param name="target">Device address.</param>
    /// <param name="value">The byte.</param>
    /// <param name="bytes">Number of bytes.</param>
    /// <exception cref="SimFault">The range is not inside one block.</exception>
    public void Fill(ulong target, byte value, long bytes)
    {
        MemoryBlock* block = Memory.Range(target, bytes, "fill");
        NativeMemory.Fill(block->Host + (target - block->Start), (nuint)bytes, value);
        Memory.Mark(block, target, bytes, true);
    }

    /// <summary>Fills memory with a 32-bit value.</summary>
    /// <param name="target">Device address, a multiple of 4.</param>
    /// <param name="value">The value.</param>
    /// <param name="count">Number of values.</param>
    /// <exception cref="SimFault">The range is not inside one block.</exception>
    public void Fill32(ulong target, uint value, long count)
    {
        MemoryBlock* block = Memory.Range(target, count * 4, "fill");
        var p = (uint*)(block->Host + (target - block->Start));
        for (long k = 0; k < count; k++)
            p[k] = value;
        Memory.Mark(block, target, count * 4, true);
    }

    /// <summary>Whether every byte of a range was written since its memory was handed out; true where checks are off.</summary>
    /// <param name="address">Device address.</param>
    /// <param name="bytes">Number of bytes.</param>
    /// <exception cref="SimFault">The range is not inside one block.</exception>
    public bool IsInitialised(ulong address, long bytes) => Memory.IsWritten(Memory.Range(address, bytes, "check"), address, bytes);

    /// <summary>Loads a module: allocates and initialises its .global and .const variables.</summary>
    /// <param name="module">The module.</param>
    /// <exception cref="SimFault">Out of memory.</exception>
    /// <exception cref="PtxException">The module is for a device of a later compute capability, or one that names a variable which is not there.</exception>
    public SimModule Load(PtxModule module)
    {
        ArgumentNullException.ThrowIfNull(module);
        RefuseTarget(module);
        var addresses = new Dictionary<string, ulong>();
        PtxVariable[] variables = [.. module.Variables, .. module.Functions.SelectMany(f => f.Variables)];
        foreach (PtxVariable variable in variables)
        {
            if (variable.Space is StateSpace.Global or StateSpace.Constant && !variable.IsExtern)
                addresses[variable.Name] = Memory.Allocate(Math.Max(1, variable.Bytes), variable.Name)->Start;
        }

        foreach (PtxVariable variable in variables)
        {
            if (!addresses.TryGetValue(variable.Name, out ulong address) || variable.Bytes == 0)
                continue;
            // Variables without initialiser are zero, as in CUDA.
            byte[] bytes = variable.Initial ?? new byte[variable.Bytes];
            foreach (Relocation relocation in variable.Relocations)
            {
                if (!addresses.TryGetValue(relocation.Symbol, out ulong target))
                    throw new PtxException($"the initialiser of '{variable.Name}' names '{relocation.Symbol}', which is no variable in memory", variable.Line);
                BitConverter.TryWriteBytes(bytes.AsSpan(relocation.Offset), target + (ulong)relocation.Addend);
            }

            CopyToDevice(address, bytes);
            Memory.Find(address)->ReadOnly = variable.Space == StateSpace.Constant;
        }

        var loaded = new SimModule(this, module, addresses);
        modules.Add(loaded);
        return loaded;
    }

    /// <summary>A driver compiles PTX for its own device only if the text asks for no more than that; sm_90a means that very device, sm_100f its family.</summary>
    private void RefuseTarget(PtxModule module)
    {
        ReadOnlySpan<char> number = module.Target.AsSpan(Math.Min(3, module.Target.Length)).TrimEnd("af");
        if (!module.Target.StartsWith("sm_", StringComparison.Ordinal) || !int.TryParse(number, NumberStyles.None, null, out int target))
            return;
        int device = Spec.ComputeCapability;
        bool takes = module.Target[^1] switch { 'a' => target == device, 'f' => target <= device && target / 10 == device / 10, _ => target <= device };
        if (!takes)
            throw new PtxException($"the PTX is for {module.Target}, the device ({Spec.Name}) is sm_{device}: compile for compute_{device} or less", module.TargetLine);
    }

    /// <summary>Unloads a module and frees its variables.</summary>
    /// <param name="module">A module of this device.</param>
    public void Unload(SimModule module)
    {
        ArgumentNullException.ThrowIfNull(module);
        if (!modules.Remove(module))
            return;
        foreach (ulong address in module.Addresses.Values)
            Memory.Free(address);
        foreach (SimKernel kernel in module.Loaded)
            kernel.Program.Free();
    }

    /// <summary>Runs a kernel to its end.</summary>
    /// <param name="kernel">A kernel of a module of this device.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="block">Threads of a block.</param>
    /// <param name="dynamicShared">Dynamic shared memory in bytes.</param>
    /// <param name="arguments">One for each parameter.</param>
    /// <returns>What the launch did and cost.</returns>
    /// <exception cref="SimFault">A check failed, or the launch exceeds a limit. After a fault of the kernel itself every launch fails with it, as on a device.</exception>
    public LaunchReport Launch(SimKernel kernel, Dim3 grid, Dim3 block, int dynamicShared, params ReadOnlySpan<KernelArgument> arguments)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        if (arguments.Length != kernel.Parameters.Count)
            throw Limit(kernel, $"{arguments.Length} arguments for {kernel.Parameters.Count} parameters");
        byte[] buffer = new byte[kernel.ParameterBytes];
        for (int k = 0; k < arguments.Length; k++)
        {
            KernelParameter parameter = kernel.Parameters[k];
            if (arguments[k].Bytes.Length != parameter.Bytes)
                throw Limit(kernel, $"argument {k + 1} has {arguments[k].Bytes.Length} bytes, parameter '{parameter.Name}' {parameter.Bytes}");
            arguments[k].Bytes.CopyTo(buffer.AsSpan(parameter.Offset));
        }

        return LaunchPacked(kernel, grid, block, dynamicShared, buffer);
    }

    /// <summary>As <see cref="Launch"/>, with the parameter buffer laid out as <see cref="SimKernel.Parameters"/> says.</summary>
    /// <param name="kernel">A kernel of a module of this device.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="block">Threads of a block.</param>
    /// <param name="dynamicShared">Dynamic shared memory in bytes.</param>
    /// <param name="parameters">The parameter buffer.</param>
    /// <returns>What the launch did and cost.</returns>
    /// <exception cref="SimFault">A check failed, or the launch exceeds a limit.</exception>
    public LaunchReport LaunchPacked(SimKernel kernel, Dim3 grid, Dim3 block, int dynamicShared, ReadOnlySpan<byte> parameters)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        if (sticky is not null)
            throw new SimFault(sticky.Kind, $"{kernel.Name}: an earlier launch failed and the device is unusable: {sticky.Message}") { Kernel = kernel.Name };
        CheckLimits(kernel, grid, block, dynamicShared, parameters.Length);
        try
        {
            return Run(kernel, grid, block, dynamicShared, parameters.ToArray(), out _);
        }
        catch (SimFault fault)
        {
            sticky = fault;
            throw;
        }
    }

    /// <summary>Runs a launch whose limits are checked; the stamps of memory that it touched are at least <paramref name="startTime"/>.</summary>
    internal LaunchReport Run(SimKernel kernel, Dim3 grid, Dim3 block, int dynamicShared, byte[] parameters, out uint startTime)
    {
        LaunchNumber++;
        using var launch = new Launch(this, kernel.Program, grid, block, dynamicShared, parameters, kernel.RegistersPerThread);
        LaunchReport report = launch.Run();
        startTime = launch.StartTime;
        return report;
    }

    /// <summary>Makes the device usable again after a fault, as a new context does, but keeps its memory.</summary>
    public void Reset() => sticky = null;

    /// <summary>Unloads all modules and frees all memory, as the end of a context does.</summary>
    internal void Clear()
    {
        sticky = null;
        foreach (SimModule module in modules.ToArray())
            Unload(module);
        Memory.FreeAll();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SimModule module in modules)
        {
            foreach (SimKernel kernel in module.Loaded)
                kernel.Program.Free();
        }

        modules.Clear();
        Memory.Dispose();
    }

    internal int ResidentBlocks(KernelProgram program, int threads, int sharedBytes)
    {
        int rounded = (threads + 31) & ~31;
        int perMultiprocessor = Math.Min(Spec.BlocksPerMultiprocessor, Spec.ThreadsPerMultiprocessor / rounded);
        // The system keeps 1 KB of shared memory for each block.
        perMultiprocessor = Math.Min(perMultiprocessor, Spec.SharedPerMultiprocessor / (sharedBytes + 1024));
        return Math.Max(1, perMultiprocessor) * Spec.Multiprocessors;
    }

    private static SimFault Limit(SimKernel kernel, string text) => new(FaultKind.LaunchLimit, $"{kernel.Name}: {text}") { Kernel = kernel.Name };

    internal void CheckLimits(SimKernel kernel, Dim3 grid, Dim3 block, int dynamicShared, int parameterBytes)
    {
        if (kernel.Module.Device != this)
            throw Limit(kernel, "the kernel was loaded on another device");
        if (parameterBytes != kernel.ParameterBytes)
            throw Limit(kernel, $"{parameterBytes} bytes of parameters for {kernel.ParameterBytes}");
        if (block.X < 1 || block.Y < 1 || block.Z < 1 || block.X > 1024 || block.Y > 1024 || block.Z > 64 || block.Count > Spec.ThreadsPerBlock)
            throw Limit(kernel, $"a block of {block} threads; a {Spec.Name} takes {Spec.ThreadsPerBlock}, at most (1024,1024,64)");
        if (grid.X < 1 || grid.Y < 1 || grid.Z < 1 || grid.Y > 65535 || grid.Z > 65535)
            throw Limit(kernel, $"a grid of {grid} blocks; at most (2147483647,65535,65535)");
        if (grid.Count > int.MaxValue)
            throw Limit(kernel, $"a grid of {grid} blocks: the simulator counts them in 31 bits");
        PtxFunction function = kernel.Program.Function;
        if (function.MaxThreads > 0 && block.Count > function.MaxThreads)
            throw Limit(kernel, $"a block of {block} threads; the kernel is compiled for {function.MaxThreads}");
        if (function.RequiredThreads.X > 0 && (block.X, block.Y, block.Z) != function.RequiredThreads)
            throw Limit(kernel, $"a block of {block} threads; the kernel demands {function.RequiredThreads}");
        if (dynamicShared < 0 || dynamicShared > kernel.MaxDynamicShared)
            throw Limit(kernel, $"{dynamicShared} bytes of dynamic shared memory; {kernel.MaxDynamicShared} are allowed for the kernel, raise MaxDynamicShared for more");
        if (kernel.StaticShared + dynamicShared > Spec.SharedPerBlock)
            throw Limit(kernel, $"{kernel.StaticShared} + {dynamicShared} bytes of shared memory; a {Spec.Name} has {Spec.SharedPerBlock} for a block");
        long registers = (long)((kernel.RegistersPerThread + 7) & ~7) * ((block.Count + 31) & ~31L);
        if (kernel.RegistersPerThread > 255 || registers > Spec.Registers)
            throw new SimFault(FaultKind.LaunchLimit, $"{kernel.Name}: {kernel.RegistersPerThread} registers for each of {block.Count} threads; a {Spec.Name} has {Spec.Registers} for a block and 255 for a thread")
            {
                Kernel = kernel.Name, OutOfResources = true,
            };
    }
}
