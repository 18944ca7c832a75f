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
/// Nothing is recorded for differentiation: that is done above, by the models.
/// </remarks>
public sealed unsafe partial class Tensor : IDisposable
{
    private static long _live;

    private nint _handle;
    private readonly int _ownedMebibytes;
    private TensorScope? _scope;

    // Properties of the tensor, asked of libtorch once: nothing here changes a tensor's shape. The sizes and strides are libtorch's own
    // memory, valid as long as the handle.
    private long* _sizes, _strides;
    private int _rank = -1, _dtype;
    private Device _device;

    private Tensor(nint handle, bool ownsMemory)
    {
        _handle = handle;
        Interlocked.Increment(ref _live);
        _scope = TensorScope.Current;
        _scope?.Add(this);
        if (!ownsMemory)
            return;
        Ask();
        _ownedMebibytes = (int)Math.Min(int.MaxValue, ByteCount >> 20);
        if (_ownedMebibytes > 0)
            NativeMemoryWatch.Add(_ownedMebibytes);
    }

    /// <summary>The safety net for tensors that were neither disposed nor made in a scope.</summary>
    ~Tensor() => Release();

    /// <summary>
    /// The AtenTensorHandle of libtorch's C interface (the address of an <c>at::Tensor</c>, as TorchSharp's <c>Tensor.Handle</c>),
    /// borrowed: valid as long as this object is neither disposed nor collected.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    public nint Handle => _handle is nint h && h != 0 ? h : throw new ObjectDisposedException(nameof(Tensor), "the tensor is disposed");

    /// <summary>Whether <see cref="Dispose"/> ran.</summary>
    public bool IsDisposed => _handle == 0;

    internal static long Live => Volatile.Read(ref _live);

    internal nint HandleOrZero => _handle;

    internal TensorScope? Scope => _scope;

    /// <summary>A tensor that something else made, such as TorchSharp or Python's torch, over the same memory. Both must use the libtorch
    /// loaded here. Its record for differentiation in libtorch is not taken over.</summary>
    /// <param name="handle">An AtenTensorHandle: the address of an <c>at::Tensor</c>.</param>
    /// <param name="own">True: the caller's handle is taken over. False: the caller keeps it.</param>
    /// <exception cref="InputException"><paramref name="handle"/> is zero.</exception>
    /// <exception cref="TorchException">The tensor is undefined, or not of the dense layout.</exception>
    public static Tensor FromHandle(nint handle, bool own)
    {
        if (handle == 0)
            throw new InputException("handle", "the address of a tensor", "zero");
        Native.Ensure();
        nint result = Reinterpreted(handle);
        if (own)
            _ = Libtorch.DeleteTensor(handle);
        return Viewing(result);
    }

    /// <summary>
    /// A handle of its own over the same memory, for something else that takes handles over, such as TorchSharp's
    /// <c>Tensor.UnsafeCreateTensor</c>: the way back from <see cref="FromHandle"/>. The memory lives until both this tensor and that handle are
    /// gone, whichever is first.
    /// </summary>
    /// <returns>An AtenTensorHandle that the caller frees.</returns>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    public nint NewHandle()
    {
        nint result = Reinterpreted(Handle);
        GC.KeepAlive(this);
        return result;
    }

    private static nint Reinterpreted(nint handle)
    {
        int layout;
        Native.CheckTorch(Libtorch.GetLayout(handle, &layout), "handle");
        if (layout != 0)
            throw new TorchException($"handle: expected a tensor of the dense layout, given layout {layout}");
        long rank;
        long* sizes, strides;
        nint result;
        Native.CheckTorch(Libtorch.GetDim(handle, &rank), "handle");
        Native.CheckTorch(Libtorch.GetSizes(handle, &sizes), "handle");
        Native.CheckTorch(Libtorch.GetStrides(handle, &strides), "handle");
        Native.CheckTorch(Libtorch.Reinterpret(handle, rank, sizes, strides, 0, &result), "handle");
        return result;
    }

    /// <summary>The sizes of all dimensions, a copy. <see cref="Size"/> reads one without allocating.</summary>
    public long[] Shape
    {
        get
        {
            long[] copy = Sizes.ToArray();
            GC.KeepAlive(this);
            return copy;
        }
    }

    /// <summary>The distances in elements between neighbors along all dimensions, a copy.</summary>
    public long[] Strides
    {
        get
        {
            long[] copy = Steps.ToArray();
            GC.KeepAlive(this);
            return copy;
        }
    }

    /// <summary>The number of dimensions; 0 for a scalar.</summary>
    public int Rank => Sizes.Length;

    /// <summary>The number of elements.</summary>
    public long ElementCount
    {
        get
        {
            long count = 1;
            foreach (long size in Sizes)
                count *= size;
            GC.KeepAlive(this);
            return count;
        }
    }

    /// <summary>Bytes that the elements take when laid out without gaps.</summary>
    public long ByteCount => ElementCount * DType.ElementSize();

    /// <summary>The type of the elements.</summary>
    public DType DType
    {
        get
        {
            Ask();
            return (DType)_dtype;
        }
    }

    /// <summary>Where the elements are.</summary>
    public Device Device
    {
        get
        {
            Ask();
            return _device;
        }
    }

    /// <summary>Whether the elements are in row-major order without gaps.</summary>
    public bool IsContiguous
    {
        get
        {
            bool contiguous = Layout.IsContiguous(Sizes, Steps);
            GC.KeepAlive(this);
            return contiguous;
        }
    }

    /// <summary>The address of the first element, zero if there is none in memory. Valid as long as the tensor is.</summary>
    public nint DataPointer
    {
        get
        {
            void* data;
            Native.CheckTorch(Libtorch.GetDataPointer(Handle, &data), "the address of a tensor");
            GC.KeepAlive(this);
            return (nint)data;
        }
    }

    /// <summary>The size of one dimension.</summary>
    /// <exception cref="InputException">There is no such dimension.</exception>
    public long Size(int dimension)
    {
        ReadOnlySpan<long> all = Sizes;
        int d = dimension < 0 ? dimension + all.Length : dimension;
        if ((uint)d >= (uint)all.Length)
            throw new InputException("dimension", $"-{all.Length}..{all.Length - 1} of {this}", $"{dimension}");
        long size = all[d];
        GC.KeepAlive(this);
        return size;
    }

    /// <summary>
    /// Takes the tensor out of every scope: from now on it lives until it is disposed. Gives the tensor itself.
    /// </summary>
    public Tensor Keep()
    {
        _ = Handle;
        _scope = null;
        return this;
    }

    /// <summary>
    /// Moves the tensor from its scope to the one around that, or to the caller's care where there is none. Gives the tensor
    /// itself. Does nothing for a tensor outside every scope.
    /// </summary>
    public Tensor MoveToOuterScope()
    {
        _ = Handle;
        TensorScope? outer = _scope?.Outer;
        _scope = outer;
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
    public override string ToString() => IsDisposed ? "disposed tensor" : $"{Describe()} on {Device}";

    /// <summary>Takes over a handle to a tensor with its own memory.</summary>
    internal static Tensor Made(nint handle) => new(handle, ownsMemory: true);

    /// <summary>Takes over a handle to a tensor on the memory of another, or of somebody else.</summary>
    internal static Tensor Viewing(nint handle) => new(handle, ownsMemory: false);

    /// <summary>Dtype and shape, such as <c>Float32[2, 3]</c>.</summary>
    internal string Describe() => IsDisposed ? "disposed tensor" : $"{DType}[{string.Join(", ", Shape)}]";

    /// <summary>The sizes where they are: valid as long as the tensor.</summary>
    internal ReadOnlySpan<long> Sizes
    {
        get
        {
            Ask();
            return new(_sizes, _rank);
        }
    }

    /// <summary>The strides where they are: valid as long as the tensor.</summary>
    internal ReadOnlySpan<long> Steps
    {
        get
        {
            Ask();
            return new(_strides, _rank);
        }
    }

    // Several threads may ask at once: all find the same.
    private void Ask()
    {
        nint h = Handle;
        if (Volatile.Read(ref _rank) >= 0)
            return;
        long dimensions;
        long* s, d;
        int type, deviceType, index;
        Native.CheckTorch(Libtorch.GetDim(h, &dimensions), "a tensor");
        Native.CheckTorch(Libtorch.GetSizes(h, &s), "a tensor");
        Native.CheckTorch(Libtorch.GetStrides(h, &d), "a tensor");
        Native.CheckTorch(Libtorch.GetDType(h, &type), "a tensor");
        Native.CheckTorch(Libtorch.GetDeviceType(h, &deviceType), "a tensor");
        Native.CheckTorch(Libtorch.GetDeviceIndex(h, &index), "a tensor");
        GC.KeepAlive(this);
        _sizes = s;
        _strides = d;
        (_dtype, _device) = (type, Device.FromNative(deviceType, index));
        Volatile.Write(ref _rank, (int)dimensions);
    }

    private void Release()
    {
        nint h = Interlocked.Exchange(ref _handle, 0);
        if (h == 0)
            return;
        Interlocked.Decrement(ref _live);
        _ = Libtorch.DeleteTensor(h);
        if (_ownedMebibytes > 0)
            NativeMemoryWatch.Remove(_ownedMebibytes);
    }
}
