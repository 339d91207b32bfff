// The few members of ManagedCuda that docs/CUDA.md names, under its names and with its types, on the simulated driver: ManagedCuda itself cannot be a dependency of this project.
using System.Runtime.InteropServices;
using Orthrus.Cuda.Tests.Driver;
using Orthrus.Cuda.Tests.Shim;
using Orthrus.Tensor.Cuda;

namespace ManagedCuda.BasicTypes
{
    internal readonly record struct SizeT(long Value)
    {
        public static implicit operator long(SizeT size) => size.Value;
        public static implicit operator SizeT(long value) => new(value);
    }

    internal record struct CUcontext(IntPtr Pointer);

    internal record struct CUstream(IntPtr Pointer);

    internal record struct CUevent(IntPtr Pointer);

    internal record struct CUdeviceptr(SizeT Pointer);
}

namespace ManagedCuda
{
    using ManagedCuda.BasicTypes;

    internal sealed unsafe class PrimaryContext : IDisposable
    {
        private readonly int device;

        internal PrimaryContext(int deviceId)
        {
            nint handle;
            device = deviceId;
            Rig.Ok(DriverFunctions.Driver.Init(0));
            Rig.Ok(DriverFunctions.Driver.DevicePrimaryCtxRetain(&handle, deviceId));
            Context = new CUcontext(handle);
        }

        internal CUcontext Context { get; }

        internal void SetCurrent() => Rig.Ok(DriverFunctions.Driver.CtxSetCurrent(Context.Pointer));

        public void Dispose() => Rig.Ok(DriverFunctions.Driver.DevicePrimaryCtxRelease(device));
    }

    internal sealed unsafe class CudaStream : IDisposable
    {
        internal CudaStream()
        {
            nint handle;
            Rig.Ok(DriverFunctions.Driver.StreamCreate(&handle, 0));
            Stream = new CUstream(handle);
        }

        internal CUstream Stream { get; }

        public void Dispose() => Rig.Ok(DriverFunctions.Driver.StreamDestroy(Stream.Pointer));
    }

    internal sealed unsafe class CudaEvent : IDisposable
    {
        internal CudaEvent()
        {
            nint handle;
            Rig.Ok(DriverFunctions.Driver.EventCreate(&handle, 0));
            Event = new CUevent(handle);
        }

        internal CUevent Event { get; }

        internal void Record(CUstream stream) => Rig.Ok(DriverFunctions.Driver.EventRecord(Event.Pointer, stream.Pointer));

        public void Dispose() => Rig.Ok(DriverFunctions.Driver.EventDestroy(Event.Pointer));
    }

    internal sealed unsafe class CudaDeviceVariable<T> : IDisposable where T : unmanaged
    {
        private readonly int count;

        internal CudaDeviceVariable(SizeT size)
        {
            ulong pointer;
            count = (int)size.Value;
            Rig.Ok(DriverFunctions.Driver.MemAlloc(&pointer, (nuint)(count * sizeof(T))));
            DevicePointer = new CUdeviceptr((long)pointer);
        }

        internal CUdeviceptr DevicePointer { get; }

        internal void CopyToDevice(T[] source)
        {
            fixed (T* p = source) Rig.Ok(DriverFunctions.Driver.MemcpyHtoDAsync((ulong)(long)DevicePointer.Pointer, p, (nuint)(count * sizeof(T)), 0));
        }

        internal void CopyToHost(T[] target)
        {
            fixed (T* p = target) Rig.Ok(DriverFunctions.Driver.MemcpyDtoHAsync(p, (ulong)(long)DevicePointer.Pointer, (nuint)(count * sizeof(T)), 0));
        }

        public void Dispose() => Rig.Ok(DriverFunctions.Driver.MemFree((ulong)(long)DevicePointer.Pointer));
    }
}
