using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace LongformerInterop.Torch.Interop;

/// <summary>
/// One argument of an operator: of libtorch's, where every optional one must be marked as such, or of the project's own. A wrong kind is a
/// crash of the process, so only the typed wrappers of this project make them.
/// </summary>
internal readonly struct Argument
{
    private readonly Tag _tag;
    private readonly bool _optional;
    private readonly int _n;
    private readonly long _bits;      // the number; or the address of a list that the maker of this argument keeps in place
    private readonly object? _source; // the tensor, string or array; kept alive by the caller's frame

    private Argument(Tag tag, int n, long bits, object? source, bool optional = false)
    {
        _tag = tag;
        _n = n;
        _bits = bits;
        _source = source;
        _optional = optional;
    }

    /// <summary>An optional argument that is left out.</summary>
    public static Argument None => new(Tag.None, 0, 0, null, optional: true);

    /// <summary>A tensor; null is none, for own operators.</summary>
    public static implicit operator Argument(Tensor? tensor) => tensor is null ? default : new(Tag.Tensor, 0, 0, tensor);

    /// <summary>An int.</summary>
    public static implicit operator Argument(long value) => new(Tag.Int, 0, value, null);

    /// <summary>A float; null is none, for own operators.</summary>
    public static implicit operator Argument(double? value) =>
        value is double v ? new(Tag.Double, 0, BitConverter.DoubleToInt64Bits(v), null) : default;

    /// <summary>A bool.</summary>
    public static implicit operator Argument(bool value) => new(Tag.Bool, 0, value ? 1 : 0, null);

    /// <summary>A str, for own operators.</summary>
    public static implicit operator Argument(string text) => new(Tag.String, 0, 0, text);

    /// <summary>A ScalarType, an int to the interface.</summary>
    public static implicit operator Argument(DType dtype) => new(Tag.Int, 0, (long)dtype, null);

    /// <summary>An int[]; null is none, for own operators.</summary>
    public static implicit operator Argument(long[]? values) => values is null ? default : new(Tag.IntList, values.Length, 0, values);

    /// <summary>A Tensor[].</summary>
    public static implicit operator Argument(Tensor[] tensors) => new(Tag.TensorList, tensors.Length, 0, tensors);

    /// <summary>An int[] at an address that stays valid during the call: no copy, no allocation.</summary>
    public static unsafe Argument Ints(long* values, int count) => new(Tag.IntList, count, (long)(nint)values, null);

    /// <summary>An int[]? of libtorch's at an address that stays valid during the call.</summary>
    public static unsafe Argument OptionalInts(long* values, int count) => new(Tag.IntList, count, (long)(nint)values, null, optional: true);

    /// <summary>A Tensor? of libtorch's.</summary>
    public static Argument Optional(Tensor? tensor) => tensor is null ? None : new(Tag.Tensor, 0, 0, tensor, optional: true);

    /// <summary>A ScalarType? of libtorch's.</summary>
    public static Argument Optional(DType? dtype) => dtype is DType d ? new(Tag.Int, 0, (long)d, null, optional: true) : None;

    /// <summary>A number in place of a tensor, which does not widen the dtype of the tensor that it meets.</summary>
    public static Argument Number(double value, DType meets) =>
        new(Tag.Number, meets.IsFloatingPoint() ? 64 : 32, BitConverter.DoubleToInt64Bits(value), null);

    /// <summary>An integer in place of a tensor.</summary>
    public static Argument Number(long value) => new(Tag.Number, 0, value, null);

    /// <summary>The object that must stay alive until the call returns.</summary>
    public object? Source => _source;

    /// <summary>Bytes that the argument of an own operator needs beside its 16, a multiple of 8.</summary>
    public int ScratchBytes => _source is null || _tag == Tag.Tensor ? 0 : _tag switch
    {
        Tag.String => (Encoding.UTF8.GetMaxByteCount(Unsafe.As<string>(_source).Length) + 7) & ~7,
        _ => checked(_n * 8),
    };

    /// <summary>Throws if a tensor of the argument is disposed, or missing where libtorch's operator needs one.</summary>
    public void Require(string operation, int index)
    {
        if (_tag == Tag.Tensor)
            _ = HandleOf(Unsafe.As<Tensor>(_source!), operation, index);
        if (_tag == Tag.None && !_optional)
            throw new ArgumentNullException($"{operation}: argument number {index + 1}");
        if (_tag != Tag.TensorList)
            return;
        foreach (Tensor? tensor in Unsafe.As<Tensor?[]>(_source!))
        {
            if (tensor is not null)
                _ = HandleOf(tensor, operation, index);
            else
                throw new ArgumentNullException($"{operation}: argument number {index + 1}, an item of the list");
        }
    }

    /// <summary>Writes the argument as an own operator reads it; lists and text go to the scratch memory.</summary>
    public unsafe void Write(NativeValue* value, ref byte* scratch, string operation, int index)
    {
        value->Tag = _tag;
        value->N = _n;
        value->Integer = _bits;
        if (_source is null)
            return;
        if (_tag == Tag.Tensor)
        {
            value->Pointer = (void*)HandleOf(Unsafe.As<Tensor>(_source), operation, index);
            return;
        }
        byte* start = scratch;
        int bytes = ScratchBytes;
        value->Pointer = start;
        scratch = start + bytes;
        switch (_tag)
        {
            case Tag.String:
                value->N = Encoding.UTF8.GetBytes(Unsafe.As<string>(_source), new Span<byte>(start, bytes));
                break;
            case Tag.IntList:
                Unsafe.As<long[]>(_source).CopyTo(new Span<long>(start, _n));
                break;
            case Tag.TensorList:
                Tensor?[] tensors = Unsafe.As<Tensor?[]>(_source);
                for (int i = 0; i < _n; i++)
                    ((nint*)start)[i] = tensors[i] is Tensor t ? HandleOf(t, operation, index) : 0;
                break;
        }
    }

    /// <summary>The argument as libtorch's dispatcher takes it, which then owns what was made for it.</summary>
    public unsafe ulong ToStack()
    {
        if (_tag == Tag.None)
            return 0;
        ulong value = _tag switch
        {
            Tag.Tensor => (ulong)NewHandle(Unsafe.As<Tensor>(_source!)),
            Tag.Number => (ulong)NewNumber(),
            Tag.String => throw new NotSupportedException("libtorch 2.10 never frees the text that its operators are given"),
            Tag.IntList => (ulong)NewInts(),
            Tag.TensorList => (ulong)NewTensors(Unsafe.As<Tensor?[]>(_source!)),
            _ => (ulong)_bits,
        };
        return _optional ? InCell(value) : value;
    }

    /// <summary>The argument in words, for messages.</summary>
    public override unsafe string ToString() => _tag switch
    {
        Tag.None => "none",
        Tag.Tensor => Unsafe.As<Tensor>(_source!).Describe(),
        Tag.Double => BitConverter.Int64BitsToDouble(_bits).ToString(CultureInfo.InvariantCulture),
        Tag.Number when _n != 0 => BitConverter.Int64BitsToDouble(_bits).ToString(CultureInfo.InvariantCulture),
        Tag.Bool => _bits != 0 ? "true" : "false",
        Tag.String => $"\"{_source}\"",
        Tag.IntList => $"[{string.Join(", ", _source as long[] ?? new ReadOnlySpan<long>((void*)(nint)_bits, _n).ToArray())}]",
        Tag.TensorList => $"[{string.Join(", ", Unsafe.As<Tensor?[]>(_source!).Select(t => t?.Describe() ?? "none"))}]",
        _ => _bits.ToString(CultureInfo.InvariantCulture),
    };

    // Memory of the allocator that libtorch's C runtime frees with: .NET's is the same one, on Linux libc's, on Windows ucrtbase's.
    private static unsafe ulong InCell(ulong value)
    {
        ulong* cell = (ulong*)System.Runtime.InteropServices.NativeMemory.Alloc(sizeof(ulong));
        *cell = value;
        return (ulong)cell;
    }

    private static unsafe nint NewHandle(Tensor tensor)
    {
        nint handle;
        Native.CheckTorch(Libtorch.NewTensorHandle(tensor.Handle, &handle), "a second handle");
        GC.KeepAlive(tensor);
        return handle;
    }

    private unsafe nint NewNumber()
    {
        nint handle;
        int error = _n switch
        {
            64 => Libtorch.ScalarFloat64(BitConverter.Int64BitsToDouble(_bits), &handle),
            32 => Libtorch.ScalarFloat32((float)BitConverter.Int64BitsToDouble(_bits), &handle),
            _ => Libtorch.ScalarInt64(_bits, &handle),
        };
        Native.CheckTorch(error, "a number as a tensor");
        return handle;
    }

    private unsafe nint NewInts()
    {
        nint list;
        Native.CheckTorch(Libtorch.NewList((nuint)_n, &list), "a list");
        fixed (long* array = _source as long[])
        {
            long* values = _source is null ? (long*)(nint)_bits : array;
            for (int i = 0; i < _n; i++)
                Native.CheckTorch(Libtorch.ListPush(list, (ulong)values[i]), "a list");
        }
        return list;
    }

    private unsafe nint NewTensors(Tensor?[] tensors)
    {
        nint list;
        Native.CheckTorch(Libtorch.NewList((nuint)_n, &list), "a list");
        foreach (Tensor? tensor in tensors)
        {
            Native.CheckTorch(Libtorch.ListPush(list, (ulong)NewHandle(tensor!)), "a list");
        }
        return list;
    }

    private static nint HandleOf(Tensor tensor, string operation, int index)
    {
        nint handle = tensor.HandleOrZero;
        return handle != 0 ? handle
            : throw new ObjectDisposedException(nameof(Tensor), $"{operation}: the tensor given as argument number {index + 1} is disposed");
    }
}
