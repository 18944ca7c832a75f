using System.Globalization;
using System.Numerics;

namespace LongformerInterop.Checkpoints.Pickling;

/// <summary>
/// Python's pickle machine (protocols 0 to 5) without Python: it builds containers, plain values and descriptions of tensors, and
/// knows no other class or function than those of <see cref="TorchGlobals"/>. A call of an unknown one makes a
/// <see cref="PickleOpaque"/>, an inert stand-in; its names are gathered in <see cref="Unknown"/> for the caller to refuse. Nothing
/// from the file is ever executed.
/// </summary>
/// <remarks>
/// Bounded whatever the file says: the bytes (<see cref="PickleStream.MaximumBytes"/>), the values made, the stack and the memo. There is no
/// recursion, so nesting has no bound but those. Source: the opcodes in CPython's Lib/pickletools.py.
/// </remarks>
internal sealed class Unpickler(PickleStream stream)
{
    private const int MaximumValues = 2_000_000;
    private const int MaximumStack = 1_000_000;
    private const int MaximumMemo = 2_000_000;

    private static readonly object Mark = new();

    private readonly List<object?> _stack = [];
    private readonly List<object?> _memo = [];
    private readonly HashSet<PickleGlobal> _unknown = [];
    private int _memoized;
    private long _values;

    /// <summary>Classes and functions that the pickle names and this reader does not know.</summary>
    internal IReadOnlyCollection<PickleGlobal> Unknown => _unknown;

    /// <summary>Returns the value of a persistent id (a storage); where it is null such ids are refused.</summary>
    internal Func<object?, object>? PersistentLoad { get; init; }

    /// <summary>Runs the machine to its STOP.</summary>
    internal object? Load()
    {
        try
        {
            while (true)
            {
                byte opcode = stream.ReadByte();
                if (opcode == (byte)'.')
                    return _stack.Count == 1 && _stack[0] != Mark ? _stack[0] : throw stream.Failure("it ends with other than one value");
                Step(opcode);
            }
        }
        catch (FormatException e)
        {
            throw new CheckpointException(stream.Failure(e.Message).Message, e);
        }
    }

    private void Step(byte opcode)
    {
        switch (opcode)
        {
            case 0x80: // PROTO
                if (stream.ReadByte() is > 5 and var protocol)
                    throw stream.Failure(string.Create(CultureInfo.InvariantCulture, $"protocol {protocol} is unknown"));
                break;
            case 0x95: // FRAME: only a hint for reading ahead
                stream.ReadUInt64();
                break;
            case (byte)'(':
                PushRaw(Mark);
                break;
            case (byte)'0':
                // POP takes a mark too, as in CPython.
                if (_stack.Count == 0)
                    throw stream.Failure("it takes a value from an empty stack");
                _stack.RemoveAt(_stack.Count - 1);
                break;
            case (byte)'1':
                PopToMark();
                break;
            case (byte)'2':
                PushRaw(Peek());
                break;
            case (byte)'N':
                Push(null);
                break;
            case 0x88:
                Push(true);
                break;
            case 0x89:
                Push(false);
                break;
            case (byte)'J':
                Push((long)stream.ReadInt32());
                break;
            case (byte)'K':
                Push((long)stream.ReadByte());
                break;
            case (byte)'M':
                Push((long)stream.ReadUInt16());
                break;
            case 0x8a:
                Push(Long(stream.ReadBytes(stream.ReadByte())));
                break;
            case 0x8b:
                Push(Long(stream.ReadBytes(stream.ReadUInt32())));
                break;
            case (byte)'I':
                Push(stream.ReadLine() switch { "00" => false, "01" => true, var text => ParseLong(text) });
                break;
            case (byte)'L':
                Push(ParseLong(stream.ReadLine().TrimEnd('L')));
                break;
            case (byte)'F':
                Push(double.Parse(stream.ReadLine(), NumberStyles.Float, CultureInfo.InvariantCulture));
                break;
            case (byte)'G':
                Push(stream.ReadDoubleBigEndian());
                break;
            case (byte)'X':
                Push(stream.ReadText(stream.ReadUInt32()));
                break;
            case 0x8c:
                Push(stream.ReadText(stream.ReadByte()));
                break;
            case 0x8d:
                Push(stream.ReadText(stream.ReadUInt64()));
                break;
            // Python 2's strings, which torch reads as text too.
            case (byte)'U':
                Push(stream.ReadText(stream.ReadByte()));
                break;
            case (byte)'T':
                Push(stream.ReadText(stream.ReadUInt32()));
                break;
            case (byte)'S':
                Push(Unquote(stream.ReadLine()));
                break;
            case (byte)'V':
                Push(stream.ReadLine());
                break;
            case (byte)'C':
                Push(stream.ReadBytes(stream.ReadByte()));
                break;
            case (byte)'B':
                Push(stream.ReadBytes(stream.ReadUInt32()));
                break;
            case 0x8e or 0x96:
                Push(stream.ReadBytes(stream.ReadUInt64()));
                break;
            default:
                StepContainer(opcode);
                break;
        }
    }

    private void StepContainer(byte opcode)
    {
        switch (opcode)
        {
            case (byte)']' or 0x8f or (byte)')':
                Push(new PickleSequence([]));
                break;
            case (byte)'}':
                Push(new PickleDictionary());
                break;
            case (byte)'l' or (byte)'t' or 0x91:
                Push(new PickleSequence(PopToMark()));
                break;
            case >= 0x85 and <= 0x87:
                Push(new PickleSequence(PopMany(opcode - 0x84)));
                break;
            case (byte)'d':
                List<object?> pairs = PopToMark();
                Push(new PickleDictionary());
                SetItems(pairs);
                break;
            case (byte)'a':
                Append([Pop()]);
                break;
            case (byte)'e' or 0x90:
                Append(PopToMark());
                break;
            case (byte)'s':
                SetItems(PopMany(2));
                break;
            case (byte)'u':
                SetItems(PopToMark());
                break;
            case (byte)'p':
                Memoize(ParseLong(stream.ReadLine()) is long index ? index : -1);
                break;
            case (byte)'q':
                Memoize(stream.ReadByte());
                break;
            case (byte)'r':
                Memoize(stream.ReadUInt32());
                break;
            case 0x94:
                Memoize(_memoized);
                break;
            case (byte)'g':
                Recall(ParseLong(stream.ReadLine()) is long place ? place : -1);
                break;
            case (byte)'h':
                Recall(stream.ReadByte());
                break;
            case (byte)'j':
                Recall(stream.ReadUInt32());
                break;
            default:
                StepObject(opcode);
                break;
        }
    }

    private void StepObject(byte opcode)
    {
        switch (opcode)
        {
            case (byte)'c':
                string module = stream.ReadLine();
                Push(Global(module, stream.ReadLine()));
                break;
            case 0x93:
                Push(PopMany(2) is [string from, string name] ? Global(from, name) : throw stream.Failure("a class without a name"));
                break;
            case (byte)'R' or 0x81: // REDUCE, NEWOBJ
                List<object?> call = PopMany(2);
                Push(Call(call[0], call[1]));
                break;
            case 0x92: // NEWOBJ_EX: keyword arguments; nothing known takes any
                List<object?> extended = PopMany(3);
                Push(extended[2] is PickleDictionary { Pairs.Count: 0 } ? Call(extended[0], extended[1]) : Opaque(extended[0]));
                break;
            case (byte)'i':
                string instanceModule = stream.ReadLine();
                object maker = Global(instanceModule, stream.ReadLine());
                Push(Call(maker, new PickleSequence(PopToMark())));
                break;
            case (byte)'o':
                List<object?> made = PopToMark();
                Push(made.Count > 0 ? Call(made[0], new PickleSequence(made[1..])) : throw stream.Failure("an object without a class"));
                break;
            case (byte)'b':
                // BUILD gives an object attributes: an ordered dict's _metadata, or those of something opaque. None is needed.
                Pop();
                Peek();
                break;
            case (byte)'Q':
                object? id = Pop();
                Push((PersistentLoad ?? throw stream.Failure("a persistent id where none belongs"))(id));
                break;
            default:
                throw stream.Failure(string.Create(CultureInfo.InvariantCulture, $"the opcode 0x{opcode:x2} is none, or none that torch writes"));
        }
    }

    private object Global(string module, string name)
    {
        PickleGlobal global = new(module, name);
        if (TorchGlobals.IsHostile(global))
        {
            throw new CheckpointException($"{stream.File}: the pickle asks for {SafetensorsHeader.Quote(global.FullName)}: "
                + "no checkpoint needs that. Refused; nothing was executed");
        }
        object resolved = TorchGlobals.Resolve(global);
        if (resolved is PickleGlobal && !TorchGlobals.IsKnown(global) && _unknown.Add(global) && _unknown.Count > 10_000)
            throw stream.Failure("it names too many classes");
        return resolved;
    }

    private object? Call(object? maker, object? arguments)
    {
        if (arguments is not PickleSequence sequence)
            throw stream.Failure("a call without a tuple of arguments");
        // A call may copy its arguments: paid for as if each item were a value, or one long list could be copied without end.
        foreach (object? argument in sequence.Items)
        {
            _values += argument switch { PickleSequence s => s.Items.Count, PickleDictionary d => d.Pairs.Count,
                string text => text.Length / 16, _ => 0 };
        }
        return maker is PickleGlobal global ? TorchGlobals.Call(global, sequence.Items) : Opaque(maker);
    }

    // Something opaque, called: opaque again, under the same name. A plain value cannot be called.
    private PickleOpaque Opaque(object? maker) => maker switch
    {
        PickleOpaque opaque => opaque,
        PickleGlobal global => new PickleOpaque(global),
        _ => throw stream.Failure("it calls a value that is no function"),
    };

    private void Append(List<object?> items)
    {
        switch (Peek())
        {
            case PickleSequence sequence:
                sequence.Items.AddRange(items);
                break;
            case PickleOpaque:
                break;
            default:
                throw stream.Failure("it appends to something that is no list");
        }
    }

    private void SetItems(List<object?> items)
    {
        if (items.Count % 2 != 0)
            throw stream.Failure("a key without a value");
        switch (Peek())
        {
            case PickleDictionary dictionary:
                for (int i = 0; i < items.Count; i += 2)
                    dictionary.Pairs.Add((items[i], items[i + 1]));
                break;
            case PickleOpaque:
                break;
            default:
                throw stream.Failure("it sets items of something that is no dictionary");
        }
    }

    private void Memoize(long index)
    {
        if (index is < 0 or >= MaximumMemo)
            throw stream.Failure(string.Create(CultureInfo.InvariantCulture, $"the memo has no place {index}"));
        while (_memo.Count <= index)
            _memo.Add(Mark);
        if (_memo[(int)index] == Mark)
            _memoized++;
        _memo[(int)index] = Peek();
    }

    private void Recall(long index)
    {
        if (index < 0 || index >= _memo.Count || _memo[(int)index] == Mark)
            throw stream.Failure(string.Create(CultureInfo.InvariantCulture, $"nothing was memorised under {index}"));
        PushRaw(_memo[(int)index]);
    }

    private void Push(object? value)
    {
        if (++_values > MaximumValues)
            throw stream.Failure(string.Create(CultureInfo.InvariantCulture, $"it makes more than {MaximumValues} values"));
        PushRaw(value);
    }

    private void PushRaw(object? value)
    {
        if (_stack.Count == MaximumStack)
            throw stream.Failure(string.Create(CultureInfo.InvariantCulture, $"its stack grows beyond {MaximumStack} values"));
        _stack.Add(value);
    }

    private object? Peek() => _stack.Count > 0 && _stack[^1] != Mark ? _stack[^1] : throw stream.Failure("it takes a value from an empty stack");

    private object? Pop()
    {
        object? value = Peek();
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private List<object?> PopMany(int count)
    {
        List<object?> values = _stack.Count >= count ? _stack[^count..] : throw stream.Failure("it takes a value from an empty stack");
        if (values.Contains(Mark))
            throw stream.Failure("it takes a value from an empty stack");
        _stack.RemoveRange(_stack.Count - count, count);
        return values;
    }

    private List<object?> PopToMark()
    {
        int mark = _stack.LastIndexOf(Mark);
        if (mark < 0)
            throw stream.Failure("a mark is missing");
        List<object?> values = _stack[(mark + 1)..];
        _stack.RemoveRange(mark, _stack.Count - mark);
        return values;
    }

    private object Long(byte[] littleEndian) => littleEndian.Length switch
    {
        0 => 0L,
        > 256 => throw stream.Failure("an integer of more than 256 bytes"),
        _ => Narrow(new BigInteger(littleEndian)),
    };

    private object ParseLong(string text) => text.Length <= 600
        && BigInteger.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out BigInteger value)
            ? Narrow(value)
            : throw stream.Failure("an integer is not one");

    // Boxed here: in a conditional expression the two types would meet in BigInteger.
    private static object Narrow(BigInteger value)
    {
        if (value >= long.MinValue && value <= long.MaxValue)
        {
            object small = (long)value;
            return small;
        }
        return value;
    }

    private string Unquote(string text) => text.Length >= 2 && text[0] is '\'' or '"' && text[^1] == text[0]
        ? text[1..^1]
        : throw stream.Failure("a string without quotes");
}
