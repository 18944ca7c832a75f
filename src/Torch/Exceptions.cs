namespace LongformerInterop.Torch;

/// <summary>The base of every exception that this project throws for its own reason.</summary>
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

/// <summary>The name of an argument, or of one element of it.</summary>
/// <param name="Name">The argument, for example <c>documents</c>.</param>
/// <param name="Index">The element's place in the argument, a number per dimension; empty: the argument as a whole.</param>
public readonly record struct ArgumentName(string Name, params IReadOnlyList<long> Index)
{
    /// <summary>An argument as a whole.</summary>
    public static implicit operator ArgumentName(string name) => new(name);

    /// <summary>As messages write it: <c>documents</c>, <c>documents[3]</c>, <c>input_ids[0, 17]</c>.</summary>
    public override string ToString() => Index.Count == 0 ? Name : $"{Name}[{string.Join(", ", Index)}]";
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

    /// <summary>Creates the exception for one argument: the message is <c>argument: problem</c>.</summary>
    /// <param name="argument">The argument, or one element of it.</param>
    /// <param name="problem">The fault.</param>
    public InputException(ArgumentName argument, string problem) : this(argument, problem, (Exception?)null) { }

    /// <summary>Creates the exception for one argument: the message is <c>argument: expected ..., given ...</c>.</summary>
    /// <param name="argument">The argument, or one element of it.</param>
    /// <param name="expected">The values that are allowed.</param>
    /// <param name="given">The value that was given.</param>
    public InputException(ArgumentName argument, string expected, string given) : this(argument, $"expected {expected}, given {given}") =>
        (Expected, Given) = (expected, given);

    private InputException(ArgumentName argument, string problem, Exception? innerException) : base($"{argument}: {problem}", innerException!) =>
        (Argument, _problem) = (argument, problem);

    private readonly string? _problem;

    /// <summary>The argument that is wrong; null where the message is about no single one.</summary>
    public ArgumentName? Argument { get; }

    /// <summary>The values that are allowed; null where only the message has them.</summary>
    public string? Expected { get; init; }

    /// <summary>The value that was given; null where only the message has it.</summary>
    public string? Given { get; init; }

    /// <summary>
    /// The same failure with the argument under the name that a caller of another interface knows (an option of the command line, the file that
    /// a document was read from); this exception where it names no argument.
    /// </summary>
    /// <param name="rename">Gives the name.</param>
    public InputException Rename(Func<ArgumentName, ArgumentName> rename)
    {
        ArgumentNullException.ThrowIfNull(rename);
        return Argument is { } argument && _problem is { } problem
            ? new InputException(rename(argument), problem, this) { Expected = Expected, Given = Given } : this;
    }
}
