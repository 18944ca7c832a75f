using System.Runtime.InteropServices;
using LongformerInterop.Checkpoints;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using Encoding = System.Text.Encoding;

namespace LongformerInterop.CApi;

/// <summary>lf_status of longformer.h.</summary>
internal enum Status
{
    Ok = 0,
    InvalidArgument = 1,
    InvalidInput = 2,
    Checkpoint = 3,
    Tokenizer = 4,
    Device = 5,
    Torch = 6,
    Cancelled = 7,
    NotFound = 8,
    OutOfMemory = 9,
    Internal = 10,
    AbiMismatch = 11,

    /// <summary>Given by exports.c alone: no managed code runs in a forked process.</summary>
    Forked = 12,
}

/// <summary>A failure that belongs to the C interface itself.</summary>
internal sealed class CallException(Status status, string message) : Exception(message)
{
    public Status Status { get; } = status;

    public static CallException Argument(string message) => new(Status.InvalidArgument, message);
}

/// <summary>The boundary: no exception crosses it. It becomes a status, and a message for the thread.</summary>
internal static unsafe class Failure
{
    [ThreadStatic] private static ErrorText? _last;

    private static readonly byte* Empty = (byte*)NativeMemory.AllocZeroed(1);

    /// <summary>The message of this thread, valid until its next failure.</summary>
    public static byte* LastError => _last is null ? Empty : _last.Message;

    /// <summary>The parts of that message; null and -1 where they are not known.</summary>
    public static (nint Argument, long Index, nint Expected, nint Given) LastFields => _last is null ? (0, -1, 0, 0) : _last.Fields;

    /// <summary>Runs one exported function.</summary>
    public static int Run(Action body)
    {
        try
        {
            body();
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return (int)Report(e);
        }
    }

    private static Status Report(Exception e)
    {
        try
        {
            (Status status, string message) = Describe(e);
            (_last ??= new ErrorText()).Set(message, e as InputException);
            return status;
        }
        catch (OutOfMemoryException)
        {
            return Status.OutOfMemory;
        }
    }

    private static (Status, string) Describe(Exception e) => e switch
    {
        CallException call => (call.Status, e.Message),
        CheckpointException => (Status.Checkpoint, e.Message),
        TokenizerInputException => (Status.InvalidInput, e.Message),
        TokenizerException => (Status.Tokenizer, e.Message),
        DeviceException => (Status.Device, e.Message),
        TorchException => (Status.Torch, e.Message),
        LongformerException => (Status.InvalidInput, e.Message),
        OperationCanceledException => (Status.Cancelled, "a callback asked to stop"),
        ObjectDisposedException => (Status.InvalidArgument, e.Message),
        OutOfMemoryException => (Status.OutOfMemory, "out of memory"),
        // Messages of the libraries about their own arguments: values that came through this interface.
        ArgumentException or InvalidOperationException => (Status.InvalidInput, e.Message),
        IOException or UnauthorizedAccessException => (Status.Checkpoint, e.Message),
        _ => (Status.Internal, $"defect: {e}"),
    };

    /// <summary>Native texts that live as long as their thread, or until replaced.</summary>
    private sealed class ErrorText
    {
        public byte* Message { get; private set; }

        public (nint Argument, long Index, nint Expected, nint Given) Fields { get; private set; } = (0, -1, 0, 0);

        public void Set(string message, InputException? input)
        {
            byte* text = Copy(message);
            Free();
            Message = text;
            Fields = ((nint)Copy(input?.Argument?.Name), input?.Argument?.Index is [long first, ..] ? first : -1, (nint)Copy(input?.Expected),
                (nint)Copy(input?.Given));
        }

        private static byte* Copy(string? text)
        {
            if (text is null)
                return null;
            int room = Encoding.UTF8.GetMaxByteCount(text.Length) + 1;
            byte* copy = (byte*)NativeMemory.Alloc((nuint)room);
            copy[Encoding.UTF8.GetBytes(text, new Span<byte>(copy, room))] = 0;
            return copy;
        }

        private void Free()
        {
            NativeMemory.Free(Message);
            NativeMemory.Free((void*)Fields.Argument);
            NativeMemory.Free((void*)Fields.Expected);
            NativeMemory.Free((void*)Fields.Given);
        }

        ~ErrorText() => Free();
    }
}
