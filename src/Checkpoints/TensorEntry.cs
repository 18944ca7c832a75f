using System.Globalization;

namespace LongformerInterop.Checkpoints;

/// <summary>The description of one tensor of a checkpoint: everything but its values.</summary>
public sealed class TensorEntry
{
    private readonly long[] _shape;
    private readonly long[]? _strides;

    /// <param name="name">The name.</param>
    /// <param name="type">The element type in the file.</param>
    /// <param name="shape">The sizes, checked by the reader of the file: their product in bytes fits in 63 bits.</param>
    /// <param name="begin">The place of the first element, in bytes from the start of the file.</param>
    /// <param name="file">The file.</param>
    /// <param name="strides">Steps between elements, in elements, none negative; null where the values are contiguous.</param>
    internal TensorEntry(string name, StoredType type, long[] shape, long begin, string file, long[]? strides = null)
    {
        Name = name;
        Type = type;
        _shape = shape;
        _strides = strides;
        Begin = begin;
        File = file;
        long elements = 1, last = 0;
        for (int i = 0; i < shape.Length; i++)
        {
            elements *= shape[i];
            if (strides is not null)
                last += Math.Max(0, shape[i] - 1) * strides[i];
        }
        ElementCount = elements;
        // Types narrower than a byte are only ever contiguous and end on a byte.
        ByteCount = (long)((Int128)elements * type.Bits() / 8);
        SpanBytes = elements == 0 ? 0 : strides is null ? ByteCount : (last + 1) * (type.Bits() / 8);
    }

    /// <summary>The tensor's name.</summary>
    public string Name { get; }

    /// <summary>The element type in the file.</summary>
    public StoredType Type { get; }

    /// <summary>The sizes, outermost first; empty for a scalar.</summary>
    public ReadOnlySpan<long> Shape => _shape;

    /// <summary>The number of elements.</summary>
    public long ElementCount { get; }

    /// <summary>The bytes that the elements take when contiguous.</summary>
    public long ByteCount { get; }

    /// <summary>The file that holds the values.</summary>
    public string File { get; }

    internal long Begin { get; }

    /// <summary>Bytes from the first element to the end of the last.</summary>
    internal long SpanBytes { get; }

    internal ReadOnlySpan<long> Strides => _strides;

    internal bool IsContiguous => _strides is null;

    /// <inheritdoc/>
    public override string ToString() => $"{Name} {Type.Name()} {ShapeText(_shape)}";

    /// <summary>
    /// Whether two entries describe the same bytes in the same layout, as tied tensors do in a torch file, which stores them once.
    /// (A safetensors file never does: its tensors do not overlap.)
    /// </summary>
    public bool SharesBytesWith(TensorEntry other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return File == other.File && Begin == other.Begin && Type == other.Type && ByteCount > 0
            && Shape.SequenceEqual(other.Shape) && Strides.SequenceEqual(other.Strides);
    }

    /// <summary>The same values under another name, without the first <paramref name="skipRows"/> of the outermost dimension.</summary>
    internal TensorEntry Rename(string name, long skipRows)
    {
        if (skipRows == 0)
            return new TensorEntry(name, Type, _shape, Begin, File, _strides);
        if (_shape.Length == 0 || _shape[0] < skipRows)
        {
            throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                $"{File}: tensor {SafetensorsHeader.Quote(Name)} {ShapeText(_shape)} should have {skipRows} unused rows in front"));
        }
        long[] shape = [_shape[0] - skipRows, .. _shape[1..]];
        long rowBytes = _strides is null ? (_shape[0] == 0 ? 0 : ByteCount / _shape[0]) : _strides[0] * (Type.Bits() / 8);
        return new TensorEntry(name, Type, shape, Begin + (skipRows * rowBytes), File, _strides);
    }

    internal static string ShapeText(ReadOnlySpan<long> shape)
    {
        string[] sizes = new string[shape.Length];
        for (int i = 0; i < sizes.Length; i++)
            sizes[i] = shape[i] < 0 ? "any" : shape[i].ToString(CultureInfo.InvariantCulture);
        return $"[{string.Join(", ", sizes)}]";
    }
}
