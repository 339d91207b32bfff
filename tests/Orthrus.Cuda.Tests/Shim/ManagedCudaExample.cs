using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests.Shim;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>The code of docs/CUDA.md, run in a child process on libcuda's declarations; a test compares the two.</summary>
internal static class ManagedCudaExample
{
    internal static void Run(List<string> lines)
    {
        using var context = new ManagedCuda.PrimaryContext(0);
        context.SetCurrent();
        OneStream(context, lines);
        TwoStreams(context, lines);
        AnEvent(context, lines);
    }

    private static void OneStream(ManagedCuda.PrimaryContext context, List<string> lines)
    {
        // begin
        using var stream = new ManagedCuda.CudaStream();
        using var input = new ManagedCuda.CudaDeviceVariable<float>(4);
        using var output = new ManagedCuda.CudaDeviceVariable<float>(4);
        input.CopyToDevice([1f, 2f, 3f, 4f]);

        // Context and stream stay yours. What either side gives the stream runs in one order.
        using var device = CudaDevice.FromContext(context.Context.Pointer, CudaStream.FromHandle(stream.Stream.Pointer));
        using (var scope = device.OpenScope())
        {
            // Tensors on your memory: they end with the scope, the memory does not.
            var x = Tensor.FromDevicePointer(scope, (nint)(long)input.DevicePointer.Pointer, new Shape(4), DType.F32);
            var y = Tensor.FromDevicePointer(scope, (nint)(long)output.DevicePointer.Pointer, new Shape(4), DType.F32);
            y.CopyFrom(Op.Forward<SiLU, NoAttr>(scope, [x], default));
        }

        var result = new float[4];
        output.CopyToHost(result);
        // end
        lines.Add($"silu {result[0]:F5}");
    }

    private static void TwoStreams(ManagedCuda.PrimaryContext context, List<string> lines)
    {
        using var stream = new ManagedCuda.CudaStream();
        using var input = new ManagedCuda.CudaDeviceVariable<float>(4);
        input.CopyToDevice([-1f, 2f, -3f, 4f]);
        // begin
        using var device = CudaDevice.FromContext(context.Context.Pointer);
        var yours = CudaStream.FromHandle(stream.Stream.Pointer);
        device.WaitFor(yours); // the device's work from here on runs behind what your stream holds so far
        using (var scope = device.OpenScope())
        {
            var x = Tensor.FromDevicePointer(scope, (nint)(long)input.DevicePointer.Pointer, new Shape(4), DType.F32);
            x.CopyFrom(Op.Forward<ReLU, NoAttr>(scope, [x], default));
        }

        device.Precede(yours); // your stream's work from here on runs behind the device's so far
        // end
        var result = new float[4];
        input.CopyToHost(result);
        lines.Add($"relu {string.Join(' ', result)}");
    }

    private static void AnEvent(ManagedCuda.PrimaryContext context, List<string> lines)
    {
        using var stream = new ManagedCuda.CudaStream();
        using var device = CudaDevice.FromContext(context.Context.Pointer);
        // begin
        using var ready = new ManagedCuda.CudaEvent();
        ready.Record(stream.Stream);
        device.WaitFor(CudaEvent.FromHandle(ready.Event.Pointer));
        // end
        device.Synchronize();
        lines.Add("event");
    }
}
