using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

// Element by element arithmetic with broadcasting, and matrix products. libtorch 2.10 takes no bare numbers through its C interface:
// they go as tensors without dimensions, which do not widen the dtype of a tensor that has some.
public sealed unsafe partial class Tensor
{
    private static readonly AtenOperator
        MulOp = new("aten::mul", "Tensor"), DivOp = new("aten::div", "Tensor"), NegOp = new("aten::neg"), AbsOp = new("aten::abs"),
        SignOp = new("aten::sign"), ExpOp = new("aten::exp"), LogOp = new("aten::log"), SqrtOp = new("aten::sqrt"),
        PowOp = new("aten::pow", "Tensor_Tensor"), MaximumOp = new("aten::maximum"), MinimumOp = new("aten::minimum"),
        TanhOp = new("aten::tanh"), SigmoidOp = new("aten::sigmoid"), ReluOp = new("aten::relu"), SoftmaxOp = new("aten::softmax", "int"),
        LogSoftmaxOp = new("aten::log_softmax", "int"), MatmulOp = new("aten::matmul"), MulInPlaceOp = new("aten::mul_", "Tensor"),
        AddScaledInPlaceOp = new("aten::_foreach_addcmul_", "Tensor");

    /// <summary>Sum.</summary>
    public static Tensor operator +(Tensor left, Tensor right) => Given(left).Add(right);

    /// <summary>Sum.</summary>
    public static Tensor operator +(Tensor left, double right) => Given(left).Add(right);

    /// <summary>Sum; integers stay integers.</summary>
    public static Tensor operator +(Tensor left, long right) => Given(left).Add(right);

    /// <summary>Difference.</summary>
    public static Tensor operator -(Tensor left, Tensor right) => Given(left).Sub(right);

    /// <summary>Difference.</summary>
    public static Tensor operator -(Tensor left, double right) => Given(left).Add(-right);

    /// <summary>Difference; integers stay integers.</summary>
    public static Tensor operator -(Tensor left, long right) => Given(left).Add(-right);

    /// <summary>Product, element by element.</summary>
    public static Tensor operator *(Tensor left, Tensor right) => MulOp.Call(Given(left), Given(right));

    /// <summary>Product.</summary>
    public static Tensor operator *(Tensor left, double right) => Given(left).WithNumber(MulOp, right);

    /// <summary>Product; integers stay integers.</summary>
    public static Tensor operator *(Tensor left, long right) => MulOp.Call(Given(left), Argument.Number(right));

    /// <summary>Quotient; integers give floating-point numbers.</summary>
    public static Tensor operator /(Tensor left, Tensor right) => DivOp.Call(Given(left), Given(right));

    /// <summary>Quotient; integers give floating-point numbers.</summary>
    public static Tensor operator /(Tensor left, double right) => Given(left).WithNumber(DivOp, right);

    /// <summary>Negation.</summary>
    public static Tensor operator -(Tensor tensor) => NegOp.Call(Given(tensor));

    /// <summary>This + scale * other. For integers, scale is 1.</summary>
    public Tensor Add(Tensor other, double scale = 1)
    {
        bool exact = !DType.IsFloatingPoint() && !Given(other).DType.IsFloatingPoint();
        return exact && scale == 1 ? SumOf(this, other) : Subtract(other, -scale);
    }

    /// <summary>This + other.</summary>
    public Tensor Add(double other)
    {
        if (Rank == 0)
            return Lifted(t => t.Add(other));
        using Tensor number = From(other);
        using Tensor narrow = number.To(DType.IsFloatingPoint() ? DType.Float64 : DType.Float32);
        return Subtract(narrow, -1);
    }

    /// <summary>This + other; integers stay integers.</summary>
    public Tensor Add(long other)
    {
        if (DType.IsFloatingPoint())
            return Add((double)other);
        using Tensor number = DType == DType.Bool ? From(other) : From(other).To(DType);
        return SumOf(this, number);
    }

    /// <summary>This - other.</summary>
    internal Tensor Sub(Tensor other)
    {
        if (DType.IsFloatingPoint() || Given(other).DType.IsFloatingPoint())
            return Subtract(other, 1);
        using Tensor negative = -other;
        return SumOf(this, negative);
    }

    /// <summary>Absolute value.</summary>
    public Tensor Abs() => AbsOp.Call(this);

    /// <summary>-1, 0 or 1.</summary>
    public Tensor Sign() => SignOp.Call(this);

    /// <summary>Exponential function.</summary>
    public Tensor Exp() => ExpOp.Call(this);

    /// <summary>Natural logarithm.</summary>
    public Tensor Log() => LogOp.Call(this);

    /// <summary>Square root.</summary>
    public Tensor Sqrt() => SqrtOp.Call(this);

    /// <summary>This to the power of the exponent.</summary>
    public Tensor Pow(double exponent) => exponent == 2 ? MulOp.Call(this, this) : WithNumber(PowOp, exponent);

    /// <summary>Cut to the range from <paramref name="minimum"/> to <paramref name="maximum"/>; null for no bound.</summary>
    public Tensor Clamp(double? minimum = null, double? maximum = null)
    {
        using TensorScope scope = new();
        Tensor result = minimum is { } low ? WithNumber(MaximumOp, low) : this;
        if (maximum is { } high)
            result = result.WithNumber(MinimumOp, high);
        return ReferenceEquals(result, this) ? scope.Keep(Alias()) : scope.Keep(result);
    }

    /// <summary>Hyperbolic tangent.</summary>
    public Tensor Tanh() => TanhOp.Call(this);

    /// <summary>1 / (1 + exp(-this)).</summary>
    public Tensor Sigmoid() => SigmoidOp.Call(this);

    /// <summary>max(this, 0).</summary>
    public Tensor Relu() => ReluOp.Call(this);

    /// <summary>Gaussian error linear unit.</summary>
    /// <param name="tanh">True: the approximation by tanh (HF's <c>gelu_new</c>); false: the exact one by erf.</param>
    public Tensor Gelu(bool tanh = false) => LongformerOps.Activate(this, tanh ? Activation.GeluTanh : Activation.Gelu);

    /// <summary>Softmax over one dimension, computed in <paramref name="dtype"/> if given.</summary>
    public Tensor Softmax(long dimension, DType? dtype = null) => SoftmaxOp.Call(this, dimension, Argument.Optional(dtype));

    /// <summary>Logarithm of the softmax over one dimension, computed in <paramref name="dtype"/> if given.</summary>
    public Tensor LogSoftmax(long dimension, DType? dtype = null) => LogSoftmaxOp.Call(this, dimension, Argument.Optional(dtype));

    /// <summary>Matrix product [..., n, k] x [..., k, m] -> [..., n, m]; leading dimensions broadcast.</summary>
    public Tensor MatMul(Tensor other) => MatmulOp.Call(this, other);

    /// <summary>Adds scale * other to this tensor. Gives this tensor. For integers, scale is an integer.</summary>
    public Tensor AddInPlace(Tensor other, double scale = 1)
    {
        using Tensor one = Full([], 1, DType, Device);
        using Tensor factor = DType.IsFloatingPoint() ? From([scale], 1) : From([checked((long)scale)], 1);
        AddScaledInPlaceOp.RunVoid((Tensor[])[this], (Tensor[])[Given(other)], (Tensor[])[one], factor);
        return this;
    }

    /// <summary>Adds a number to this tensor. Gives this tensor.</summary>
    public Tensor AddInPlace(double other)
    {
        using Tensor number = Full([], other, DType, Device);
        return AddInPlace(number);
    }

    /// <summary>Subtracts from this tensor. Gives this tensor.</summary>
    public Tensor SubInPlace(Tensor other) => AddInPlace(other, -1);

    /// <summary>Multiplies this tensor. Gives this tensor.</summary>
    public Tensor MulInPlace(Tensor other)
    {
        MulInPlaceOp.Run(this, other);
        return this;
    }

    /// <summary>Multiplies this tensor. Gives this tensor.</summary>
    public Tensor MulInPlace(double other)
    {
        MulInPlaceOp.Run(this, Argument.Number(other, DType));
        return this;
    }

    /// <summary>Overwrites the elements with those of another tensor, converted and broadcast. Gives this tensor.</summary>
    public Tensor CopyInPlace(Tensor source) => CopyFrom(Given(source), wait: true);

    /// <summary>Overwrites the elements with one value. Gives this tensor.</summary>
    public Tensor FillInPlace(double value)
    {
        Native.CheckTorch(Libtorch.Fill(Handle, value), $"aten::fill_({Describe()}, {value})");
        GC.KeepAlive(this);
        return this;
    }

    /// <summary>Overwrites the elements with zeros. Gives this tensor.</summary>
    public Tensor ZeroInPlace()
    {
        Native.CheckTorch(Libtorch.Zero(Handle), $"aten::zero_({Describe()})");
        GC.KeepAlive(this);
        return this;
    }

    private Tensor CopyFrom(Tensor source, bool wait)
    {
        Native.Ensure();
        Native.CheckTorch(Libtorch.Copy(Handle, source.Handle, wait ? 0 : 1), $"aten::copy_({Describe()}, {source.Describe()})");
        GC.KeepAlive(this);
        GC.KeepAlive(source);
        return this;
    }

    // The only addition of floating-point tensors that 2.10's interface offers on every device.
    private Tensor Subtract(Tensor other, double scale)
    {
        Native.Ensure();
        nint result;
        Native.CheckTorch(Libtorch.Subtract(Handle, Given(other).Handle, scale, &result),
            $"aten::sub.Tensor({Describe()}, {other.Describe()}, {scale})");
        GC.KeepAlive(this);
        GC.KeepAlive(other);
        return Made(result);
    }

    // That addition takes no integers.
    private static Tensor SumOf(Tensor left, Tensor right)
    {
        DType type = left.DType == right.DType || right.Rank == 0 ? left.DType : left.Rank == 0 ? right.DType
            : left.DType.ElementSize() >= right.DType.ElementSize() ? left.DType : right.DType;
        if (type == DType.Bool)
            type = right.DType;
        Tensor sum = Empty(Broadcast(left, right), type, left.Device).CopyInPlace(left);
        return sum.AddInPlace(right);
    }

    private static long[] Broadcast(Tensor left, Tensor right)
    {
        long[] shape = new long[Math.Max(left.Rank, right.Rank)];
        for (int i = 1; i <= shape.Length; i++)
        {
            long a = i <= left.Rank ? left.Sizes[^i] : 1, b = i <= right.Rank ? right.Sizes[^i] : 1;
            if (a != b && a != 1 && b != 1)
                throw new InputException($"{left.Describe()} and {right.Describe()} do not fit together: {a} against {b}");
            shape[^i] = a == 1 ? b : a;
        }
        return shape;
    }

    // A number must not widen this tensor's dtype; only where both have no dimensions would it.
    private Tensor WithNumber(AtenOperator op, double number) =>
        Rank > 0 ? op.Call(this, Argument.Number(number, DType)) : Lifted(t => op.Call(t, Argument.Number(number, t.DType)));

    private Tensor Lifted(Func<Tensor, Tensor> work)
    {
        using TensorScope scope = new();
        return scope.Keep(work(Reshape(1)).Reshape());
    }

    private static Tensor Given(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return tensor;
    }
}
