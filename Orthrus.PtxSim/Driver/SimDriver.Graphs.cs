using Orthrus.Tensor.Cuda;

namespace Orthrus.PtxSim;

/// <summary>Recording and launching of graphs.</summary>
public sealed unsafe partial class SimDriver
{
    private readonly List<SimCapture> captures = [];

    CudaResult ICudaDriver.StreamBeginCapture(nint stream, CudaCaptureMode mode)
    {
        if (Stream(stream, out SimStream s) is var result && result != CudaResult.Success)
            return result;
        if (mode is < CudaCaptureMode.Global or > CudaCaptureMode.Relaxed)
            return Fail(CudaResult.InvalidValue);
        lock (s.Context.Gate)
        {
            if (s.Context.Error != CudaResult.Success)
                return s.Context.Failed();
            if (s == s.Context.Legacy)
                return Fail(CudaResult.StreamCaptureUnsupported, "the default stream cannot be recorded");
            if (s.Capture is not null)
                return Fail(CudaResult.IllegalState, "the stream is being recorded already");
            var capture = new SimCapture(s, mode);
            capture.Join(s, []);
            lock (captures)
                captures.Add(capture);
            return CudaResult.Success;
        }
    }

    CudaResult ICudaDriver.StreamEndCapture(nint stream, nint* graph)
    {
        *graph = 0;
        if (Stream(stream, out SimStream s) is var result && result != CudaResult.Success)
            return result;
        lock (s.Context.Gate)
        {
            if (s.Capture is not { } capture)
                return Fail(CudaResult.IllegalState, "the stream is not being recorded");
            if (capture.Origin != s)
                return Spoil(capture, CudaResult.StreamCaptureUnmatched, "the recording was begun on another stream");
            lock (captures)
                captures.Remove(capture);
            bool joined = capture.End();
            if (capture.Mode != CudaCaptureMode.Relaxed && capture.Thread != Environment.CurrentManagedThreadId)
                return Fail(CudaResult.StreamCaptureWrongThread, "only the thread that began a recording may end it; it is lost");
            if (s.Context.Error != CudaResult.Success)
                return s.Context.Failed();
            if (capture.Spoilt is { } why)
                return Fail(CudaResult.StreamCaptureInvalidated, why);
            if (!joined)
                return Fail(CudaResult.StreamCaptureUnjoined, "another stream has recorded work that the first does not wait for");
            return Set(graph, handles.Add(new SimGraph(s.Context, capture.Nodes, capture.Lanes)));
        }
    }

    CudaResult ICudaDriver.GraphInstantiate(nint* instance, nint graph, ulong flags)
    {
        if (handles.Get(graph) is not SimGraph g)
            return Fail(CudaResult.InvalidHandle);
        if (flags != 0)
            return Fail(CudaResult.NotSupported, "flags of cuGraphInstantiate are not simulated");
        lock (g.Context.Gate)
        {
            if (g.Context.Error != CudaResult.Success)
                return g.Context.Failed();
            return Set(instance, handles.Add(new SimGraphInstance(g)));
        }
    }

    CudaResult ICudaDriver.GraphLaunch(nint instance, nint stream)
    {
        if (Stream(stream, out SimStream s) is var result && result != CudaResult.Success)
            return result;
        if (handles.Get(instance) is not SimGraphInstance i || i.Graph.Context != s.Context)
            return Fail(CudaResult.InvalidHandle);
        SimContext c = s.Context;
        lock (c.Gate)
        {
            if (c.Error != CudaResult.Success)
                return c.Failed();
            return Issue(s, recording => recording.Add(s, i.Graph), () => c.Append(s, i));
        }
    }

    CudaResult ICudaDriver.GraphExecDestroy(nint instance) => handles.Remove<SimGraphInstance>(instance) is null ? Fail(CudaResult.InvalidHandle) : CudaResult.Success;

    CudaResult ICudaDriver.GraphDestroy(nint graph) => handles.Remove<SimGraph>(graph) is null ? Fail(CudaResult.InvalidHandle) : CudaResult.Success;

    private static CudaResult Spoil(SimCapture capture, CudaResult result, string why)
    {
        capture.Spoil(why);
        return Fail(result, why);
    }

    /// <summary>A stream waits for an event that stands in a recording: it joins the recording.</summary>
    private static CudaResult WaitInRecording(SimStream stream, SimEvent e, SimCapture capture)
    {
        if (capture.Origin.Capture != capture)
            return Fail(CudaResult.CapturedEvent, "the event was recorded in a graph that is complete");
        if (capture.Spoilt is { } why)
            return Fail(CudaResult.StreamCaptureInvalidated, why);
        if (stream == stream.Context.Legacy)
            return Spoil(capture, CudaResult.StreamCaptureImplicit, "the default stream would join a recording");
        if (stream.Capture is null)
            capture.Join(stream, e.Captured);
        else if (stream.Capture != capture)
        {
            stream.Capture.Spoil("it would merge with another recording");
            return Spoil(capture, CudaResult.StreamCaptureMerge, "it would merge with another recording");
        }
        else
            stream.CaptureTail = [.. stream.CaptureTail.Union(e.Captured)];
        return CudaResult.Success;
    }

    /// <summary>Work on the default stream waits for all blocking streams; it may not where one of them is recorded.</summary>
    private CudaResult Implicit(SimStream stream)
    {
        if (stream != stream.Context.Legacy)
            return CudaResult.Success;
        foreach (SimCapture capture in CapturesOf(stream.Context))
        {
            if (stream.Context.Streams.Any(s => s.Blocking && s.Capture == capture))
                return Spoil(capture, CudaResult.StreamCaptureImplicit, "work on the default stream would wait for a stream that is recorded");
        }

        return CudaResult.Success;
    }

    /// <summary>Calls that may wait for the device are forbidden while this thread records, or any thread does in global mode.</summary>
    private CudaResult Unsafe(string call)
    {
        lock (captures)
        {
            foreach (SimCapture capture in captures)
            {
                if (capture.Mode == CudaCaptureMode.Global || (capture.Mode == CudaCaptureMode.ThreadLocal && capture.Thread == Environment.CurrentManagedThreadId))
                    return Spoil(capture, CudaResult.StreamCaptureUnsupported, $"{call} while a stream is recorded");
            }
        }

        return CudaResult.Success;
    }

    private List<SimCapture> CapturesOf(SimContext context)
    {
        lock (captures)
            return captures.Count == 0 ? [] : captures.FindAll(c => c.Origin.Context == context);
    }
}
