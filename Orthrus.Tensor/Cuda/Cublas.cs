using System.Runtime.InteropServices;

namespace Orthrus.Tensor.Cuda;

/// <summary>cuBLAS, NVIDIA's matrix products, on one stream of one device. It is optional: the engine has kernels of its own.</summary>
/// <remarks>
/// Results are the same bits in every run, since the library has one stream and a workspace of its own, but an element may depend on how many rows are multiplied with
/// it. F32 is multiplied and added in F32, never in TF32; BF16 is added in F32. Source: cuBLAS 11.8 documentation.
/// </remarks>
public sealed unsafe partial class Cublas
{
    // What the library's documentation recommends for compute 9.0, and more than it does for the others.
    private const long WorkspaceBytes = 32 << 20;

    private readonly CudaDevice _device;
    private readonly nint _handle, _workspace;

    internal Cublas(CudaDevice device)
    {
        Require();
        _device = device;
        nint handle;
        Check(nameof(cublasCreate_v2), cublasCreate_v2(&handle), device.Name);
        _handle = handle;
        try
        {
            Check(nameof(cublasSetStream_v2), cublasSetStream_v2(handle, device.Stream.Handle));
            Check(nameof(cublasSetMathMode), cublasSetMathMode(handle, CublasMath.DisallowReducedPrecisionReduction));
            _workspace = device.Allocate(WorkspaceBytes);
            Check(nameof(cublasSetWorkspace_v2), cublasSetWorkspace_v2(handle, (void*)_workspace, (nuint)WorkspaceBytes));
        }
        catch
        {
            Close();
            throw;
        }
    }

    /// <summary>Version of the library.</summary>
    /// <exception cref="CudaException">cuBLAS is missing.</exception>
    public static Version Version
    {
        get
        {
            Require();
            var parts = stackalloc int[3];
            for (int k = 0; k < 3; k++) Check(nameof(cublasGetProperty), cublasGetProperty((CublasProperty)k, parts + k));
            return new Version(parts[0], parts[1], parts[2]);
        }
    }

    /// <summary>True where the library is here.</summary>
    public static bool IsAvailable => NativeLibraries.CuBlasStatus.Found;

    /// <summary>C = A B, column-major as in the library's documentation: A (m, k), B (k, n), C (m, n) after their transpositions.</summary>
    internal void Product(CublasOperation opA, CublasOperation opB, long m, long n, long k, nint a, long lda, nint b, long ldb, nint c, long ldc, DType operands, DType result)
    {
        float alpha = 1, beta = 0;
        var status = cublasGemmEx(_handle, opA, opB, Int(m), Int(n), Int(k), &alpha, (void*)a, Type(operands), Int(lda), (void*)b, Type(operands), Int(ldb), &beta, (void*)c, Type(result), Int(ldc),
            operands == DType.F32 ? CublasCompute.F32Pedantic : CublasCompute.F32, CublasAlgorithm.Default);
        Check(nameof(cublasGemmEx), status, $"{m} x {n} x {k}, {operands}");
    }

    /// <summary>Frees handle and workspace; the device's context is current.</summary>
    internal void Close()
    {
        _ = cublasDestroy_v2(_handle);
        if (_workspace != 0) _device.Free(_workspace, WorkspaceBytes);
    }

    private static void Require()
    {
        var status = NativeLibraries.CuBlasStatus;
        if (!status.Found) throw new CudaException("dlopen", $"cuBLAS was not found ({status.Why}); install it (libcublas of CUDA 11.8 to 13, with libcublasLt), name its folder in {NativeLibraries.FoldersVariable}, or use --gemm own");
    }

    private static int Int(long n) => checked((int)n);

    private static CublasType Type(DType dtype) => dtype == DType.BF16 ? CublasType.BF16 : CublasType.F32;

    private static void Check(string call, CublasStatus status, string? subject = null)
    {
        if (status != CublasStatus.Success) throw new CudaException(call, status, subject);
    }

    [LibraryImport(NativeLibraries.CuBlas)]
    private static partial CublasStatus cublasCreate_v2(nint* handle);
    [LibraryImport(NativeLibraries.CuBlas)]
    private static partial CublasStatus cublasDestroy_v2(nint handle);
    [LibraryImport(NativeLibraries.CuBlas)]
    private static partial CublasStatus cublasGetProperty(CublasProperty type, int* value);
    [LibraryImport(NativeLibraries.CuBlas)]
    private static partial CublasStatus cublasSetStream_v2(nint handle, nint stream);
    [LibraryImport(NativeLibraries.CuBlas)]
    private static partial CublasStatus cublasSetMathMode(nint handle, CublasMath mode);
    [LibraryImport(NativeLibraries.CuBlas)]
    private static partial CublasStatus cublasSetWorkspace_v2(nint handle, void* workspace, nuint bytes);
    [LibraryImport(NativeLibraries.CuBlas)]
    private static partial CublasStatus cublasGemmEx(nint handle, CublasOperation transa, CublasOperation transb, int m, int n, int k, void* alpha, void* a, CublasType aType, int lda, void* b,
        CublasType bType, int ldb, void* beta, void* c, CublasType cType, int ldc, CublasCompute compute, CublasAlgorithm algorithm);
}
