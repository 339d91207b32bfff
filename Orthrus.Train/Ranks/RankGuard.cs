using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Orthrus.Train;

/// <summary>Where a rank runs.</summary>
/// <param name="Host">Name of its machine.</param>
/// <param name="Process">Its process number there.</param>
internal sealed record RankPlace(string Host, int Process)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Host}, process {Process}");
}

/// <summary>
/// A connection of every rank with rank 0, on which nothing is said while all is well. MPI waits for ever for a process that died; here the system closes its
/// connection, and the others end with one line. A rank that fails says why over it, so that one line is printed and all end with the same code.
/// </summary>
internal sealed class RankGuard : IDisposable
{
    /// <summary>Exit code where a rank died: a device of the job is not there any more.</summary>
    internal const int Died = 4;

    private const byte Goodbye = (byte)'B', Failed = (byte)'F', Exit = (byte)'X';
    private const int KeyBytes = 16, HeadBytes = 9, MostText = 1 << 16;
    private static readonly TimeSpan Connecting = TimeSpan.FromSeconds(20), OwnFirst = TimeSpan.FromMilliseconds(300);

    private readonly int _rank;
    private readonly RankPlace[] _places;
    private readonly Socket?[] _peers;
    private readonly Action<string> _report;
    private readonly Action<int> _end;
    private readonly Lock _sending = new();
    private int _ending;
    private volatile bool _closing;

    private RankGuard(int rank, RankPlace[] places, Socket?[] peers, Action<string> report, Action<int> end)
    {
        (_rank, _places, _peers, _report, _end) = (rank, places, peers, report, end);
        for (int peer = 0; peer < peers.Length; peer++)
            if (peers[peer] is { } socket) _ = Watch(peer, socket);
    }

    /// <summary>What is said of the run's state where a rank died.</summary>
    internal Func<string> Standing { get; set; } = () => "";

    /// <summary>Connects all ranks; every rank calls it.</summary>
    /// <param name="ranks">To tell each other where to connect.</param>
    /// <param name="places">Where each rank runs.</param>
    /// <param name="report">Prints a line.</param>
    /// <param name="end">Ends this process with a code.</param>
    /// <param name="why">Where the result is null: why.</param>
    /// <returns>Null, on every rank, where some rank cannot reach rank 0.</returns>
    internal static RankGuard? Open(ICollective ranks, RankPlace[] places, Action<string> report, Action<int> end, out string? why)
    {
        bool oneHost = places.All(p => p.Host == places[0].Host);
        var peers = new Socket?[ranks.Rank == 0 ? ranks.Ranks : 1];
        why = null;
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        string invitation = "";
        byte[] key = RandomNumberGenerator.GetBytes(KeyBytes);
        if (ranks.Rank == 0)
        {
            listener.Bind(new IPEndPoint(oneHost ? IPAddress.Loopback : IPAddress.Any, 0));
            listener.Listen(ranks.Ranks);
            string[] addresses = oneHost ? [IPAddress.Loopback.ToString()] : Addresses();
            invitation = string.Join(' ', [Convert.ToHexString(key), ((IPEndPoint)listener.LocalEndPoint!).Port.ToString(CultureInfo.InvariantCulture), .. addresses]);
        }
        invitation = ranks.Broadcast(invitation);
        try
        {
            if (ranks.Rank == 0) Accept(listener, key, peers);
            else peers[0] = Connect(invitation.Split(' '), ranks.Rank);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or IOException)
        {
            why = $"rank {ranks.Rank}: {e.Message}";
        }
        if (!ranks.Any(why is not null)) return new(ranks.Rank, places, peers, report, end);
        why ??= "a rank cannot be reached";
        foreach (var socket in peers) socket?.Dispose();
        return null;
    }

    /// <summary>Where other machines may reach this one.</summary>
    internal static string[] Addresses() =>
        [.. from card in NetworkInterface.GetAllNetworkInterfaces()
            where card.OperationalStatus == OperationalStatus.Up && card.NetworkInterfaceType != NetworkInterfaceType.Loopback
            from address in card.GetIPProperties().UnicastAddresses
            where address.Address.AddressFamily == AddressFamily.InterNetwork
            select address.Address.ToString()];

    private static void Accept(Socket listener, byte[] key, Socket?[] peers)
    {
        using var limit = new CancellationTokenSource(Connecting);
        var hello = new byte[KeyBytes + 4];
        while (peers.Skip(1).Any(p => p is null))
        {
            var socket = listener.AcceptAsync(limit.Token).AsTask().GetAwaiter().GetResult();
            socket.ReceiveTimeout = (int)Connecting.TotalMilliseconds;
            // Whoever does not know the key is none of the job.
            if (!Fill(socket, hello) || !CryptographicOperations.FixedTimeEquals(hello.AsSpan(0, KeyBytes), key)
                || BinaryPrimitives.ReadInt32LittleEndian(hello.AsSpan(KeyBytes)) is var rank && (rank < 1 || rank >= peers.Length || peers[rank] is not null)) socket.Dispose();
            else peers[rank] = socket;
        }
    }

    private static bool Fill(Socket socket, Span<byte> to)
    {
        while (to.Length > 0)
        {
            int n = socket.Receive(to);
            if (n == 0) return false;
            to = to[n..];
        }
        return true;
    }

    private static Socket Connect(string[] invitation, int rank)
    {
        var hello = new byte[KeyBytes + 4];
        Convert.FromHexString(invitation[0]).CopyTo(hello, 0);
        BinaryPrimitives.WriteInt32LittleEndian(hello.AsSpan(KeyBytes), rank);
        Exception? last = null;
        using var limit = new CancellationTokenSource(Connecting / 2);
        foreach (string address in invitation[2..])
        {
            var ip = IPAddress.Parse(address);
            var socket = new Socket(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.ConnectAsync(new IPEndPoint(ip, int.Parse(invitation[1], CultureInfo.InvariantCulture)), limit.Token).AsTask().GetAwaiter().GetResult();
                socket.Send(hello);
                return socket;
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException)
            {
                last = e;
                socket.Dispose();
            }
        }
        throw last ?? new IOException("rank 0's machine has no address");
    }

    private async Task Watch(int peer, Socket socket)
    {
        var head = new byte[HeadBytes];
        try
        {
            while (await Fill(head).ConfigureAwait(false))
            {
                int code = BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(1));
                var text = new byte[Math.Clamp(BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(5)), 0, MostText)];
                if (!await Fill(text).ConfigureAwait(false)) break;
                switch (head[0])
                {
                    case Goodbye:
                        return;
                    case Exit:
                        End(code, null);
                        return;
                    case Failed:
                        // Where rank 0 has the same trouble its own line says it.
                        await Task.Delay(OwnFirst).ConfigureAwait(false);
                        End(code, $"rank {peer} ({_places[peer]}): {Encoding.UTF8.GetString(text)}");
                        return;
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // A connection that broke is one that was closed.
        }
        if (_closing) return;
        string standing = Standing();
        // Where rank 0 is gone the next one speaks for all.
        End(Died, _rank > 1 ? null : $"rank {peer} ({_places[peer]}) died, and the job ends{(standing.Length > 0 ? "; " + standing : "")}");

        async Task<bool> Fill(Memory<byte> to)
        {
            while (to.Length > 0)
            {
                int n = await socket.ReceiveAsync(to).ConfigureAwait(false);
                if (n == 0) return false;
                to = to[n..];
            }
            return true;
        }
    }

    /// <summary>This rank cannot go on: one line for the whole job, one exit code for all processes. Does not come back in a process that ends.</summary>
    internal void Fail(int code, string line)
    {
        if (_rank == 0) End(code, line);
        else Send(_peers[0]!, Failed, code, line);
    }

    private void End(int code, string? line)
    {
        if (Interlocked.Exchange(ref _ending, 1) != 0) return;
        if (line is not null) _report(line);
        if (_rank == 0)
            foreach (var socket in _peers)
                if (socket is not null) Send(socket, Exit, code, "");
        _end(code);
    }

    private void Send(Socket socket, byte kind, int code, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text), message = new byte[HeadBytes + bytes.Length];
        message[0] = kind;
        BinaryPrimitives.WriteInt32LittleEndian(message.AsSpan(1), code);
        BinaryPrimitives.WriteInt32LittleEndian(message.AsSpan(5), bytes.Length);
        bytes.CopyTo(message, HeadBytes);
        try
        {
            lock (_sending) socket.Send(message);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Whoever it was for is gone already.
        }
    }

    /// <summary>Closes the connections without a word, as the system does for a process that died.</summary>
    internal void Break()
    {
        _closing = true;
        foreach (var socket in _peers) socket?.Close(0);
    }

    /// <summary>Ends the watch; every rank is at its end.</summary>
    public void Dispose()
    {
        if (_closing) return;
        _closing = true;
        foreach (var socket in _peers)
        {
            if (socket is null) continue;
            Send(socket, Goodbye, 0, "");
            socket.Dispose();
        }
    }
}
