using Orthrus.PtxSim;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests.Driver;

/// <summary>Streams and events of the simulated driver: what is ordered stays ordered under every seed, what is not is found under every seed.</summary>
public sealed unsafe class StreamTests
{
    public static TheoryData<int> Seeds => [.. Enumerable.Range(0, 8)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Work_of_a_stream_runs_in_order(int seed)
    {
        using var rig = new Rig(new SimOptions { Seed = seed });
        nint stream = rig.Stream();
        ulong memory = rig.Memory(32);
        for (int k = 0; k < 20; k++) Rig.Ok(rig.Add(memory, memory, stream));
        Rig.Ok(rig.Driver.StreamSynchronize(stream));
        Assert.Equal(20, rig.Sim.Devices[0].Read<int>(memory, 1)[0]);
    }

    [Fact]
    public void Nothing_runs_before_somebody_waits_and_everything_runs_at_once_in_eager_order()
    {
        foreach (bool eager in new[] { false, true })
        {
            using var rig = new Rig(new SimOptions { Eager = eager });
            int launches = 0;
            rig.Sim.Launched = _ => launches++;
            nint stream = rig.Stream();
            ulong memory = rig.Memory(32);
            Rig.Ok(rig.Add(memory, memory, stream));
            Assert.Equal(eager ? 1 : 0, launches);
            Assert.Equal(eager ? CudaResult.IllegalAddress : CudaResult.Success, rig.LaunchStray(stream));
            rig.Fails(CudaResult.IllegalAddress, rig.Driver.StreamSynchronize(stream), "stray, PTX line");
            Assert.Equal(1, launches);
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void An_event_orders_two_streams(int seed)
    {
        using var rig = new Rig(new SimOptions { Seed = seed });
        nint a = rig.Stream(), b = rig.Stream(), e = rig.Event();
        ulong memory = rig.Memory(32);
        for (int k = 0; k < 5; k++)
        {
            Rig.Ok(rig.Add(memory, memory, a));
            Rig.Ok(rig.Driver.EventRecord(e, a));
            Rig.Ok(rig.Driver.StreamWaitEvent(b, e, 0));
            Rig.Ok(rig.Add(memory, memory, b));
            Rig.Ok(rig.Driver.EventRecord(e, b));
            Rig.Ok(rig.Driver.StreamWaitEvent(a, e, 0));
        }
        Rig.Ok(rig.Driver.StreamSynchronize(b));
        Assert.Equal(10, rig.Sim.Devices[0].Read<int>(memory, 1)[0]);
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void A_missing_event_is_a_fault_under_every_seed(int seed)
    {
        using var rig = new Rig(new SimOptions { Seed = seed });
        nint a = rig.Stream(), b = rig.Stream();
        ulong x = rig.Memory(32), y = rig.Memory(32);
        Rig.Ok(rig.Add(x, x, a));
        Rig.Ok(rig.Add(y, x, b));
        rig.Fails(CudaResult.LaunchFailed, rig.Driver.CtxSynchronize(), "kernel add_one on stream", "nothing orders the two: an event (or a wait of the host) is missing");
    }

    [Fact]
    public void Without_checks_a_missing_event_shows_as_a_wrong_value_under_some_seeds()
    {
        var seen = new HashSet<int>();
        for (int seed = 0; seed < 16; seed++)
        {
            using var rig = new Rig(new SimOptions { Seed = seed, Checks = false });
            nint a = rig.Stream(), b = rig.Stream();
            ulong x = rig.Memory(32), y = rig.Memory(32);
            Rig.Ok(rig.Add(x, x, a));
            Rig.Ok(rig.Add(y, x, b));
            Rig.Ok(rig.Driver.CtxSynchronize());
            seen.Add(rig.Sim.Devices[0].Read<int>(y, 1)[0]);
        }
        Assert.Equal([1, 2], seen.Order());
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Parts_of_one_allocation_may_belong_to_two_streams(int seed)
    {
        using var rig = new Rig(new SimOptions { Seed = seed });
        nint a = rig.Stream(), b = rig.Stream();
        ulong x = rig.Memory(66);
        for (int k = 0; k < 3; k++)
        {
            // 33 words: the border lies inside a sector of 32 bytes.
            Rig.Ok(rig.Add(x, x, a, 33));
            Rig.Ok(rig.Add(x + 33 * 4, x + 33 * 4, b, 33));
        }
        Rig.Ok(rig.Driver.CtxSynchronize());
        Assert.All(rig.Sim.Devices[0].Read<int>(x, 66), v => Assert.Equal(3, v));
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void A_wait_of_the_host_orders_what_comes_later(int seed)
    {
        using var rig = new Rig(new SimOptions { Seed = seed });
        nint a = rig.Stream(), b = rig.Stream(), e = rig.Event();
        ulong x = rig.Memory(32);
        Rig.Ok(rig.Add(x, x, a));
        Rig.Ok(rig.Driver.StreamSynchronize(a));
        Rig.Ok(rig.Add(x, x, b));
        Rig.Ok(rig.Driver.EventRecord(e, b));
        Rig.Ok(rig.Driver.EventSynchronize(e));
        Rig.Ok(rig.Add(x, x, a));
        while (rig.Driver.StreamQuery(a) == CudaResult.NotReady)
        {
        }
        Rig.Ok(rig.Add(x, x, b));
        Rig.Ok(rig.Driver.CtxSynchronize());
        Assert.Equal(4, rig.Sim.Devices[0].Read<int>(x, 1)[0]);
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void The_default_stream_waits_for_blocking_streams_alone(int seed)
    {
        using var rig = new Rig(new SimOptions { Seed = seed });
        nint blocking = rig.Stream(blocking: true), free = rig.Stream();
        ulong x = rig.Memory(32), y = rig.Memory(32);
        for (int k = 0; k < 3; k++)
        {
            Rig.Ok(rig.Add(x, x, blocking));
            Rig.Ok(rig.Add(x, x, 0));
        }
        Rig.Ok(rig.Driver.StreamSynchronize(0));
        Assert.Equal(6, rig.Sim.Devices[0].Read<int>(x, 1)[0]);
        Rig.Ok(rig.Add(y, y, free));
        Rig.Ok(rig.Add(y, y, 0));
        rig.Fails(CudaResult.LaunchFailed, rig.Driver.CtxSynchronize(), "the default stream", "nothing orders the two");
    }

    [Fact]
    public void Queries_let_the_device_get_on()
    {
        using var rig = new Rig(new SimOptions { Seed = 3 });
        nint a = rig.Stream(), e = rig.Event();
        Rig.Ok(rig.Driver.EventQuery(e));
        Rig.Ok(rig.Driver.StreamQuery(a));
        ulong x = rig.Memory(32);
        for (int k = 0; k < 12; k++) Rig.Ok(rig.Add(x, x, a));
        Rig.Ok(rig.Driver.EventRecord(e, a));
        int polls = 0;
        while (rig.Driver.EventQuery(e) is var result && result != CudaResult.Success)
        {
            Assert.Equal(CudaResult.NotReady, result);
            polls++;
        }
        Assert.InRange(polls, 1, 12);
        Assert.Equal(12, rig.Sim.Devices[0].Read<int>(x, 1)[0]);
    }

    [Fact]
    public void More_work_than_a_driver_queues_runs_by_itself()
    {
        using var rig = new Rig();
        nint a = rig.Stream();
        ulong x = rig.Memory(32);
        int launches = 0;
        rig.Sim.Launched = _ => launches++;
        for (int k = 0; k < 1500; k++) Rig.Ok(rig.Add(x, x, a));
        Assert.InRange(launches, 100, 1499);
        Rig.Ok(rig.Driver.CtxSynchronize());
        Assert.Equal(1500, launches);
    }

    [Fact]
    public void Elapsed_time_is_that_of_the_model()
    {
        using var rig = new Rig();
        nint a = rig.Stream(), start = rig.Event(0), end = rig.Event(0), untimed = rig.Event();
        ulong x = rig.Memory(1 << 16);
        double bound = 0;
        rig.Sim.Launched = r => bound += r.Bounds(rig.Sim.Devices[0].Spec)[0].Seconds;
        float time;
        rig.Fails(CudaResult.InvalidHandle, rig.Driver.EventElapsedTime(&time, start, end));
        Rig.Ok(rig.Driver.EventRecord(start, a));
        Rig.Ok(rig.Add(x, x, a, 1 << 16));
        Rig.Ok(rig.Driver.MemsetD8Async(x, 0, 1 << 18, a));
        Rig.Ok(rig.Driver.EventRecord(end, a));
        Rig.Ok(rig.Driver.EventRecord(untimed, a));
        Assert.Equal(CudaResult.NotReady, rig.Driver.EventElapsedTime(&time, start, end));
        Rig.Ok(rig.Driver.EventSynchronize(end));
        Rig.Ok(rig.Driver.EventElapsedTime(&time, start, end));
        Assert.True(bound > 0);
        Assert.Equal((bound + (1 << 18) / 3.35e12) * 1e3, time, 1e-9);
        Assert.Equal(CudaResult.InvalidHandle, rig.Driver.EventElapsedTime(&time, start, untimed));
    }
}
