using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests.Driver;

/// <summary>Host memory of copies, pool blocks across streams: reused too early is found.</summary>
public sealed unsafe class CopyTests
{
    [Fact]
    public void Pinned_memory_is_read_when_the_copy_runs_and_pageable_memory_at_the_call()
    {
        using var rig = new Rig(new SimOptions { Checks = false });
        nint stream = rig.Stream();
        ulong a = rig.Memory(8), b = rig.Memory(8);
        int* pinned = rig.Pinned(8, 1);
        int[] pageable = [.. Enumerable.Repeat(1, 8)];
        fixed (int* p = pageable)
        {
            Rig.Ok(rig.Driver.MemcpyHtoDAsync(a, pinned, 32, stream));
            Rig.Ok(rig.Driver.MemcpyHtoDAsync(b, p, 32, stream));
            new Span<int>(pinned, 8).Fill(2);
            pageable.AsSpan().Fill(2);
        }
        Rig.Ok(rig.Driver.StreamSynchronize(stream));
        Assert.Equal(2, rig.Sim.Devices[0].Read<int>(a, 1)[0]);
        Assert.Equal(1, rig.Sim.Devices[0].Read<int>(b, 1)[0]);
    }

    [Fact]
    public void A_staging_buffer_written_while_a_copy_still_reads_it_is_found()
    {
        using var rig = new Rig();
        nint stream = rig.Stream();
        ulong a = rig.Memory(8);
        int* pinned = rig.Pinned(8, 1);
        Rig.Ok(rig.Driver.MemcpyHtoDAsync(a, pinned, 32, stream));
        pinned[7] = 5;
        Rig.Ok(rig.Add(a, a, stream, 8));
        rig.Fails(CudaResult.LaunchFailed, rig.Driver.StreamSynchronize(stream), "copy of 32 bytes to the device on stream", "the host wrote to its memory at 0x", "wait for the copy first");
    }

    [Fact]
    public void A_host_buffer_has_no_contents_until_the_copy_to_it_has_run_and_must_not_be_written()
    {
        using var rig = new Rig();
        nint stream = rig.Stream();
        ulong a = rig.Memory(8, 3);
        int* pinned = rig.Pinned(8, 1);
        Rig.Ok(rig.Driver.MemcpyDtoHAsync(pinned, a, 32, stream));
        Assert.Equal(-1, pinned[0]);
        Rig.Ok(rig.Driver.StreamSynchronize(stream));
        Assert.Equal(3, pinned[0]);
        int pageable;
        Rig.Ok(rig.Driver.MemcpyDtoHAsync(&pageable, a, 4, stream));
        Assert.Equal(3, pageable);
        Rig.Ok(rig.Driver.MemcpyDtoHAsync(pinned, a, 32, stream));
        pinned[0] = 9;
        rig.Fails(CudaResult.LaunchFailed, rig.Driver.StreamSynchronize(stream), "the host wrote to its memory", "which fills it");
    }

    [Fact]
    public void A_buffer_that_goes_to_the_host_and_back_on_one_stream_is_no_fault()
    {
        for (int seed = 0; seed < 4; seed++)
        {
            using var rig = new Rig(new SimOptions { Seed = seed });
            nint stream = rig.Stream();
            ulong a = rig.Memory(8, 3), b = rig.Memory(8);
            int* pinned = rig.Pinned(8, 1);
            Rig.Ok(rig.Driver.MemcpyHtoDAsync(b, pinned, 32, stream));
            Rig.Ok(rig.Driver.MemcpyDtoHAsync(pinned, a, 32, stream));
            Rig.Ok(rig.Driver.MemcpyHtoDAsync(b, pinned, 32, stream));
            Rig.Ok(rig.Add(b, b, stream, 8));
            Rig.Ok(rig.Driver.StreamSynchronize(stream));
            Assert.Equal(4, rig.Sim.Devices[0].Read<int>(b, 1)[0]);
            nint other = rig.Stream();
            Rig.Ok(rig.Driver.MemcpyDtoHAsync(pinned, a, 32, stream));
            Rig.Ok(rig.Driver.MemcpyHtoDAsync(b, pinned, 32, other));
            Assert.Equal(CudaResult.LaunchFailed, rig.Driver.CtxSynchronize());
        }
    }

    [Fact]
    public void A_pool_block_reused_on_another_stream_too_early_is_found_under_every_seed()
    {
        for (int seed = 0; seed < 8; seed++)
        {
            using var rig = new Rig(new SimOptions { Seed = seed });
            nint a = rig.Stream(), b = rig.Stream(), e = rig.Event();
            var pool = (IBlockObserver)rig.Driver;
            ulong slab = rig.Memory(128, null), x = rig.Memory(32);
            pool.BlockRented(slab, 128, a);
            Rig.Ok(rig.Add(slab, x, a));
            pool.BlockReturned(slab, a);
            Rig.Ok(rig.Driver.EventRecord(e, a));
            // With the event the other stream may have the block ...
            Rig.Ok(rig.Driver.StreamWaitEvent(b, e, 0));
            pool.BlockRented(slab, 128, b);
            Rig.Ok(rig.Add(slab, x, b));
            pool.BlockReturned(slab, b);
            Rig.Ok(rig.Driver.CtxSynchronize());
            // ... without it not.
            pool.BlockRented(slab, 128, a);
            Rig.Ok(rig.Add(slab, x, a));
            pool.BlockReturned(slab, a);
            pool.BlockRented(slab, 128, b);
            Rig.Ok(rig.Add(slab, x, b));
            Assert.Equal(CudaResult.LaunchFailed, rig.Driver.CtxSynchronize());
        }
    }

    [Fact]
    public void A_block_touched_after_its_return_is_found_and_one_touched_before_is_not()
    {
        using var rig = new Rig();
        nint a = rig.Stream();
        var pool = (IBlockObserver)rig.Driver;
        ulong slab = rig.Memory(128, null), x = rig.Memory(32);
        pool.BlockRented(slab, 128, a);
        Rig.Ok(rig.Add(slab, x, a));
        pool.BlockReturned(slab, a);
        Rig.Ok(rig.Driver.StreamSynchronize(a));
        Rig.Ok(rig.Add(slab, x, a));
        rig.Fails(CudaResult.IllegalAddress, rig.Driver.StreamSynchronize(a), "add_one, PTX line", "freed or returned");
    }

    [Fact]
    public void Copies_outside_of_allocations_are_refused_at_the_call()
    {
        using var rig = new Rig();
        ulong x = rig.Memory(8);
        int* pinned = rig.Pinned(16);
        rig.Fails(CudaResult.InvalidValue, rig.Driver.MemcpyHtoDAsync(x, pinned, 36, 0), "36 bytes", "not inside one allocation");
        rig.Fails(CudaResult.InvalidValue, rig.Driver.MemcpyDtoDAsync(x, 12345, 4, 0));
        rig.Fails(CudaResult.InvalidValue, rig.Driver.MemsetD8Async(x + 32, 0, 1, 0));
        Rig.Ok(rig.Driver.MemcpyHtoDAsync(x, pinned, 0, 0));
        rig.Fails(CudaResult.InvalidValue, rig.Driver.MemFreeHost(pinned + 1), "not the start of pinned memory");
        Rig.Ok(rig.Driver.MemFreeHost(pinned));
        rig.Fails(CudaResult.InvalidValue, rig.Driver.MemFree(x + 4));
        Rig.Ok(rig.Driver.MemFree(x));
        Rig.Ok(rig.Driver.MemFree(0));
    }

    [Fact]
    public void The_engine_s_staging_survives_every_order()
    {
        for (int seed = 0; seed < 4; seed++)
        {
            using var device = SimDriver.Open(new SimOptions { Seed = seed });
            using var scope = device.OpenScope();
            // More than all slots of the ring, so that each is used again while others are under way.
            float[] values = [.. Enumerable.Range(0, 3_000_000).Select(k => (float)k)];
            var x = scope.From<float>(values, new Shape(3_000_000));
            Assert.Equal(values, x.ToArray<float>());
        }
    }
}
