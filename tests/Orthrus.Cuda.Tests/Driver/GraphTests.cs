using Orthrus.PtxSim;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests.Driver;

/// <summary>Graphs: recording, launching, and what a driver refuses while a stream is recorded.</summary>
public sealed unsafe class GraphTests
{
    [Fact]
    public void A_recorded_sequence_runs_at_each_launch_and_not_before()
    {
        using var rig = new Rig();
        nint stream = rig.Stream(), graph, instance;
        ulong x = rig.Memory(32);
        int* pinned = rig.Pinned(32, 10);
        Rig.Ok(rig.Driver.StreamBeginCapture(stream, CudaCaptureMode.Global));
        Rig.Ok(rig.Driver.MemcpyHtoDAsync(x, pinned, 128, stream));
        Rig.Ok(rig.Add(x, x, stream));
        Rig.Ok(rig.Add(x, x, stream));
        Rig.Ok(rig.Driver.MemcpyDtoHAsync(pinned, x, 128, stream));
        Rig.Ok(rig.Driver.StreamEndCapture(stream, &graph));
        Rig.Ok(rig.Driver.CtxSynchronize());
        Assert.Equal(10, pinned[0]);
        Rig.Ok(rig.Driver.GraphInstantiate(&instance, graph, 0));
        Rig.Ok(rig.Driver.GraphDestroy(graph));
        for (int k = 0; k < 3; k++) Rig.Ok(rig.Driver.GraphLaunch(instance, stream));
        Rig.Ok(rig.Driver.StreamSynchronize(stream));
        Assert.Equal(16, pinned[31]);
        // The host may change its memory between launches.
        new Span<int>(pinned, 32).Fill(100);
        Rig.Ok(rig.Driver.GraphLaunch(instance, stream));
        Rig.Ok(rig.Driver.GraphExecDestroy(instance));
        Rig.Ok(rig.Driver.StreamSynchronize(stream));
        Assert.Equal(102, pinned[0]);
        Assert.Equal(CudaResult.InvalidHandle, rig.Driver.GraphLaunch(instance, stream));
        Assert.Equal(CudaResult.InvalidHandle, rig.Driver.GraphDestroy(graph));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Branches_by_events_are_recorded(int seed)
    {
        using var rig = new Rig(new SimOptions { Seed = seed });
        nint a = rig.Stream(), b = rig.Stream(), fork = rig.Event(), join = rig.Event(), graph, instance;
        ulong x = rig.Memory(32), y = rig.Memory(32);
        Rig.Ok(rig.Driver.StreamBeginCapture(a, CudaCaptureMode.ThreadLocal));
        Rig.Ok(rig.Add(x, x, a));
        Rig.Ok(rig.Driver.EventRecord(fork, a));
        Rig.Ok(rig.Driver.StreamWaitEvent(b, fork, 0));
        Rig.Ok(rig.Add(y, y, b));
        Rig.Ok(rig.Add(x, x, a));
        Rig.Ok(rig.Driver.EventRecord(join, b));
        Rig.Ok(rig.Driver.StreamWaitEvent(a, join, 0));
        Rig.Ok(rig.Add(y, y, a));
        Rig.Ok(rig.Driver.StreamEndCapture(a, &graph));
        Rig.Ok(rig.Driver.GraphInstantiate(&instance, graph, 0));
        Rig.Ok(rig.Driver.GraphLaunch(instance, a));
        Rig.Ok(rig.Driver.GraphLaunch(instance, b));
        Rig.Ok(rig.Driver.CtxSynchronize());
        Assert.Equal(4, rig.Sim.Devices[0].Read<int>(x, 1)[0]);
        Assert.Equal(4, rig.Sim.Devices[0].Read<int>(y, 1)[0]);
        // A graph inside a graph.
        nint outer;
        Rig.Ok(rig.Driver.StreamBeginCapture(b, CudaCaptureMode.Relaxed));
        Rig.Ok(rig.Driver.GraphLaunch(instance, b));
        Rig.Ok(rig.Add(x, y, b));
        Rig.Ok(rig.Driver.StreamEndCapture(b, &graph));
        Rig.Ok(rig.Driver.GraphInstantiate(&outer, graph, 0));
        Rig.Ok(rig.Driver.GraphLaunch(outer, a));
        Rig.Ok(rig.Driver.CtxSynchronize());
        Assert.Equal(7, rig.Sim.Devices[0].Read<int>(x, 1)[0]);
    }

    [Fact]
    public void A_missing_event_inside_a_graph_is_found()
    {
        for (int seed = 0; seed < 4; seed++)
        {
            using var rig = new Rig(new SimOptions { Seed = seed });
            nint a = rig.Stream(), b = rig.Stream(), fork = rig.Event(), join = rig.Event(), graph, instance;
            ulong x = rig.Memory(32);
            Rig.Ok(rig.Driver.StreamBeginCapture(a, CudaCaptureMode.Relaxed));
            Rig.Ok(rig.Driver.EventRecord(fork, a));
            Rig.Ok(rig.Driver.StreamWaitEvent(b, fork, 0));
            Rig.Ok(rig.Add(x, x, a));
            Rig.Ok(rig.Add(x, x, b));
            Rig.Ok(rig.Driver.EventRecord(join, b));
            Rig.Ok(rig.Driver.StreamWaitEvent(a, join, 0));
            Rig.Ok(rig.Driver.StreamEndCapture(a, &graph));
            Rig.Ok(rig.Driver.GraphInstantiate(&instance, graph, 0));
            Rig.Ok(rig.Driver.GraphLaunch(instance, a));
            rig.Fails(CudaResult.LaunchFailed, rig.Driver.CtxSynchronize(), "branch 1 of a graph", "nothing orders the two");
        }
    }

    [Fact]
    public void Calls_that_wait_spoil_a_recording()
    {
        using var rig = new Rig();
        nint stream = rig.Stream(), e = rig.Event();
        ulong x = rig.Memory(32);
        (CudaResult, Func<ICudaDriver, CudaResult>)[] calls =
        [
            (CudaResult.StreamCaptureUnsupported, d => d.StreamSynchronize(stream)),
            (CudaResult.StreamCaptureUnsupported, d => d.StreamQuery(stream)),
            (CudaResult.StreamCaptureUnsupported, d => d.CtxSynchronize()),
            (CudaResult.StreamCaptureUnsupported, d => { ulong p; return d.MemAlloc(&p, 64); }),
            (CudaResult.StreamCaptureUnsupported, d => d.MemFree(x)),
            (CudaResult.StreamCaptureUnsupported, _ => rig.TryLoad(Rig.Ptx, out nint _)),
            (CudaResult.CapturedEvent, d => { Rig.Ok(d.EventRecord(e, stream)); return d.EventSynchronize(e); }),
        ];
        foreach (var (expected, call) in calls)
        {
            nint graph = 1;
            Rig.Ok(rig.Driver.StreamBeginCapture(stream, CudaCaptureMode.Global));
            rig.Fails(expected, call(rig.Driver), "record");
            Assert.Equal(CudaResult.StreamCaptureInvalidated, rig.Add(x, x, stream));
            Assert.Equal(CudaResult.StreamCaptureInvalidated, rig.Driver.StreamEndCapture(stream, &graph));
            Assert.Equal(0, graph);
            // The stream is usable again.
            Rig.Ok(rig.Add(x, x, stream));
            Rig.Ok(rig.Driver.StreamSynchronize(stream));
        }
        // In relaxed mode memory may be had; in thread-local mode by other threads.
        ulong p;
        nint done;
        Rig.Ok(rig.Driver.StreamBeginCapture(stream, CudaCaptureMode.Relaxed));
        Rig.Ok(rig.Driver.MemAlloc(&p, 64));
        Rig.Ok(rig.Driver.StreamEndCapture(stream, &done));
        foreach (var (mode, expected) in new[] { (CudaCaptureMode.ThreadLocal, CudaResult.Success), (CudaCaptureMode.Global, CudaResult.StreamCaptureUnsupported) })
        {
            Rig.Ok(rig.Driver.StreamBeginCapture(stream, mode));
            CudaResult other = CudaResult.Unknown;
            var thread = new Thread(() =>
            {
                ulong q;
                Rig.Ok(rig.Driver.CtxSetCurrent(rig.Context));
                other = rig.Driver.MemAlloc(&q, 64);
            });
            thread.Start();
            thread.Join();
            Assert.Equal(expected, other);
            Assert.Equal(expected == CudaResult.Success ? CudaResult.Success : CudaResult.StreamCaptureInvalidated, rig.Driver.StreamEndCapture(stream, &done));
        }
    }

    [Fact]
    public void Recordings_that_do_not_fit_are_refused()
    {
        using var rig = new Rig();
        nint a = rig.Stream(), b = rig.Stream(), blocking = rig.Stream(blocking: true), e = rig.Event(), old = rig.Event(), graph;
        ulong x = rig.Memory(32);
        Assert.Equal(CudaResult.IllegalState, rig.Driver.StreamEndCapture(a, &graph));
        rig.Fails(CudaResult.StreamCaptureUnsupported, rig.Driver.StreamBeginCapture(0, CudaCaptureMode.Global), "the default stream");
        // Twice.
        Rig.Ok(rig.Driver.StreamBeginCapture(a, CudaCaptureMode.Global));
        Assert.Equal(CudaResult.IllegalState, rig.Driver.StreamBeginCapture(a, CudaCaptureMode.Global));
        // Another thread ends it.
        CudaResult other = CudaResult.Unknown;
        var thread = new Thread(() =>
        {
            nint g;
            other = rig.Driver.StreamEndCapture(a, &g);
        });
        thread.Start();
        thread.Join();
        Assert.Equal(CudaResult.StreamCaptureWrongThread, other);
        Assert.Equal(CudaResult.IllegalState, rig.Driver.StreamEndCapture(a, &graph));
        // A branch that is not joined.
        Rig.Ok(rig.Driver.StreamBeginCapture(a, CudaCaptureMode.Global));
        Rig.Ok(rig.Driver.EventRecord(e, a));
        Rig.Ok(rig.Driver.StreamWaitEvent(b, e, 0));
        Rig.Ok(rig.Add(x, x, b));
        Assert.Equal(CudaResult.StreamCaptureUnjoined, rig.Driver.StreamEndCapture(a, &graph));
        Assert.Equal(CudaResult.CapturedEvent, rig.Driver.StreamWaitEvent(b, e, 0));
        // The branch ends it.
        Rig.Ok(rig.Driver.StreamBeginCapture(a, CudaCaptureMode.Global));
        Rig.Ok(rig.Driver.EventRecord(e, a));
        Rig.Ok(rig.Driver.StreamWaitEvent(b, e, 0));
        Assert.Equal(CudaResult.StreamCaptureUnmatched, rig.Driver.StreamEndCapture(b, &graph));
        Assert.Equal(CudaResult.StreamCaptureInvalidated, rig.Driver.StreamEndCapture(a, &graph));
        // An event from outside; two recordings merged; the default stream beside a blocking one.
        Rig.Ok(rig.Driver.EventRecord(old, b));
        Rig.Ok(rig.Driver.StreamBeginCapture(a, CudaCaptureMode.Relaxed));
        Assert.Equal(CudaResult.StreamCaptureIsolation, rig.Driver.StreamWaitEvent(a, old, 0));
        Assert.Equal(CudaResult.StreamCaptureInvalidated, rig.Driver.StreamEndCapture(a, &graph));
        Rig.Ok(rig.Driver.StreamBeginCapture(a, CudaCaptureMode.Relaxed));
        Rig.Ok(rig.Driver.StreamBeginCapture(b, CudaCaptureMode.Relaxed));
        Rig.Ok(rig.Driver.EventRecord(e, a));
        Assert.Equal(CudaResult.StreamCaptureMerge, rig.Driver.StreamWaitEvent(b, e, 0));
        Assert.Equal(CudaResult.StreamCaptureInvalidated, rig.Driver.StreamEndCapture(a, &graph));
        Assert.Equal(CudaResult.StreamCaptureInvalidated, rig.Driver.StreamEndCapture(b, &graph));
        Rig.Ok(rig.Driver.StreamBeginCapture(blocking, CudaCaptureMode.Relaxed));
        rig.Fails(CudaResult.StreamCaptureImplicit, rig.Add(x, x, 0), "the default stream");
        Assert.Equal(CudaResult.StreamCaptureInvalidated, rig.Driver.StreamEndCapture(blocking, &graph));
        Rig.Ok(rig.Add(x, x, 0));
        Rig.Ok(rig.Driver.CtxSynchronize());
    }

    [Fact]
    public void Temporary_blocks_of_a_graph_must_stay_its_own()
    {
        using var rig = new Rig();
        nint stream = rig.Stream(), graph, instance;
        var pool = (IBlockObserver)rig.Driver;
        ulong slab = rig.Memory(256, null), x = rig.Memory(32);
        Rig.Ok(rig.Driver.StreamBeginCapture(stream, CudaCaptureMode.Relaxed));
        pool.BlockRented(slab, 128, stream);
        pool.BlockRented(slab + 512, 128, stream);
        Rig.Ok(rig.Add(slab, x, stream));
        Rig.Ok(rig.Add(slab + 512, slab, stream));
        pool.BlockReturned(slab, stream);
        Rig.Ok(rig.Driver.StreamEndCapture(stream, &graph));
        Rig.Ok(rig.Driver.GraphInstantiate(&instance, graph, 0));
        for (int k = 0; k < 2; k++)
        {
            Rig.Ok(rig.Driver.GraphLaunch(instance, stream));
            Rig.Ok(rig.Driver.StreamSynchronize(stream));
            Assert.Equal(2, rig.Sim.Devices[0].Read<int>(slab + 512, 1)[0]);
        }
        pool.BlockReturned(slab + 512, stream);
        // The pool gives the first block, which the graph still uses, to somebody else.
        pool.BlockRented(slab, 128, stream);
        Rig.Ok(rig.Driver.GraphLaunch(instance, stream));
        rig.Fails(CudaResult.IllegalAddress, rig.Driver.StreamSynchronize(stream), "overlaps");
    }
}
