using System.Runtime.ExceptionServices;

namespace Orthrus.Mamba.Streaming;

/// <summary>
/// Runs (layer, chunk) steps on the calling thread and a fixed set of others. A step may run when the chunk's previous layer and the previous
/// chunk's same layer are done; that alone orders all arithmetic, so results do not depend on who runs what when.
/// </summary>
internal sealed class StreamScheduler : IDisposable
{
    private const int Spins = 200;
    private readonly StreamEngine _engine;
    private readonly Thread[] _threads;
    private readonly object _lock = new();
    private readonly List<Chunk> _active = [];
    private readonly Stack<int> _slots = new();
    private readonly long[] _done;
    private long _nextIndex;
    private int _running;
    private volatile int _version;
    private bool _stop;
    private ExceptionDispatchInfo? _error;

    internal StreamScheduler(StreamEngine engine, int threads)
    {
        _engine = engine;
        _done = new long[engine.Layers];
        for (int i = StreamEngine.Slots - 1; i >= 0; i--) _slots.Push(i);
        _threads = new Thread[threads - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int worker = i + 1;
            _threads[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = $"orthrus-embed-{worker}" };
            _threads[i].Start();
        }
    }

    /// <summary>Called with the lock held when a chunk has left the last layer, in the order of chunks.</summary>
    internal Action<Chunk>? Completed { get; set; }

    internal bool HasRoom
    {
        get { lock (_lock) return _slots.Count > 0 && _error is null; }
    }

    internal bool Idle
    {
        get { lock (_lock) return _active.Count == 0; }
    }

    internal void Add(Chunk chunk)
    {
        lock (_lock)
        {
            chunk.Index = _nextIndex++;
            chunk.Layer = 0;
            chunk.Running = false;
            chunk.Slot = _slots.Pop();
            _active.Add(chunk);
            Signal();
        }
    }

    /// <summary>Changes with every step that ends and every chunk that is added.</summary>
    internal int Version => _version;

    /// <summary>Runs one step on the calling thread, or waits until something has changed.</summary>
    /// <param name="own">The chunk that the caller worked on last.</param>
    /// <param name="version">
    /// <see cref="Version"/> from before the caller looked for room and for results: had it been read only here, the last step could end in between, and nothing would end the wait.
    /// </param>
    internal void Help(ref Chunk? own, int version)
    {
        lock (_lock)
        {
            _error?.Throw();
            own = Take(own);
        }
        if (own is not null) Run(own, 0);
        else WaitForChange(version);
        lock (_lock) _error?.Throw();
    }

    /// <summary>Forgets all chunks once the running steps are over; for a stream that is given up.</summary>
    internal void Reset()
    {
        lock (_lock)
        {
            // Nothing more is taken while the list is empty; steps under way still end in Run.
            var abandoned = _active.ToArray();
            _active.Clear();
            while (_running > 0) Monitor.Wait(_lock);
            foreach (var chunk in abandoned) _slots.Push(chunk.Slot);
            _nextIndex = 0;
            Array.Clear(_done);
            _error = null;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _stop = true;
            Signal();
        }
        foreach (var t in _threads) t.Join();
    }

    private void Work(int worker)
    {
        Chunk? own = null;
        while (true)
        {
            int version = _version;
            lock (_lock)
            {
                if (_stop) return;
                own = _error is null ? Take(own) : null;
            }
            if (own is not null) Run(own, worker);
            else WaitForChange(version);
        }
    }

    private void WaitForChange(int version)
    {
        for (int i = 0; i < Spins; i++)
        {
            if (_version != version) return;
            Thread.SpinWait(20);
        }
        lock (_lock)
            if (_version == version && !_stop) Monitor.Wait(_lock);
    }

    // The own chunk's next layer finds its rows in the cache; otherwise the deepest step frees a slot soonest.
    private Chunk? Take(Chunk? own)
    {
        Chunk? best = own is not null && Ready(own) ? own : null;
        if (best is null)
            foreach (var chunk in _active)
                if (Ready(chunk) && (best is null || chunk.Layer > best.Layer)) best = chunk;
        if (best is null) return null;
        best.Running = true;
        _running++;
        return best;
    }

    private bool Ready(Chunk chunk) => !chunk.Running && chunk.Layer < _done.Length && _done[chunk.Layer] == chunk.Index && _active.Contains(chunk);

    private void Run(Chunk chunk, int worker)
    {
        ExceptionDispatchInfo? error = null;
        try
        {
            _engine.Step(chunk, worker);
        }
        catch (Exception e)
        {
            // Surfaces on the thread that enumerates the results.
            error = ExceptionDispatchInfo.Capture(e);
        }
        lock (_lock)
        {
            _running--;
            _error ??= error;
            chunk.Running = false;
            if (error is null && _active.Contains(chunk))
            {
                _done[chunk.Layer]++;
                if (++chunk.Layer == _done.Length)
                {
                    _active.Remove(chunk);
                    _slots.Push(chunk.Slot);
                    Completed?.Invoke(chunk);
                }
            }
            Signal();
        }
    }

    private void Signal()
    {
        _version++;
        Monitor.PulseAll(_lock);
    }
}
