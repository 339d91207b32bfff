using System.Runtime.InteropServices;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests.Shim;

/// <summary>What cuBLAS's C functions call: products by the library's documentation, computed in double on the simulated device's memory.</summary>
internal static unsafe class CublasFunctions
{
    private const int Success = 0, NotInitialized = 1, InvalidValue = 7, NotSupported = 15;
    private const nint Handle = 0xB1A5;

    private static nint stream = -1;
    private static ulong workspace;
    private static int mode = -1;

    /// <summary>What cublasCreate answers.</summary>
    internal static int CreateStatus { get; set; }

    /// <summary>Products by transpositions and types, as "TN 0 0".</summary>
    internal static List<string> Products { get; } = [];

    /// <summary>Handles that live.</summary>
    internal static int Live { get; private set; }

    private static SimDriver Sim => (SimDriver)DriverFunctions.Driver;

    [UnmanagedCallersOnly]
    private static int cublasCreate_v2(nint* handle)
    {
        if (CreateStatus != 0) return CreateStatus;
        *handle = Handle;
        Live++;
        return Success;
    }

    [UnmanagedCallersOnly]
    private static int cublasDestroy_v2(nint handle)
    {
        Live--;
        return handle == Handle ? Success : NotInitialized;
    }

    [UnmanagedCallersOnly]
    private static int cublasGetProperty(int type, int* value)
    {
        *value = type switch { 0 => 12, 1 => 4, 2 => 5, _ => -1 };
        return *value < 0 ? InvalidValue : Success;
    }

    [UnmanagedCallersOnly]
    private static int cublasSetStream_v2(nint handle, nint s)
    {
        stream = s;
        // As the library's documentation says, the workspace is the default one again.
        workspace = 0;
        return handle == Handle && DriverFunctions.Driver.StreamQuery(s) is CudaResult.Success or CudaResult.NotReady ? Success : InvalidValue;
    }

    [UnmanagedCallersOnly]
    private static int cublasSetMathMode(nint handle, int m)
    {
        mode = m;
        return handle == Handle && m is 0 or 2 or 3 or 16 ? Success : InvalidValue;
    }

    [UnmanagedCallersOnly]
    private static int cublasSetWorkspace_v2(nint handle, void* memory, nuint bytes)
    {
        workspace = (ulong)memory;
        return handle == Handle && workspace % 256 == 0 && bytes == 32 << 20 ? Success : InvalidValue;
    }

    [UnmanagedCallersOnly]
    private static int cublasGemmEx(nint handle, int transa, int transb, int m, int n, int k, float* alpha, void* a, int atype, int lda, void* b, int btype, int ldb, float* beta, void* c, int ctype,
        int ldc, int compute, int algo)
    {
        const int f32 = 0, bf16 = 14, inF32 = 68, pedantic = 69;
        if (handle != Handle || stream == -1 || workspace == 0 || mode != 16) return NotInitialized;
        if (transa is not (0 or 1) || transb is not (0 or 1) || m < 0 || n < 0 || k < 0 || algo != -1) return InvalidValue;
        if (lda < Math.Max(1, transa == 0 ? m : k) || ldb < Math.Max(1, transb == 0 ? k : n) || ldc < Math.Max(1, m)) return InvalidValue;
        if (!((atype, btype, ctype, compute) is (f32, f32, f32, pedantic) or (bf16, bf16, bf16 or f32, inF32))) return NotSupported;
        // The library's kernels run behind what the stream holds; this one waits for it.
        if (DriverFunctions.Driver.StreamSynchronize(stream) != CudaResult.Success) return 13;
        int ordinal;
        if (DriverFunctions.Driver.CtxGetDevice(&ordinal) != CudaResult.Success) return NotInitialized;
        var device = Sim.Devices[ordinal];
        float[] x = Read(device, a, atype, lda, transa == 0 ? k : m, transa == 0 ? m : k), y = Read(device, b, btype, ldb, transb == 0 ? n : k, transb == 0 ? k : n);
        if (*beta != 0) return NotSupported;
        lock (Products) Products.Add($"{"NT"[transa]}{"NT"[transb]} {atype} {ctype}");
        for (int j = 0; j < n; j++)
        {
            var column = new float[m];
            for (int i = 0; i < m; i++)
            {
                double sum = 0;
                for (int t = 0; t < k; t++) sum += (double)x[transa == 0 ? i + (long)t * lda : t + (long)i * lda] * y[transb == 0 ? t + (long)j * ldb : j + (long)t * ldb];
                column[i] = (float)(*alpha * sum);
            }
            ulong to = (ulong)c + (ulong)j * (ulong)ldc * (ctype == bf16 ? 2u : 4u);
            if (ctype == bf16) device.CopyToDevice<BFloat16>(to, Array.ConvertAll(column, v => (BFloat16)v));
            else device.CopyToDevice<float>(to, column);
        }
        return Success;
    }

    /// <summary>The columns of a matrix with what lies between them; a column's end is its last element, not the next one's start.</summary>
    private static float[] Read(SimDevice device, void* from, int type, int ld, int columns, int rows)
    {
        var values = new float[(long)ld * columns];
        for (int j = 0; j < columns; j++)
        {
            ulong at = (ulong)from + (ulong)j * (ulong)ld * (type == 14 ? 2u : 4u);
            float[] column = type == 14 ? Array.ConvertAll(device.Read<BFloat16>(at, rows), v => (float)v) : device.Read<float>(at, rows);
            column.CopyTo(values, (long)j * ld);
        }
        return values;
    }
}
