namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// What processes that train together ("ranks") say to each other. Every rank calls the same members in the same order with the same sizes; a call returns when
/// this rank's result is there. Not safe to use from several threads at once.
/// </summary>
public interface ICollective : IDisposable
{
    /// <summary>Number of this process, from 0.</summary>
    int Rank { get; }

    /// <summary>Number of processes.</summary>
    int Ranks { get; }

    /// <summary>What carries the messages, for reports: "Open MPI 4.1.4".</summary>
    string Name { get; }

    /// <summary>Everybody's bytes to everybody, in the order of the ranks.</summary>
    /// <param name="mine">n bytes, as many on every rank.</param>
    /// <param name="all">Receives <see cref="Ranks"/> x n bytes.</param>
    /// <exception cref="CollectiveException">The exchange failed.</exception>
    void AllGather(ReadOnlySpan<byte> mine, Span<byte> all);

    /// <summary>Rank 0's bytes to everybody.</summary>
    /// <param name="data">n bytes; sent on rank 0, overwritten elsewhere.</param>
    /// <exception cref="CollectiveException">The exchange failed.</exception>
    void Broadcast(Span<byte> data);

    /// <summary>Everybody's elements to everybody, in the order of the ranks.</summary>
    /// <param name="mine">n elements of any type.</param>
    /// <param name="all">Receives <see cref="Ranks"/> x n elements of the same type on the same device.</param>
    /// <exception cref="CollectiveException">The exchange failed.</exception>
    void AllGather(in Tensor mine, in Tensor all);

    /// <summary>Block s of each rank to rank s.</summary>
    /// <param name="mine"><see cref="Ranks"/> blocks of n elements.</param>
    /// <param name="got">Receives as many: block r is the one that rank r had for this rank.</param>
    /// <exception cref="CollectiveException">The exchange failed.</exception>
    void AllToAll(in Tensor mine, in Tensor got);

    /// <summary>Rank 0's elements to everybody.</summary>
    /// <param name="data">Elements of any type; sent on rank 0, overwritten elsewhere.</param>
    /// <exception cref="CollectiveException">The exchange failed.</exception>
    void Broadcast(in Tensor data);

    /// <summary>Returns when every rank has called it.</summary>
    /// <exception cref="CollectiveException">The exchange failed.</exception>
    void Barrier();
}

/// <summary>Several processes cannot work together: a library is missing, is another one, or an exchange failed. The command ends with exit code 4.</summary>
public sealed class CollectiveException(string message, Exception? inner = null) : Exception(message, inner);
