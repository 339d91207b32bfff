using System.Runtime.CompilerServices;

namespace Orthrus.Tensor;

/// <summary>One item of parallel work; the item's index says which part. Implement as a struct.</summary>
public interface IParallelJob
{
    /// <summary>Does item <paramref name="index"/>. Items run on any thread in any order, each exactly once, and must not share outputs.</summary>
    void Run(int index);
}

/// <summary>
/// Fork and join over a fixed number of items. How work is cut into items must not depend on the number of threads, so that results are
/// the same bits on every machine. No allocation per call. Nested calls run inline.
/// </summary>
public sealed unsafe class WorkerPool : IDisposable
{
    private const int SpinsBeforeSleep = 2000;

    private readonly Thread[] _threads;
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Lock _entry = new();
    private delegate*<void*, int, void> _invoke;
    private void* _job;
    private int _items, _next, _pending;
    private volatile int _epoch;
    private volatile bool _stop;
    private Exception? _error;
    [ThreadStatic] private static bool t_inside;

    internal WorkerPool(int threads)
    {
        Threads = threads;
        _threads = new Thread[threads - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            _threads[i] = new Thread(Work) { IsBackground = true, Name = $"orthrus-worker-{i + 1}" };
            _threads[i].Start();
        }
    }

    /// <summary>Number of threads, the calling one included.</summary>
    public int Threads { get; }

    /// <summary>Runs items 0 to <paramref name="items"/> - 1 and returns when all are done. An exception of an item is thrown here.</summary>
    public void Run<TJob>(int items, ref TJob job) where TJob : struct, IParallelJob
    {
        if (_threads.Length == 0 || items <= 1 || t_inside)
        {
            for (int i = 0; i < items; i++) job.Run(i);
            return;
        }
        lock (_entry)
        {
            t_inside = true;
            try
            {
                _error = null;
                _invoke = &Invoke<TJob>;
                // The job lives on this thread's stack until the join below, so its address is stable.
                _job = Unsafe.AsPointer(ref job);
                _items = items;
                Volatile.Write(ref _next, 0);
                Volatile.Write(ref _pending, _threads.Length);
                _epoch++;
                _wake.Release(_threads.Length);
                Drain();
                var spin = new SpinWait();
                while (Volatile.Read(ref _pending) > 0) spin.SpinOnce(sleep1Threshold: -1);
            }
            finally
            {
                t_inside = false;
            }
            if (_error is { } error) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error);
        }
    }

    /// <summary>Ends the threads.</summary>
    public void Dispose()
    {
        if (_stop) return;
        _stop = true;
        _wake.Release(Math.Max(1, _threads.Length));
        foreach (var t in _threads) t.Join();
        _wake.Dispose();
    }

    private static void Invoke<TJob>(void* job, int index) where TJob : struct, IParallelJob => Unsafe.AsRef<TJob>(job).Run(index);

    private void Drain()
    {
        try
        {
            for (int i; (i = Interlocked.Increment(ref _next) - 1) < _items;) _invoke(_job, i);
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _error, e, null);
            Volatile.Write(ref _next, _items);
        }
    }

    private void Work()
    {
        t_inside = true;
        int seen = 0;
        while (true)
        {
            // A short spin catches the next op of a sequence without a system call; an idle pool sleeps.
            for (int i = 0; i < SpinsBeforeSleep && _epoch == seen && !_stop; i++) Thread.SpinWait(8);
            _wake.Wait();
            if (_stop) return;
            seen = _epoch;
            Drain();
            Interlocked.Decrement(ref _pending);
        }
    }
}
