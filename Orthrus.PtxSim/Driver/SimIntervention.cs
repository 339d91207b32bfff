namespace Orthrus.PtxSim;

/// <summary>
/// Faults that a test plants between the engine and a simulated driver: another kernel text, a call that is left out, a launch of other size. Each driver that a
/// thread makes takes the intervention which is then current there.
/// </summary>
internal class SimIntervention
{
    private static readonly AsyncLocal<SimIntervention?> OfThread = new();

    /// <summary>The intervention of drivers made from now on by this thread; null for none.</summary>
    public static SimIntervention? Current
    {
        get => OfThread.Value;
        set => OfThread.Value = value;
    }

    /// <summary>The text that is loaded instead of a module's.</summary>
    public virtual string Load(string ptx) => ptx;

    /// <summary>Whether a call succeeds without doing anything. Asked at every call of the kinds that can be left out.</summary>
    /// <param name="call">The driver's name for it, as "cuEventRecord".</param>
    public virtual bool Omits(string call) => false;

    /// <summary>The launch that is made instead of another; null for none.</summary>
    /// <param name="kernel">Entry point.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="dynamicShared">Dynamic shared memory in bytes.</param>
    public virtual (Dim3 Grid, int DynamicShared)? Launch(string kernel, Dim3 grid, int dynamicShared) => (grid, dynamicShared);

    /// <summary>A check has ended the context.</summary>
    public virtual void Failed(SimFault fault)
    {
    }
}
