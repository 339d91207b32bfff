namespace Orthrus.Mamba;

/// <summary>
/// Files that take their names together: written aside as x.partial, flushed to disk, and renamed once all of them are complete. What was not
/// committed vanishes.
/// </summary>
internal sealed class FilesAside : IDisposable
{
    private readonly List<(FileStream Stream, string Path)> _files = [];

    /// <summary>Begins a file.</summary>
    /// <param name="path">Its name once it is complete.</param>
    /// <param name="read">What was written can be read again.</param>
    internal Stream Create(string path, bool read = false)
    {
        var file = new FileStream(Aside(path), FileMode.Create, read ? FileAccess.ReadWrite : FileAccess.Write);
        _files.Add((file, path));
        return file;
    }

    /// <summary>Gives the files their names, in the order in which they were begun.</summary>
    internal void Commit()
    {
        foreach (var (stream, _) in _files)
        {
            stream.Flush(flushToDisk: true);
            stream.Dispose();
        }
        foreach (var (_, path) in _files) File.Move(Aside(path), path, overwrite: true);
        _files.Clear();
    }

    public void Dispose()
    {
        foreach (var (stream, path) in _files)
        {
            try
            {
                // A full disk refuses the rest of the buffer once more; the file goes anyway.
                stream.Dispose();
            }
            catch (IOException)
            {
            }
            File.Delete(Aside(path));
        }
    }

    private static string Aside(string path) => path + ".partial";
}
