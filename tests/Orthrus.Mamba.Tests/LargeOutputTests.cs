using Orthrus.Mamba.Outputs;
using Orthrus.TestSupport;

namespace Orthrus.Mamba.Tests;

/// <summary>Outputs past 4 GB, on sparse files: the records before the last few are holes that a resumed run steps over, so that little is written.</summary>
[Trait("tier", "long")]
public class LargeOutputTests
{
    private const int Width = 512;
    private const long Held = (5L << 30) / (4 * Width);

    private static void Write(string path, EmbeddingFormat format)
    {
        var layout = new EmbeddingLayout(format, Width);
        using var file = new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite);
        // What a killed run left: the head, and room for the vectors of the records held.
        var begun = EmbeddingWriter.Create(file, layout);
        begun.Add("tx0", 7, new float[Width]);
        long head = begun.Flush() - 4 * Width;
        file.SetLength(head + 4L * Width * Held);
        file.Position = 0;
        var writer = EmbeddingWriter.Create(file, layout);
        for (long i = 0; i < Held; i++) writer.Replay("tx" + i, 7);
        var last = new float[Width];
        for (int i = 0; i < Width; i++) last[i] = i + 0.5f;
        writer.Add("last", 9, last);
        Assert.Equal(0, writer.Finish().Length);
        Assert.True(file.Length > 5L << 30);
    }

    [Fact]
    public void Npy_opens_in_NumPy() => Check(EmbeddingFormat.Npy, """
        x = np.load(path, mmap_mode='r')
        assert x.shape == (records, width) and (x[-1] == np.arange(width) + 0.5).all() and (x[0] == 0).all() and (x[-2] == 0).all()
        """);

    // The archive's member is read in pieces to its end, where Python compares its sum, so that the test needs no 5 GB of memory.
    [Fact]
    public void Npz_opens_in_NumPy() => Check(EmbeddingFormat.Npz, """
        import zipfile
        with zipfile.ZipFile(path) as z, z.open('embeddings.npy') as f:
            assert np.lib.format.read_magic(f) == (1, 0)
            assert np.lib.format.read_array_header_1_0(f) == ((records, width), False, np.dtype('<f4'))
            tail = b''
            while True:
                part = f.read(64 << 20)
                if not part: break
                tail = (tail + part)[-8 * width:]
            assert (np.frombuffer(tail, '<f4')[width:] == np.arange(width) + 0.5).all()
        z = np.load(path, allow_pickle=False)
        assert z['ids'].shape == (records,) and z['ids'][-1] == 'last' and z['ids'][1] == 'tx1' and z['lengths'][-1] == 9
        """);

    [Fact]
    public void Safetensors_has_offsets_past_4_GB() => Check(EmbeddingFormat.Safetensors, """
        import json, struct
        b = np.memmap(path, dtype=np.uint8, mode='r')
        n, = struct.unpack('<Q', bytes(b[:8]))
        h = json.loads(bytes(b[8:8 + n]).decode())
        begin, end = h['embeddings']['data_offsets']
        assert h['embeddings']['shape'] == [records, width] and end - begin == 4 * records * width
        assert (b[8 + n + end - 4 * width:8 + n + end].view('<f4') == np.arange(width) + 0.5).all()
        begin, end = h['ids']['data_offsets']
        assert 8 + n + max(e['data_offsets'][1] for k, e in h.items() if k != '__metadata__') == b.size
        assert bytes(b[8 + n + end - 4:8 + n + end]) == b'last'
        """);

    private static void Check(EmbeddingFormat format, string script)
    {
        string folder = Directory.CreateTempSubdirectory("orthrus-large-").FullName;
        try
        {
            if (OperatingSystem.IsWindows() || new DriveInfo(folder).AvailableFreeSpace < 8L << 30) Assert.Skip("needs a file system with sparse files and 8 GB free");
            string path = Path.Combine(folder, "x");
            Write(path, format);
            Python.Run($"import sys, numpy as np\npath, records, width = sys.argv[1], {Held + 1}, {Width}\n" + script, path);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
