using System.Buffers.Binary;
using System.Text;

namespace Orthrus.Train.Tests.Training;

/// <summary>Event files byte by byte.</summary>
public sealed class TensorBoardTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-events-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private sealed class Noon : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeSeconds(1_700_000_000);
    }

    [Fact]
    public void Crc_32C_of_the_known_text() => Assert.Equal(0xE3069283u, Crc32C.Of("123456789"u8));

    [Fact]
    public void A_file_has_the_bytes_of_the_format()
    {
        using (var board = new TensorBoard(_folder, 7, new Noon())) board.Add(8, [("loss", 1.5), ("validation/retrieval", 0.25)]);
        string file = Assert.Single(Directory.GetFiles(_folder));
        Assert.Equal("events.out.tfevents.1700000000.orthrus", Path.GetFileName(file));
        var events = Records(File.ReadAllBytes(file));
        byte[] time = [0x09, .. BitConverter.GetBytes(1_700_000_000.0)];
        Assert.Equal([.. time, 0x1a, 13, .. "brain.Event:2"u8], events[0]);
        // session_log { status: START } at step 7.
        Assert.Equal([.. time, 0x10, 7, 0x3a, 2, 0x08, 1], events[1]);
        byte[] loss = [0x0a, 4, .. "loss"u8, 0x15, .. BitConverter.GetBytes(1.5f)], retrieval = [0x0a, 20, .. "validation/retrieval"u8, 0x15, .. BitConverter.GetBytes(0.25f)];
        byte[] summary = [0x0a, (byte)loss.Length, .. loss, 0x0a, (byte)retrieval.Length, .. retrieval];
        Assert.Equal([.. time, 0x10, 8, 0x2a, (byte)summary.Length, .. summary], events[2]);
        Assert.Equal(3, events.Count);
    }

    [Fact]
    public void A_second_file_of_the_same_second_has_another_name_and_a_new_run_no_session_start()
    {
        using (new TensorBoard(_folder, 0, new Noon())) { }
        using (new TensorBoard(_folder, 300, new Noon())) { }
        string[] files = [.. Directory.GetFiles(_folder).Order(StringComparer.Ordinal)];
        Assert.Equal(2, files.Length);
        Assert.Single(Records(File.ReadAllBytes(files[0])));
        byte[] started = Records(File.ReadAllBytes(files[1]))[1];
        Assert.Equal([0x10, 0xac, 0x02, 0x3a, 2, 0x08, 1], started[9..]);
    }

    /// <summary>Data of each record, lengths and checksums verified with a CRC written for this test.</summary>
    private static List<byte[]> Records(byte[] bytes)
    {
        var records = new List<byte[]>();
        for (int at = 0; at < bytes.Length;)
        {
            int length = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at));
            Assert.Equal(Masked(bytes.AsSpan(at, 8)), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 8)));
            records.Add(bytes[(at + 12)..(at + 12 + length)]);
            Assert.Equal(Masked(bytes.AsSpan(at + 12, length)), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 12 + length)));
            at += 16 + length;
        }
        return records;

        static uint Masked(ReadOnlySpan<byte> data)
        {
            uint crc = 0xffffffff;
            foreach (byte b in data)
                for (int bit = 0; bit < 8; bit++)
                    crc = ((crc ^ (uint)(b >> bit)) & 1) != 0 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
            crc = ~crc;
            return (crc >> 15 | crc << 17) + 0xa282ead8;
        }
    }
}
