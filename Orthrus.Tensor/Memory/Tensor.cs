using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

/// <summary>
/// A contiguous row-major array on a device; activations are (B, L, D). A value: it refers to a block that its <see cref="Scope"/> owns and
/// notices when that scope is gone. Reshapes and row ranges share the block. The default value is "no tensor", for optional operands.
/// </summary>
public readonly unsafe struct Tensor
{
    private readonly Storage? _storage;
    private readonly int _generation;
    private readonly long _offset;

    internal Tensor(Storage storage, long offset, Shape shape, DType dtype)
    {
        (_storage, _generation, _offset, Shape, DType) = (storage, storage.Generation, offset, shape, dtype);
    }

    /// <summary>The absent tensor.</summary>
    public static Tensor None => default;

    /// <summary>A tensor on device memory that somebody else owns and frees. It ends with the scope, and must not be used after its memory.</summary>
    /// <param name="scope">A scope of the CUDA device in whose context the memory was allocated.</param>
    /// <param name="pointer">The CUdeviceptr of the first element, aligned to the element's size. In ManagedCuda variable.DevicePointer.Pointer.</param>
    /// <param name="shape">Extents, row-major without gaps.</param>
    /// <param name="dtype">Element type.</param>
    /// <remarks>
    /// Nothing orders the owner's work and the device's: <see cref="CudaDevice.WaitFor(CudaStream)"/> before the tensor is used, <see cref="CudaDevice.Precede"/> before its owner
    /// reads results, or one stream for both.
    /// </remarks>
    /// <exception cref="ShapeException">The pointer is not aligned, or the tensor leaves its allocation.</exception>
    /// <exception cref="DeviceException">The scope is of no CUDA device, or the memory of another device or context, or none of a device.</exception>
    public static Tensor FromDevicePointer(Scope scope, nint pointer, Shape shape, DType dtype)
    {
        if (scope.Device is not CudaDevice device) throw new DeviceException($"a device pointer on {scope.Device.Name}: use a scope of a CUDA device");
        device.CheckPointer(pointer, shape.Count * dtype.Size(), dtype);
        return scope.Borrow(pointer, shape, dtype);
    }

    /// <summary>True for an absent optional operand.</summary>
    public bool IsNone => _storage is null;

    /// <summary>Extents.</summary>
    public Shape Shape { get; }

    /// <summary>Element type.</summary>
    public DType DType { get; }

    /// <summary>Number of elements.</summary>
    public long Count => Shape.Count;

    /// <summary>Size of the elements in bytes.</summary>
    public long Bytes => Shape.Count * DType.Size();

    /// <summary>Device the elements live on.</summary>
    public Device Device => Block.Device;

    internal Storage Block
    {
        get
        {
            if (_storage is null) throw new LifetimeException("an absent tensor was used");
            if (_storage.Generation != _generation) throw new LifetimeException($"a tensor {Shape} was used after its scope had been disposed");
            return _storage;
        }
    }

    /// <summary>Address of the first element in the device's memory, for kernels. On a CUDA device it is a CUdeviceptr.</summary>
    /// <exception cref="LifetimeException">The tensor is absent, or its scope is gone.</exception>
    public nint Address => Block.Pointer + (nint)_offset;

    /// <summary>0 for an absent tensor: what kernels take for an optional operand.</summary>
    internal nint AddressOrZero => IsNone ? 0 : Address;

    /// <summary>Pointer to the first element, for kernels of the CPU backend.</summary>
    /// <exception cref="ShapeException">The element type is another one.</exception>
    /// <exception cref="DeviceException">The tensor does not live in the processor's memory.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T* Pointer<T>() where T : unmanaged
    {
        if (DTypeOf<T>() != DType) ThrowType<T>();
        if (Device.Kind != DeviceKind.Cpu) throw new DeviceException($"a tensor of {Device.Name} was read on the CPU: use ToArray");
        return (T*)Address;
    }

    /// <summary>The elements, in the processor's memory. At most 2^31 - 1 of them.</summary>
    /// <inheritdoc cref="Pointer{T}"/>
    public Span<T> AsSpan<T>() where T : unmanaged => new(Pointer<T>(), checked((int)Count));

    /// <summary>Copies the elements to a new array; waits for the device.</summary>
    /// <exception cref="ShapeException">The element type is another one.</exception>
    public T[] ToArray<T>() where T : unmanaged
    {
        if (DTypeOf<T>() != DType) ThrowType<T>();
        var array = new T[Count];
        Device.Synchronize();
        Device.Download(MemoryMarshal.AsBytes(array.AsSpan()), Address);
        return array;
    }

    /// <summary>Overwrites all elements.</summary>
    /// <exception cref="ShapeException">Number or type of elements differ.</exception>
    public void CopyFrom<T>(ReadOnlySpan<T> values) where T : unmanaged
    {
        if (DTypeOf<T>() != DType) ThrowType<T>();
        if (values.Length != Count) throw new ShapeException($"{values.Length} elements for a tensor {Shape}");
        Device.Upload(Address, MemoryMarshal.AsBytes(values));
    }

    /// <summary>Overwrites all elements with those of a tensor of the same device; the host does not wait.</summary>
    /// <exception cref="ShapeException">Shape or element type differ.</exception>
    /// <exception cref="DeviceException">The devices differ.</exception>
    public void CopyFrom(in Tensor source)
    {
        if (source.Shape != Shape || source.DType != DType) throw new ShapeException($"{source} for a tensor {this}");
        if (source.Device != Device) throw new DeviceException($"a tensor of {source.Device.Name} for one of {Device.Name}: download and upload it");
        Device.Copy(Address, source.Address, Bytes);
    }

    /// <summary>The same elements with other extents; free.</summary>
    /// <exception cref="ShapeException">The number of elements differs.</exception>
    public Tensor Reshape(Shape shape)
    {
        if (shape.Count != Count) throw new ShapeException($"{Shape} cannot be seen as {shape}");
        return new Tensor(Block, _offset, shape, DType);
    }

    /// <summary>A range of the leading extent; free, shares memory.</summary>
    /// <exception cref="ShapeException">The range leaves the tensor.</exception>
    public Tensor Rows(int start, int count)
    {
        if (Shape.Rank == 0 || start < 0 || count < 0 || (long)start + count > Shape[0])
            throw new ShapeException($"rows {start} to {start + count} of a tensor {Shape}");
        long row = Shape[0] == 0 ? 0 : Count / Shape[0];
        var shape = Shape.Rank switch
        {
            1 => new Shape(count),
            2 => new Shape(count, Shape[1]),
            3 => new Shape(count, Shape[1], Shape[2]),
            _ => new Shape(count, Shape[1], Shape[2], Shape[3]),
        };
        return new Tensor(Block, _offset + start * row * DType.Size(), shape, DType);
    }

    /// <summary>The elements from <paramref name="offset"/> on, seen with other extents; shares memory.</summary>
    internal Tensor Part(long offset, Shape shape)
    {
        if (offset < 0 || offset + shape.Count > Count) throw new ShapeException($"{shape} from element {offset} of a tensor {Shape}");
        return new Tensor(Block, _offset + offset * DType.Size(), shape, DType);
    }

    /// <summary>Element type of a C# type.</summary>
    /// <exception cref="ShapeException">No dtype stands for it.</exception>
    public static DType DTypeOf<T>() where T : unmanaged
    {
        if (typeof(T) == typeof(float)) return DType.F32;
        if (typeof(T) == typeof(double)) return DType.F64;
        if (typeof(T) == typeof(BFloat16)) return DType.BF16;
        if (typeof(T) == typeof(Half)) return DType.F16;
        if (typeof(T) == typeof(int)) return DType.I32;
        if (typeof(T) == typeof(long)) return DType.I64;
        if (typeof(T) == typeof(byte)) return DType.U8;
        if (typeof(T) == typeof(bool)) return DType.Bool;
        throw new ShapeException($"{typeof(T).Name} is not an element type");
    }

    /// <summary>Extents and element type.</summary>
    public override string ToString() => IsNone ? "none" : $"{DType} {Shape}";

    private void ThrowType<T>() => throw new ShapeException($"a tensor of {DType} was used as {typeof(T).Name}");
}
