namespace LongformerInterop.Torch;

// Element by element arithmetic with broadcasting, and matrix products.
public sealed partial class Tensor
{
    private static readonly Operator
        addOp = Operator.Lazy("aten::add", "Tensor"), addScalarOp = Operator.Lazy("aten::add", "Scalar"),
        subOp = Operator.Lazy("aten::sub", "Tensor"), subScalarOp = Operator.Lazy("aten::sub", "Scalar"),
        rsubScalarOp = Operator.Lazy("aten::rsub", "Scalar"), mulOp = Operator.Lazy("aten::mul", "Tensor"),
        mulScalarOp = Operator.Lazy("aten::mul", "Scalar"), divOp = Operator.Lazy("aten::div", "Tensor"),
        divScalarOp = Operator.Lazy("aten::div", "Scalar"), divScalarModeOp = Operator.Lazy("aten::div", "Scalar_mode"),
        divModeOp = Operator.Lazy("aten::div", "Tensor_mode"), remainderOp = Operator.Lazy("aten::remainder", "Scalar"),
        reciprocalOp = Operator.Lazy("aten::reciprocal"), negOp = Operator.Lazy("aten::neg"), absOp = Operator.Lazy("aten::abs"),
        signOp = Operator.Lazy("aten::sign"), expOp = Operator.Lazy("aten::exp"), logOp = Operator.Lazy("aten::log"),
        sqrtOp = Operator.Lazy("aten::sqrt"), rsqrtOp = Operator.Lazy("aten::rsqrt"), sinOp = Operator.Lazy("aten::sin"),
        cosOp = Operator.Lazy("aten::cos"), floorOp = Operator.Lazy("aten::floor"), ceilOp = Operator.Lazy("aten::ceil"),
        roundOp = Operator.Lazy("aten::round"), powOp = Operator.Lazy("aten::pow", "Tensor_Scalar"),
        powTensorOp = Operator.Lazy("aten::pow", "Tensor_Tensor"), clampOp = Operator.Lazy("aten::clamp"),
        maximumOp = Operator.Lazy("aten::maximum"), minimumOp = Operator.Lazy("aten::minimum"), tanhOp = Operator.Lazy("aten::tanh"),
        sigmoidOp = Operator.Lazy("aten::sigmoid"), reluOp = Operator.Lazy("aten::relu"), geluOp = Operator.Lazy("aten::gelu"),
        softmaxOp = Operator.Lazy("aten::softmax", "int"), logSoftmaxOp = Operator.Lazy("aten::log_softmax", "int"),
        matmulOp = Operator.Lazy("aten::matmul"), addmmOp = Operator.Lazy("aten::addmm"), einsumOp = Operator.Lazy("aten::einsum"),
        addInPlaceOp = Operator.Lazy("aten::add_", "Tensor"), addScalarInPlaceOp = Operator.Lazy("aten::add_", "Scalar"),
        subInPlaceOp = Operator.Lazy("aten::sub_", "Tensor"), mulInPlaceOp = Operator.Lazy("aten::mul_", "Tensor"),
        mulScalarInPlaceOp = Operator.Lazy("aten::mul_", "Scalar"), divInPlaceOp = Operator.Lazy("aten::div_", "Tensor"),
        divScalarInPlaceOp = Operator.Lazy("aten::div_", "Scalar"), copyInPlaceOp = Operator.Lazy("aten::copy_"),
        fillInPlaceOp = Operator.Lazy("aten::fill_", "Scalar"), zeroInPlaceOp = Operator.Lazy("aten::zero_");

    /// <summary>Sum.</summary>
    public static Tensor operator +(Tensor left, Tensor right) => addOp.Call(left, right);

    /// <summary>Sum.</summary>
    public static Tensor operator +(Tensor left, Scalar right) => addScalarOp.Call(left, right);

    /// <summary>Sum.</summary>
    public static Tensor operator +(Scalar left, Tensor right) => addScalarOp.Call(right, left);

    /// <summary>Difference.</summary>
    public static Tensor operator -(Tensor left, Tensor right) => subOp.Call(left, right);

    /// <summary>Difference.</summary>
    public static Tensor operator -(Tensor left, Scalar right) => subScalarOp.Call(left, right);

    /// <summary>Difference.</summary>
    public static Tensor operator -(Scalar left, Tensor right) => rsubScalarOp.Call(right, left);

    /// <summary>Product, element by element.</summary>
    public static Tensor operator *(Tensor left, Tensor right) => mulOp.Call(left, right);

    /// <summary>Product.</summary>
    public static Tensor operator *(Tensor left, Scalar right) => mulScalarOp.Call(left, right);

    /// <summary>Product.</summary>
    public static Tensor operator *(Scalar left, Tensor right) => mulScalarOp.Call(right, left);

    /// <summary>Quotient; integers give floating-point numbers.</summary>
    public static Tensor operator /(Tensor left, Tensor right) => divOp.Call(left, right);

    /// <summary>Quotient; integers give floating-point numbers.</summary>
    public static Tensor operator /(Tensor left, Scalar right) => divScalarOp.Call(left, right);

    /// <summary>Negation.</summary>
    public static Tensor operator -(Tensor tensor) => negOp.Call(tensor);

    /// <summary>This + scale * other.</summary>
    public Tensor Add(Tensor other, double scale) => addOp.Call(this, other, scale);

    /// <summary>This + other.</summary>
    public Tensor Add(Tensor other) => addOp.Call(this, other);

    /// <summary>This + other.</summary>
    public Tensor Add(Scalar other) => addScalarOp.Call(this, other);

    /// <summary>This - other.</summary>
    public Tensor Sub(Tensor other) => subOp.Call(this, other);

    /// <summary>This - other.</summary>
    public Tensor Sub(Scalar other) => subScalarOp.Call(this, other);

    /// <summary>This * other, element by element.</summary>
    public Tensor Mul(Tensor other) => mulOp.Call(this, other);

    /// <summary>This * other.</summary>
    public Tensor Mul(Scalar other) => mulScalarOp.Call(this, other);

    /// <summary>This / other; integers give floating-point numbers.</summary>
    public Tensor Div(Tensor other) => divOp.Call(this, other);

    /// <summary>This / other; integers give floating-point numbers.</summary>
    public Tensor Div(Scalar other) => divScalarOp.Call(this, other);

    /// <summary>This / other rounded down; integers stay integers.</summary>
    public Tensor FloorDivide(Tensor other) => divModeOp.Call(this, other, "floor");

    /// <summary>This / other rounded down; integers stay integers.</summary>
    public Tensor FloorDivide(Scalar other) => divScalarModeOp.Call(this, other, "floor");

    /// <summary>What the division rounded down leaves, with the sign of <paramref name="other"/>.</summary>
    public Tensor Remainder(Scalar other) => remainderOp.Call(this, other);

    /// <summary>1 / this.</summary>
    public Tensor Reciprocal() => reciprocalOp.Call(this);

    /// <summary>- this.</summary>
    public Tensor Negate() => negOp.Call(this);

    /// <summary>Absolute value.</summary>
    public Tensor Abs() => absOp.Call(this);

    /// <summary>-1, 0 or 1.</summary>
    public Tensor Sign() => signOp.Call(this);

    /// <summary>Exponential function.</summary>
    public Tensor Exp() => expOp.Call(this);

    /// <summary>Natural logarithm.</summary>
    public Tensor Log() => logOp.Call(this);

    /// <summary>Square root.</summary>
    public Tensor Sqrt() => sqrtOp.Call(this);

    /// <summary>1 / square root.</summary>
    public Tensor Rsqrt() => rsqrtOp.Call(this);

    /// <summary>Sine.</summary>
    public Tensor Sin() => sinOp.Call(this);

    /// <summary>Cosine.</summary>
    public Tensor Cos() => cosOp.Call(this);

    /// <summary>Rounded down.</summary>
    public Tensor Floor() => floorOp.Call(this);

    /// <summary>Rounded up.</summary>
    public Tensor Ceil() => ceilOp.Call(this);

    /// <summary>Rounded to the nearest integer, halves to even.</summary>
    public Tensor Round() => roundOp.Call(this);

    /// <summary>This to the power of the exponent.</summary>
    public Tensor Pow(Scalar exponent) => powOp.Call(this, exponent);

    /// <summary>This to the power of the exponent, element by element.</summary>
    public Tensor Pow(Tensor exponent) => powTensorOp.Call(this, exponent);

    /// <summary>Cut to the range from <paramref name="minimum"/> to <paramref name="maximum"/>; null for no bound.</summary>
    public Tensor Clamp(Scalar? minimum = null, Scalar? maximum = null) =>
        clampOp.Call(this, minimum?.Argument ?? Argument.None, maximum?.Argument ?? Argument.None);

    /// <summary>The larger of two, element by element.</summary>
    public Tensor Maximum(Tensor other) => maximumOp.Call(this, other);

    /// <summary>The smaller of two, element by element.</summary>
    public Tensor Minimum(Tensor other) => minimumOp.Call(this, other);

    /// <summary>Hyperbolic tangent.</summary>
    public Tensor Tanh() => tanhOp.Call(this);

    /// <summary>1 / (1 + exp(-this)).</summary>
    public Tensor Sigmoid() => sigmoidOp.Call(this);

    /// <summary>max(this, 0).</summary>
    public Tensor Relu() => reluOp.Call(this);

    /// <summary>Gaussian error linear unit.</summary>
    /// <param name="tanh">True: the approximation by tanh (HF's <c>gelu_new</c>); false: the exact one by erf.</param>
    public Tensor Gelu(bool tanh = false) => geluOp.Call(this, tanh ? "tanh" : "none");

    /// <summary>Softmax over one dimension, computed in <paramref name="dtype"/> if given.</summary>
    public Tensor Softmax(long dimension, DType? dtype = null) => softmaxOp.Call(this, dimension, dtype);

    /// <summary>Logarithm of the softmax over one dimension, computed in <paramref name="dtype"/> if given.</summary>
    public Tensor LogSoftmax(long dimension, DType? dtype = null) => logSoftmaxOp.Call(this, dimension, dtype);

    /// <summary>Matrix product [..., n, k] x [..., k, m] -> [..., n, m]; leading dimensions broadcast.</summary>
    public Tensor MatMul(Tensor other) => matmulOp.Call(this, other);

    /// <summary>This + left x right, with left [n, k], right [k, m] and this broadcast to [n, m].</summary>
    public Tensor AddMatMul(Tensor left, Tensor right) => addmmOp.Call(this, left, right);

    /// <summary>Sums of products by Einstein's notation, such as <c>"bthd,bshd-&gt;bhts"</c>.</summary>
    public static Tensor Einsum(string equation, params ReadOnlySpan<Tensor> tensors) => einsumOp.Call(equation, tensors);

    /// <summary>Adds scale * other to this tensor. Gives this tensor.</summary>
    public Tensor AddInPlace(Tensor other, double scale = 1) =>
        scale == 1 ? InPlace(addInPlaceOp, this, other) : InPlace(addInPlaceOp, this, other, scale);

    /// <summary>Adds a number to this tensor. Gives this tensor.</summary>
    public Tensor AddInPlace(Scalar other) => InPlace(addScalarInPlaceOp, this, other);

    /// <summary>Subtracts from this tensor. Gives this tensor.</summary>
    public Tensor SubInPlace(Tensor other) => InPlace(subInPlaceOp, this, other);

    /// <summary>Multiplies this tensor. Gives this tensor.</summary>
    public Tensor MulInPlace(Tensor other) => InPlace(mulInPlaceOp, this, other);

    /// <summary>Multiplies this tensor. Gives this tensor.</summary>
    public Tensor MulInPlace(Scalar other) => InPlace(mulScalarInPlaceOp, this, other);

    /// <summary>Divides this tensor. Gives this tensor.</summary>
    public Tensor DivInPlace(Tensor other) => InPlace(divInPlaceOp, this, other);

    /// <summary>Divides this tensor. Gives this tensor.</summary>
    public Tensor DivInPlace(Scalar other) => InPlace(divScalarInPlaceOp, this, other);

    /// <summary>Overwrites the elements with those of another tensor, converted and broadcast. Gives this tensor.</summary>
    public Tensor CopyInPlace(Tensor source) => InPlace(copyInPlaceOp, this, source);

    /// <summary>Overwrites the elements with one value. Gives this tensor.</summary>
    public Tensor FillInPlace(Scalar value) => InPlace(fillInPlaceOp, this, value);

    /// <summary>Overwrites the elements with zeros. Gives this tensor.</summary>
    public Tensor ZeroInPlace() => InPlace(zeroInPlaceOp, this);
}
