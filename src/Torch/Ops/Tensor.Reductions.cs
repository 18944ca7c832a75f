using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

// Many elements to one: over everything, or over some dimensions, which disappear unless kept with size 1.
public sealed unsafe partial class Tensor
{
    private static readonly AtenOperator
        sumOp = new("aten::sum"), sumDimOp = new("aten::sum", "dim_IntList"), meanOp = new("aten::mean"), meanDimOp = new("aten::mean", "dim"),
        maxOp = new("aten::max"), maxDimOp = new("aten::max", "dim"), minOp = new("aten::min"), minDimOp = new("aten::min", "dim"),
        argmaxOp = new("aten::argmax"), allOp = new("aten::all"), allDimOp = new("aten::all", "dim"), anyOp = new("aten::any"),
        anyDimOp = new("aten::any", "dim"), cumsumOp = new("aten::cumsum"), logsumexpOp = new("aten::logsumexp"), topkOp = new("aten::topk"),
        sortOp = new("aten::sort");

    // No overload takes a dtype alone: the literal 0 converts to any enumeration, so that Sum(0) would not mean dimension 0.

    /// <summary>Sum of all elements; integers and truth values give Int64.</summary>
    public Tensor Sum() => sumOp.Call(this, Argument.None);

    /// <summary>Sums over a dimension.</summary>
    public Tensor Sum(long dimension, bool keep = false, DType? dtype = null) => Sum([dimension], keep, dtype);

    /// <summary>Sums over several dimensions.</summary>
    public Tensor Sum(ReadOnlySpan<long> dimensions, bool keep = false, DType? dtype = null)
    {
        fixed (long* d = dimensions) return sumDimOp.Call(this, Argument.OptionalInts(d, dimensions.Length), keep, Argument.Optional(dtype));
    }

    /// <summary>Mean of all elements.</summary>
    public Tensor Mean() => meanOp.Call(this, Argument.None);

    /// <summary>Means over a dimension.</summary>
    public Tensor Mean(long dimension, bool keep = false, DType? dtype = null) => Mean([dimension], keep, dtype);

    /// <summary>Means over several dimensions.</summary>
    public Tensor Mean(ReadOnlySpan<long> dimensions, bool keep = false, DType? dtype = null)
    {
        fixed (long* d = dimensions) return meanDimOp.Call(this, Argument.OptionalInts(d, dimensions.Length), keep, Argument.Optional(dtype));
    }

    /// <summary>The largest element.</summary>
    public Tensor Max() => maxOp.Call(this);

    /// <summary>The largest elements over a dimension and where they are (Int64).</summary>
    public (Tensor Values, Tensor Indices) Max(long dimension, bool keep = false) => maxDimOp.Call2(this, dimension, keep);

    /// <summary>The smallest element.</summary>
    public Tensor Min() => minOp.Call(this);

    /// <summary>The smallest elements over a dimension and where they are (Int64).</summary>
    public (Tensor Values, Tensor Indices) Min(long dimension, bool keep = false) => minDimOp.Call2(this, dimension, keep);

    /// <summary>Where the largest element is (Int64): over a dimension, or in the flattened tensor.</summary>
    public Tensor ArgMax(long? dimension = null, bool keep = false) => argmaxOp.Call(this, Argument.Optional(dimension), keep);

    /// <summary>Whether all elements are nonzero.</summary>
    public Tensor All() => allOp.Call(this);

    /// <summary>Whether all elements over a dimension are nonzero.</summary>
    public Tensor All(long dimension, bool keep = false) => allDimOp.Call(this, dimension, keep);

    /// <summary>Whether some element is nonzero.</summary>
    public Tensor Any() => anyOp.Call(this);

    /// <summary>Whether some element over a dimension is nonzero.</summary>
    public Tensor Any(long dimension, bool keep = false) => anyDimOp.Call(this, dimension, keep);

    /// <summary>Running sums along a dimension; integers and truth values give Int64.</summary>
    public Tensor CumSum(long dimension, DType? dtype = null) => cumsumOp.Call(this, dimension, Argument.Optional(dtype));

    /// <summary>log(sum(exp(this))) over a dimension.</summary>
    public Tensor LogSumExp(long dimension, bool keep = false) => logsumexpOp.Call(this, Argument.Ints(&dimension, 1), keep);

    /// <summary>The <paramref name="count"/> largest (or smallest) elements along a dimension, sorted, and where they are (Int64).</summary>
    public (Tensor Values, Tensor Indices) TopK(long count, long dimension = -1, bool largest = true) =>
        topkOp.Call2(this, count, dimension, largest, true);

    /// <summary>Sorted along a dimension, and where each element was (Int64).</summary>
    public (Tensor Values, Tensor Indices) Sort(long dimension = -1, bool descending = false) => sortOp.Call2(this, dimension, descending);
}
