using System.Runtime.CompilerServices;
using System.Text;
using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>
/// One argument of an operator call. Made by implicit conversion from tensors, numbers, text, dtypes, devices and lists; a null
/// tensor or a null optional number is none. The schema decides what is acceptable: an integer also serves as a float.
/// </summary>
public readonly struct Argument
{
    private readonly Tag tag;
    private readonly int n;
    private readonly long bits;      // the number; or the address of a list that the maker of this argument keeps in place
    private readonly object? source; // the tensor, string or array; kept alive by the caller's frame

    private Argument(Tag tag, int n, long bits, object? source)
    {
        this.tag = tag;
        this.n = n;
        this.bits = bits;
        this.source = source;
    }

    /// <summary>None: an optional argument left out on purpose.</summary>
    public static Argument None => default;

    /// <summary>The default that the operator's schema states. Arguments missing at the end take it by themselves.</summary>
    public static Argument Default => new(Tag.Default, 0, 0, null);

    /// <summary>A tensor, or none.</summary>
    public static implicit operator Argument(Tensor? tensor) => tensor is null ? default : new(Tag.Tensor, 0, 0, tensor);

    /// <summary>A number given in place of a tensor.</summary>
    public static implicit operator Argument(Scalar scalar) => scalar.Argument;

    /// <summary>A 32-bit integer.</summary>
    public static implicit operator Argument(int value) => new(Tag.Int, 0, value, null);

    /// <summary>A 64-bit integer.</summary>
    public static implicit operator Argument(long value) => new(Tag.Int, 0, value, null);

    /// <summary>A 64-bit integer, or none.</summary>
    public static implicit operator Argument(long? value) => value is long v ? v : default(Argument);

    /// <summary>A single-precision number.</summary>
    public static implicit operator Argument(float value) => (double)value;

    /// <summary>A double-precision number.</summary>
    public static implicit operator Argument(double value) => new(Tag.Double, 0, BitConverter.DoubleToInt64Bits(value), null);

    /// <summary>A double-precision number, or none.</summary>
    public static implicit operator Argument(double? value) => value is double v ? v : default(Argument);

    /// <summary>A truth value.</summary>
    public static implicit operator Argument(bool value) => new(Tag.Bool, 0, value ? 1 : 0, null);

    /// <summary>Text, or none.</summary>
    public static implicit operator Argument(string? text) => text is null ? default : new(Tag.String, 0, 0, text);

    /// <summary>A dtype.</summary>
    public static implicit operator Argument(DType dtype) => new(Tag.Int, 0, (long)dtype, null);

    /// <summary>A dtype, or none.</summary>
    public static implicit operator Argument(DType? dtype) => dtype is DType d ? d : default(Argument);

    /// <summary>A device.</summary>
    public static implicit operator Argument(Device device) => new(Tag.Device, device.Index, (long)device.Type, null);

    /// <summary>A device, or none.</summary>
    public static implicit operator Argument(Device? device) => device is Device d ? d : default(Argument);

    /// <summary>A list of integers, or none.</summary>
    public static implicit operator Argument(long[]? values) => values is null ? default : new(Tag.IntList, values.Length, 0, values);

    /// <summary>A list of integers; the values are copied.</summary>
    public static implicit operator Argument(ReadOnlySpan<long> values) => values.ToArray();

    /// <summary>A list of numbers, or none.</summary>
    public static implicit operator Argument(double[]? values) => values is null ? default : new(Tag.DoubleList, values.Length, 0, values);

    /// <summary>A list of truth values, or none.</summary>
    public static implicit operator Argument(bool[]? values) => values is null ? default : new(Tag.BoolList, values.Length, 0, values);

    /// <summary>A list of tensors, or none. A null item is none, where the schema allows it.</summary>
    public static implicit operator Argument(Tensor?[]? tensors) =>
        tensors is null ? default : new(Tag.TensorList, tensors.Length, 0, tensors);

    /// <summary>A list of tensors; the references are copied.</summary>
    public static implicit operator Argument(ReadOnlySpan<Tensor> tensors) => tensors.ToArray();

    /// <summary>A list of integers at an address that stays valid during the call: no copy, no allocation.</summary>
    internal static unsafe Argument Ints(long* values, int count) => new(Tag.IntList, count, (long)(nint)values, null);

    /// <summary>What must stay alive until the call returns.</summary>
    internal object? Source => source;

    /// <summary>Bytes that the argument needs beside its 16, a multiple of 8.</summary>
    internal int ScratchBytes => source is null || tag == Tag.Tensor ? 0 : tag switch
    {
        Tag.String => (Encoding.UTF8.GetMaxByteCount(Unsafe.As<string>(source).Length) + 7) & ~7,
        Tag.BoolList => (n + 7) & ~7,
        _ => checked(n * 8),
    };

    /// <summary>Writes the argument as the shim reads it; lists and text go to the scratch memory.</summary>
    internal unsafe void Write(NativeValue* value, ref byte* scratch, Operator op, int index)
    {
        value->Tag = tag;
        value->N = n;
        value->Integer = bits;
        if (source is null) return;
        if (tag == Tag.Tensor)
        {
            value->Pointer = (void*)HandleOf(Unsafe.As<Tensor>(source), op, index);
            return;
        }
        byte* start = scratch;
        int bytes = ScratchBytes;
        value->Pointer = start;
        scratch = start + bytes;
        switch (tag)
        {
            case Tag.String:
                value->N = Encoding.UTF8.GetBytes(Unsafe.As<string>(source), new Span<byte>(start, bytes));
                break;
            case Tag.IntList:
                Unsafe.As<long[]>(source).CopyTo(new Span<long>(start, n));
                break;
            case Tag.DoubleList:
                Unsafe.As<double[]>(source).CopyTo(new Span<double>(start, n));
                break;
            case Tag.BoolList:
                Unsafe.As<bool[]>(source).CopyTo(new Span<bool>(start, n));
                break;
            case Tag.TensorList:
                Tensor?[] tensors = Unsafe.As<Tensor?[]>(source);
                for (int i = 0; i < n; i++)
                    ((nint*)start)[i] = tensors[i] is Tensor t ? HandleOf(t, op, index) : 0;
                break;
        }
    }

    private static nint HandleOf(Tensor tensor, Operator op, int index)
    {
        nint handle = tensor.HandleOrZero;
        return handle != 0 ? handle
            : throw new ObjectDisposedException(nameof(Tensor), $"{op.Name}: the tensor given as argument number {index + 1} is disposed");
    }
}
