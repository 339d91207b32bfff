using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Orthrus.Rna;

namespace Orthrus.Cli.Embed;

/// <summary>
/// An output under construction: a folder x.npy.partial that holds the numbers written so far, the index, the identity of the run and
/// the last saved state. Whatever kills the process, the state names lengths up to which the files are good, so that a later run cuts
/// them there and goes on. Publishing is renaming, the description last: where it stands, the output is complete.
/// </summary>
/// <remarks>
/// The folder is held by a lock on the file "lock" in it, which the operating system gives back when a process ends in any way. The file
/// "owner" only says who holds it.
/// </remarks>
internal sealed class RunFolder : IDisposable
{
    private readonly OutputPaths _paths;
    private readonly FileStream _lock;
    private FileStream? _data, _index;
    private bool _published;

    private RunFolder(OutputPaths paths, FileStream held)
    {
        _paths = paths;
        _lock = held;
    }

    /// <summary>Embeddings that the files hold.</summary>
    internal long Records { get; private set; }

    /// <summary>Set where the state is worthless, because the run that made it can only be repeated with another input.</summary>
    internal bool Discard { get; set; }

    /// <summary>True where <see cref="Prepare"/> threw an unfinished output away.</summary>
    internal bool StartedOver { get; private set; }

    /// <summary>The embedding file under construction, open for reading and writing.</summary>
    internal FileStream Data => _data!;

    /// <summary>The index under construction.</summary>
    internal FileStream Index => _index!;

    /// <summary>Takes the output for this process.</summary>
    /// <exception cref="OutputException">Another process holds it, or the folder cannot be made.</exception>
    internal static RunFolder Take(OutputPaths paths)
    {
        string file = Path.Combine(paths.Partial, "lock");
        for (int attempt = 0; ; attempt++)
        {
            RunFolder? folder = null;
            try
            {
                Directory.CreateDirectory(paths.Partial);
                var held = new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
                if (!File.Exists(file))
                {
                    // The run that held it took the file away between our opening and our locking it.
                    held.Dispose();
                    continue;
                }
                folder = new RunFolder(paths, held);
                paths.RefuseRivals();
                File.WriteAllText(folder.In("owner"), $"process {Environment.ProcessId} on {Environment.MachineName}");
                return folder;
            }
            catch (OutputException)
            {
                folder?.Dispose();
                throw;
            }
            catch (Exception e) when (folder is not null && e is IOException or UnauthorizedAccessException)
            {
                bool resumable = File.Exists(folder.In("state"));
                folder.Dispose();
                throw IoErrors.Writing(paths.Output, e, resumable);
            }
            catch (IOException e) when (attempt < 20 && !File.Exists(file) && Directory.Exists(Path.GetDirectoryName(paths.Partial)) && !IoErrors.IsDiskFull(e))
            {
                // Another run is just ending and took its folder away; the next attempt finds none.
                Thread.Sleep(10);
            }
            catch (IOException e) when (File.Exists(file) && !IoErrors.IsDiskFull(e))
            {
                throw new OutputException($"{paths.Output}: {paths.Owner()} is writing it; wait until it ends, or write to another file", e);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw IoErrors.Writing(paths.Output, e, resumable: false);
            }
        }
    }

    /// <summary>Opens the files: as the last run of the same identity left them, or empty. False where the output is complete already.</summary>
    /// <exception cref="InputDataException">What is there belongs to another run.</exception>
    /// <exception cref="OutputException">The companions would replace files of another output.</exception>
    internal bool Prepare(RunIdentity identity, bool resume)
    {
        _paths.RefuseOthers(identity);
        if (resume && FinishPublishing(identity)) return false;
        string run = In("run.json");
        bool goOn = resume && File.Exists(run) && File.Exists(In("state"));
        if (goOn)
        {
            identity.RequireSame(ReadJson(run), _paths.Output, "the unfinished output");
        }
        else
        {
            if (resume && _paths.DescribesOutput() && File.Exists(_paths.Output))
            {
                var description = ReadJson(_paths.Description);
                identity.RequireSame(description, _paths.Output, "the finished output");
                RequireWhole(_paths.Output, description["output_bytes"]);
                RequireWhole(_paths.Index, description["index_bytes"]);
                return false;
            }
            StartedOver = File.Exists(In("state"));
            Clear();
            WriteAside("run.json", identity.ToJson());
        }
        _data = Open("data");
        _index = Open("index.tsv");
        if (goOn) CutToState();
        return true;
    }

    /// <summary>Makes the present state the one to go on from.</summary>
    /// <param name="records">Embeddings in the files.</param>
    internal void Save(long records)
    {
        _data!.Flush(flushToDisk: true);
        _index!.Flush(flushToDisk: true);
        WriteAside("state", Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{records} {_data.Length} {_index.Length}\n")));
    }

    /// <summary>Gives the complete files their names.</summary>
    /// <param name="head">Bytes that come before the data, or none.</param>
    /// <param name="describe">The description, given the sizes of the output and of its index in bytes.</param>
    internal void Publish(ReadOnlyMemory<byte> head, Func<long, long, byte[]> describe)
    {
        if (head.Length > 0) WriteWhole(head);
        _data!.Flush(flushToDisk: true);
        _index!.Flush(flushToDisk: true);
        long size = head.Length + _data.Length, indexSize = _index.Length;
        _data.Dispose();
        _index.Dispose();
        WriteAside("description.json", describe(size, indexSize));
        // From here on a later run only renames.
        WriteAside("publish", "the files here are complete\n"u8.ToArray());
        RenameAll();
        _published = true;
    }

    public void Dispose()
    {
        // Closing a file writes what its buffer still holds, which a full disk refuses again. That lies behind the saved state, so that
        // nothing is lost, and the first error is the one to report.
        Quietly(() => _data?.Dispose());
        Quietly(() => _index?.Dispose());
        if (_published || Discard || !File.Exists(In("state"))) Quietly(Clear);
        Quietly(() => TryDelete(In("owner")));
        Quietly(_lock.Dispose);
        // It may be another run's by now.
        Quietly(() =>
        {
            if (!Directory.EnumerateFileSystemEntries(_paths.Partial).Any()) Directory.Delete(_paths.Partial);
        });

        static void Quietly(Action tidy)
        {
            try
            {
                tidy();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
            }
        }
    }

    private string In(string name) => Path.Combine(_paths.Partial, name);

    private bool FinishPublishing(RunIdentity identity)
    {
        if (!File.Exists(In("publish"))) return false;
        identity.RequireSame(ReadJson(In("run.json")), _paths.Output, "the unfinished output");
        RenameAll();
        return _published = true;
    }

    // A finished output may have been cut or taken away since.
    private static void RequireWhole(string path, JsonNode? described)
    {
        if (!File.Exists(path)) throw new InputDataException(path, null, "is missing from the finished output", "run without --resume to make it again");
        long size = new FileInfo(path).Length;
        if (described is not JsonValue value || !value.TryGetValue(out long expected) || size != expected)
            throw new InputDataException(path, null, $"has {size} bytes, not the {described?.ToJsonString() ?? "unknown number"} that its description says", "run without --resume to make it again");
    }

    private void RenameAll()
    {
        // The old description goes first and the new one comes last, so that it never describes a file of another run.
        bool whole = File.Exists(In("whole"));
        if (whole || File.Exists(In("data"))) TryDelete(_paths.Description);
        if (whole) TryDelete(In("data"));
        MoveIfThere(whole ? "whole" : "data", _paths.Output);
        MoveIfThere("index.tsv", _paths.Index);
        MoveIfThere("description.json", _paths.Description);
    }

    private void MoveIfThere(string name, string target)
    {
        if (File.Exists(In(name))) File.Move(In(name), target, overwrite: true);
    }

    private void CutToState()
    {
        string[] fields = File.ReadAllText(In("state")).Split(' ', '\n');
        if (fields.Length < 3
            || !long.TryParse(fields[0], NumberStyles.None, CultureInfo.InvariantCulture, out long records)
            || !long.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out long data)
            || !long.TryParse(fields[2], NumberStyles.None, CultureInfo.InvariantCulture, out long index)
            || _data!.Length < data || _index!.Length < index)
        {
            throw new InputDataException(_paths.Partial, null, "the state of the unfinished output is damaged", "start over without --resume");
        }
        _data.SetLength(data);
        _index.SetLength(index);
        Records = records;
    }

    private void WriteWhole(ReadOnlyMemory<byte> head)
    {
        _data!.Flush();
        _data.Position = 0;
        using var whole = new FileStream(In("whole"), FileMode.Create, FileAccess.ReadWrite);
        whole.Write(head.Span);
        _data.CopyTo(whole, 1 << 20);
        whole.Flush(flushToDisk: true);
    }

    private FileStream Open(string name) => new(In(name), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, 1 << 16);

    private void WriteAside(string name, byte[] content)
    {
        string aside = In(name + ".new");
        using (var f = new FileStream(aside, FileMode.Create, FileAccess.Write))
        {
            f.Write(content);
            f.Flush(flushToDisk: true);
        }
        File.Move(aside, In(name), overwrite: true);
    }

    private void Clear()
    {
        // The state goes first, then the mark of complete files: without them nothing else is looked at.
        foreach (string name in new[] { "state", "publish", "data", "whole", "index.tsv", "description.json", "run.json" })
        {
            TryDelete(In(name));
            TryDelete(In(name + ".new"));
        }
    }

    private static void TryDelete(string path)
    {
        if (File.Exists(path)) File.Delete(path);
    }

    private JsonNode ReadJson(string path)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllBytes(path)) ?? throw new InputDataException(path, null, "is empty", "start over without --resume");
        }
        catch (System.Text.Json.JsonException e)
        {
            throw new InputDataException(path, null, $"is not the description of {_paths.Output}", "start over without --resume", e);
        }
    }
}
