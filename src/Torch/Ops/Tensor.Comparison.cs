using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

// Comparisons and logic, element by element with broadcasting; results are Bool.
public sealed partial class Tensor
{
    private static readonly AtenOperator
        EqOp = new("aten::eq", "Tensor"), LtOp = new("aten::lt", "Tensor"), GtOp = new("aten::gt", "Tensor"),
        AndOp = new("aten::logical_and"), OrOp = new("aten::logical_or"), NotOp = new("aten::logical_not"), EqualOp = new("aten::equal"),
        IsInOp = new("aten::isin", "Tensor_Tensor");

    /// <summary>This == other.</summary>
    public Tensor Eq(Tensor other) => EqOp.Call(this, other);

    /// <summary>This == other.</summary>
    public Tensor Eq(double other) => Compared(EqOp, other);

    /// <summary>This &lt; other.</summary>
    public Tensor Lt(Tensor other) => LtOp.Call(this, other);

    /// <summary>This &lt; other.</summary>
    public Tensor Lt(double other) => Compared(LtOp, other);

    /// <summary>This &gt; other.</summary>
    public Tensor Gt(Tensor other) => GtOp.Call(this, other);

    /// <summary>This &gt; other.</summary>
    public Tensor Gt(double other) => Compared(GtOp, other);

    /// <summary>Both nonzero.</summary>
    public Tensor And(Tensor other) => AndOp.Call(this, other);

    /// <summary>At least one nonzero.</summary>
    public Tensor Or(Tensor other) => OrOp.Call(this, other);

    /// <summary>Zero.</summary>
    public Tensor Not() => NotOp.Call(this);

    /// <summary>Whether each element occurs in <paramref name="values"/>.</summary>
    public Tensor IsIn(Tensor values) => IsInOp.Call(this, values, false, false);

    /// <summary>Whether shape and all elements are equal. NaN equals nothing.</summary>
    public bool EqualTo(Tensor other) => EqualOp.CallBool(this, other);

    // Integers are compared as integers where the number is one, so that none is rounded.
    private Tensor Compared(AtenOperator op, double number) =>
        !DType.IsFloatingPoint() && number == Math.Floor(number) && Math.Abs(number) < 1L << 53
            ? op.Call(this, Argument.Number((long)number)) : op.Call(this, Argument.Number(number, DType.Float64));
}
