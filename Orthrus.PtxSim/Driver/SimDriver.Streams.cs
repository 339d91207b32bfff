using Orthrus.Tensor.Cuda;

namespace Orthrus.PtxSim;

/// <summary>Streams and events.</summary>
public sealed unsafe partial class SimDriver
{
    private const nint LegacyStream = 1, PerThreadStream = 2;

    CudaResult ICudaDriver.StreamCreate(nint* stream, uint flags)
    {
        const uint nonBlocking = 1;
        if (Enter(out SimContext c) is var result && result != CudaResult.Success)
            return result;
        if (flags > nonBlocking)
            return Fail(CudaResult.InvalidValue);
        lock (c.Gate)
        {
            return c.Error != CudaResult.Success ? c.Failed() : Set(stream, handles.Add(c.NewStream(flags != nonBlocking)));
        }
    }

    CudaResult ICudaDriver.StreamDestroy(nint stream)
    {
        if (handles.Remove<SimStream>(stream) is not { } s)
            return Fail(CudaResult.InvalidHandle);
        lock (s.Context.Gate)
        {
            s.Capture?.Spoil("a stream of the recording was destroyed");
            s.Context.RemoveStream(s);
            return s.Context.Error != CudaResult.Success ? s.Context.Failed() : CudaResult.Success;
        }
    }

    CudaResult ICudaDriver.StreamGetCtx(nint stream, nint* context) => Stream(stream, out SimStream s) is var result && result != CudaResult.Success ? result : Set(context, s.Context.Handle);

    CudaResult ICudaDriver.StreamQuery(nint stream) => Wait(stream, "cuStreamQuery", (c, tail) => c.Query(tail));

    CudaResult ICudaDriver.StreamSynchronize(nint stream) => Omits("cuStreamSynchronize") ? CudaResult.Success : Wait(stream, "cuStreamSynchronize", (c, tail) => c.Synchronise(tail));

    CudaResult ICudaDriver.StreamWaitEvent(nint stream, nint @event, uint flags)
    {
        if (Omits("cuStreamWaitEvent"))
            return CudaResult.Success;
        if (Stream(stream, out SimStream s) is var result && result != CudaResult.Success)
            return result;
        if (handles.Get(@event) is not SimEvent e)
            return Fail(CudaResult.InvalidHandle);
        if (flags > 1)
            return Fail(CudaResult.InvalidValue);
        if (e.Context != s.Context)
            return Fail(CudaResult.NotSupported, "events between simulated devices are not simulated");
        SimContext c = s.Context;
        lock (c.Gate)
        {
            if (c.Error != CudaResult.Success)
                return c.Failed();
            if (e.Capture is { } capture)
                return WaitInRecording(s, e, capture);
            if (s.Capture is { } own)
                return e.Last is null ? CudaResult.Success : Spoil(own, CudaResult.StreamCaptureIsolation, "a recorded stream waits for an event that was recorded outside");
            if (Implicit(s) is var merged && merged != CudaResult.Success)
                return merged;
            if (e.Last is null)
                return CudaResult.Success;
            c.Append(s, new MarkOperation("wait for an event"), e.Last);
            return c.Settle();
        }
    }

    CudaResult ICudaDriver.EventCreate(nint* @event, uint flags)
    {
        const uint withoutTiming = 2, known = 7, shared = 4;
        if (Enter(out SimContext c) is var result && result != CudaResult.Success)
            return result;
        if ((flags & ~known) != 0 || (flags & (shared | withoutTiming)) == shared)
            return Fail(CudaResult.InvalidValue);
        lock (c.Gate)
        {
            return c.Error != CudaResult.Success ? c.Failed() : Set(@event, handles.Add(new SimEvent(c, (flags & withoutTiming) == 0)));
        }
    }

    CudaResult ICudaDriver.EventDestroy(nint @event) => handles.Remove<SimEvent>(@event) is null ? Fail(CudaResult.InvalidHandle) : CudaResult.Success;

    CudaResult ICudaDriver.EventRecord(nint @event, nint stream)
    {
        if (Omits("cuEventRecord"))
            return CudaResult.Success;
        if (Stream(stream, out SimStream s) is var result && result != CudaResult.Success)
            return result;
        if (handles.Get(@event) is not SimEvent e || e.Context != s.Context)
            return Fail(CudaResult.InvalidHandle);
        SimContext c = s.Context;
        lock (c.Gate)
        {
            if (c.Error != CudaResult.Success)
                return c.Failed();
            return Issue(s, recording => (e.Capture, e.Captured) = (recording, [.. s.CaptureTail]), () => (e.Capture, e.Last) = (null, c.Append(s, new MarkOperation("record of an event"))));
        }
    }

    CudaResult ICudaDriver.EventQuery(nint @event) => Wait(@event, "cuEventQuery", (c, e) => c.Query(e.Last));

    CudaResult ICudaDriver.EventSynchronize(nint @event) => Omits("cuEventSynchronize") ? CudaResult.Success : Wait(@event, "cuEventSynchronize", (c, e) => c.Synchronise(e.Last));

    /// <summary>
    /// The time between two events in the simulator's model: each kernel takes the lower bound of <see cref="LaunchReport.Bounds"/>, copies and fills on the
    /// device their bytes at the DRAM rate, copies to and from the host nothing, since the table of devices has no rate for the link. Nothing is measured.
    /// </summary>
    CudaResult ICudaDriver.EventElapsedTime(float* milliseconds, nint start, nint end)
    {
        if (handles.Get(start) is not SimEvent from || handles.Get(end) is not SimEvent to || from.Context != to.Context)
            return Fail(CudaResult.InvalidHandle);
        SimContext c = from.Context;
        lock (c.Gate)
        {
            if (c.Error != CudaResult.Success)
                return c.Failed();
            if (!from.Timing || !to.Timing || from.Last is null || to.Last is null)
                return Fail(CudaResult.InvalidHandle, "both events must have been recorded, and made without CU_EVENT_DISABLE_TIMING");
            if (from.Capture is not null || to.Capture is not null)
                return Fail(CudaResult.CapturedEvent);
            if (!from.Last.Done || !to.Last.Done)
                return Fail(CudaResult.NotReady);
            *milliseconds = (float)((to.Last.End - from.Last.End) * 1e3);
            return CudaResult.Success;
        }
    }

    private CudaResult Wait(nint stream, string call, Func<SimContext, SimWork?, CudaResult> wait)
    {
        if (Stream(stream, out SimStream s) is var result && result != CudaResult.Success)
            return result;
        lock (s.Context.Gate)
        {
            if (s.Capture is { } capture)
                return Spoil(capture, CudaResult.StreamCaptureUnsupported, $"{call} of a stream that is recorded");
            return Implicit(s) is var merged && merged != CudaResult.Success ? merged : wait(s.Context, s.Tail);
        }
    }

    private CudaResult Wait(nint @event, string call, Func<SimContext, SimEvent, CudaResult> wait)
    {
        if (handles.Get(@event) is not SimEvent e)
            return Fail(CudaResult.InvalidHandle);
        lock (e.Context.Gate)
        {
            if (e.Capture is { } capture)
                return Spoil(capture, CudaResult.CapturedEvent, $"{call} of an event that is part of a recording");
            return Unsafe(call) is var unsafeCall && unsafeCall != CudaResult.Success ? unsafeCall : wait(e.Context, e);
        }
    }

    private bool Omits(string call) => intervention?.Omits(call) == true;

    /// <summary>The stream of a handle; 0 is the current context's default stream.</summary>
    private CudaResult Stream(nint handle, out SimStream stream)
    {
        stream = null!;
        if (handle is 0 or LegacyStream)
        {
            CudaResult result = Enter(out SimContext c);
            if (result == CudaResult.Success)
                stream = c.Legacy;
            return result;
        }

        if (handle == PerThreadStream)
            return Fail(CudaResult.NotSupported, "the default stream of each thread (CU_STREAM_PER_THREAD) is not simulated");
        if (handles.Get(handle) is not SimStream found)
            return Fail(CudaResult.InvalidHandle, $"0x{handle:x} is no stream");
        stream = found;
        return CudaResult.Success;
    }

    /// <summary>Puts work into a stream, or into the recording that it takes part in.</summary>
    private CudaResult Issue(SimStream stream, SimOperation operation) =>
        Issue(stream, recording => recording.Add(stream, operation), () => stream.Context.Append(stream, operation));

    private CudaResult Issue(SimStream stream, Action<SimCapture> record, Action append)
    {
        if (stream.Capture is { } capture)
        {
            if (capture.Spoilt is { } why)
                return Fail(CudaResult.StreamCaptureInvalidated, why);
            record(capture);
            return CudaResult.Success;
        }

        if (Implicit(stream) is var merged && merged != CudaResult.Success)
            return merged;
        append();
        return stream.Context.Settle();
    }
}
