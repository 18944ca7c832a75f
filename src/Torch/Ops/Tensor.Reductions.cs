using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

// Many elements to one: over everything, or over some dimensions, which disappear unless kept with size 1.
public sealed unsafe partial class Tensor
{
    private static readonly AtenOperator
        SumOp = new("aten::sum"), SumDimOp = new("aten::sum", "dim_IntList"), MeanOp = new("aten::mean"),
        MeanDimOp = new("aten::mean", "dim"), MaxOp = new("aten::max"), MinOp = new("aten::min");

    // No overload takes a dtype alone: the literal 0 converts to any enumeration, so that Sum(0) would not mean dimension 0.

    /// <summary>Sum of all elements; integers and truth values give Int64.</summary>
    public Tensor Sum() => SumOp.Call(this, Argument.None);

    /// <summary>Sums over a dimension.</summary>
    public Tensor Sum(long dimension, bool keep = false, DType? dtype = null) => Sum([dimension], keep, dtype);

    /// <summary>Sums over several dimensions.</summary>
    public Tensor Sum(ReadOnlySpan<long> dimensions, bool keep = false, DType? dtype = null)
    {
        fixed (long* d = dimensions)
            return SumDimOp.Call(this, Argument.OptionalInts(d, dimensions.Length), keep, Argument.Optional(dtype));
    }

    /// <summary>Mean of all elements.</summary>
    public Tensor Mean() => MeanOp.Call(this, Argument.None);

    /// <summary>Means over a dimension.</summary>
    public Tensor Mean(long dimension, bool keep = false, DType? dtype = null) => Mean([dimension], keep, dtype);

    /// <summary>Means over several dimensions.</summary>
    public Tensor Mean(ReadOnlySpan<long> dimensions, bool keep = false, DType? dtype = null)
    {
        fixed (long* d = dimensions)
            return MeanDimOp.Call(this, Argument.OptionalInts(d, dimensions.Length), keep, Argument.Optional(dtype));
    }

    /// <summary>The largest element.</summary>
    public Tensor Max() => MaxOp.Call(this);

    /// <summary>The smallest element.</summary>
    public Tensor Min() => MinOp.Call(this);
}
