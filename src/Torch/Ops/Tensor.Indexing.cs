using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

// Parts of tensors: slices (views), picking by index, scattering, masks. Indices are Int64.
public sealed partial class Tensor
{
    private static readonly AtenOperator
        IndexSelectOp = new("aten::index_select"), IndexCopyOp = new("aten::index_copy"), IndexCopyInPlaceOp = new("aten::index_copy_"),
        ScatterAddInPlaceOp = new("aten::scatter_add_"), IndexFillOp = new("aten::index_fill", "int_Tensor"),
        MaskedFillOp = new("aten::masked_fill", "Tensor"), MaskedFillInPlaceOp = new("aten::masked_fill_", "Tensor"),
        WhereOp = new("aten::where", "self");

    /// <summary>Every <paramref name="step"/>-th position of a dimension from <paramref name="start"/> before <paramref name="end"/>
    /// (null: its end); a view. Negative positions count from the end, positions outside are cut to the range.</summary>
    public Tensor Slice(long dimension, long start, long? end = null, long step = 1)
    {
        int at = DimensionOf(nameof(Slice), dimension);
        if (step < 1)
            throw new InputException("Slice", "a step of at least 1", $"{step}");
        long size = Sizes[at];
        long first = Math.Clamp(start < 0 ? start + size : start, 0, size);
        long last = end is long e ? Math.Clamp(e < 0 ? e + size : e, first, size) : size;
        return Part(at, first, ((last - first) + step - 1) / step, step);
    }

    /// <summary>One position of a dimension, which disappears; a view.</summary>
    /// <exception cref="InputException">There is no such position.</exception>
    public Tensor Select(long dimension, long index)
    {
        int at = DimensionOf(nameof(Select), dimension), rank = Rank;
        long size = Sizes[at], i = index < 0 ? index + size : index;
        if (i < 0 || i >= size)
            throw new InputException("Select", $"a position of -{size}..{size - 1} of dimension {at} of {this}", $"{index}");
        Span<long> sizes = stackalloc long[rank - 1], steps = stackalloc long[rank - 1];
        for (int d = 0, to = 0; d < rank; d++)
        {
            if (d == at)
                continue;
            (sizes[to], steps[to]) = (Sizes[d], Steps[d]);
            to++;
        }
        return ViewOf(sizes, steps, i * Steps[at]);
    }

    /// <summary><paramref name="length"/> positions of a dimension from <paramref name="start"/>; a view.</summary>
    /// <exception cref="InputException">They leave the dimension.</exception>
    public Tensor Narrow(long dimension, long start, long length)
    {
        int at = DimensionOf(nameof(Narrow), dimension);
        long size = Sizes[at], first = start < 0 ? start + size : start;
        if (first < 0 || length < 0 || first > size - length)
            throw new InputException($"Narrow: positions {start} to {start + length} leave dimension {at} of {this}");
        return Part(at, first, length, 1);
    }

    /// <summary>The positions of a dimension that <paramref name="index"/> [n] lists.</summary>
    public Tensor IndexSelect(long dimension, Tensor index) => IndexSelectOp.Call(this, dimension, index);

    /// <summary>A copy with the positions that <paramref name="index"/> [n] lists replaced by those of <paramref name="source"/>.</summary>
    public Tensor IndexCopy(long dimension, Tensor index, Tensor source) => IndexCopyOp.Call(this, dimension, index, source);

    /// <summary>Replaces the positions that <paramref name="index"/> [n] lists by those of <paramref name="source"/>. Gives this tensor.</summary>
    public Tensor IndexCopyInPlace(long dimension, Tensor index, Tensor source)
    {
        IndexCopyInPlaceOp.Run(this, dimension, index, source);
        return this;
    }

    /// <summary>Adds <paramref name="source"/> at the positions of a dimension that <paramref name="index"/> [n] lists; those listed twice
    /// add up, on a CPU in the same order in each run. Gives this tensor.</summary>
    public Tensor IndexAddInPlace(long dimension, Tensor index, Tensor source)
    {
        // Not aten's index_put, which adds up as threads arrive.
        int at = DimensionOf(nameof(IndexAddInPlace), dimension);
        long[] shape = Shape, column = new long[shape.Length];
        Array.Fill(column, 1);
        shape[at] = column[at] = index.ElementCount;
        if (!source.Shape.AsSpan().SequenceEqual(shape))
            throw new InputException(nameof(IndexAddInPlace), $"a source of [{string.Join(", ", shape)}]", $"{source}");
        ScatterAddInPlaceOp.Run(this, at, index.View(column).Expand(shape), source);
        return this;
    }

    /// <summary>A copy with one value at the positions that <paramref name="index"/> [n] lists.</summary>
    public Tensor IndexFill(long dimension, Tensor index, double value) => IndexFillOp.Call(this, dimension, index, Argument.Number(value, DType));

    /// <summary>A copy with one value where the mask (Bool, broadcast) is true.</summary>
    public Tensor MaskedFill(Tensor mask, double value) => MaskedFillOp.Call(this, mask, Argument.Number(value, DType));

    /// <summary>Writes one value where the mask (Bool, broadcast) is true. Gives this tensor.</summary>
    public Tensor MaskedFillInPlace(Tensor mask, double value)
    {
        MaskedFillInPlaceOp.Run(this, mask, Argument.Number(value, DType));
        return this;
    }

    /// <summary>Elements of one tensor where the condition (Bool) is true, of the other elsewhere; all broadcast.</summary>
    public static Tensor Where(Tensor condition, Tensor whereTrue, Tensor whereFalse) => WhereOp.Call(condition, whereTrue, whereFalse);

    /// <summary>Elements of a tensor where the condition (Bool) is true, one value elsewhere.</summary>
    public static Tensor Where(Tensor condition, Tensor whereTrue, double whereFalse)
    {
        using Tensor elsewhere = Full([], whereFalse, Given(whereTrue).DType);
        return WhereOp.Call(condition, whereTrue, elsewhere);
    }

    private Tensor Part(int dimension, long start, long length, long step)
    {
        Span<long> sizes = stackalloc long[Rank], steps = stackalloc long[Rank];
        Sizes.CopyTo(sizes);
        Steps.CopyTo(steps);
        long from = start * steps[dimension];
        sizes[dimension] = length;
        steps[dimension] *= step;
        return ViewOf(sizes, steps, from);
    }
}
