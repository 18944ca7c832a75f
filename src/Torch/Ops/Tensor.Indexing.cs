namespace LongformerInterop.Torch;

// Parts of tensors: slices (views), picking by index, scattering, masks. Indices are Int64.
public sealed partial class Tensor
{
    private static readonly Operator
        sliceOp = Operator.Lazy("aten::slice", "Tensor"), selectOp = Operator.Lazy("aten::select", "int"), narrowOp = Operator.Lazy("aten::narrow"),
        indexOp = Operator.Lazy("aten::index", "Tensor"), indexPutInPlaceOp = Operator.Lazy("aten::index_put_"),
        indexPutOp = Operator.Lazy("aten::index_put"), indexSelectOp = Operator.Lazy("aten::index_select"),
        indexCopyOp = Operator.Lazy("aten::index_copy"), indexCopyInPlaceOp = Operator.Lazy("aten::index_copy_"),
        indexAddOp = Operator.Lazy("aten::index_add"), indexAddInPlaceOp = Operator.Lazy("aten::index_add_"),
        indexFillOp = Operator.Lazy("aten::index_fill", "int_Scalar"), gatherOp = Operator.Lazy("aten::gather"),
        scatterOp = Operator.Lazy("aten::scatter", "src"), scatterValueOp = Operator.Lazy("aten::scatter", "value"),
        scatterAddOp = Operator.Lazy("aten::scatter_add"), maskedFillOp = Operator.Lazy("aten::masked_fill", "Scalar"),
        maskedFillInPlaceOp = Operator.Lazy("aten::masked_fill_", "Scalar"), maskedSelectOp = Operator.Lazy("aten::masked_select"),
        whereOp = Operator.Lazy("aten::where", "self"), whereScalarOp = Operator.Lazy("aten::where", "ScalarOther"),
        nonZeroOp = Operator.Lazy("aten::nonzero"), diagonalOp = Operator.Lazy("aten::diagonal");

    /// <summary>Every <paramref name="step"/>-th position of a dimension from <paramref name="start"/> before <paramref name="end"/>
    /// (null: its end); a view. Negative positions count from the end, positions outside are cut to the range.</summary>
    public Tensor Slice(long dimension, long start, long? end = null, long step = 1) => sliceOp.Call(this, dimension, start, end, step);

    /// <summary>One position of a dimension, which disappears; a view.</summary>
    public Tensor Select(long dimension, long index) => selectOp.Call(this, dimension, index);

    /// <summary><paramref name="length"/> positions of a dimension from <paramref name="start"/>; a view. Errors outside the range.</summary>
    public Tensor Narrow(long dimension, long start, long length) => narrowOp.Call(this, dimension, start, length);

    /// <summary>Picks by one tensor of indices (or a mask) for each dimension, broadcast together; null takes a whole dimension.</summary>
    public Tensor Index(params ReadOnlySpan<Tensor?> indices) => indexOp.Call(this, indices.ToArray());

    /// <summary>A copy with <paramref name="values"/> written (or added) where the indices point.</summary>
    public Tensor IndexPut(ReadOnlySpan<Tensor?> indices, Tensor values, bool accumulate = false) =>
        indexPutOp.Call(this, indices.ToArray(), values, accumulate);

    /// <summary>Writes (or adds) <paramref name="values"/> where the indices point. Gives this tensor.</summary>
    public Tensor IndexPutInPlace(ReadOnlySpan<Tensor?> indices, Tensor values, bool accumulate = false) =>
        InPlace(indexPutInPlaceOp, this, indices.ToArray(), values, accumulate);

    /// <summary>The positions of a dimension that <paramref name="index"/> [n] lists.</summary>
    public Tensor IndexSelect(long dimension, Tensor index) => indexSelectOp.Call(this, dimension, index);

    /// <summary>A copy with the positions that <paramref name="index"/> [n] lists replaced by those of <paramref name="source"/>.</summary>
    public Tensor IndexCopy(long dimension, Tensor index, Tensor source) => indexCopyOp.Call(this, dimension, index, source);

    /// <summary>Replaces the positions that <paramref name="index"/> [n] lists by those of <paramref name="source"/>. Gives this tensor.</summary>
    public Tensor IndexCopyInPlace(long dimension, Tensor index, Tensor source) => InPlace(indexCopyInPlaceOp, this, dimension, index, source);

    /// <summary>A copy with <paramref name="source"/> added at the positions that <paramref name="index"/> [n] lists.</summary>
    public Tensor IndexAdd(long dimension, Tensor index, Tensor source) => indexAddOp.Call(this, dimension, index, source);

    /// <summary>Adds <paramref name="source"/> at the positions that <paramref name="index"/> [n] lists. Gives this tensor.</summary>
    public Tensor IndexAddInPlace(long dimension, Tensor index, Tensor source) => InPlace(indexAddInPlaceOp, this, dimension, index, source);

    /// <summary>A copy with one value at the positions that <paramref name="index"/> [n] lists.</summary>
    public Tensor IndexFill(long dimension, Tensor index, Scalar value) => indexFillOp.Call(this, dimension, index, value);

    /// <summary>For each element of <paramref name="index"/>, the element of this tensor at that position of the dimension; shape of the index.</summary>
    public Tensor Gather(long dimension, Tensor index) => gatherOp.Call(this, dimension, index);

    /// <summary>A copy with each element of <paramref name="source"/> written to the position of the dimension that the index tells.</summary>
    public Tensor Scatter(long dimension, Tensor index, Tensor source) => scatterOp.Call(this, dimension, index, source);

    /// <summary>A copy with one value written to the positions of the dimension that the index tells.</summary>
    public Tensor Scatter(long dimension, Tensor index, Scalar value) => scatterValueOp.Call(this, dimension, index, value);

    /// <summary>A copy with each element of <paramref name="source"/> added at the position of the dimension that the index tells.</summary>
    public Tensor ScatterAdd(long dimension, Tensor index, Tensor source) => scatterAddOp.Call(this, dimension, index, source);

    /// <summary>A copy with one value where the mask (Bool, broadcast) is true.</summary>
    public Tensor MaskedFill(Tensor mask, Scalar value) => maskedFillOp.Call(this, mask, value);

    /// <summary>Writes one value where the mask (Bool, broadcast) is true. Gives this tensor.</summary>
    public Tensor MaskedFillInPlace(Tensor mask, Scalar value) => InPlace(maskedFillInPlaceOp, this, mask, value);

    /// <summary>The elements where the mask (Bool, broadcast) is true; [n].</summary>
    public Tensor MaskedSelect(Tensor mask) => maskedSelectOp.Call(this, mask);

    /// <summary>Elements of one tensor where the condition (Bool) is true, of the other elsewhere; all broadcast.</summary>
    public static Tensor Where(Tensor condition, Tensor whereTrue, Tensor whereFalse) => whereOp.Call(condition, whereTrue, whereFalse);

    /// <summary>Elements of a tensor where the condition (Bool) is true, one value elsewhere.</summary>
    public static Tensor Where(Tensor condition, Tensor whereTrue, Scalar whereFalse) => whereScalarOp.Call(condition, whereTrue, whereFalse);

    /// <summary>The positions of the nonzero elements; [n, rank].</summary>
    public Tensor NonZero() => nonZeroOp.Call(this);

    /// <summary>A diagonal over two dimensions as the last dimension; a view.</summary>
    public Tensor Diagonal(long offset = 0, long first = 0, long second = 1) => diagonalOp.Call(this, offset, first, second);
}
