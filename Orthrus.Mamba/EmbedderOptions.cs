using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>How positions become one vector.</summary>
public enum Pooling
{
    /// <summary>Mean over all positions, after the final norm: the representation of the published models.</summary>
    Mean,
    /// <summary>The last position, after the final norm.</summary>
    Last,
    /// <summary>Maximum over positions of each dimension, after the final norm.</summary>
    Max,
}

/// <summary>Options of an <see cref="Embedder"/>. Threads and chunk length change no bit of the result; dtype and vector width change its rounding.</summary>
public sealed record EmbedderOptions
{
    /// <summary>Threads, the calling one included, at most 1,024; 0 takes one per logical processor.</summary>
    public int Threads { get; init; }
    /// <summary>The CUDA device to compute on; null for the CPU. It stays open; several embedders may use it one after the other. Threads, chunk length and vector width are then not read.</summary>
    public CudaDevice? Device { get; init; }
    /// <summary><see cref="DType.F32"/>; on the CPU also <see cref="DType.F64"/>, for checking; on a CUDA device also <see cref="DType.BF16"/>: activations in bfloat16, everything that adds up in float32.</summary>
    public DType DType { get; init; } = DType.F32;
    /// <summary>How positions become one vector.</summary>
    public Pooling Pooling { get; init; } = Pooling.Mean;
    /// <summary>Positions that go through the layers together, at most 65,536; 0 chooses.</summary>
    public int ChunkLength { get; init; }
    /// <summary>512, 256 or 128 bits; 0 takes the widest that the processor runs at full speed.</summary>
    public int VectorWidth { get; init; }
}
