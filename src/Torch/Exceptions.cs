namespace LongformerInterop.Torch;

/// <summary>The base of every exception that this project throws for a reason of its own.</summary>
public class LongformerException : Exception
{
    /// <summary>Creates the exception without a message.</summary>
    public LongformerException() { }

    /// <summary>Creates the exception with a message that names what, where, expected and given.</summary>
    public LongformerException(string message) : base(message) { }

    /// <summary>Creates the exception with a message and the exception behind it.</summary>
    public LongformerException(string message, Exception innerException) : base(message, innerException) { }
}

/// <summary>libtorch refused or failed. The message is libtorch's own, after the operator and what it was given.</summary>
public sealed class TorchException : LongformerException
{
    /// <summary>Creates the exception without a message.</summary>
    public TorchException() { }

    /// <summary>Creates the exception with a message.</summary>
    public TorchException(string message) : base(message) { }

    /// <summary>Creates the exception with a message and the exception behind it.</summary>
    public TorchException(string message, Exception innerException) : base(message, innerException) { }
}

/// <summary>
/// A device was asked for that this machine or this libtorch does not have, or for more memory than it has free, or for a dtype that it
/// does not compute in.
/// </summary>
public sealed class DeviceException : LongformerException
{
    /// <summary>Whether the device had too little memory: a smaller batch may go where this one did not.</summary>
    public bool IsOutOfMemory { get; init; }

    /// <summary>Creates the exception without a message.</summary>
    public DeviceException() { }

    /// <summary>Creates the exception with a message.</summary>
    public DeviceException(string message) : base(message) { }

    /// <summary>Creates the exception with a message and the exception behind it.</summary>
    public DeviceException(string message, Exception innerException) : base(message, innerException) { }
}

/// <summary>An input is wrong: its number, kind, shape, dtype or value. The message names the argument, the expected and the given.</summary>
public sealed class InputException : LongformerException
{
    /// <summary>Creates the exception without a message.</summary>
    public InputException() { }

    /// <summary>Creates the exception with a message.</summary>
    public InputException(string message) : base(message) { }

    /// <summary>Creates the exception with a message and the exception behind it.</summary>
    public InputException(string message, Exception innerException) : base(message, innerException) { }
}
