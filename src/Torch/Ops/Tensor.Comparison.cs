using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

// Comparisons and logic, element by element with broadcasting; results are Bool.
public sealed partial class Tensor
{
    private static readonly AtenOperator
        eqOp = new("aten::eq", "Tensor"), neOp = new("aten::ne", "Tensor"), ltOp = new("aten::lt", "Tensor"),
        leOp = new("aten::le", "Tensor"), gtOp = new("aten::gt", "Tensor"), geOp = new("aten::ge", "Tensor"),
        andOp = new("aten::logical_and"), orOp = new("aten::logical_or"), notOp = new("aten::logical_not"), equalOp = new("aten::equal"),
        isInOp = new("aten::isin", "Tensor_Tensor");

    /// <summary>This == other.</summary>
    public Tensor Eq(Tensor other) => eqOp.Call(this, other);

    /// <summary>This == other.</summary>
    public Tensor Eq(double other) => Compared(eqOp, other);

    /// <summary>This != other.</summary>
    public Tensor Ne(Tensor other) => neOp.Call(this, other);

    /// <summary>This != other.</summary>
    public Tensor Ne(double other) => Compared(neOp, other);

    /// <summary>This &lt; other.</summary>
    public Tensor Lt(Tensor other) => ltOp.Call(this, other);

    /// <summary>This &lt; other.</summary>
    public Tensor Lt(double other) => Compared(ltOp, other);

    /// <summary>This &lt;= other.</summary>
    public Tensor Le(Tensor other) => leOp.Call(this, other);

    /// <summary>This &lt;= other.</summary>
    public Tensor Le(double other) => Compared(leOp, other);

    /// <summary>This &gt; other.</summary>
    public Tensor Gt(Tensor other) => gtOp.Call(this, other);

    /// <summary>This &gt; other.</summary>
    public Tensor Gt(double other) => Compared(gtOp, other);

    /// <summary>This &gt;= other.</summary>
    public Tensor Ge(Tensor other) => geOp.Call(this, other);

    /// <summary>This &gt;= other.</summary>
    public Tensor Ge(double other) => Compared(geOp, other);

    /// <summary>Both nonzero.</summary>
    public Tensor And(Tensor other) => andOp.Call(this, other);

    /// <summary>At least one nonzero.</summary>
    public Tensor Or(Tensor other) => orOp.Call(this, other);

    /// <summary>Zero.</summary>
    public Tensor Not() => notOp.Call(this);

    /// <summary>Whether each element occurs in <paramref name="values"/>.</summary>
    public Tensor IsIn(Tensor values) => isInOp.Call(this, values, false, false);

    /// <summary>Whether shape and all elements are equal. NaN equals nothing.</summary>
    public bool EqualTo(Tensor other) => equalOp.CallBool(this, other);

    // Integers are compared as integers where the number is one, so that none is rounded.
    private Tensor Compared(AtenOperator op, double number) =>
        !DType.IsFloatingPoint() && number == Math.Floor(number) && Math.Abs(number) < 1L << 53
            ? op.Call(this, Argument.Number((long)number)) : op.Call(this, Argument.Number(number, DType.Float64));
}
