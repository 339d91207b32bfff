using System.Buffers.Binary;
using System.Text;
using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Tensor;

namespace Orthrus.Train.Probing;

/// <summary>
/// Embeddings of a list of transcripts, kept in a file where they can be found again by the model and the input: same weights, same tracks, same arithmetic.
/// </summary>
public sealed class Embeddings
{
    private const string Tensor = "embeddings", KeyEntry = "key", CacheVariable = "ORTHRUS_CACHE";

    private Embeddings(float[] values, int width, bool cached)
    {
        Values = values;
        Width = width;
        Cached = cached;
    }

    /// <summary>n x d numbers, row-major, in the order of the transcripts.</summary>
    public float[] Values { get; }

    /// <summary>d, the width of an embedding.</summary>
    public int Width { get; }

    /// <summary>True where they come from a file and were not computed.</summary>
    public bool Cached { get; }

    /// <summary>Folder of the cache: embeddings in $ORTHRUS_CACHE, or in the user's cache folder. Its files can be deleted at any time.</summary>
    public static string Folder()
    {
        if (Environment.GetEnvironmentVariable(CacheVariable) is { Length: > 0 } chosen) return Path.Combine(chosen, Tensor);
        string? root = OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData) : Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (string.IsNullOrEmpty(root)) root = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        return Path.Combine(root, "orthrus", Tensor);
    }

    /// <summary>Reads embeddings from a file, or computes and keeps them.</summary>
    /// <param name="model">The model.</param>
    /// <param name="transcripts">What to embed.</param>
    /// <param name="file">The file to use; it must be of this model and input where it exists. Null: the cache, where a damaged or missing file is computed anew.</param>
    /// <param name="threads">Threads; 0 for one per processor.</param>
    /// <param name="gpu">The CUDA device to compute on; null for the CPU.</param>
    /// <param name="advance">Called with every transcript that was embedded; may throw to stop.</param>
    /// <exception cref="InputDataException">The named file is of something else or damaged, or an embedding is not finite.</exception>
    /// <exception cref="IOException">The named file cannot be written.</exception>
    public static Embeddings Get(OrthrusModel model, IReadOnlyList<Transcript> transcripts, string? file, int threads, Action<Transcript> advance, CudaDevice? gpu = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(transcripts);
        ArgumentNullException.ThrowIfNull(advance);
        using var embedder = new Embedder(model, new EmbedderOptions { Threads = threads, Device = gpu });
        string key = Key(model, gpu is null ? $"{embedder.Width}" : gpu.Name, transcripts), path = file ?? Path.Combine(Folder(), key[..40] + ".safetensors");
        int width = embedder.Dimension;
        if (Read(path, key, transcripts.Count, width, mustFit: file is not null) is { } known) return new Embeddings(known, width, cached: true);
        var values = new float[checked(transcripts.Count * width)];
        int row = 0;
        foreach (var result in embedder.EmbedAll(transcripts, t => t.Tracks))
        {
            foreach (float v in result.Vector)
                if (!float.IsFinite(v))
                    throw new InputDataException(model.Source, "record " + result.Record.Id, "the model's numbers overflow F32: the embedding is not finite", "the model's training diverged: use another model");
            result.Vector.CopyTo(values.AsSpan(row++ * width));
            advance(result.Record);
        }
        Write(path, key, model, values, width, mustWork: file is not null);
        return new Embeddings(values, width, cached: false);
    }

    // Everything on which the numbers depend. A 4-track model does not read the marks.
    private static string Key(OrthrusModel model, string arithmetic, IReadOnlyList<Transcript> transcripts)
    {
        var sum = new Sha256();
        var c = model.Config;
        sum.Append(Encoding.UTF8.GetBytes($"orthrus embeddings 1\n{model.Sha256}\n{c.DModel} {c.NLayer} {c.NTracks} {c.Bidirectional}\nf32 mean {arithmetic}\n"));
        byte mask = c.NTracks == 4 ? TrackByte.Bases : byte.MaxValue;
        var length = new byte[4];
        foreach (var t in transcripts)
        {
            BinaryPrimitives.WriteInt32LittleEndian(length, t.Length);
            sum.Append(length);
            byte[] tracks = t.Tracks.ToArray();
            for (int i = 0; i < tracks.Length; i++) tracks[i] &= mask;
            sum.Append(tracks);
        }
        return sum.Finish();
    }

    private static float[]? Read(string path, string key, int rows, int width, bool mustFit)
    {
        if (!File.Exists(path)) return null;
        try
        {
            var tensors = SafeTensors.Read(path, out var metadata);
            if (!metadata.TryGetValue(KeyEntry, out string? held) || held != key || !tensors.Contains(Tensor))
                return mustFit ? throw new InputDataException(path, null, "holds embeddings of another model or other transcripts", "delete it, or name another file") : null;
            var tensor = tensors[Tensor];
            return tensor.Shape is [var n, var d] && n == rows && d == width ? tensor.ToSingle() : throw new CheckpointException(path, Tensor, "has another shape than its key says");
        }
        catch (Exception e) when (!mustFit && e is InputDataException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static void Write(string path, string key, OrthrusModel model, float[] values, int width, bool mustWork)
    {
        try
        {
            if (!mustWork) Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            var metadata = new Dictionary<string, string> { [KeyEntry] = key, ["model"] = model.Name, ["model_sha256"] = model.Sha256 };
            SafeTensors.Write(path, [StateTensor.FromSingle(Tensor, values, values.Length / width, width)], metadata);
        }
        catch (Exception e) when (!mustWork && e is IOException or UnauthorizedAccessException)
        {
            // A cache that cannot be written is no error, only slower the next time.
        }
    }
}
