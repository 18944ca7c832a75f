namespace LongformerInterop.Torch;

// Comparisons and logic, element by element with broadcasting; results are Bool.
public sealed partial class Tensor
{
    private static readonly Operator
        eqOp = Operator.Lazy("aten::eq", "Tensor"), eqScalarOp = Operator.Lazy("aten::eq", "Scalar"), neOp = Operator.Lazy("aten::ne", "Tensor"),
        neScalarOp = Operator.Lazy("aten::ne", "Scalar"), ltOp = Operator.Lazy("aten::lt", "Tensor"), ltScalarOp = Operator.Lazy("aten::lt", "Scalar"),
        leOp = Operator.Lazy("aten::le", "Tensor"), leScalarOp = Operator.Lazy("aten::le", "Scalar"), gtOp = Operator.Lazy("aten::gt", "Tensor"),
        gtScalarOp = Operator.Lazy("aten::gt", "Scalar"), geOp = Operator.Lazy("aten::ge", "Tensor"), geScalarOp = Operator.Lazy("aten::ge", "Scalar"),
        andOp = Operator.Lazy("aten::logical_and"), orOp = Operator.Lazy("aten::logical_or"), xorOp = Operator.Lazy("aten::logical_xor"),
        notOp = Operator.Lazy("aten::logical_not"), isNanOp = Operator.Lazy("aten::isnan"), isInfOp = Operator.Lazy("aten::isinf"),
        isFiniteOp = Operator.Lazy("aten::isfinite"), equalOp = Operator.Lazy("aten::equal"), allCloseOp = Operator.Lazy("aten::allclose"),
        isInOp = Operator.Lazy("aten::isin", "Tensor_Tensor");

    /// <summary>This == other.</summary>
    public Tensor Eq(Tensor other) => eqOp.Call(this, other);

    /// <summary>This == other.</summary>
    public Tensor Eq(Scalar other) => eqScalarOp.Call(this, other);

    /// <summary>This != other.</summary>
    public Tensor Ne(Tensor other) => neOp.Call(this, other);

    /// <summary>This != other.</summary>
    public Tensor Ne(Scalar other) => neScalarOp.Call(this, other);

    /// <summary>This &lt; other.</summary>
    public Tensor Lt(Tensor other) => ltOp.Call(this, other);

    /// <summary>This &lt; other.</summary>
    public Tensor Lt(Scalar other) => ltScalarOp.Call(this, other);

    /// <summary>This &lt;= other.</summary>
    public Tensor Le(Tensor other) => leOp.Call(this, other);

    /// <summary>This &lt;= other.</summary>
    public Tensor Le(Scalar other) => leScalarOp.Call(this, other);

    /// <summary>This &gt; other.</summary>
    public Tensor Gt(Tensor other) => gtOp.Call(this, other);

    /// <summary>This &gt; other.</summary>
    public Tensor Gt(Scalar other) => gtScalarOp.Call(this, other);

    /// <summary>This &gt;= other.</summary>
    public Tensor Ge(Tensor other) => geOp.Call(this, other);

    /// <summary>This &gt;= other.</summary>
    public Tensor Ge(Scalar other) => geScalarOp.Call(this, other);

    /// <summary>Both nonzero.</summary>
    public Tensor And(Tensor other) => andOp.Call(this, other);

    /// <summary>At least one nonzero.</summary>
    public Tensor Or(Tensor other) => orOp.Call(this, other);

    /// <summary>Exactly one nonzero.</summary>
    public Tensor Xor(Tensor other) => xorOp.Call(this, other);

    /// <summary>Zero.</summary>
    public Tensor Not() => notOp.Call(this);

    /// <summary>Not a number.</summary>
    public Tensor IsNan() => isNanOp.Call(this);

    /// <summary>Infinite, of either sign.</summary>
    public Tensor IsInf() => isInfOp.Call(this);

    /// <summary>Neither infinite nor not a number.</summary>
    public Tensor IsFinite() => isFiniteOp.Call(this);

    /// <summary>Whether each element occurs in <paramref name="values"/>.</summary>
    public Tensor IsIn(Tensor values) => isInOp.Call(this, values);

    /// <summary>Whether shape and all elements are equal. NaN equals nothing.</summary>
    public bool EqualTo(Tensor other) => equalOp.CallAll(this, other)[0].AsBool();

    /// <summary>Whether |this - other| &lt;= absolute + relative * |other| everywhere.</summary>
    public bool AllClose(Tensor other, double relative = 1e-5, double absolute = 1e-8, bool equalNan = false) =>
        allCloseOp.CallAll(this, other, relative, absolute, equalNan)[0].AsBool();
}
