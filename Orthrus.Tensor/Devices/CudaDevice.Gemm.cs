using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>Who multiplies matrices on a CUDA device.</summary>
public enum GemmBackend : byte
{
    /// <summary>The engine's own kernels in an embedder; elsewhere, as in training, cuBLAS where it is found.</summary>
    Auto,
    /// <summary>The engine's own kernels: a row of the result is the same bits whatever rows stand beside it.</summary>
    Own,
    /// <summary>NVIDIA's cuBLAS: perhaps faster; the last bits of a row may change with the number of rows.</summary>
    Cublas,
}

/// <summary>Choice of matrix products.</summary>
public sealed unsafe partial class CudaDevice
{
    private Cublas? _cublas;
    private GemmBackend _gemm;

    /// <summary>Who multiplies matrices, in <see cref="Linear"/> forward and backward. Not to be changed while a call of the device is under way.</summary>
    /// <exception cref="CudaException">cuBLAS is chosen and is not found; the message lists what was tried.</exception>
    /// <exception cref="DeviceException">cuBLAS is chosen on a simulated device.</exception>
    public GemmBackend Gemm
    {
        get => _gemm;
        set
        {
            if (!Enum.IsDefined(value)) throw new ArgumentOutOfRangeException(nameof(value), value, "choose Auto, Own or Cublas");
            if (value == GemmBackend.Cublas) NeedCublas();
            _gemm = value;
        }
    }

    /// <summary><see cref="Device.Name"/>, and who multiplies matrices.</summary>
    public string Description => $"{Name}, {Products(Gemm)}{(Gemm == GemmBackend.Auto && HasCublas ? " (own in embedding)" : "")}";

    /// <summary>In words who multiplies.</summary>
    internal string Products(GemmBackend backend) =>
        backend == GemmBackend.Own ? "own matrix products"
        : backend == GemmBackend.Cublas || HasCublas ? $"matrix products of cuBLAS {Cublas.Version}"
        : $"own matrix products ({(IsSimulated ? "a simulated device has no others" : "cuBLAS was not found")})";

    /// <summary>The library where it is to multiply, else null.</summary>
    internal Cublas? Multiplier => _gemm == GemmBackend.Cublas || (_gemm == GemmBackend.Auto && HasCublas) ? NeedCublas() : null;

    private bool HasCublas => !IsSimulated && Cublas.IsAvailable;

    private Cublas NeedCublas()
    {
        if (_cublas is not null) return _cublas;
        if (IsSimulated) throw new DeviceException($"{Name} has no cuBLAS, which runs on NVIDIA's hardware alone: use --gemm own");
        Enter();
        return _cublas = new Cublas(this);
    }

    private void CloseCublas()
    {
        _cublas?.Close();
        _cublas = null;
    }
}
