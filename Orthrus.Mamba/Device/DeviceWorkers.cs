using System.Runtime.ExceptionServices;
using Orthrus.Mamba.Streaming;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Mamba;

/// <summary>
/// Encoders on one or several CUDA devices, a thread for each while there is work. Which device takes a batch is left to chance; since they are of one kind and a record's
/// result depends on the record alone, the results do not.
/// </summary>
internal sealed class DeviceWorkers : IDisposable
{
    private readonly CudaDevice[] _devices;
    private readonly List<DeviceEncoder> _encoders = [];

    internal DeviceWorkers(IReadOnlyList<CudaDevice> devices, MambaConfig config, Func<string, double[]> tensor, EmbedderOptions options)
    {
        _devices = [.. devices];
        try
        {
            foreach (var device in devices) _encoders.Add(new DeviceEncoder(device, config, tensor, options));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Positions that are read ahead: records of nearly equal length are found among them, for every device.</summary>
    internal long Window => 8L * DeviceEncoder.BatchPositions * _encoders.Count;

    /// <summary>The encoders, one for each device.</summary>
    internal IReadOnlyList<DeviceEncoder> Encoders => _encoders;

    /// <summary>Devices and who multiplies, in words.</summary>
    internal string Names => _devices.Length == 1 ? _devices[0].Name : $"{_devices.Length} x {_devices[0].Model} ({string.Join(", ", _devices.Select(d => d.Name[..d.Name.IndexOf(' ', StringComparison.Ordinal)]))})";

    /// <summary>Starts to encode records, into their pools; positions are handed out in the order of the records, never twice at once.</summary>
    internal Run Start(IReadOnlyList<StreamRecord> records) => new(this, records);

    private void Encode(IReadOnlyList<StreamRecord> records)
    {
        if (records.Any(r => r.WantsPositions)) InOrder(records);
        else Share(new Queue<List<StreamRecord>>(_encoders[0].Batches(records)));
    }

    // One record for each device at a time; what comes of them is handed out when all are done.
    private void InOrder(IReadOnlyList<StreamRecord> records)
    {
        for (int first = 0; first < records.Count; first += _encoders.Count)
        {
            var some = records.Skip(first).Take(_encoders.Count).ToList();
            if (some.Count == 1)
            {
                Named(0, () => _encoders[0].Encode(some));
                continue;
            }
            var kept = some.ConvertAll(r => new KeptRecord { Of = r, Tracks = r.Tracks, Pool = r.Pool });
            Share(new Queue<List<StreamRecord>>(kept.Select(k => new List<StreamRecord> { k })));
            foreach (var record in kept) record.HandOut();
        }
    }

    private void Share(Queue<List<StreamRecord>> batches)
    {
        ExceptionDispatchInfo? error = null;
        if (_encoders.Count == 1) Work(0);
        else
        {
            var threads = Enumerable.Range(0, Math.Min(_encoders.Count, batches.Count)).Select(k => new Thread(() => Work(k)) { IsBackground = true, Name = $"orthrus-{_devices[k].Ordinal}" }).ToArray();
            foreach (var thread in threads) thread.Start();
            foreach (var thread in threads) thread.Join();
        }
        error?.Throw();

        void Work(int device)
        {
            try
            {
                while (Next() is { } batch) Named(device, () => _encoders[device].Encode(batch));
            }
            catch (Exception e)
            {
                // The first error ends the work of all.
                lock (batches) error ??= ExceptionDispatchInfo.Capture(e);
            }
        }

        List<StreamRecord>? Next()
        {
            lock (batches) return error is null && batches.TryDequeue(out var batch) ? batch : null;
        }
    }

    // With several devices an error says which; out of memory does so by itself.
    private void Named(int device, Action work)
    {
        try
        {
            work();
        }
        catch (CudaException e) when (_devices.Length > 1)
        {
            if (e.Result == CudaResult.OutOfMemory) throw new DeviceOutOfMemoryException($"{_devices[device].Name}: {e.Message}", e);
            throw new DeviceException($"{_devices[device].Name}: {e.Message}", e);
        }
    }

    public void Dispose()
    {
        foreach (var encoder in _encoders) encoder.Dispose();
    }

    /// <summary>Records under way.</summary>
    internal sealed class Run
    {
        private readonly Thread _thread;
        private ExceptionDispatchInfo? _error;

        internal Run(DeviceWorkers workers, IReadOnlyList<StreamRecord> records)
        {
            _thread = new Thread(() =>
            {
                try
                {
                    workers.Encode(records);
                }
                catch (Exception e)
                {
                    _error = ExceptionDispatchInfo.Capture(e);
                }
            }) { IsBackground = true, Name = "orthrus-devices" };
            _thread.Start();
        }

        /// <summary>True where nothing is under way any more.</summary>
        internal bool Ended => !_thread.IsAlive;

        /// <summary>Waits for the end, and throws what went wrong.</summary>
        internal void Wait()
        {
            Join();
            _error?.Throw();
        }

        /// <summary>Waits for the end, whatever it is.</summary>
        internal void Join() => _thread.Join();
    }

    /// <summary>Keeps the positions of a record until its turn.</summary>
    private sealed class KeptRecord : StreamRecord
    {
        private readonly List<(int Start, float[] Rows)> _kept = [];

        internal required StreamRecord Of;

        internal override bool WantsPositions => true;

        internal override void Positions(int start, ReadOnlySpan<float> rows, ReadOnlySpan<double> rows64) => _kept.Add((start, rows.ToArray()));

        internal void HandOut()
        {
            foreach (var (start, rows) in _kept) Of.Positions(start, rows, []);
        }
    }
}
