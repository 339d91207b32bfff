namespace Orthrus.Tensor;

/// <summary>
/// The only owner of tensor memory. Disposing a scope gives every block made in it back to the pool; there are no finalizers. Memory of others ends as a
/// tensor with the scope and stays theirs (<see cref="Tensor.FromDevicePointer"/>). A forward
/// pass opens one per block and keeps only its result: <c>scope.Keep(y, outer)</c>. Not thread-safe: one scope, one thread.
/// </summary>
public sealed class Scope : IDisposable
{
    private readonly List<Storage> _blocks = [];
    private bool _open;

    internal Scope(Device device) => Device = device;

    /// <summary>Device whose memory the scope hands out.</summary>
    public Device Device { get; }

    internal void Open() => _open = true;

    /// <summary>A tensor with undefined contents.</summary>
    /// <param name="shape">Extents; an extent may be 0.</param>
    /// <param name="dtype">Element type.</param>
    public Tensor Empty(Shape shape, DType dtype)
    {
        if (!_open) throw new LifetimeException("the scope is closed");
        var block = Device.Pool.Rent(shape.Count * dtype.Size());
        Own(block);
        return new Tensor(block, 0, shape, dtype);
    }

    /// <summary>A tensor of zeros.</summary>
    public Tensor Zeros(Shape shape, DType dtype)
    {
        var t = Empty(shape, dtype);
        Device.Fill(t.Address, t.Bytes, 0);
        return t;
    }

    /// <summary>Copies an array to the device.</summary>
    /// <param name="values">Row-major elements.</param>
    /// <param name="shape">Extents; their product is the number of elements.</param>
    /// <exception cref="ShapeException">The number of elements differs.</exception>
    public Tensor From<T>(ReadOnlySpan<T> values, Shape shape) where T : unmanaged
    {
        var t = Empty(shape, Tensor.DTypeOf<T>());
        t.CopyFrom(values);
        return t;
    }

    /// <summary>A copy of a tensor, on the scope's own device.</summary>
    public Tensor Clone(in Tensor source)
    {
        var t = Empty(source.Shape, source.DType);
        if (source.Device != Device) throw new DeviceException($"a tensor of {source.Device.Name} cannot be cloned on {Device.Name}: download and upload it");
        Device.Copy(t.Address, source.Address, t.Bytes);
        return t;
    }

    /// <summary>A tensor on memory that somebody else owns. It ends with the scope; the memory does not.</summary>
    internal Tensor Borrow(nint pointer, Shape shape, DType dtype)
    {
        if (!_open) throw new LifetimeException("the scope is closed");
        var block = new Storage { Device = Device, Pointer = pointer, Borrowed = true };
        Own(block);
        return new Tensor(block, 0, shape, dtype);
    }

    /// <summary>Moves ownership of a tensor's memory to another scope of the same device, which then frees it. Views move with their block.</summary>
    /// <exception cref="LifetimeException">The tensor is not owned by this scope.</exception>
    public Tensor Keep(in Tensor tensor, Scope outer)
    {
        var block = tensor.Block;
        if (block.Owner != this) throw new LifetimeException("Keep: the tensor is not owned by this scope");
        if (outer.Device != Device) throw new DeviceException("Keep: the scopes are of different devices");
        Remove(block);
        outer.Own(block);
        return tensor;
    }

    /// <summary>Gives the memory of one tensor back before the scope ends. All its views end with it.</summary>
    public void Free(in Tensor tensor)
    {
        var block = tensor.Block;
        if (block.Owner != this) throw new LifetimeException("Free: the tensor is not owned by this scope");
        Remove(block);
        Return(block);
    }

    /// <summary>Gives every block back to the pool. A second call does nothing.</summary>
    public void Dispose()
    {
        if (!_open) return;
        _open = false;
        // Last block first: the next scope then receives blocks in the order in which this one asked for them.
        for (int i = _blocks.Count - 1; i >= 0; i--) Return(_blocks[i]);
        _blocks.Clear();
        Device.Recycle(this);
    }

    private void Return(Storage block)
    {
        if (!block.Borrowed)
        {
            Device.Pool.Return(block);
            return;
        }
        block.Generation++;
        block.Owner = null;
    }

    private void Own(Storage block)
    {
        block.Owner = this;
        block.OwnerIndex = _blocks.Count;
        _blocks.Add(block);
    }

    private void Remove(Storage block)
    {
        int last = _blocks.Count - 1;
        var moved = _blocks[last];
        _blocks[block.OwnerIndex] = moved;
        moved.OwnerIndex = block.OwnerIndex;
        _blocks.RemoveAt(last);
    }
}
