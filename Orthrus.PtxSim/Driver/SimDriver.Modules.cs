using System.Runtime.InteropServices;
using System.Text;
using Orthrus.PtxSim.Parsing;
using Orthrus.Tensor.Cuda;

namespace Orthrus.PtxSim;

/// <summary>Modules and launches.</summary>
public sealed unsafe partial class SimDriver
{
    private static readonly (int Driver, int Ptx)[] PtxVersions =
    [
        (11000, 70), (11010, 71), (11020, 72), (11030, 73), (11040, 74), (11050, 75), (11060, 76), (11070, 77), (11080, 78), (12000, 80), (12010, 81),
        (12020, 82), (12030, 83), (12040, 84), (12050, 85), (12070, 86), (12080, 87), (12090, 88), (13000, 90),
    ];

    CudaResult ICudaDriver.ModuleLoadDataEx(nint* module, void* image, uint count, CudaJitOption* jitOptions, void** values)
    {
        if (Enter(out SimContext c) is var result && result != CudaResult.Success)
            return result;
        if (new ReadOnlySpan<byte>(image, 4).SequenceEqual("\u007FELF"u8))
            return Fail(CudaResult.NoBinaryForGpu, "a simulated device takes PTX, not machine code");
        string text = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated((byte*)image));
        text = intervention?.Load(text) ?? text;
        lock (c.Gate)
        {
            if (c.Error != CudaResult.Success)
                return c.Failed();
            if (Unsafe("cuModuleLoadDataEx") is var unsafeCall && unsafeCall != CudaResult.Success)
                return unsafeCall;
            if (!options.PtxCompiler)
                return Fail(CudaResult.JitCompilerNotFound);
            try
            {
                PtxModule ptx = PtxModule.Parse(text);
                if (TooNew(ptx) is { } why)
                    return Fail(CudaResult.UnsupportedPtxVersion, why);
                return Set(module, handles.Add(new LoadedModule(c, c.Device.Load(ptx))));
            }
            catch (PtxException fault)
            {
                Log(fault.Message, count, jitOptions, values);
                return Fail(CudaResult.InvalidPtx, fault.Message);
            }
            catch (SimFault fault) when (fault.Kind == FaultKind.OutOfMemory)
            {
                return Fail(CudaResult.OutOfMemory, fault.Message);
            }
        }
    }

    CudaResult ICudaDriver.ModuleUnload(nint module)
    {
        if (handles.Remove<LoadedModule>(module) is not { } loaded)
            return Fail(CudaResult.InvalidHandle);
        handles.RemoveAll(o => o is LoadedFunction f && f.Module == loaded);
        lock (loaded.Context.Gate)
        {
            if (Unsafe("cuModuleUnload") is var unsafeCall && unsafeCall != CudaResult.Success)
                return unsafeCall;
            if (loaded.Context.SynchroniseAll() is var ended && ended != CudaResult.Success)
                return ended;
            loaded.Module.Device.Unload(loaded.Module);
            return CudaResult.Success;
        }
    }

    CudaResult ICudaDriver.ModuleGetFunction(nint* function, nint module, byte* name)
    {
        if (handles.Get(module) is not LoadedModule loaded)
            return Fail(CudaResult.InvalidHandle);
        string text = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));
        if (!loaded.Module.Source.Kernels.Contains(text))
            return Fail(CudaResult.NotFound, $"there are {string.Join(", ", loaded.Module.Source.Kernels)}");
        lock (loaded.Context.Gate)
        {
            try
            {
                return Set(function, handles.Add(new LoadedFunction(loaded, loaded.Module[text])));
            }
            catch (PtxException fault)
            {
                return Fail(CudaResult.InvalidPtx, fault.Message);
            }
        }
    }

    CudaResult ICudaDriver.FuncGetAttribute(int* value, CudaFunctionAttribute attribute, nint function)
    {
        if (handles.Get(function) is not LoadedFunction { Kernel: var kernel })
            return Fail(CudaResult.InvalidHandle);
        return attribute switch
        {
            CudaFunctionAttribute.MaxThreadsPerBlock => Set(value, kernel.Program.Function.MaxThreads is > 0 and var limit ? limit : kernel.Module.Device.Spec.ThreadsPerBlock),
            CudaFunctionAttribute.SharedBytes => Set(value, kernel.StaticShared),
            CudaFunctionAttribute.ConstBytes => Set(value, (int)kernel.Module.Source.Variables.Where(v => v.Space == StateSpace.Constant).Sum(v => v.Bytes)),
            CudaFunctionAttribute.LocalBytes => Set(value, kernel.LocalBytes),
            CudaFunctionAttribute.Registers => Set(value, kernel.RegistersPerThread),
            CudaFunctionAttribute.PtxVersion => Set(value, VersionOf(kernel.Module.Source)),
            CudaFunctionAttribute.BinaryVersion => Set(value, kernel.Module.Device.Spec.ComputeCapability),
            CudaFunctionAttribute.MaxDynamicSharedBytes => Set(value, kernel.MaxDynamicShared),
            CudaFunctionAttribute.PreferredSharedCarveout => Set(value, -1),
            _ => Fail(CudaResult.InvalidValue),
        };
    }

    CudaResult ICudaDriver.FuncSetAttribute(nint function, CudaFunctionAttribute attribute, int value)
    {
        if (handles.Get(function) is not LoadedFunction { Kernel: var kernel })
            return Fail(CudaResult.InvalidHandle);
        if (attribute == CudaFunctionAttribute.PreferredSharedCarveout)
            return value is >= -1 and <= 100 ? CudaResult.Success : Fail(CudaResult.InvalidValue);
        int most = kernel.Module.Device.Spec.SharedPerBlock - kernel.StaticShared;
        if (attribute != CudaFunctionAttribute.MaxDynamicSharedBytes || value < 0 || value > most)
            return Fail(CudaResult.InvalidValue, $"{kernel.Name}: {value} bytes of dynamic shared memory; a {kernel.Module.Device.Spec.Name} has {most} for it");
        kernel.MaxDynamicShared = value;
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.OccupancyMaxActiveBlocks(int* blocks, nint function, int blockSize, nuint dynamicShared)
    {
        if (handles.Get(function) is not LoadedFunction { Kernel: var kernel })
            return Fail(CudaResult.InvalidHandle);
        SimDeviceSpec spec = kernel.Module.Device.Spec;
        if (blockSize < 1)
            return Fail(CudaResult.InvalidValue);
        long shared = kernel.StaticShared + (long)dynamicShared;
        int warps = (blockSize + 31) / 32;
        long most = Math.Min(spec.BlocksPerMultiprocessor, spec.ThreadsPerMultiprocessor / (32 * warps));
        most = blockSize > spec.ThreadsPerBlock || shared > spec.SharedPerBlock ? 0 : Math.Min(most, spec.SharedPerMultiprocessor / (shared + 1024));
        if (kernel.RegistersPerThread > 0)
            most = Math.Min(most, spec.Registers / (((kernel.RegistersPerThread + 7) & ~7) * 32 * warps));
        return Set(blocks, (int)most);
    }

    CudaResult ICudaDriver.LaunchKernel(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint dynamicShared, nint stream, void** parameters, void** extra)
    {
        if (handles.Get(function) is not LoadedFunction { Kernel: var kernel, Module: var module })
            return Fail(CudaResult.InvalidHandle);
        if (Stream(stream, out SimStream s) is var result && result != CudaResult.Success)
            return result;
        if (s.Context != module.Context)
            return Fail(CudaResult.InvalidHandle, "kernel and stream belong to different contexts");
        if (extra != null)
            return Fail(CudaResult.NotSupported, "the parameter 'extra' of cuLaunchKernel is not simulated");
        if (parameters == null && kernel.Parameters.Count > 0)
            return Fail(CudaResult.InvalidValue, $"{kernel.Name} has {kernel.Parameters.Count} parameters");
        var buffer = new byte[kernel.ParameterBytes];
        for (int k = 0; k < kernel.Parameters.Count; k++)
            new ReadOnlySpan<byte>(parameters[k], kernel.Parameters[k].Bytes).CopyTo(buffer.AsSpan(kernel.Parameters[k].Offset));
        Dim3 grid = new((int)gridX, (int)gridY, (int)gridZ), block = new((int)blockX, (int)blockY, (int)blockZ);
        lock (s.Context.Gate)
        {
            if (s.Context.Error != CudaResult.Success)
                return s.Context.Failed();
            try
            {
                kernel.Module.Device.CheckLimits(kernel, grid, block, (int)Math.Min(dynamicShared, int.MaxValue), buffer.Length);
            }
            catch (SimFault fault)
            {
                return Fail(fault.OutOfResources ? CudaResult.LaunchOutOfResources : CudaResult.InvalidValue, fault.Message);
            }

            if (intervention is null)
                return Issue(s, new LaunchOperation(kernel, grid, block, (int)dynamicShared, buffer));
            return intervention.Launch(kernel.Name, grid, (int)dynamicShared) is { } other ? Issue(s, new LaunchOperation(kernel, other.Grid, block, other.DynamicShared, buffer)) : CudaResult.Success;
        }
    }

    private static int VersionOf(PtxModule ptx) =>
        ptx.Version.Split('.') is [var major, var minor] && int.TryParse(major, out int a) && int.TryParse(minor, out int b) ? (10 * a) + b : 0;

    private static void Log(string text, uint count, CudaJitOption* jitOptions, void** values)
    {
        byte* buffer = null;
        nuint size = 0;
        int sizeAt = -1;
        for (int k = 0; k < count; k++)
        {
            if (jitOptions[k] == CudaJitOption.ErrorLogBuffer)
                buffer = (byte*)values[k];
            if (jitOptions[k] == CudaJitOption.ErrorLogBufferBytes)
                (size, sizeAt) = ((nuint)values[k], k);
        }

        if (buffer == null || size == 0)
            return;
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        int n = Math.Min(bytes.Length, (int)size - 1);
        bytes.AsSpan(0, n).CopyTo(new Span<byte>(buffer, n));
        buffer[n] = 0;
        values[sizeAt] = (void*)(nuint)n;
    }

    private string? TooNew(PtxModule ptx)
    {
        int newest = PtxVersions.LastOrDefault(v => v.Driver <= options.DriverVersion).Ptx, version = VersionOf(ptx);
        return version <= newest ? null
            : $"the PTX has version {ptx.Version}; a driver of CUDA {options.DriverVersion / 1000}.{options.DriverVersion % 1000 / 10} takes {newest / 10}.{newest % 10} at most";
    }

    /// <summary>What stands behind the handle of a module.</summary>
    private sealed record LoadedModule(SimContext Context, SimModule Module);

    /// <summary>What stands behind the handle of a function.</summary>
    private sealed record LoadedFunction(LoadedModule Module, SimKernel Kernel);
}
