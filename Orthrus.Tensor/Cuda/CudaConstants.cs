namespace Orthrus.Tensor.Cuda;

/// <summary>Device attributes that the engine asks for (CUdevice_attribute). Values: cuda.h.</summary>
internal enum CudaDeviceAttribute
{
    MaxThreadsPerBlock = 1,
    MaxGridDimX = 5,
    MaxGridDimY = 6,
    MaxSharedMemoryPerBlock = 8,
    WarpSize = 10,
    ClockRateKilohertz = 13,
    MultiprocessorCount = 16,
    MemoryClockRateKilohertz = 36,
    GlobalMemoryBusWidthBits = 37,
    L2CacheBytes = 38,
    MaxThreadsPerMultiprocessor = 39,
    ComputeCapabilityMajor = 75,
    ComputeCapabilityMinor = 76,
    MaxSharedMemoryPerMultiprocessor = 81,
    MaxRegistersPerMultiprocessor = 82,
    MaxSharedMemoryPerBlockOptIn = 97,
}

/// <summary>Function attributes (CUfunction_attribute). Values: cuda.h.</summary>
internal enum CudaFunctionAttribute
{
    MaxThreadsPerBlock = 0,
    SharedBytes = 1,
    ConstBytes = 2,
    LocalBytes = 3,
    Registers = 4,
    PtxVersion = 5,
    BinaryVersion = 6,
    MaxDynamicSharedBytes = 8,
    PreferredSharedCarveout = 9,
}

/// <summary>Options of the driver's PTX compiler (CUjit_option). Values: cuda.h.</summary>
internal enum CudaJitOption
{
    InfoLogBuffer = 3,
    InfoLogBufferBytes = 4,
    ErrorLogBuffer = 5,
    ErrorLogBufferBytes = 6,
}

/// <summary>Who may disturb the recording of a graph (CUstreamCaptureMode). Values: cuda.h.</summary>
internal enum CudaCaptureMode
{
    Global = 0,
    ThreadLocal = 1,
    Relaxed = 2,
}

/// <summary>What can be asked about a device pointer (CUpointer_attribute). Values: cuda.h.</summary>
internal enum CudaPointerAttribute
{
    /// <summary>A CUcontext; 0 for memory of a pool, which belongs to none.</summary>
    Context = 1,
    /// <summary>An int.</summary>
    DeviceOrdinal = 9,
    /// <summary>A CUdeviceptr.</summary>
    RangeStart = 11,
    /// <summary>A size_t.</summary>
    RangeSize = 12,
}
