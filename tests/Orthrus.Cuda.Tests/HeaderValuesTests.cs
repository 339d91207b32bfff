using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests;

/// <summary>
/// Values of NVIDIA's headers that the declarations use. Sources: cuda.h as transcribed in NVIDIA/cuda-python, cuda/ccuda.pxd (CUDA 11.x: enumerations cudaError_enum,
/// CUdevice_attribute_enum, CUfunction_attribute_enum, CUjit_option_enum, CUstreamCaptureMode_enum, CUstream_flags_enum, CUevent_flags_enum), and the CUDA Driver API
/// reference, "Data types used by CUDA driver"; cublas_api.h (cublasStatus_t, cublasOperation_t, cublasComputeType_t, cublasMath_t, cublasGemmAlgo_t) and library_types.h
/// (cudaDataType, libraryPropertyType) of CUDA 11, and the cuBLAS documentation, "cuBLAS datatypes reference". Names are the header's, so that a line can be looked up.
/// </summary>
public sealed class HeaderValuesTests
{
    private static readonly (string Name, int Value, int Ours)[] Table =
    [
        .. Results(),
        ("CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK", 1, (int)CudaDeviceAttribute.MaxThreadsPerBlock),
        ("CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X", 5, (int)CudaDeviceAttribute.MaxGridDimX),
        ("CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y", 6, (int)CudaDeviceAttribute.MaxGridDimY),
        ("CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK", 8, (int)CudaDeviceAttribute.MaxSharedMemoryPerBlock),
        ("CU_DEVICE_ATTRIBUTE_WARP_SIZE", 10, (int)CudaDeviceAttribute.WarpSize),
        ("CU_DEVICE_ATTRIBUTE_CLOCK_RATE", 13, (int)CudaDeviceAttribute.ClockRateKilohertz),
        ("CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT", 16, (int)CudaDeviceAttribute.MultiprocessorCount),
        ("CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE", 36, (int)CudaDeviceAttribute.MemoryClockRateKilohertz),
        ("CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH", 37, (int)CudaDeviceAttribute.GlobalMemoryBusWidthBits),
        ("CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE", 38, (int)CudaDeviceAttribute.L2CacheBytes),
        ("CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR", 39, (int)CudaDeviceAttribute.MaxThreadsPerMultiprocessor),
        ("CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR", 75, (int)CudaDeviceAttribute.ComputeCapabilityMajor),
        ("CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR", 76, (int)CudaDeviceAttribute.ComputeCapabilityMinor),
        ("CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR", 81, (int)CudaDeviceAttribute.MaxSharedMemoryPerMultiprocessor),
        ("CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR", 82, (int)CudaDeviceAttribute.MaxRegistersPerMultiprocessor),
        ("CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN", 97, (int)CudaDeviceAttribute.MaxSharedMemoryPerBlockOptIn),
        ("CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK", 0, (int)CudaFunctionAttribute.MaxThreadsPerBlock),
        ("CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES", 1, (int)CudaFunctionAttribute.SharedBytes),
        ("CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES", 2, (int)CudaFunctionAttribute.ConstBytes),
        ("CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES", 3, (int)CudaFunctionAttribute.LocalBytes),
        ("CU_FUNC_ATTRIBUTE_NUM_REGS", 4, (int)CudaFunctionAttribute.Registers),
        ("CU_FUNC_ATTRIBUTE_PTX_VERSION", 5, (int)CudaFunctionAttribute.PtxVersion),
        ("CU_FUNC_ATTRIBUTE_BINARY_VERSION", 6, (int)CudaFunctionAttribute.BinaryVersion),
        ("CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES", 8, (int)CudaFunctionAttribute.MaxDynamicSharedBytes),
        ("CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT", 9, (int)CudaFunctionAttribute.PreferredSharedCarveout),
        ("CU_JIT_INFO_LOG_BUFFER", 3, (int)CudaJitOption.InfoLogBuffer),
        ("CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES", 4, (int)CudaJitOption.InfoLogBufferBytes),
        ("CU_JIT_ERROR_LOG_BUFFER", 5, (int)CudaJitOption.ErrorLogBuffer),
        ("CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES", 6, (int)CudaJitOption.ErrorLogBufferBytes),
        ("CU_STREAM_CAPTURE_MODE_GLOBAL", 0, (int)CudaCaptureMode.Global),
        ("CU_STREAM_CAPTURE_MODE_THREAD_LOCAL", 1, (int)CudaCaptureMode.ThreadLocal),
        ("CU_STREAM_CAPTURE_MODE_RELAXED", 2, (int)CudaCaptureMode.Relaxed),
        ("CU_POINTER_ATTRIBUTE_CONTEXT", 1, (int)CudaPointerAttribute.Context),
        ("CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL", 9, (int)CudaPointerAttribute.DeviceOrdinal),
        ("CU_POINTER_ATTRIBUTE_RANGE_START_ADDR", 11, (int)CudaPointerAttribute.RangeStart),
        ("CU_POINTER_ATTRIBUTE_RANGE_SIZE", 12, (int)CudaPointerAttribute.RangeSize),
        ("CUBLAS_STATUS_SUCCESS", 0, (int)CublasStatus.Success),
        ("CUBLAS_STATUS_NOT_INITIALIZED", 1, (int)CublasStatus.NotInitialized),
        ("CUBLAS_STATUS_ALLOC_FAILED", 3, (int)CublasStatus.AllocFailed),
        ("CUBLAS_STATUS_INVALID_VALUE", 7, (int)CublasStatus.InvalidValue),
        ("CUBLAS_STATUS_ARCH_MISMATCH", 8, (int)CublasStatus.ArchMismatch),
        ("CUBLAS_STATUS_MAPPING_ERROR", 11, (int)CublasStatus.MappingError),
        ("CUBLAS_STATUS_EXECUTION_FAILED", 13, (int)CublasStatus.ExecutionFailed),
        ("CUBLAS_STATUS_INTERNAL_ERROR", 14, (int)CublasStatus.InternalError),
        ("CUBLAS_STATUS_NOT_SUPPORTED", 15, (int)CublasStatus.NotSupported),
        ("CUBLAS_STATUS_LICENSE_ERROR", 16, (int)CublasStatus.LicenseError),
        ("CUBLAS_OP_N", 0, (int)CublasOperation.None),
        ("CUBLAS_OP_T", 1, (int)CublasOperation.Transpose),
        ("CUDA_R_32F", 0, (int)CublasType.F32),
        ("CUDA_R_16BF", 14, (int)CublasType.BF16),
        ("CUBLAS_COMPUTE_32F", 68, (int)CublasCompute.F32),
        ("CUBLAS_COMPUTE_32F_PEDANTIC", 69, (int)CublasCompute.F32Pedantic),
        ("CUBLAS_DEFAULT_MATH", 0, (int)CublasMath.Default),
        ("CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION", 16, (int)CublasMath.DisallowReducedPrecisionReduction),
        ("CUBLAS_GEMM_DEFAULT", -1, (int)CublasAlgorithm.Default),
        ("MAJOR_VERSION", 0, (int)CublasProperty.Major),
        ("MINOR_VERSION", 1, (int)CublasProperty.Minor),
        ("PATCH_LEVEL", 2, (int)CublasProperty.Patch),
    ];

    // CUresult: the name in the header follows from ours, which CudaErrors spells out; the values stand here once more.
    private static IEnumerable<(string, int, int)> Results()
    {
        (string Name, int Value)[] header =
        [
            ("SUCCESS", 0), ("INVALID_VALUE", 1), ("OUT_OF_MEMORY", 2), ("NOT_INITIALIZED", 3), ("DEINITIALIZED", 4), ("PROFILER_DISABLED", 5), ("STUB_LIBRARY", 34), ("DEVICE_UNAVAILABLE", 46),
            ("NO_DEVICE", 100), ("INVALID_DEVICE", 101), ("DEVICE_NOT_LICENSED", 102), ("INVALID_IMAGE", 200), ("INVALID_CONTEXT", 201), ("MAP_FAILED", 205), ("UNMAP_FAILED", 206),
            ("NO_BINARY_FOR_GPU", 209), ("ECC_UNCORRECTABLE", 214), ("UNSUPPORTED_LIMIT", 215), ("CONTEXT_ALREADY_IN_USE", 216), ("INVALID_PTX", 218), ("NVLINK_UNCORRECTABLE", 220),
            ("JIT_COMPILER_NOT_FOUND", 221), ("UNSUPPORTED_PTX_VERSION", 222), ("JIT_COMPILATION_DISABLED", 223), ("INVALID_SOURCE", 300), ("FILE_NOT_FOUND", 301),
            ("SHARED_OBJECT_SYMBOL_NOT_FOUND", 302), ("SHARED_OBJECT_INIT_FAILED", 303), ("OPERATING_SYSTEM", 304), ("INVALID_HANDLE", 400), ("ILLEGAL_STATE", 401), ("NOT_FOUND", 500),
            ("NOT_READY", 600), ("ILLEGAL_ADDRESS", 700), ("LAUNCH_OUT_OF_RESOURCES", 701), ("LAUNCH_TIMEOUT", 702), ("PRIMARY_CONTEXT_ACTIVE", 708), ("CONTEXT_IS_DESTROYED", 709),
            ("ASSERT", 710), ("HOST_MEMORY_ALREADY_REGISTERED", 712), ("HOST_MEMORY_NOT_REGISTERED", 713), ("HARDWARE_STACK_ERROR", 714), ("ILLEGAL_INSTRUCTION", 715),
            ("MISALIGNED_ADDRESS", 716), ("INVALID_ADDRESS_SPACE", 717), ("INVALID_PC", 718), ("LAUNCH_FAILED", 719), ("COOPERATIVE_LAUNCH_TOO_LARGE", 720), ("NOT_PERMITTED", 800),
            ("NOT_SUPPORTED", 801), ("SYSTEM_NOT_READY", 802), ("SYSTEM_DRIVER_MISMATCH", 803), ("COMPAT_NOT_SUPPORTED_ON_DEVICE", 804), ("STREAM_CAPTURE_UNSUPPORTED", 900),
            ("STREAM_CAPTURE_INVALIDATED", 901), ("STREAM_CAPTURE_MERGE", 902), ("STREAM_CAPTURE_UNMATCHED", 903), ("STREAM_CAPTURE_UNJOINED", 904), ("STREAM_CAPTURE_ISOLATION", 905),
            ("STREAM_CAPTURE_IMPLICIT", 906), ("CAPTURED_EVENT", 907), ("STREAM_CAPTURE_WRONG_THREAD", 908), ("TIMEOUT", 909), ("GRAPH_EXEC_UPDATE_FAILURE", 910), ("UNKNOWN", 999),
        ];
        foreach (var (name, value) in header) yield return (name, value, (int)Enum.Parse<CudaResult>(name.Replace("_", "", StringComparison.Ordinal), ignoreCase: true));
    }

    [Fact]
    public void Values_are_those_of_the_headers()
    {
        Assert.All(Table, row => Assert.Equal((row.Name, row.Value), (row.Name, row.Ours)));
        // Every value that is declared stands in the table.
        Assert.Equal(Enum.GetValues<CudaResult>().Length + Enum.GetValues<CudaDeviceAttribute>().Length + Enum.GetValues<CudaFunctionAttribute>().Length
            + Enum.GetValues<CudaJitOption>().Length + Enum.GetValues<CudaCaptureMode>().Length + Enum.GetValues<CudaPointerAttribute>().Length + Enum.GetValues<CublasStatus>().Length
            + Enum.GetValues<CublasOperation>().Length + Enum.GetValues<CublasType>().Length + Enum.GetValues<CublasCompute>().Length + Enum.GetValues<CublasMath>().Length
            + Enum.GetValues<CublasAlgorithm>().Length + Enum.GetValues<CublasProperty>().Length, Table.Length);
    }
}
