using System.Runtime.InteropServices;
using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

// Tensors from nothing: constants, ranges, random numbers. Each takes a dtype (Float32 if not given) and a device (the CPU).
public sealed unsafe partial class Tensor
{
    private static readonly AtenOperator
        CatOp = new("aten::cat"), StackOp = new("aten::stack");

    /// <summary>A tensor whose elements are not set, row-major.</summary>
    /// <exception cref="TorchException">There is not that much memory.</exception>
    /// <exception cref="InputException">A size is negative, or there is no such dtype.</exception>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public static Tensor Empty(ReadOnlySpan<long> shape, DType dtype = DType.Float32, Device? device = null)
    {
        Native.Ensure();
        Device where = device ?? Device.Cpu;
        if (where.Type != DeviceType.Cpu)
            TorchRuntime.RequireDevice(where);
        nint result;
        int status;
        fixed (long* s = shape)
            status = NativeMethods.Empty(s, shape.Length, (int)dtype, (int)where.Type, where.Index, &result);
        return status == 0 ? Made(result) : throw Native.Failure(status, $"a tensor {dtype}{Text(shape)}");
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
        if (partner.Type != DeviceType.Cuda)
            return Empty(shape, dtype);
        TorchRuntime.RequireDevice(partner);
        Span<long> strides = stackalloc long[shape.Length];
        Layout.RowMajor(shape, strides);
        nint result;
        fixed (long* s = shape, d = strides)
            Native.CheckTorch(Libtorch.EmptyPinned(shape.Length, s, d, (int)dtype, (int)DeviceType.Cpu, 0, &result), "pinned memory");
        return Made(result);
    }

    /// <summary>Zeros.</summary>
    public static Tensor Zeros(ReadOnlySpan<long> shape, DType dtype = DType.Float32, Device? device = null) =>
        Empty(shape, dtype, device).ZeroInPlace();

    /// <summary>Ones.</summary>
    public static Tensor Ones(ReadOnlySpan<long> shape, DType dtype = DType.Float32, Device? device = null) => Full(shape, 1, dtype, device);

    /// <summary>One value everywhere.</summary>
    public static Tensor Full(ReadOnlySpan<long> shape, double value, DType dtype = DType.Float32, Device? device = null) =>
        Empty(shape, dtype, device).FillInPlace(value);

    /// <summary>The integers from 0 on, below <paramref name="end"/>; Int64 [end].</summary>
    public static Tensor Arange(long end, Device? device = null) => Arange(0, end, device);

    /// <summary>The integers from <paramref name="start"/> to before <paramref name="end"/>; Int64 [end - start].</summary>
    public static Tensor Arange(long start, long end, Device? device = null)
    {
        using TensorScope scope = new();
        Tensor near = Empty([Math.Max(0, end - start)], DType.Int64);
        Span<long> values = near.Writable<long>();
        for (int i = 0; i < values.Length; i++)
            values[i] = start + i;
        return scope.Keep(near.To(device ?? Device.Cpu));
    }

    /// <summary>Random numbers, uniform in [0, 1), Float32: the same for the same generator's state.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="random">Where they come from.</param>
    /// <param name="device">Where they go.</param>
    public static Tensor Rand(ReadOnlySpan<long> shape, Random random, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(random);
        using TensorScope scope = new();
        Tensor near = Empty(shape);
        foreach (ref float value in near.Writable<float>())
            value = random.NextSingle();
        return scope.Keep(near.To(device ?? Device.Cpu));
    }

    /// <summary>Random numbers of the standard normal distribution, Float32: the same for the same generator's state.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="random">Where they come from.</param>
    /// <param name="device">Where they go.</param>
    public static Tensor Randn(ReadOnlySpan<long> shape, Random random, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(random);
        using TensorScope scope = new();
        Tensor near = Empty(shape);
        Span<float> values = near.Writable<float>();
        // Box and Muller: two uniform numbers give two normal ones.
        for (int i = 0; i < values.Length; i += 2)
        {
            double length = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble()));
            (double sine, double cosine) = Math.SinCos(2 * Math.PI * random.NextDouble());
            values[i] = (float)(length * cosine);
            if (i + 1 < values.Length)
                values[i + 1] = (float)(length * sine);
        }
        return scope.Keep(near.To(device ?? Device.Cpu));
    }

    /// <summary>Unset elements in this tensor's shape, dtype (unless given) and device; row-major.</summary>
    internal Tensor EmptyLike(DType? dtype = null)
    {
        Tensor made = Empty(Sizes, dtype ?? DType, Device);
        GC.KeepAlive(this);
        return made;
    }

    /// <summary>Zeros in this tensor's shape, dtype (unless given) and device.</summary>
    public Tensor ZerosLike(DType? dtype = null) => EmptyLike(dtype).ZeroInPlace();

    /// <summary>Ones in this tensor's shape, dtype (unless given) and device.</summary>
    public Tensor OnesLike(DType? dtype = null) => EmptyLike(dtype).FillInPlace(1);

    /// <summary>Tensors one after the other along a dimension that they have; the other sizes are equal.</summary>
    public static Tensor Cat(ReadOnlySpan<Tensor> tensors, long dimension = 0) => CatOp.Call(tensors.ToArray(), dimension);

    /// <summary>Tensors of one shape side by side along a new dimension.</summary>
    public static Tensor Stack(ReadOnlySpan<Tensor> tensors, long dimension = 0) => StackOp.Call(tensors.ToArray(), dimension);

    // Only for tensors that were just made.
    private Span<T> Writable<T>() where T : unmanaged
    {
        ReadOnlySpan<T> values = AsSpan<T>();
        return MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(values), values.Length);
    }
}
