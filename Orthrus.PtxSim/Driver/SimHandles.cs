using System.Collections.Concurrent;

namespace Orthrus.PtxSim;

/// <summary>Objects behind the driver's opaque handles. Handles are not reused, so that a stale one is recognised.</summary>
internal sealed class SimHandles
{
    private readonly ConcurrentDictionary<nint, object> objects = new();
    private long last = 0x5100;

    internal nint Add(object o)
    {
        var handle = (nint)Interlocked.Add(ref last, 16);
        objects[handle] = o;
        return handle;
    }

    internal object? Get(nint handle) => objects.GetValueOrDefault(handle);

    /// <summary>Takes a handle of a kind out; null where it is none.</summary>
    internal T? Remove<T>(nint handle)
        where T : class => objects.TryGetValue(handle, out object? o) && o is T found && objects.TryRemove(handle, out _) ? found : null;

    internal void RemoveAll(Predicate<object> gone)
    {
        foreach ((nint handle, object o) in objects)
        {
            if (gone(o))
                objects.TryRemove(handle, out _);
        }
    }
}
