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

/// <summary>Options of an <see cref="Embedder"/>. On the CPU threads and chunk length change no bit of the result; device, dtype and vector width change its rounding.</summary>
public sealed record EmbedderOptions
{
    /// <summary>Threads, the calling one included, at most 1,024; 0 takes one per logical processor.</summary>
    public int Threads { get; init; }
    /// <summary>The CUDA device to compute on; null for the CPU. It stays open; several embedders may use it one after the other. Threads and vector width are then not read.</summary>
    public CudaDevice? Device { get; init; }
    /// <summary>
    /// Several CUDA devices of one kind, which share the records; then <see cref="Device"/> is null. Results come in the order of input and are the same bits as of one device alone.
    /// </summary>
    public IReadOnlyList<CudaDevice>? Devices { get; init; }
    /// <summary>
    /// Who multiplies matrices on a CUDA device; <see cref="GemmBackend.Auto"/> takes the engine's own kernels, with which an embedding is the same bits whatever its batch. With
    /// <see cref="GemmBackend.Cublas"/> its last bits may depend on the batch.
    /// </summary>
    public GemmBackend Gemm { get; init; }
    /// <summary>Whether a CUDA device records the work of batches whose shape comes again, and is then given it by one call instead of hundreds. It changes no bit.</summary>
    public bool Graphs { get; init; } = true;
    /// <summary>For comparisons: false computes what the first layer does before its convolution instead of looking it up by track byte.</summary>
    internal bool FirstLayerTable { get; init; } = true;
    /// <summary><see cref="DType.F32"/>; on the CPU also <see cref="DType.F64"/>, for checking; on a CUDA device also <see cref="DType.BF16"/>: activations in bfloat16, everything that adds up in float32.</summary>
    public DType DType { get; init; } = DType.F32;
    /// <summary>How positions become one vector.</summary>
    public Pooling Pooling { get; init; } = Pooling.Mean;
    /// <summary>Positions that go through the layers together, at most 65,536; 0 chooses. On a CUDA device only records longer than that are cut, and its value changes their rounding.</summary>
    public int ChunkLength { get; init; }
    /// <summary>512, 256 or 128 bits; 0 takes the widest that the processor runs at full speed.</summary>
    public int VectorWidth { get; init; }
}
