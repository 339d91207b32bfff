using System.Text;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests.Driver;

/// <summary>A driver with a context and two small kernels: add_one(to, from, n), and stray(to), which writes outside of everything.</summary>
internal sealed unsafe class Rig : IDisposable
{
    internal const string Ptx = """
        .version 7.8
        .target sm_80
        .address_size 64
        .visible .entry add_one(.param .u64 to, .param .u64 from, .param .u32 n) {
            .reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %rd<8>;
            ld.param.u64 %rd1, [to]; ld.param.u64 %rd2, [from]; ld.param.u32 %r1, [n];
            mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x; mad.lo.s32 %r5, %r2, %r3, %r4;
            setp.ge.s32 %p1, %r5, %r1;
            @%p1 bra DONE;
            mul.wide.s32 %rd3, %r5, 4; add.s64 %rd4, %rd1, %rd3; add.s64 %rd5, %rd2, %rd3;
            ld.global.u32 %r6, [%rd5]; add.s32 %r6, %r6, 1; st.global.u32 [%rd4], %r6;
        DONE:
            ret;
        }
        .visible .entry stray(.param .u64 to) {
            .reg .b32 %r<2>; .reg .b64 %rd<2>;
            ld.param.u64 %rd1, [to]; mov.u32 %r1, 7; st.global.u32 [%rd1], %r1;
            ret;
        }
        """;

    internal Rig(SimOptions? options = null, params SimDeviceSpec[] specs)
    {
        Sim = new SimDriver(options, specs);
        Driver = Sim;
        Ok(Driver.Init(0));
        nint context;
        Ok(Driver.DevicePrimaryCtxRetain(&context, 0));
        Ok(Driver.CtxSetCurrent(context));
        Context = context;
        Module = Load(Ptx);
        AddOne = Function("add_one");
        Stray = Function("stray");
    }

    internal SimDriver Sim { get; }
    internal ICudaDriver Driver { get; }
    internal nint Context { get; }
    internal nint Module { get; }
    internal nint AddOne { get; }
    internal nint Stray { get; }

    internal static void Ok(CudaResult result) => Assert.Equal(CudaResult.Success, result);

    internal void Fails(CudaResult expected, CudaResult result, params string[] says)
    {
        Assert.Equal(expected, result);
        foreach (string text in says) Assert.Contains(text, Driver.Explain(result));
    }

    internal CudaResult TryLoad(string ptx, out nint module)
    {
        fixed (byte* p = Encoding.UTF8.GetBytes(ptx + "\0"))
        {
            nint loaded = 0;
            var result = Driver.ModuleLoadDataEx(&loaded, p, 0, null, null);
            module = loaded;
            return result;
        }
    }

    internal nint Load(string ptx)
    {
        Ok(TryLoad(ptx, out nint module));
        return module;
    }

    internal nint Function(string name)
    {
        nint function;
        fixed (byte* p = Encoding.UTF8.GetBytes(name + "\0")) Ok(Driver.ModuleGetFunction(&function, Module, p));
        return function;
    }

    internal nint Stream(bool blocking = false)
    {
        nint stream;
        Ok(Driver.StreamCreate(&stream, blocking ? 0u : 1u));
        return stream;
    }

    internal nint Event(uint flags = 2)
    {
        nint e;
        Ok(Driver.EventCreate(&e, flags));
        return e;
    }

    internal ulong Memory(int words, int? value = 0)
    {
        ulong p;
        Ok(Driver.MemAlloc(&p, (nuint)words * 4));
        if (value is { } v)
        {
            int[] contents = [.. Enumerable.Repeat(v, words)];
            Sim.Devices[0].CopyToDevice<int>(p, contents);
        }
        return p;
    }

    internal int* Pinned(int words, int value = 0)
    {
        void* p;
        Ok(Driver.MemHostAlloc(&p, (nuint)words * 4, 0));
        new Span<int>(p, words).Fill(value);
        return (int*)p;
    }

    internal CudaResult Add(ulong to, ulong from, nint stream, int n = 32)
    {
        void** parameters = stackalloc void*[3];
        parameters[0] = &to;
        parameters[1] = &from;
        parameters[2] = &n;
        return Driver.LaunchKernel(AddOne, (uint)((n + 63) / 64), 1, 1, 64, 1, 1, 0, stream, parameters, null);
    }

    internal CudaResult LaunchStray(nint stream)
    {
        ulong to = 64;
        void* parameter = &to;
        return Driver.LaunchKernel(Stray, 1, 1, 1, 32, 1, 1, 0, stream, &parameter, null);
    }

    internal int Read(ulong from)
    {
        int value;
        Ok(Driver.MemcpyDtoHAsync(&value, from, 4, 0));
        return value;
    }

    public void Dispose() => Sim.Dispose();
}
