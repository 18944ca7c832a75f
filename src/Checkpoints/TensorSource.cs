using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>Some rows of a table, one after the other.</summary>
/// <param name="First">The first row; -1: rows of zeros.</param>
/// <param name="Count">How many.</param>
public readonly record struct RowRange(long First, long Count);

/// <summary>
/// A tensor to be written: its description now, its values when its turn comes. So a writer knows the whole layout of a file
/// before it holds a single value, and never holds more than one tensor.
/// </summary>
public sealed class TensorSource
{
    private readonly long[] _shape;
    private readonly Action<Stream> _copyTo;

    private TensorSource(string name, StoredType type, ReadOnlySpan<long> shape, Action<Stream> copyTo)
    {
        ArgumentNullException.ThrowIfNull(name);
        Name = name;
        Type = type;
        _shape = shape.ToArray();
        _copyTo = copyTo;
        Int128 bits = type.Bits();
        foreach (long size in _shape)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(size, nameof(shape));
            bits *= size;
            if (bits > (Int128)long.MaxValue * 8)
                throw new CheckpointException($"tensor {SafetensorsHeader.Quote(name)}: the shape {TensorEntry.ShapeText(_shape)} is too large");
        }
        if (bits % 8 != 0)
        {
            throw new CheckpointException(
                $"tensor {SafetensorsHeader.Quote(name)}: {type.Name()} {TensorEntry.ShapeText(_shape)} does not end on a byte");
        }
        ByteCount = (long)(bits / 8);
    }

    /// <summary>The name in the file to be written.</summary>
    public string Name { get; }

    /// <summary>The element type in the file to be written.</summary>
    public StoredType Type { get; }

    /// <summary>The sizes, outermost first.</summary>
    public ReadOnlySpan<long> Shape => _shape;

    /// <summary>The bytes that the values take.</summary>
    public long ByteCount { get; }

    /// <summary>A tensor at hand, on any device and of any strides. It must live until it is written.</summary>
    /// <exception cref="CheckpointException">The dtype has no place in the safetensors format.</exception>
    public static TensorSource From(string name, Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return new TensorSource(name, TypeOf(name, tensor.DType), tensor.Shape, stream => TensorBytes.Write(tensor, stream));
    }

    /// <summary>A tensor made when its turn comes and disposed when it is written.</summary>
    /// <param name="name">The name in the file.</param>
    /// <param name="dtype">The dtype that <paramref name="make"/> returns.</param>
    /// <param name="shape">The shape that <paramref name="make"/> returns.</param>
    /// <param name="make">Called once, while the file is written. The tensor it returns is disposed.</param>
    public static TensorSource Deferred(string name, DType dtype, ReadOnlySpan<long> shape, Func<Tensor> make)
    {
        ArgumentNullException.ThrowIfNull(make);
        long[] promised = shape.ToArray();
        return new TensorSource(name, TypeOf(name, dtype), shape, stream =>
        {
            using TensorScope scope = new();
            using Tensor tensor = make();
            if (tensor.DType != dtype || !tensor.Shape.SequenceEqual(promised))
            {
                throw new CheckpointException($"tensor {SafetensorsHeader.Quote(name)}: announced as {dtype} {TensorEntry.ShapeText(promised)}, "
                    + $"made as {tensor.DType} {TensorEntry.ShapeText(tensor.Shape)}");
            }
            TensorBytes.Write(tensor, stream);
        });
    }

    /// <summary>A tensor whose values are in a stream, row-major and little-endian: copied from its beginning when their turn comes, in pieces of
    /// bounded size.</summary>
    /// <param name="name">The name in the file.</param>
    /// <param name="dtype">The dtype of the values.</param>
    /// <param name="shape">Their shape; the stream holds exactly these values.</param>
    /// <param name="values">A stream that can be read and positioned. It must stay open until the tensor is written.</param>
    public static TensorSource FromStream(string name, DType dtype, ReadOnlySpan<long> shape, Stream values)
    {
        ArgumentNullException.ThrowIfNull(values);
        return new TensorSource(name, TypeOf(name, dtype), shape, stream =>
        {
            values.Position = 0;
            values.CopyTo(stream, 1 << 20);
        });
    }

    /// <summary>A tensor of an open checkpoint, copied in pieces of bounded size straight from its file.</summary>
    /// <param name="name">The name in the file to be written.</param>
    /// <param name="checkpoint">The checkpoint to copy from; it must stay open until the tensor is written.</param>
    /// <param name="source">The tensor's name in that checkpoint.</param>
    public static TensorSource From(string name, Checkpoint checkpoint, string source)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        TensorEntry entry = checkpoint.Entry(source);
        return new TensorSource(name, entry.Type, entry.Shape, stream => checkpoint.CopyTo(source, stream));
    }

    /// <summary>
    /// Rows of a tensor of an open checkpoint, in any order and as often as wanted: a position table copied over and over. Written range
    /// by range, so that a table of any length takes no memory.
    /// </summary>
    /// <param name="name">The name in the file to be written.</param>
    /// <param name="checkpoint">The checkpoint to copy from; it must stay open until the tensor is written.</param>
    /// <param name="source">The tensor's name in that checkpoint; it has at least one dimension.</param>
    /// <param name="ranges">The rows of the result, from the first to the last.</param>
    /// <exception cref="CheckpointException">The tensor is a scalar, or a range is outside of it.</exception>
    public static TensorSource Rows(string name, Checkpoint checkpoint, string source, IReadOnlyList<RowRange> ranges)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(ranges);
        TensorEntry entry = checkpoint.Entry(source);
        long rows = entry.Shape.Length == 0 ? 0 : entry.Shape[0];
        foreach (RowRange range in ranges)
        {
            if (entry.Shape.Length == 0 || range.Count < 0 || range.First < -1 || (range.First >= 0 && range.First > rows - range.Count))
            {
                throw new CheckpointException($"{entry.File}: tensor {SafetensorsHeader.Quote(source)} {TensorEntry.ShapeText(entry.Shape)} "
                    + $"does not have {range.Count} rows from row {range.First}");
            }
        }
        long[] shape = [ranges.Sum(r => r.Count), .. entry.Shape[1..]];
        long rowBytes = rows == 0 ? 0 : entry.ByteCount / rows;
        return new TensorSource(name, entry.Type, shape, stream =>
        {
            using TensorScope scope = new();
            Tensor table = checkpoint.Get(source);
            foreach (RowRange range in ranges)
            {
                using TensorScope inner = new();
                if (range.First >= 0)
                    TensorBytes.Write(table.Narrow(0, range.First, range.Count), stream);
                else
                    stream.Write(new byte[range.Count * rowBytes]);
            }
        });
    }

    /// <summary>Writes the values, <see cref="ByteCount"/> bytes, as the file has them. For a tensor that is made when its turn comes, that
    /// is now.</summary>
    public void WriteTo(Stream stream) => _copyTo(stream);

    private static StoredType TypeOf(string name, DType type) => StoredTypes.FromDType(type)
        ?? throw new CheckpointException($"tensor {SafetensorsHeader.Quote(name)}: the safetensors format has no dtype {type}");
}
