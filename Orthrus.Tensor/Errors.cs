namespace Orthrus.Tensor;

/// <summary>Operands whose shapes or dtypes do not fit the operator. The message names operator, operand, what it is and what is wanted.</summary>
public sealed class ShapeException(string message) : ArgumentException(message);

/// <summary>A device that is not there, not usable, or not the one a tensor lives on. The command ends with exit code 4.</summary>
public sealed class DeviceException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A tensor or scope used after its memory went back to the pool, or memory still in use when its device was closed.</summary>
public sealed class LifetimeException(string message) : InvalidOperationException(message);

/// <summary>A device has no memory left even after its pool gave everything back. The command ends with exit code 5.</summary>
public sealed class DeviceOutOfMemoryException(string message, Exception? inner = null) : OutOfMemoryException(message, inner)
{
    /// <summary>What was asked, what is free and what is in use; null where the message says no more. For callers that know a better remedy than the pool.</summary>
    public string? Facts { get; init; }
}
