namespace Orthrus.Tensor.Cuda;

/// <summary>Status codes of cuBLAS (cublasStatus_t). Values: cublas_api.h of CUDA 11.8 to 13.</summary>
public enum CublasStatus
{
#pragma warning disable CS1591 // The names are the library's own; Describe has meaning and remedy of each.
    Success = 0,
    NotInitialized = 1,
    AllocFailed = 3,
    InvalidValue = 7,
    ArchMismatch = 8,
    MappingError = 11,
    ExecutionFailed = 13,
    InternalError = 14,
    NotSupported = 15,
    LicenseError = 16,
#pragma warning restore CS1591
}

/// <summary>The table of status codes.</summary>
internal static class CublasErrors
{
    private const string Own = "use --gemm own, which needs no cuBLAS";

    /// <summary>Name, meaning and remedy of a code; codes without an entry say so.</summary>
    internal static CudaErrorInfo Describe(CublasStatus status) => status switch
    {
        CublasStatus.Success => new("CUBLAS_STATUS_SUCCESS", "no error", "nothing to do"),
        CublasStatus.NotInitialized => new("CUBLAS_STATUS_NOT_INITIALIZED", "the library could not start on this device", $"install a cuBLAS of the driver's CUDA version, or {Own}"),
        CublasStatus.AllocFailed => new("CUBLAS_STATUS_ALLOC_FAILED", "device memory for the library is used up", $"use shorter batches, end other programs on this GPU, or {Own}"),
        CublasStatus.InvalidValue => new("CUBLAS_STATUS_INVALID_VALUE", "an argument is out of range", "this is a fault of the program: report it with the command that led here"),
        CublasStatus.ArchMismatch => new("CUBLAS_STATUS_ARCH_MISMATCH", "the library does not know this kind of GPU, or it lacks the product", $"install a newer cuBLAS, or {Own}"),
        CublasStatus.MappingError => new("CUBLAS_STATUS_MAPPING_ERROR", "the library cannot reach device memory", Own),
        CublasStatus.ExecutionFailed => new("CUBLAS_STATUS_EXECUTION_FAILED", "a kernel of the library failed", Own),
        CublasStatus.InternalError => new("CUBLAS_STATUS_INTERNAL_ERROR", "the library failed inside", Own),
        CublasStatus.NotSupported => new("CUBLAS_STATUS_NOT_SUPPORTED", "the library lacks the product in these types", Own),
        CublasStatus.LicenseError => new("CUBLAS_STATUS_LICENSE_ERROR", "the library misses its licence", Own),
        _ => new($"cuBLAS status {(int)status}", "the library reports a code that this version does not know", Own),
    };
}

/// <summary>Whether an operand is taken as it stands or transposed (cublasOperation_t). Values: cublas_api.h.</summary>
internal enum CublasOperation
{
    None = 0,
    Transpose = 1,
}

/// <summary>Element types (cudaDataType). Values: library_types.h.</summary>
internal enum CublasType
{
    F32 = 0,
    BF16 = 14,
}

/// <summary>Arithmetic of a product (cublasComputeType_t). Values: cublas_api.h.</summary>
internal enum CublasCompute
{
    /// <summary>Sums in F32; of BF16 operands on tensor cores.</summary>
    F32 = 68,
    /// <summary>Products and sums in F32, whatever else the device could do faster.</summary>
    F32Pedantic = 69,
}

/// <summary>What the library may do for speed (cublasMath_t). Values: cublas_api.h.</summary>
internal enum CublasMath
{
    Default = 0,
    /// <summary>Partial sums of BF16 products stay F32.</summary>
    DisallowReducedPrecisionReduction = 16,
}

/// <summary>Which kernel multiplies (cublasGemmAlgo_t). Value: cublas_api.h.</summary>
internal enum CublasAlgorithm
{
    Default = -1,
}

/// <summary>Parts of a version (libraryPropertyType). Values: library_types.h.</summary>
internal enum CublasProperty
{
    Major = 0,
    Minor = 1,
    Patch = 2,
}
