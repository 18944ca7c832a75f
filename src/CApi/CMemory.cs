using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;

namespace LongformerInterop.CApi;

/// <summary>Reading arguments of C and writing its outputs.</summary>
internal static unsafe class CMemory
{
    private static readonly HashSet<nint> Texts = [];

    /// <summary>LF_TERMINATED.</summary>
    public static readonly nuint Terminated = nuint.MaxValue;

    /// <summary>A text with its length, strictly UTF-8.</summary>
    /// <exception cref="CallException">Null, too long, or not UTF-8: the message has the byte.</exception>
    public static string Text(byte* text, nuint length, string argument)
    {
        if (text is null)
            throw CallException.Argument($"{argument}: expected a text, given NULL");
        if (length != Terminated && length > int.MaxValue)
            throw CallException.Argument($"{argument}: expected at most {int.MaxValue} bytes, given {length}");
        ReadOnlySpan<byte> bytes = length == Terminated
            ? MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text)
            : new ReadOnlySpan<byte>(text, (int)length);
        char[] characters = ArrayPool<char>.Shared.Rent(Math.Max(1, bytes.Length));
        try
        {
            OperationStatus status = Utf8.ToUtf16(bytes, characters, out int read, out int written, replaceInvalidSequences: false,
                isFinalBlock: true);
            return status == OperationStatus.Done
                ? new string(characters, 0, written)
                : throw CallException.Argument($"{argument}: not UTF-8 at byte {read} (0x{bytes[read]:x2})");
        }
        finally
        {
            ArrayPool<char>.Shared.Return(characters);
        }
    }

    /// <summary>A name or a path.</summary>
    public static string Name(byte* text, string argument) => Text(text, Terminated, argument);

    /// <summary>An optional name.</summary>
    public static string? NameOrNull(byte* text, string argument) => text is null ? null : Name(text, argument);

    /// <summary>Several texts; lengths may be null.</summary>
    public static string[] Documents(byte** texts, nuint* lengths, nuint count, string argument)
    {
        int n = Count(count, argument);
        if (n > 0)
            NotNull(texts, argument);
        string[] result = new string[n];
        for (int i = 0; i < n; i++)
            result[i] = Text(texts[i], lengths is null ? Terminated : lengths[i], $"{argument}[{i}]");
        return result;
    }

    /// <summary>Values of an array.</summary>
    public static ReadOnlySpan<T> Span<T>(T* values, nuint count, string argument) where T : unmanaged
    {
        int n = Count(count, argument);
        if (n > 0)
            NotNull(values, argument);
        return new ReadOnlySpan<T>(values, n);
    }

    /// <summary>Refuses null.</summary>
    public static void NotNull(void* pointer, string argument)
    {
        if (pointer is null)
            throw CallException.Argument($"{argument}: expected an address, given NULL");
    }

    /// <summary>Writes an output that may be null: it was not asked for.</summary>
    public static void Give<T>(T* output, T value) where T : unmanaged
    {
        if (output is not null)
            *output = value;
    }

    /// <summary>Checks the place of an output handle and empties it.</summary>
    public static void Out(nint* output, string argument)
    {
        NotNull(output, argument);
        *output = 0;
    }

    /// <summary>An array's count as C# has it.</summary>
    public static int Count(nuint count, string argument) =>
        count <= 0x7FFFFFC7 ? (int)count : throw CallException.Argument($"{argument}: expected at most {0x7FFFFFC7}, given {count}");

    /// <summary>An index into count things.</summary>
    public static int Index(nuint index, int count, string argument) => index < (nuint)count
        ? (int)index
        : throw CallException.Argument($"{argument}: expected 0..{count - 1}, given {index}{(count == 0 ? " (there is none)" : "")}");

    /// <summary>Text that the caller frees with lf_text_free.</summary>
    public static void GiveText(string value, byte** text, nuint* length)
    {
        int bytes = Encoding.UTF8.GetByteCount(value);
        byte* memory = (byte*)NativeMemory.Alloc((nuint)bytes + 1);
        Encoding.UTF8.GetBytes(value, new Span<byte>(memory, bytes));
        memory[bytes] = 0;
        lock (Texts)
            Texts.Add((nint)memory);
        *text = memory;
        if (length is not null)
            *length = (nuint)bytes;
    }

    /// <summary>lf_text_free.</summary>
    public static void FreeText(byte* text)
    {
        if (text is null)
            return;
        lock (Texts)
        {
            if (!Texts.Remove((nint)text))
                throw CallException.Argument("text: expected a text that this library handed over and that was not freed");
        }
        NativeMemory.Free(text);
    }
}

/// <summary>Native memory that a handle hands out pointers into: everything is made once, when first asked for, and freed with it.</summary>
internal sealed unsafe class BorrowedMemory : IDisposable
{
    private readonly Dictionary<(int Kind, int Item), (nint Address, int Count)> _blocks = [];

    /// <summary>Values, made at the first call.</summary>
    public T* Values<T>(int kind, int item, Func<T[]> make, out int count) where T : unmanaged
    {
        lock (_blocks)
        {
            if (!_blocks.TryGetValue((kind, item), out (nint Address, int Count) block))
            {
                T[] values = make();
                // A byte more than needed: no values still have an address.
                T* memory = (T*)NativeMemory.Alloc(((nuint)values.Length * (nuint)sizeof(T)) + 1);
                values.CopyTo(new Span<T>(memory, values.Length));
                block = ((nint)memory, values.Length);
                _blocks.Add((kind, item), block);
            }
            count = block.Count;
            return (T*)block.Address;
        }
    }

    /// <summary>UTF-8 with a zero behind it.</summary>
    public byte* Text(int kind, int item, Func<string> make, out int length)
    {
        byte* text = Values(kind, item, () => Encoding.UTF8.GetBytes(make() + '\0'), out int count);
        length = count - 1;
        return text;
    }

    public void Dispose()
    {
        lock (_blocks)
        {
            foreach ((nint address, _) in _blocks.Values)
                NativeMemory.Free((void*)address);
            _blocks.Clear();
        }
    }
}
