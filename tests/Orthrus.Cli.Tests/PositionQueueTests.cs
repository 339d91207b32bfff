using Orthrus.Cli.Embed;
using Orthrus.Mamba.Outputs;
using Orthrus.Rna;

namespace Orthrus.Cli.Tests;

/// <summary>Positions that arrive while the output is being saved.</summary>
public class PositionQueueTests
{
    [Fact]
    public void Positions_that_come_between_completion_and_going_on_wait_and_are_not_lost()
    {
        using var stream = new MemoryStream();
        var writer = EmbeddingWriter.Create(stream, new EmbeddingLayout(EmbeddingFormat.Safetensors, 1, PerPosition: true));
        var queue = new PositionQueue<float>(writer, static e => e);
        EmbedItem first = Item("a", 1), second = Item("b", 3);
        queue.Enter(first);
        queue.Enter(second);
        queue.Add(second, [10]);
        queue.Add(first, [1]);
        queue.Complete(first);
        queue.Add(second, [20]);
        writer.Flush();
        Assert.Equal(1, writer.Records);
        queue.GoOn();
        queue.Add(second, [30]);
        queue.Complete(second);
        writer.Finish();
        float[] numbers = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(stream.ToArray()).ToArray();
        Assert.Equal([1, 10, 20, 30], numbers[^4..]);
    }

    private static EmbedItem Item(string id, int length) => new(new Transcript { Id = id, Tracks = new byte[length] }, []);
}
