namespace LongformerInterop.Torch;

// The same elements in another shape, order, dtype or place.
public sealed unsafe partial class Tensor
{
    private static readonly Operator
        viewOp = Operator.Lazy("aten::view"), reshapeOp = Operator.Lazy("aten::reshape"), transposeOp = Operator.Lazy("aten::transpose", "int"),
        permuteOp = Operator.Lazy("aten::permute"), contiguousOp = Operator.Lazy("aten::contiguous"), cloneOp = Operator.Lazy("aten::clone"),
        detachOp = Operator.Lazy("aten::detach"), aliasOp = Operator.Lazy("aten::alias"), unsqueezeOp = Operator.Lazy("aten::unsqueeze"),
        squeezeOp = Operator.Lazy("aten::squeeze"), squeezeDimOp = Operator.Lazy("aten::squeeze", "dim"),
        expandOp = Operator.Lazy("aten::expand"), flattenOp = Operator.Lazy("aten::flatten", "using_ints"),
        unflattenOp = Operator.Lazy("aten::unflatten", "int"), flipOp = Operator.Lazy("aten::flip"), rollOp = Operator.Lazy("aten::roll"),
        repeatOp = Operator.Lazy("aten::repeat"), repeatInterleaveOp = Operator.Lazy("aten::repeat_interleave", "self_int"),
        padOp = Operator.Lazy("aten::constant_pad_nd"), splitOp = Operator.Lazy("aten::split", "Tensor"),
        splitSizesOp = Operator.Lazy("aten::split_with_sizes"), chunkOp = Operator.Lazy("aten::chunk"), unbindOp = Operator.Lazy("aten::unbind", "int"),
        asStridedOp = Operator.Lazy("aten::as_strided"), unfoldOp = Operator.Lazy("aten::unfold"), toDtypeOp = Operator.Lazy("aten::to", "dtype"),
        toLayoutOp = Operator.Lazy("aten::to", "dtype_layout"), viewDtypeOp = Operator.Lazy("aten::view", "dtype"),
        triuOp = Operator.Lazy("aten::triu"), trilOp = Operator.Lazy("aten::tril");

    /// <summary>The same memory in another shape; one size may be -1.</summary>
    public Tensor View(params ReadOnlySpan<long> shape)
    {
        fixed (long* s = shape) return viewOp.Call(this, Argument.Ints(s, shape.Length));
    }

    /// <summary>The same memory read as another dtype of the same element size.</summary>
    public Tensor ViewAs(DType dtype) => viewDtypeOp.Call(this, dtype);

    /// <summary>Another shape, copied only where the strides require it; one size may be -1.</summary>
    public Tensor Reshape(params ReadOnlySpan<long> shape)
    {
        fixed (long* s = shape) return reshapeOp.Call(this, Argument.Ints(s, shape.Length));
    }

    /// <summary>Two dimensions exchanged; a view.</summary>
    public Tensor Transpose(long first, long second) => transposeOp.Call(this, first, second);

    /// <summary>The dimensions in another order; a view.</summary>
    public Tensor Permute(params ReadOnlySpan<long> dimensions)
    {
        fixed (long* d = dimensions) return permuteOp.Call(this, Argument.Ints(d, dimensions.Length));
    }

    /// <summary>Row-major without gaps; copied only if it is not.</summary>
    public Tensor Contiguous() => contiguousOp.Call(this);

    /// <summary>A copy.</summary>
    public Tensor Clone() => cloneOp.Call(this);

    /// <summary>The same memory, cut off from what was recorded for differentiation.</summary>
    public Tensor Detach() => detachOp.Call(this);

    /// <summary>A second object for the same memory, with a lifetime of its own.</summary>
    public Tensor Alias() => aliasOp.Call(this);

    /// <summary>A new dimension of size 1; a view.</summary>
    public Tensor Unsqueeze(long dimension) => unsqueezeOp.Call(this, dimension);

    /// <summary>Without the dimensions of size 1; a view.</summary>
    public Tensor Squeeze() => squeezeOp.Call(this);

    /// <summary>Without this dimension if its size is 1; a view.</summary>
    public Tensor Squeeze(long dimension) => squeezeDimOp.Call(this, dimension);

    /// <summary>Dimensions of size 1 repeated without a copy; -1 keeps a size.</summary>
    public Tensor Expand(params ReadOnlySpan<long> shape)
    {
        fixed (long* s = shape) return expandOp.Call(this, Argument.Ints(s, shape.Length));
    }

    /// <summary>The dimensions from <paramref name="start"/> to <paramref name="end"/>, both included, as one.</summary>
    public Tensor Flatten(long start = 0, long end = -1) => flattenOp.Call(this, start, end);

    /// <summary>One dimension as several; one size may be -1.</summary>
    public Tensor Unflatten(long dimension, params ReadOnlySpan<long> sizes)
    {
        fixed (long* s = sizes) return unflattenOp.Call(this, dimension, Argument.Ints(s, sizes.Length));
    }

    /// <summary>The order along some dimensions reversed; a copy.</summary>
    public Tensor Flip(params ReadOnlySpan<long> dimensions)
    {
        fixed (long* d = dimensions) return flipOp.Call(this, Argument.Ints(d, dimensions.Length));
    }

    /// <summary>Shifted along a dimension; what leaves at one end comes in at the other.</summary>
    public Tensor Roll(long shift, long dimension) => rollOp.Call(this, shift, dimension);

    /// <summary>Copies side by side, as often as told for each dimension.</summary>
    public Tensor Repeat(params ReadOnlySpan<long> times)
    {
        fixed (long* t = times) return repeatOp.Call(this, Argument.Ints(t, times.Length));
    }

    /// <summary>Every slice along a dimension repeated in place: a, a, b, b for two times.</summary>
    public Tensor RepeatInterleave(long times, long dimension) => repeatInterleaveOp.Call(this, times, dimension);

    /// <summary>Padded with one value. <paramref name="padding"/>: before and after the last dimension, then before and after the one
    /// before it, and so on; negative numbers cut off.</summary>
    public Tensor Pad(ReadOnlySpan<long> padding, Scalar value)
    {
        fixed (long* p = padding) return padOp.Call(this, Argument.Ints(p, padding.Length), value);
    }

    /// <summary>Views of <paramref name="size"/> along a dimension each, the last one of what is left.</summary>
    public Tensor[] Split(long size, long dimension = 0) => splitOp.CallList(this, size, dimension);

    /// <summary>Views of the given sizes along a dimension, which add up to its size.</summary>
    public Tensor[] Split(ReadOnlySpan<long> sizes, long dimension = 0)
    {
        fixed (long* s = sizes) return splitSizesOp.CallList(this, Argument.Ints(s, sizes.Length), dimension);
    }

    /// <summary>At most <paramref name="count"/> views of equal size along a dimension, the last one of what is left.</summary>
    public Tensor[] Chunk(long count, long dimension = 0) => chunkOp.CallList(this, count, dimension);

    /// <summary>One view for each position of a dimension, which disappears.</summary>
    public Tensor[] Unbind(long dimension = 0) => unbindOp.CallList(this, dimension);

    /// <summary>A view with any shape and strides on the same memory.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="strides">Distances between neighbors in elements.</param>
    /// <param name="offset">Where it starts, in elements from the start of the storage; null: where this tensor starts.</param>
    public Tensor AsStrided(ReadOnlySpan<long> shape, ReadOnlySpan<long> strides, long? offset = null)
    {
        fixed (long* s = shape, d = strides)
            return asStridedOp.Call(this, Argument.Ints(s, shape.Length), Argument.Ints(d, strides.Length), offset);
    }

    /// <summary>Overlapping windows along a dimension as a new last dimension; a view.</summary>
    public Tensor Unfold(long dimension, long size, long step) => unfoldOp.Call(this, dimension, size, step);

    /// <summary>The upper triangle of matrices, from the given diagonal on; zeros elsewhere.</summary>
    public Tensor Triu(long diagonal = 0) => triuOp.Call(this, diagonal);

    /// <summary>The lower triangle of matrices, up to the given diagonal; zeros elsewhere.</summary>
    public Tensor Tril(long diagonal = 0) => trilOp.Call(this, diagonal);

    /// <summary>Converted to a dtype; the same memory if it has that dtype already.</summary>
    public Tensor To(DType dtype) => toDtypeOp.Call(this, dtype);

    /// <summary>Copied to a device; the same memory if it lies there already.</summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public Tensor To(Device device) => toLayoutOp.Call(this, Argument.None, Argument.None, device);

    /// <summary>Converted to a dtype on a device; the same memory if nothing changes.</summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public Tensor To(Device device, DType dtype) => toLayoutOp.Call(this, dtype, Argument.None, device);

    /// <summary>
    /// Copied to a device without waiting for the copy: what is done with the result there comes after it. From memory of
    /// <see cref="EmptyHost"/> the device copies by itself; from any other the values are read before the call returns.
    /// </summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public Tensor ToAsync(Device device) => toLayoutOp.Call(this, Argument.None, Argument.None, device, Argument.None, true);
}
