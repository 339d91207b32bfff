namespace Orthrus.Tensor.Cuda;

/// <summary>What a driver's result code means, and what to do about it.</summary>
/// <param name="Name">The driver's name, CUDA_ERROR_...</param>
/// <param name="Meaning">In words.</param>
/// <param name="Remedy">What to do.</param>
/// <param name="Sticky">True where the context is lost: every later call fails with the same code until the process ends.</param>
public readonly record struct CudaErrorInfo(string Name, string Meaning, string Remedy, bool Sticky = false);

/// <summary>The table of result codes.</summary>
public static class CudaErrors
{
    /// <summary>How a message ends whose trouble a CPU has not; who cannot use one leaves it out.</summary>
    public const string UseCpu = "or use --device cpu";

    private const string Report = "this is a fault of the program: report it with the command that led here",
        Kernel = "a kernel is at fault: run the same command with --device sim, which names the line, and report it",
        Hardware = "check the card (nvidia-smi -q, dmesg); other programs on it fail as well";

    /// <summary>Name, meaning and remedy of a code; codes without an entry say so.</summary>
    public static CudaErrorInfo Describe(CudaResult result) => result switch
    {
        CudaResult.Success => new("CUDA_SUCCESS", "no error", "nothing to do"),
        CudaResult.InvalidValue => new("CUDA_ERROR_INVALID_VALUE", "an argument is out of range", Report),
        CudaResult.OutOfMemory => new("CUDA_ERROR_OUT_OF_MEMORY", "device memory is used up", "use shorter batches, or end other programs on this GPU (nvidia-smi lists them)"),
        CudaResult.NotInitialized => new("CUDA_ERROR_NOT_INITIALIZED", "the driver was not initialised", Report),
        CudaResult.Deinitialized => new("CUDA_ERROR_DEINITIALIZED", "the driver is shutting down", "close CUDA objects before the process ends"),
        CudaResult.ProfilerDisabled => new("CUDA_ERROR_PROFILER_DISABLED", "a profiler holds the device", "end the profiler"),
        CudaResult.StubLibrary => new("CUDA_ERROR_STUB_LIBRARY", "the library found is the toolkit's link stub, not a driver",
            "take .../lib64/stubs out of LD_LIBRARY_PATH, or install the NVIDIA driver"),
        CudaResult.DeviceUnavailable => new("CUDA_ERROR_DEVICE_UNAVAILABLE", "the device is busy or in exclusive mode", "end the program that holds it (nvidia-smi), or choose another with --device cuda:N"),
        CudaResult.NoDevice => new("CUDA_ERROR_NO_DEVICE", "the driver sees no GPU",
            $"check nvidia-smi and CUDA_VISIBLE_DEVICES; in a container, start it with GPUs (--gpus all); {UseCpu}"),
        CudaResult.InvalidDevice => new("CUDA_ERROR_INVALID_DEVICE", "there is no device of this number", "nvidia-smi -L lists the devices; CUDA_VISIBLE_DEVICES renumbers them"),
        CudaResult.DeviceNotLicensed => new("CUDA_ERROR_DEVICE_NOT_LICENSED", "the virtual GPU has no licence", "see the licence settings of the virtual machine's host"),
        CudaResult.InvalidImage => new("CUDA_ERROR_INVALID_IMAGE", "the kernel image is damaged", "run `orthrus warmup`, which builds it anew"),
        CudaResult.InvalidContext => new("CUDA_ERROR_INVALID_CONTEXT", "no context is current on this thread, or it was destroyed", "keep the owner of the context alive while Orthrus uses it"),
        CudaResult.MapFailed => new("CUDA_ERROR_MAP_FAILED", "memory could not be mapped", Hardware),
        CudaResult.UnmapFailed => new("CUDA_ERROR_UNMAP_FAILED", "memory could not be unmapped", Hardware),
        CudaResult.NoBinaryForGpu => new("CUDA_ERROR_NO_BINARY_FOR_GPU", "the kernel image was built for another kind of GPU", "run `orthrus warmup` on this machine"),
        CudaResult.EccUncorrectable => new("CUDA_ERROR_ECC_UNCORRECTABLE", "a memory error that could not be corrected", Hardware, Sticky: true),
        CudaResult.UnsupportedLimit => new("CUDA_ERROR_UNSUPPORTED_LIMIT", "the device does not know this limit", Report),
        CudaResult.ContextAlreadyInUse => new("CUDA_ERROR_CONTEXT_ALREADY_IN_USE", "the context is bound to another thread", Report),
        CudaResult.InvalidPtx => new("CUDA_ERROR_INVALID_PTX", "the driver's compiler refuses the kernel's PTX", "update the NVIDIA driver; if it is new, report the log"),
        CudaResult.NvlinkUncorrectable => new("CUDA_ERROR_NVLINK_UNCORRECTABLE", "an NVLink error that could not be corrected", Hardware, Sticky: true),
        CudaResult.JitCompilerNotFound => new("CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "the driver's PTX compiler (libnvidia-ptxjitcompiler.so.1) is missing",
            "install it with the driver; in a container, mount it (NVIDIA_DRIVER_CAPABILITIES=compute,utility); or install NVRTC, which needs no PTX compiler"),
        CudaResult.UnsupportedPtxVersion => new("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the driver is older than the kernel's PTX", "update the NVIDIA driver (520 or newer), or install an NVRTC as old as the driver"),
        CudaResult.JitCompilationDisabled => new("CUDA_ERROR_JIT_COMPILATION_DISABLED", "compiling PTX is switched off", "unset CUDA_DISABLE_PTX_JIT, or install NVRTC"),
        CudaResult.InvalidSource => new("CUDA_ERROR_INVALID_SOURCE", "the kernel's source is invalid", Report),
        CudaResult.FileNotFound => new("CUDA_ERROR_FILE_NOT_FOUND", "a file of the driver is missing", "install the NVIDIA driver anew"),
        CudaResult.SharedObjectSymbolNotFound => new("CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND", "the driver lacks a function that it should have", "install the NVIDIA driver anew: parts of two versions are mixed"),
        CudaResult.SharedObjectInitFailed => new("CUDA_ERROR_SHARED_OBJECT_INIT_FAILED", "a library of the driver could not start", "install the NVIDIA driver anew"),
        CudaResult.OperatingSystem => new("CUDA_ERROR_OPERATING_SYSTEM", "the operating system refused a call of the driver", "check limits (ulimit -v, locked memory) and dmesg"),
        CudaResult.InvalidHandle => new("CUDA_ERROR_INVALID_HANDLE", "a handle is not valid", Report),
        CudaResult.IllegalState => new("CUDA_ERROR_ILLEGAL_STATE", "the call does not fit the object's state", Report),
        CudaResult.NotFound => new("CUDA_ERROR_NOT_FOUND", "the image has no kernel of this name", "run `orthrus warmup`, which builds the image anew"),
        CudaResult.NotReady => new("CUDA_ERROR_NOT_READY", "work is still running", "wait for it"),
        CudaResult.IllegalAddress => new("CUDA_ERROR_ILLEGAL_ADDRESS", "a kernel used an address outside of its memory", Kernel, Sticky: true),
        CudaResult.LaunchOutOfResources => new("CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "a launch asks for more threads, registers or shared memory than the device has", Kernel),
        CudaResult.LaunchTimeout => new("CUDA_ERROR_LAUNCH_TIMEOUT", "a kernel ran longer than the system allows on a GPU that drives a display", "use a GPU without display, or shorter batches", Sticky: true),
        CudaResult.PrimaryContextActive => new("CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE", "the primary context is in use already", Report),
        CudaResult.ContextIsDestroyed => new("CUDA_ERROR_CONTEXT_IS_DESTROYED", "the context was destroyed", "keep the owner of the context alive while Orthrus uses it"),
        CudaResult.Assert => new("CUDA_ERROR_ASSERT", "an assertion of a kernel failed", Kernel, Sticky: true),
        CudaResult.HostMemoryAlreadyRegistered => new("CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "the host memory is pinned already", Report),
        CudaResult.HostMemoryNotRegistered => new("CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "the host memory is not pinned", Report),
        CudaResult.HardwareStackError => new("CUDA_ERROR_HARDWARE_STACK_ERROR", "a kernel overran its stack", Kernel, Sticky: true),
        CudaResult.IllegalInstruction => new("CUDA_ERROR_ILLEGAL_INSTRUCTION", "a kernel met an instruction that the device does not know", Kernel, Sticky: true),
        CudaResult.MisalignedAddress => new("CUDA_ERROR_MISALIGNED_ADDRESS", "a kernel used a misaligned address", Kernel, Sticky: true),
        CudaResult.InvalidAddressSpace => new("CUDA_ERROR_INVALID_ADDRESS_SPACE", "a kernel used an address of the wrong space", Kernel, Sticky: true),
        CudaResult.InvalidPc => new("CUDA_ERROR_INVALID_PC", "a kernel jumped out of its code", Kernel, Sticky: true),
        CudaResult.LaunchFailed => new("CUDA_ERROR_LAUNCH_FAILED", "a kernel failed", Kernel, Sticky: true),
        CudaResult.CooperativeLaunchTooLarge => new("CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "a cooperative launch does not fit the device", Kernel),
        CudaResult.NotPermitted => new("CUDA_ERROR_NOT_PERMITTED", "the call is not permitted", "see the permissions of /dev/nvidia*"),
        CudaResult.NotSupported => new("CUDA_ERROR_NOT_SUPPORTED", "device, driver or system does not support the call", "update the NVIDIA driver, or use another device"),
        CudaResult.SystemNotReady => new("CUDA_ERROR_SYSTEM_NOT_READY", "the system's GPU services are not ready", "start nvidia-fabricmanager (machines with NVSwitch)"),
        CudaResult.SystemDriverMismatch => new("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "kernel module and user library of the driver differ in version", "restart the machine after the driver's update; in a container, mount the host's library"),
        CudaResult.CompatNotSupportedOnDevice => new("CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "the compatibility package does not support this GPU", "take cuda-compat out of LD_LIBRARY_PATH, or update the NVIDIA driver"),
        >= CudaResult.StreamCaptureUnsupported and <= CudaResult.StreamCaptureWrongThread => new($"CUDA_ERROR_STREAM_CAPTURE ({(int)result})", "a call does not fit the recording of a graph", Report),
        CudaResult.Timeout => new("CUDA_ERROR_TIMEOUT", "an operation took too long", Hardware),
        CudaResult.GraphExecUpdateFailure => new("CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE", "a graph could not be updated", Report),
        CudaResult.Unknown => new("CUDA_ERROR_UNKNOWN", "the driver reports an unknown error", Hardware),
        _ => new($"CUDA error {(int)result}", "the driver reports a code that this version does not know", "update Orthrus or the NVIDIA driver"),
    };
}

/// <summary>A call of NVIDIA's libraries failed. The message names call, code, meaning and remedy in one line.</summary>
public sealed class CudaException : Exception
{
    /// <summary>A driver call failed.</summary>
    /// <param name="call">Name of the function.</param>
    /// <param name="result">Its result.</param>
    /// <param name="subject">What it was about (a kernel, a size), or null.</param>
    public CudaException(string call, CudaResult result, string? subject = null) : base(Compose(call, (int)result, CudaErrors.Describe(result), subject))
    {
        Call = call;
        Result = result;
    }

    /// <summary>A call of cuBLAS failed.</summary>
    /// <param name="call">Name of the function.</param>
    /// <param name="status">Its status.</param>
    /// <param name="subject">What it was about (a device, sizes), or null.</param>
    public CudaException(string call, CublasStatus status, string? subject = null) : base(Compose(call, (int)status, CublasErrors.Describe(status), subject))
    {
        Call = call;
        Status = status;
    }

    /// <summary>A call to a device that an earlier error has ended.</summary>
    /// <param name="cause">That error.</param>
    internal CudaException(CudaException cause) : base($"the device was lost before: {cause.Message}", cause)
    {
        Call = cause.Call;
        Result = cause.Result;
    }

    /// <summary>A library is missing, or lacks a function.</summary>
    /// <param name="call">Name of the function.</param>
    /// <param name="message">One line with reason and remedy.</param>
    public CudaException(string call, string message) : base(message)
    {
        Call = call;
        Result = null;
    }

    /// <summary>Name of the function that failed.</summary>
    public string Call { get; }
    /// <summary>The driver's result; null where another library failed, or the function could not be called.</summary>
    public CudaResult? Result { get; }
    /// <summary>cuBLAS's status; null where another library failed.</summary>
    public CublasStatus? Status { get; }
    /// <summary>True where the context is lost for the rest of the process.</summary>
    public bool IsSticky => Result is { } r && CudaErrors.Describe(r).Sticky;

    private static string Compose(string call, int code, CudaErrorInfo info, string? subject) =>
        $"{call}{(subject is null ? "" : $" ({subject})")}: {info.Name} ({code}): {info.Meaning}; {info.Remedy}";
}
