namespace Orthrus.PtxSim;

/// <summary>Objects behind the driver's opaque handles. Handles are not reused, so that a stale one is recognised.</summary>
internal sealed class SimHandles
{
    private readonly Dictionary<nint, object> objects = [];
    private nint last = 0x5100;

    internal nint Add(object o)
    {
        last += 16;
        objects.Add(last, o);
        return last;
    }

    internal object? Get(nint handle) => objects.GetValueOrDefault(handle);

    internal object? Remove(nint handle) => objects.Remove(handle, out object? o) ? o : null;
}
