using System.Runtime.InteropServices;
using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>
/// A tensor of libtorch. It holds one native reference, given back by <see cref="Dispose"/>; a tensor made inside a
/// <see cref="TensorScope"/> is disposed with it. A forgotten tensor is released by the finalizer in the end, but native memory
/// weighs nothing to the garbage collector: use scopes.
/// </summary>
/// <remarks>
/// Several threads may use a tensor at once as long as none changes or disposes it. Operators throw
/// <see cref="TorchException"/> with libtorch's message for shapes and dtypes that do not fit,
/// <see cref="ObjectDisposedException"/> for a disposed tensor. Dimensions count from 0, or from the end with negative numbers.
/// </remarks>
public sealed unsafe partial class Tensor : IDisposable
{
    private nint handle;
    private readonly int ownedMebibytes;
    private TensorScope? scope;

    /// <summary>Takes over one reference that the shim handed out.</summary>
    internal Tensor(nint handle, int ownedMebibytes)
    {
        this.handle = handle;
        this.ownedMebibytes = ownedMebibytes;
        scope = TensorScope.Current;
        scope?.Add(this);
        if (ownedMebibytes > 0) NativeMemoryWatch.Add(ownedMebibytes);
    }

    /// <summary>The safety net for tensors that were neither disposed nor made in a scope.</summary>
    ~Tensor() => Release();

    /// <summary>
    /// The address of libtorch's <c>c10::TensorImpl</c>, borrowed: valid as long as this object is neither disposed nor collected.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    public nint Handle => handle is nint h && h != 0 ? h : throw new ObjectDisposedException(nameof(Tensor), "the tensor is disposed");

    /// <summary>Whether <see cref="Dispose"/> ran.</summary>
    public bool IsDisposed => handle == 0;

    internal nint HandleOrZero => handle;

    internal TensorScope? Scope => scope;

    /// <summary>
    /// A tensor that something else made: Python's torch through <c>longformer::_to_handle</c>, or TorchSharp, whose
    /// <c>Tensor.Handle</c> points at a cell that holds this address (<c>Marshal.ReadIntPtr</c> reads it). Both must use the libtorch
    /// loaded here.
    /// </summary>
    /// <param name="handle">The address of a <c>c10::TensorImpl</c>.</param>
    /// <param name="own">True: the caller's reference is taken over. False: the caller keeps its own and one is added.</param>
    /// <exception cref="InputException"><paramref name="handle"/> is zero.</exception>
    public static Tensor FromHandle(nint handle, bool own)
    {
        if (handle == 0) throw new InputException("handle: expected the address of a tensor, given zero");
        Shim.Ensure();
        Shim.Check(NativeMethods.TensorAdopt(handle, own ? 0 : 1));
        return new Tensor(handle, 0);
    }

    /// <summary>The sizes of all dimensions, a copy. <see cref="Size"/> reads one without allocating.</summary>
    public long[] Shape
    {
        get
        {
            long[] sizes = new long[Rank];
            fixed (long* s = sizes) Shim.Check(NativeMethods.TensorShape(Handle, s, null, sizes.Length));
            GC.KeepAlive(this);
            return sizes;
        }
    }

    /// <summary>The distances in elements between neighbors along all dimensions, a copy.</summary>
    public long[] Strides
    {
        get
        {
            long[] strides = new long[Rank];
            fixed (long* s = strides) Shim.Check(NativeMethods.TensorShape(Handle, null, s, strides.Length));
            GC.KeepAlive(this);
            return strides;
        }
    }

    /// <summary>The number of dimensions; 0 for a scalar.</summary>
    public int Rank => Describe().Rank;

    /// <summary>The number of elements.</summary>
    public long ElementCount => Describe().Elements;

    /// <summary>Bytes that the elements take when laid out without gaps.</summary>
    public long ByteCount => Describe() is var d ? d.Elements * d.ElementSize : 0;

    /// <summary>The type of the elements.</summary>
    public DType DType => (DType)Describe().DType;

    /// <summary>Where the elements lie.</summary>
    public Device Device => Describe() is var d ? Device.FromNative(d.DeviceType, d.DeviceIndex) : default;

    /// <summary>Whether the elements lie in row-major order without gaps.</summary>
    public bool IsContiguous => (Describe().Flags & NativeTensorInfo.Contiguous) != 0;

    /// <summary>Whether no recorded operation made this tensor: its gradient is what <see cref="Backward"/> leaves in <see cref="Grad"/>.</summary>
    public bool IsLeaf => (Describe().Flags & NativeTensorInfo.Leaf) != 0;

    /// <summary>Whether it was made in inference mode and can never take part in differentiation.</summary>
    public bool IsInference => (Describe().Flags & NativeTensorInfo.Inference) != 0;

    /// <summary>The address of the first element, zero if there is none in memory. Valid as long as the tensor is.</summary>
    public nint DataPointer => Describe().Data;

    /// <summary>The size of one dimension.</summary>
    /// <exception cref="InputException">There is no such dimension.</exception>
    public long Size(int dimension)
    {
        const int Capacity = 64;
        long* sizes = stackalloc long[Capacity];
        int rank = Rank;
        int d = dimension < 0 ? dimension + rank : dimension;
        if (d < 0 || d >= rank)
            throw new InputException($"dimension: expected -{rank}..{rank - 1} of {this}, given {dimension}");
        Shim.Check(NativeMethods.TensorShape(Handle, sizes, null, Capacity));
        GC.KeepAlive(this);
        return sizes[d];
    }

    /// <summary>
    /// Takes the tensor out of every scope: from now on it lives until it is disposed. Gives the tensor itself.
    /// </summary>
    public Tensor Keep()
    {
        _ = Handle;
        scope = null;
        return this;
    }

    /// <summary>
    /// Moves the tensor from its scope to the one around that, or to the caller's care where there is none. Gives the tensor
    /// itself. Does nothing for a tensor outside every scope.
    /// </summary>
    public Tensor MoveToOuterScope()
    {
        _ = Handle;
        TensorScope? outer = scope?.Outer;
        scope = outer;
        outer?.Add(this);
        return this;
    }

    /// <summary>Gives the native reference back. Disposing again does nothing.</summary>
    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    /// <summary>Dtype, shape and device, such as <c>Float32[2, 3] on cpu</c>.</summary>
    public override string ToString() => IsDisposed ? "disposed tensor" : $"{DType}[{string.Join(", ", Shape)}] on {Device}";

    private void Release()
    {
        nint h = Interlocked.Exchange(ref handle, 0);
        if (h == 0) return;
        _ = NativeMethods.TensorRelease(h);
        if (ownedMebibytes > 0) NativeMemoryWatch.Remove(ownedMebibytes);
    }

    private NativeTensorInfo Describe()
    {
        NativeTensorInfo info;
        Shim.Check(NativeMethods.TensorDescribe(Handle, &info));
        GC.KeepAlive(this);
        return info;
    }
}
