namespace LongformerInterop.Torch;

// Tensors from nothing: constants, ranges, random numbers. Each takes a dtype (Float32 if not given) and a device (the CPU).
public sealed unsafe partial class Tensor
{
    private static readonly Operator
        emptyOp = Operator.Lazy("aten::empty", "memory_format"), zerosOp = Operator.Lazy("aten::zeros"),
        onesOp = Operator.Lazy("aten::ones"), fullOp = Operator.Lazy("aten::full"), arangeOp = Operator.Lazy("aten::arange", "start_step"),
        linspaceOp = Operator.Lazy("aten::linspace"), eyeOp = Operator.Lazy("aten::eye"), randOp = Operator.Lazy("aten::rand"),
        randnOp = Operator.Lazy("aten::randn"), randintOp = Operator.Lazy("aten::randint", "low"), randpermOp = Operator.Lazy("aten::randperm"),
        emptyLikeOp = Operator.Lazy("aten::empty_like"), zerosLikeOp = Operator.Lazy("aten::zeros_like"),
        onesLikeOp = Operator.Lazy("aten::ones_like"), fullLikeOp = Operator.Lazy("aten::full_like"),
        randnLikeOp = Operator.Lazy("aten::randn_like"), catOp = Operator.Lazy("aten::cat"), stackOp = Operator.Lazy("aten::stack"),
        normalInPlaceOp = Operator.Lazy("aten::normal_"), uniformInPlaceOp = Operator.Lazy("aten::uniform_");

    /// <summary>A tensor whose elements are not set.</summary>
    /// <exception cref="TorchException">There is not that much memory.</exception>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public static Tensor Empty(ReadOnlySpan<long> shape, DType dtype = DType.Float32, Device? device = null)
    {
        fixed (long* s = shape) return emptyOp.Call(Argument.Ints(s, shape.Length), dtype, Argument.None, device);
    }

    /// <summary>
    /// A tensor on the CPU whose elements are not set, for values that go to a device or come from it: a GPU reads and writes this memory
    /// by itself, which is pinned (taken from a cache that knows when a copy is done). For other devices it is ordinary memory.
    /// </summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="dtype">The type of the elements.</param>
    /// <param name="partner">The device on the other side.</param>
    public static Tensor EmptyHost(ReadOnlySpan<long> shape, DType dtype, Device partner)
    {
        if (partner.Type != DeviceType.Cuda) return Empty(shape, dtype);
        fixed (long* s = shape) return emptyOp.Call(Argument.Ints(s, shape.Length), dtype, Argument.None, Device.Cpu, true);
    }

    /// <summary>Zeros.</summary>
    public static Tensor Zeros(ReadOnlySpan<long> shape, DType dtype = DType.Float32, Device? device = null)
    {
        fixed (long* s = shape) return zerosOp.Call(Argument.Ints(s, shape.Length), dtype, Argument.None, device);
    }

    /// <summary>Ones.</summary>
    public static Tensor Ones(ReadOnlySpan<long> shape, DType dtype = DType.Float32, Device? device = null)
    {
        fixed (long* s = shape) return onesOp.Call(Argument.Ints(s, shape.Length), dtype, Argument.None, device);
    }

    /// <summary>One value everywhere.</summary>
    public static Tensor Full(ReadOnlySpan<long> shape, Scalar value, DType dtype = DType.Float32, Device? device = null)
    {
        fixed (long* s = shape) return fullOp.Call(Argument.Ints(s, shape.Length), value, dtype, Argument.None, device);
    }

    /// <summary>The integers 0, 1, ... below <paramref name="end"/>; [end].</summary>
    public static Tensor Arange(long end, DType dtype = DType.Int64, Device? device = null) => Arange(0, end, 1, dtype, device);

    /// <summary>The numbers from <paramref name="start"/>, by <paramref name="step"/>, before <paramref name="end"/>.</summary>
    public static Tensor Arange(Scalar start, Scalar end, Scalar step, DType dtype = DType.Int64, Device? device = null) =>
        arangeOp.Call(start, end, step, dtype, Argument.None, device);

    /// <summary><paramref name="steps"/> numbers at equal distances from <paramref name="start"/> to <paramref name="end"/>, both included.</summary>
    public static Tensor Linspace(double start, double end, long steps, DType dtype = DType.Float32, Device? device = null) =>
        linspaceOp.Call((Scalar)start, (Scalar)end, steps, dtype, Argument.None, device);

    /// <summary>The identity matrix [size, size].</summary>
    public static Tensor Eye(long size, DType dtype = DType.Float32, Device? device = null) =>
        eyeOp.Call(size, dtype, Argument.None, device);

    /// <summary>Random numbers, uniform in [0, 1).</summary>
    public static Tensor Rand(ReadOnlySpan<long> shape, DType dtype = DType.Float32, Device? device = null)
    {
        fixed (long* s = shape) return randOp.Call(Argument.Ints(s, shape.Length), dtype, Argument.None, device);
    }

    /// <summary>Random numbers of the standard normal distribution.</summary>
    public static Tensor Randn(ReadOnlySpan<long> shape, DType dtype = DType.Float32, Device? device = null)
    {
        fixed (long* s = shape) return randnOp.Call(Argument.Ints(s, shape.Length), dtype, Argument.None, device);
    }

    /// <summary>Random integers from <paramref name="low"/> to <paramref name="high"/> - 1.</summary>
    public static Tensor RandInt(long low, long high, ReadOnlySpan<long> shape, DType dtype = DType.Int64, Device? device = null)
    {
        fixed (long* s = shape) return randintOp.Call(low, high, Argument.Ints(s, shape.Length), dtype, Argument.None, device);
    }

    /// <summary>The integers below <paramref name="count"/> in random order; [count].</summary>
    public static Tensor RandPerm(long count, DType dtype = DType.Int64, Device? device = null) =>
        randpermOp.Call(count, dtype, Argument.None, device);

    /// <summary>Unset elements in this tensor's shape, dtype (unless given) and device.</summary>
    public Tensor EmptyLike(DType? dtype = null) => emptyLikeOp.Call(this, dtype);

    /// <summary>Zeros in this tensor's shape, dtype (unless given) and device.</summary>
    public Tensor ZerosLike(DType? dtype = null) => zerosLikeOp.Call(this, dtype);

    /// <summary>Ones in this tensor's shape, dtype (unless given) and device.</summary>
    public Tensor OnesLike(DType? dtype = null) => onesLikeOp.Call(this, dtype);

    /// <summary>One value in this tensor's shape, dtype (unless given) and device.</summary>
    public Tensor FullLike(Scalar value, DType? dtype = null) => fullLikeOp.Call(this, value, dtype);

    /// <summary>Standard normal random numbers in this tensor's shape, dtype (unless given) and device.</summary>
    public Tensor RandnLike(DType? dtype = null) => randnLikeOp.Call(this, dtype);

    /// <summary>Tensors one after the other along a dimension that they have; the other sizes are equal.</summary>
    public static Tensor Cat(ReadOnlySpan<Tensor> tensors, long dimension = 0) => catOp.Call(tensors, dimension);

    /// <summary>Tensors of one shape side by side along a new dimension.</summary>
    public static Tensor Stack(ReadOnlySpan<Tensor> tensors, long dimension = 0) => stackOp.Call(tensors, dimension);

    /// <summary>Overwrites the elements with normal random numbers. Gives this tensor.</summary>
    public Tensor NormalInPlace(double mean = 0, double deviation = 1) => InPlace(normalInPlaceOp, this, mean, deviation);

    /// <summary>Overwrites the elements with random numbers uniform in [from, to). Gives this tensor.</summary>
    public Tensor UniformInPlace(double from = 0, double to = 1) => InPlace(uniformInPlaceOp, this, from, to);

    private Tensor InPlace(Operator op, params ReadOnlySpan<Argument> arguments)
    {
        op.Run(arguments);
        return this;
    }
}
