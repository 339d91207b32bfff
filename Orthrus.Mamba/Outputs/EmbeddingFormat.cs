namespace Orthrus.Mamba.Outputs;

/// <summary>File formats of embeddings; docs/FORMATS.md describes the layout of each.</summary>
public enum EmbeddingFormat
{
    /// <summary>NumPy array of shape (records, width).</summary>
    Npy,

    /// <summary>NumPy archive: one array of all records with their identifiers, or one array per record.</summary>
    Npz,

    /// <summary>Comma-separated text, one line per record.</summary>
    Csv,

    /// <summary>Tab-separated text, one line per record.</summary>
    Tsv,

    /// <summary>One JSON object per record and line.</summary>
    Jsonl,

    /// <summary>safetensors: one tensor of all records with their identifiers, or one tensor per record.</summary>
    Safetensors,
}

/// <summary>Type of the numbers written.</summary>
public enum EmbeddingDType
{
    /// <summary>IEEE 754 binary32, little-endian.</summary>
    F32,

    /// <summary>IEEE 754 binary64, little-endian.</summary>
    F64,
}

/// <summary>What a writer writes.</summary>
/// <param name="Format">File format.</param>
/// <param name="Width">Numbers per vector (d), at least 1.</param>
/// <param name="DType">Type of the numbers.</param>
/// <param name="PerPosition">One (length, width) array per record instead of one vector per record; npz and safetensors only.</param>
public sealed record EmbeddingLayout(EmbeddingFormat Format, int Width, EmbeddingDType DType = EmbeddingDType.F32, bool PerPosition = false)
{
    /// <summary>Bytes of one vector in the binary formats.</summary>
    public int VectorBytes => checked(Width * (DType == EmbeddingDType.F64 ? 8 : 4));

    /// <summary>The format that a file name asks for by its extension, or null where it names none.</summary>
    public static EmbeddingFormat? FormatOf(string path) => Path.GetExtension(path).ToLowerInvariant() switch
    {
        ".npy" => EmbeddingFormat.Npy,
        ".npz" => EmbeddingFormat.Npz,
        ".csv" => EmbeddingFormat.Csv,
        ".tsv" or ".txt" => EmbeddingFormat.Tsv,
        ".jsonl" or ".ndjson" => EmbeddingFormat.Jsonl,
        ".safetensors" => EmbeddingFormat.Safetensors,
        _ => null,
    };

    /// <summary>True for the formats that need no seeking, so that they can go down a pipe.</summary>
    public static bool IsText(EmbeddingFormat format) => format is EmbeddingFormat.Csv or EmbeddingFormat.Tsv or EmbeddingFormat.Jsonl;
}
