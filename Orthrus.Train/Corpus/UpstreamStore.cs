using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>Upstream's storage of transcripts: one npz file each, in folders that follow from the identifier.</summary>
internal static class UpstreamStore
{
    private const string Member = "six_track_data";
    private const long Longest = 1 << 28;

    /// <summary>Folder of a transcript below the store, such as ENST/00/000/646/410; null where the rule has none.</summary>
    internal static string? Folder(string id)
    {
        string[] parts = id.Split('_');
        string root = parts[0];
        if (root.Length == 2 && parts.Length > 1)
        {
            string number = parts[1].Split('.')[0];
            return Join(root, number.Chunk(3).Select(c => new string(c)));
        }
        if (root.Length == 3) return parts.Length > 2 && parts[2].Length >= 4 ? Join(parts[0] + "_" + parts[1], [Cut(parts[2], 0, 4), Cut(parts[2], 4, 6), Cut(parts[2], 6, 8)]) : null;
        string letters = new([.. root.TakeWhile(c => !char.IsAsciiDigit(c))]), digits = root[letters.Length..];
        return letters.Length == 0 || digits.Length < 3 ? null : Join(letters, [Cut(digits, 0, 2), Cut(digits, 2, 5), Cut(digits, 5, 8), Cut(digits, 8, 11)]);

        static string Cut(string text, int start, int end) => start >= text.Length ? "" : text[start..Math.Min(end, text.Length)];

        static string Join(string first, IEnumerable<string> rest) => string.Join('/', rest.Prepend(first).Where(p => p.Length > 0));
    }

    /// <summary>Path of a transcript below the store, with slashes.</summary>
    internal static string? RelativePath(string id) => Folder(id) is { } folder ? $"{folder}/{id}.npz" : null;

    /// <summary>True where an identifier is that of a projection, by upstream's test: exactly three parts between underscores.</summary>
    internal static bool IsProjection(string id) => id.Count(c => c == '_') == 2;

    /// <summary>Track bytes of a file: six tracks by length, in either order of the axes.</summary>
    /// <exception cref="InputDataException">The file is damaged, or not of this form.</exception>
    internal static byte[] Read(string path)
    {
        using var npz = NpzFile.Open(path);
        byte[] tracks = npz.Read(Member, (array, stream) =>
        {
            if (array.Shape is not [6, > 0 and < Longest] || array.ElementBytes != 1 || array.Kind is not ('u' or 'i' or 'b'))
                throw NpyArray.Bad(path, Member, $"has shape ({string.Join(", ", array.Shape)}), six tracks of bytes are wanted");
            var data = new byte[array.Count];
            stream.ReadExactly(data);
            return Pack(data, (int)array.Shape[1], array.Fortran, path);
        });
        if (npz.Has("length"))
        {
            double length = npz.Read("length", (array, stream) =>
            {
                var element = new byte[array.ElementBytes];
                stream.ReadExactly(element);
                return array.Number(element);
            });
            if (length != tracks.Length) throw NpyArray.Bad(path, "length", $"says {length}, there are {tracks.Length} positions");
        }
        return tracks;
    }

    /// <summary>One byte a position from six bytes of 0 or 1 a position.</summary>
    private static byte[] Pack(byte[] data, int length, bool positionMajor, string path)
    {
        var tracks = new byte[length];
        for (int t = 0; t < 6; t++)
        {
            for (int i = 0; i < length; i++)
            {
                byte value = data[positionMajor ? 6 * i + t : t * length + i];
                if (value > 1) throw NpyArray.Bad(path, Member, $"holds {value} where tracks are 0 or 1");
                tracks[i] |= (byte)(value << t);
            }
        }
        return tracks;
    }
}

/// <summary>Upstream's evaluation sets: arrays X (rows, positions, six tracks), genes and y in one npz file.</summary>
internal static class EvaluationNpz
{
    /// <summary>Names of the genes, one a row.</summary>
    internal static string[] Genes(string path)
    {
        using var npz = NpzFile.Open(path);
        return npz.Read("genes", (array, stream) =>
        {
            if (array.Shape.Length != 1) throw NpyArray.Bad(path, "genes", "is no list");
            var names = new string[array.Count];
            var element = new byte[array.ElementBytes];
            for (int i = 0; i < names.Length; i++)
            {
                stream.ReadExactly(element);
                names[i] = array.Text(element);
            }
            return names;
        });
    }

    /// <summary>Labels: rows, columns (1 for a list) and values row by row.</summary>
    internal static (int Rows, int Columns, double[] Values) Labels(string path)
    {
        using var npz = NpzFile.Open(path);
        return npz.Read("y", (array, stream) =>
        {
            if (array.Shape.Length is not (1 or 2) || array.Count > int.MaxValue || array.Kind is 'U' or 'S') throw NpyArray.Bad(path, "y", "is no table of numbers");
            var data = new byte[array.Count * array.ElementBytes];
            stream.ReadExactly(data);
            int rows = (int)array.Shape[0], columns = array.Shape.Length == 1 ? 1 : (int)array.Shape[1];
            var values = new double[rows * columns];
            for (int r = 0; r < rows; r++)
                for (int c = 0; c < columns; c++)
                    values[r * columns + c] = array.Number(data.AsSpan((array.Fortran ? c * rows + r : r * columns + c) * array.ElementBytes, array.ElementBytes));
            return (rows, columns, values);
        });
    }

    /// <summary>Track bytes of each row, one after the other; the padding is taken off as <see cref="RecoverLength"/> says.</summary>
    /// <exception cref="InputDataException">The file is damaged, or X is not of this form.</exception>
    internal static IEnumerable<byte[]> Rows(string path)
    {
        using var npz = NpzFile.Open(path);
        // A row at a time: the whole of X may be larger than memory.
        var (array, stream) = npz.OpenArray("X");
        using (stream)
        {
            if (array.Shape is not [> 0, > 0 and < 1 << 26, 6] || array.Fortran || array.Kind is 'U' or 'S')
                throw NpyArray.Bad(path, "X", $"has shape ({string.Join(", ", array.Shape)}){(array.Fortran ? " in Fortran order" : "")}, rows x positions x 6 in C order are wanted");
            int positions = (int)array.Shape[1], size = array.ElementBytes;
            var row = new byte[positions * 6 * size];
            for (long r = 0; r < array.Shape[0]; r++)
            {
                Fill(row);
                var tracks = new byte[positions];
                for (int i = 0; i < positions; i++)
                    for (int t = 0; t < 6; t++)
                    {
                        double value = array.Number(row.AsSpan((i * 6 + t) * size, size));
                        if (value != 0 && value != 1) throw NpyArray.Bad(path, "X", $"holds {value} where tracks are 0 or 1");
                        if (value == 1) tracks[i] |= (byte)(1 << t);
                    }
                yield return tracks[..RecoverLength(tracks)];
            }
        }

        void Fill(byte[] row)
        {
            try
            {
                stream.ReadExactly(row);
            }
            catch (Exception e) when (e is InvalidDataException or EndOfStreamException)
            {
                throw new InputDataException(path, "X", "is damaged or cut off", "copy or make the file again", e);
            }
        }
    }

    /// <summary>Length of a padded row: up to its last position with any bit, or all of it where no position has one.</summary>
    internal static int RecoverLength(ReadOnlySpan<byte> tracks)
    {
        int last = tracks.LastIndexOfAnyExcept((byte)0);
        return last < 0 ? tracks.Length : last + 1;
    }
}
