namespace LongformerInterop.Torch;

// Many elements to one: over everything, or over some dimensions, which disappear unless kept with size 1.
public sealed unsafe partial class Tensor
{
    private static readonly Operator
        sumOp = Operator.Lazy("aten::sum"), sumDimOp = Operator.Lazy("aten::sum", "dim_IntList"), meanOp = Operator.Lazy("aten::mean"),
        meanDimOp = Operator.Lazy("aten::mean", "dim"), varDimOp = Operator.Lazy("aten::var", "correction"), stdOp = Operator.Lazy("aten::std"),
        maxOp = Operator.Lazy("aten::max"), maxDimOp = Operator.Lazy("aten::max", "dim"), minOp = Operator.Lazy("aten::min"),
        minDimOp = Operator.Lazy("aten::min", "dim"), amaxOp = Operator.Lazy("aten::amax"), aminOp = Operator.Lazy("aten::amin"),
        argmaxOp = Operator.Lazy("aten::argmax"), argminOp = Operator.Lazy("aten::argmin"), allOp = Operator.Lazy("aten::all"),
        allDimOp = Operator.Lazy("aten::all", "dim"), anyOp = Operator.Lazy("aten::any"), anyDimOp = Operator.Lazy("aten::any", "dim"),
        cumsumOp = Operator.Lazy("aten::cumsum"), logsumexpOp = Operator.Lazy("aten::logsumexp"), prodOp = Operator.Lazy("aten::prod"),
        normOp = Operator.Lazy("aten::linalg_vector_norm"), topkOp = Operator.Lazy("aten::topk"), sortOp = Operator.Lazy("aten::sort"),
        argsortOp = Operator.Lazy("aten::argsort"), countNonZeroOp = Operator.Lazy("aten::count_nonzero"),
        bincountOp = Operator.Lazy("aten::bincount"), multinomialOp = Operator.Lazy("aten::multinomial");

    // No overload takes a dtype alone: the literal 0 converts to any enumeration, so that Sum(0) would not mean dimension 0.

    /// <summary>Sum of all elements; integers and truth values give Int64.</summary>
    public Tensor Sum() => sumOp.Call(this);

    /// <summary>Sums over a dimension.</summary>
    public Tensor Sum(long dimension, bool keep = false, DType? dtype = null) => Sum([dimension], keep, dtype);

    /// <summary>Sums over several dimensions.</summary>
    public Tensor Sum(ReadOnlySpan<long> dimensions, bool keep = false, DType? dtype = null)
    {
        fixed (long* d = dimensions) return sumDimOp.Call(this, Argument.Ints(d, dimensions.Length), keep, dtype);
    }

    /// <summary>Mean of all elements.</summary>
    public Tensor Mean() => meanOp.Call(this);

    /// <summary>Means over a dimension.</summary>
    public Tensor Mean(long dimension, bool keep = false, DType? dtype = null) => Mean([dimension], keep, dtype);

    /// <summary>Means over several dimensions.</summary>
    public Tensor Mean(ReadOnlySpan<long> dimensions, bool keep = false, DType? dtype = null)
    {
        fixed (long* d = dimensions) return meanDimOp.Call(this, Argument.Ints(d, dimensions.Length), keep, dtype);
    }

    /// <summary>Variances over a dimension: divided by its size - <paramref name="correction"/>.</summary>
    public Tensor Var(long dimension, long correction = 1, bool keep = false) => varDimOp.Call(this, new[] { dimension }, correction, keep);

    /// <summary>Standard deviation of all elements, divided by their number - 1.</summary>
    public Tensor Std() => stdOp.Call(this);

    /// <summary>The largest element.</summary>
    public Tensor Max() => maxOp.Call(this);

    /// <summary>The largest elements over a dimension and where they are (Int64).</summary>
    public (Tensor Values, Tensor Indices) Max(long dimension, bool keep = false) => maxDimOp.Call2(this, dimension, keep);

    /// <summary>The smallest element.</summary>
    public Tensor Min() => minOp.Call(this);

    /// <summary>The smallest elements over a dimension and where they are (Int64).</summary>
    public (Tensor Values, Tensor Indices) Min(long dimension, bool keep = false) => minDimOp.Call2(this, dimension, keep);

    /// <summary>The largest elements over some dimensions.</summary>
    public Tensor AMax(ReadOnlySpan<long> dimensions, bool keep = false)
    {
        fixed (long* d = dimensions) return amaxOp.Call(this, Argument.Ints(d, dimensions.Length), keep);
    }

    /// <summary>The smallest elements over some dimensions.</summary>
    public Tensor AMin(ReadOnlySpan<long> dimensions, bool keep = false)
    {
        fixed (long* d = dimensions) return aminOp.Call(this, Argument.Ints(d, dimensions.Length), keep);
    }

    /// <summary>Where the largest element is (Int64): over a dimension, or in the flattened tensor.</summary>
    public Tensor ArgMax(long? dimension = null, bool keep = false) => argmaxOp.Call(this, dimension, keep);

    /// <summary>Where the smallest element is (Int64): over a dimension, or in the flattened tensor.</summary>
    public Tensor ArgMin(long? dimension = null, bool keep = false) => argminOp.Call(this, dimension, keep);

    /// <summary>Whether all elements are nonzero.</summary>
    public Tensor All() => allOp.Call(this);

    /// <summary>Whether all elements over a dimension are nonzero.</summary>
    public Tensor All(long dimension, bool keep = false) => allDimOp.Call(this, dimension, keep);

    /// <summary>Whether some element is nonzero.</summary>
    public Tensor Any() => anyOp.Call(this);

    /// <summary>Whether some element over a dimension is nonzero.</summary>
    public Tensor Any(long dimension, bool keep = false) => anyDimOp.Call(this, dimension, keep);

    /// <summary>Running sums along a dimension; integers and truth values give Int64.</summary>
    public Tensor CumSum(long dimension, DType? dtype = null) => cumsumOp.Call(this, dimension, dtype);

    /// <summary>log(sum(exp(this))) over a dimension.</summary>
    public Tensor LogSumExp(long dimension, bool keep = false) => logsumexpOp.Call(this, new[] { dimension }, keep);

    /// <summary>Product of all elements.</summary>
    public Tensor Prod() => prodOp.Call(this);

    /// <summary>Norm of all elements; 2 for the Euclidean one.</summary>
    public Tensor Norm(double order = 2) => normOp.Call(this, order);

    /// <summary>Norms over a dimension; 2 for the Euclidean one.</summary>
    public Tensor Norm(double order, long dimension, bool keep = false) => normOp.Call(this, order, new[] { dimension }, keep);

    /// <summary>The <paramref name="count"/> largest (or smallest) elements along a dimension, sorted, and where they are (Int64).</summary>
    public (Tensor Values, Tensor Indices) TopK(long count, long dimension = -1, bool largest = true) =>
        topkOp.Call2(this, count, dimension, largest);

    /// <summary>Sorted along a dimension, and where each element was (Int64).</summary>
    public (Tensor Values, Tensor Indices) Sort(long dimension = -1, bool descending = false) => sortOp.Call2(this, dimension, descending);

    /// <summary>The order that sorts along a dimension (Int64).</summary>
    public Tensor ArgSort(long dimension = -1, bool descending = false) => argsortOp.Call(this, dimension, descending);

    /// <summary>How many elements are nonzero (Int64), over a dimension or altogether.</summary>
    public Tensor CountNonZero(long? dimension = null) => countNonZeroOp.Call(this, dimension);

    /// <summary>How often each integer from 0 occurs in this tensor of integers [n].</summary>
    public Tensor BinCount(long minimumLength = 0) => bincountOp.Call(this, Argument.None, minimumLength);

    /// <summary>Positions drawn with the probabilities of the rows [..., n] -> [..., count] (Int64).</summary>
    public Tensor Multinomial(long count, bool replacement = false) => multinomialOp.Call(this, count, replacement);
}
