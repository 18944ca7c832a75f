using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

// The same elements in another shape, order, dtype or place. Views are made here from sizes and strides.
public sealed unsafe partial class Tensor
{
    private static readonly AtenOperator
        ViewDtypeOp = new("aten::view", "dtype");

    /// <summary>The same memory in another shape; one size may be -1.</summary>
    /// <exception cref="InputException">The shape has another number of elements, or the strides allow no view.</exception>
    public Tensor View(params ReadOnlySpan<long> shape)
    {
        Span<long> sizes = stackalloc long[shape.Length], steps = stackalloc long[shape.Length];
        Resolve(nameof(View), shape, ElementCount, sizes);
        if (!Layout.TryView(Sizes, Steps, sizes, steps))
            throw new InputException($"View({Text(shape)}): the strides {Text(Steps)} of {this} allow no view; Reshape copies where it must");
        return ViewOf(sizes, steps);
    }

    /// <summary>The same memory read as another dtype. Where its elements are smaller or larger, the last dimension is as much longer or
    /// shorter.</summary>
    /// <exception cref="TorchException">The last dimension has gaps, or does not hold a whole number of the other elements.</exception>
    public Tensor ViewAs(DType other) => ViewDtypeOp.CallView(this, other);

    /// <summary>Another shape, copied only where the strides require it; one size may be -1.</summary>
    /// <exception cref="InputException">The shape has another number of elements.</exception>
    public Tensor Reshape(params ReadOnlySpan<long> shape)
    {
        Span<long> sizes = stackalloc long[shape.Length], steps = stackalloc long[shape.Length];
        Resolve(nameof(Reshape), shape, ElementCount, sizes);
        if (Layout.TryView(Sizes, Steps, sizes, steps))
            return ViewOf(sizes, steps);
        Tensor copy = Empty(sizes, DType, Device);
        Span<long> rows = stackalloc long[Rank];
        Layout.RowMajor(Sizes, rows);
        using Tensor shaped = copy.ViewOf(Sizes, rows);
        shaped.CopyInPlace(this);
        return copy;
    }

    /// <summary>Two dimensions exchanged; a view.</summary>
    public Tensor Transpose(long first, long second)
    {
        Span<long> sizes = stackalloc long[Rank], steps = stackalloc long[Rank];
        Sizes.CopyTo(sizes);
        Steps.CopyTo(steps);
        int a = DimensionOf(nameof(Transpose), first), b = DimensionOf(nameof(Transpose), second);
        (sizes[a], sizes[b], steps[a], steps[b]) = (sizes[b], sizes[a], steps[b], steps[a]);
        return ViewOf(sizes, steps);
    }

    /// <summary>The dimensions in another order; a view.</summary>
    public Tensor Permute(params ReadOnlySpan<long> dimensions)
    {
        if (dimensions.Length != Rank)
            throw new InputException($"Permute({Text(dimensions)}): expected {Rank} dimensions for {this}");
        Span<long> sizes = stackalloc long[Rank], steps = stackalloc long[Rank];
        Span<bool> taken = stackalloc bool[Rank];
        for (int i = 0; i < dimensions.Length; i++)
        {
            int d = DimensionOf(nameof(Permute), dimensions[i]);
            if (taken[d])
                throw new InputException($"Permute({Text(dimensions)}): dimension {d} twice");
            (sizes[i], steps[i], taken[d]) = (Sizes[d], Steps[d], true);
        }
        return ViewOf(sizes, steps);
    }

    /// <summary>Row-major without gaps; copied only if it is not.</summary>
    public Tensor Contiguous() => IsContiguous ? Alias() : Clone();

    /// <summary>A copy, row-major.</summary>
    public Tensor Clone() => EmptyLike().CopyInPlace(this);

    /// <summary>A second object for the same memory, with its own lifetime.</summary>
    public Tensor Alias()
    {
        nint result;
        Native.CheckTorch(Libtorch.NewTensorHandle(Handle, &result), nameof(Alias));
        GC.KeepAlive(this);
        return Viewing(result);
    }

    /// <summary>A new dimension of size 1; a view.</summary>
    public Tensor Unsqueeze(long dimension)
    {
        int rank = Rank, at = (int)(dimension < 0 ? dimension + rank + 1 : dimension);
        if (at < 0 || at > rank)
            throw new InputException("Unsqueeze", $"-{rank + 1}..{rank} for {this}", $"{dimension}");
        Span<long> sizes = stackalloc long[rank + 1], steps = stackalloc long[rank + 1];
        for (int i = 0, from = 0; i <= rank; i++)
        {
            if (i == at)
                continue;
            (sizes[i], steps[i]) = (Sizes[from], Steps[from]);
            from++;
        }
        sizes[at] = 1;
        steps[at] = at < rank ? Sizes[at] * Steps[at] : 1;
        return ViewOf(sizes, steps);
    }

    /// <summary>Dimensions of size 1 repeated without a copy; -1 keeps a size.</summary>
    public Tensor Expand(params ReadOnlySpan<long> shape)
    {
        int more = shape.Length - Rank;
        if (more < 0)
            throw new InputException($"Expand({Text(shape)}): fewer dimensions than {this}");
        Span<long> sizes = stackalloc long[shape.Length], steps = stackalloc long[shape.Length];
        for (int i = 0; i < shape.Length; i++)
        {
            long have = i < more ? 1 : Sizes[i - more];
            sizes[i] = shape[i] == -1 && i >= more ? have : shape[i];
            if (sizes[i] < 0 || (have != 1 && sizes[i] != have))
                throw new InputException($"Expand({Text(shape)}): dimension {i} of {this} cannot become {shape[i]}");
            steps[i] = i < more || (have == 1 && sizes[i] != 1) ? 0 : Steps[i - more];
        }
        return ViewOf(sizes, steps);
    }

    /// <summary>One dimension as several; a view. One size may be -1.</summary>
    public Tensor Unflatten(long dimension, params ReadOnlySpan<long> sizes)
    {
        int at = DimensionOf(nameof(Unflatten), dimension);
        Span<long> parts = stackalloc long[sizes.Length];
        Resolve(nameof(Unflatten), sizes, Sizes[at], parts);
        return View([.. Sizes[..at], .. parts, .. Sizes[(at + 1)..]]);
    }

    /// <summary>Padded with one value. <paramref name="padding"/>: before and after the last dimension, then before and after the one
    /// before it, and so on; negative numbers cut off.</summary>
    public Tensor Pad(ReadOnlySpan<long> padding, double value)
    {
        nint result;
        fixed (long* p = padding)
        fixed (byte* mode = "constant\0"u8)
            Native.CheckTorch(Libtorch.Pad(Handle, p, padding.Length, mode, &value, &result), $"aten::pad({Describe()}, {Text(padding)})");
        GC.KeepAlive(this);
        return Made(result);
    }

    /// <summary>Views of <paramref name="size"/> along a dimension each, the last one of what is left.</summary>
    public Tensor[] Split(long size, long dimension = 0)
    {
        int at = DimensionOf(nameof(Split), dimension);
        if (size < 1)
            throw new InputException("Split", "a size of at least 1", $"{size}");
        long whole = Sizes[at];
        Tensor[] parts = new Tensor[Math.Max(1, (whole + size - 1) / size)];
        for (int i = 0; i < parts.Length; i++)
            parts[i] = Narrow(at, i * size, Math.Min(size, whole - (i * size)));
        return parts;
    }

    /// <summary>At most <paramref name="count"/> views of equal size along a dimension, the last one of what is left.</summary>
    public Tensor[] Chunk(long count, long dimension = 0)
    {
        if (count < 1)
            throw new InputException("Chunk", "a count of at least 1", $"{count}");
        return Split(Math.Max(1, (Sizes[DimensionOf(nameof(Chunk), dimension)] + count - 1) / count), dimension);
    }

    /// <summary>A view with any shape and strides on the same memory.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="strides">Distances between neighbors in elements, none negative.</param>
    /// <param name="offset">Where it starts, in elements from the start of the storage; null: where this tensor starts.</param>
    /// <exception cref="InputException">The view would leave the storage.</exception>
    public Tensor AsStrided(ReadOnlySpan<long> shape, ReadOnlySpan<long> strides, long? offset = null)
    {
        if (shape.Length != strides.Length)
            throw new InputException($"AsStrided({Text(shape)}, {Text(strides)}): expected as many strides as sizes");
        long mine, bytes;
        Native.CheckTorch(Libtorch.GetStorageOffset(Handle, &mine), nameof(AsStrided));
        Native.CheckTorch(Libtorch.GetStorageSize(Handle, &bytes), nameof(AsStrided));
        long first = offset ?? mine;
        UInt128 last = ElementsOf(shape) == 0 ? 0 : (UInt128)1;
        for (int d = 0; d < shape.Length; d++)
        {
            if (strides[d] < 0)
                throw new InputException($"AsStrided({Text(shape)}, {Text(strides)}): a stride is negative");
            if (last > 0)
                last += (UInt128)(ulong)(shape[d] - 1) * (ulong)strides[d];
        }
        if (first < 0 || last + (ulong)first > (ulong)(bytes / DType.ElementSize()))
            throw new InputException($"AsStrided({Text(shape)}, {Text(strides)}, {first}): leaves the storage of {bytes} bytes of {this}");
        return ViewOf(shape, strides, first - mine);
    }

    /// <summary>Overlapping windows along a dimension as a new last dimension; a view.</summary>
    public Tensor Unfold(long dimension, long size, long step)
    {
        int rank = Rank, at = DimensionOf(nameof(Unfold), dimension);
        if (size < 0 || size > Sizes[at] || step < 1)
            throw new InputException("Unfold", $"a size of 0..{Sizes[at]} and a step of at least 1 for {this}", $"{size} and {step}");
        Span<long> sizes = stackalloc long[rank + 1], steps = stackalloc long[rank + 1];
        Sizes.CopyTo(sizes);
        Steps.CopyTo(steps);
        (sizes[rank], steps[rank]) = (size, steps[at]);
        (sizes[at], steps[at]) = (((sizes[at] - size) / step) + 1, steps[at] * step);
        return ViewOf(sizes, steps);
    }

    /// <summary>Converted to a dtype, row-major; the same memory if it has that dtype already.</summary>
    public Tensor To(DType other) => other == DType ? Alias() : EmptyLike(other).CopyInPlace(this);

    /// <summary>Copied to a device, row-major; the same memory if it is there already.</summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public Tensor To(Device other) => To(other, DType);

    /// <summary>Converted to a dtype on a device, row-major; the same memory if nothing changes.</summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public Tensor To(Device other, DType type)
    {
        if (other == Device)
            return To(type);
        Tensor copy = Empty(Sizes, type, other).CopyInPlace(this);
        GC.KeepAlive(this);
        return copy;
    }

    /// <summary>
    /// Copied to a device without waiting for the copy: work with the result there comes after it. From memory of
    /// <see cref="EmptyHost"/> the device copies by itself; from any other the values are read before the call returns.
    /// </summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public Tensor ToAsync(Device other)
    {
        if (other == Device)
            return Alias();
        Tensor copy = Empty(Sizes, DType, other).CopyFrom(this, wait: false);
        GC.KeepAlive(this);
        return copy;
    }

    /// <summary>A view of the same storage.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="steps">The strides; the caller has checked that they stay inside.</param>
    /// <param name="from">Where it starts, in elements from where this tensor does.</param>
    private Tensor ViewOf(ReadOnlySpan<long> shape, ReadOnlySpan<long> steps, long from = 0)
    {
        nint result;
        fixed (long* s = shape, d = steps)
            Native.CheckTorch(Libtorch.Reinterpret(Handle, shape.Length, s, d, from, &result), "a view");
        GC.KeepAlive(this);
        return Viewing(result);
    }

    private int DimensionOf(string operation, long dimension)
    {
        int rank = Rank;
        long d = dimension < 0 ? dimension + rank : dimension;
        return d >= 0 && d < rank ? (int)d
            : throw new InputException(operation, $"a dimension of -{rank}..{rank - 1} for {this}", $"{dimension}");
    }

    private void Resolve(string operation, ReadOnlySpan<long> shape, long elements, Span<long> sizes)
    {
        int open = -1;
        UInt128 known = 1;
        for (int i = 0; i < shape.Length; i++)
        {
            sizes[i] = shape[i];
            if (shape[i] == -1 && open < 0)
                open = i;
            else if (shape[i] < 0)
                throw new InputException($"{operation}({Text(shape)}): expected sizes of 0 or more, and at most one of -1");
            else
                known *= (ulong)shape[i];
            if (known > long.MaxValue)
                break;
        }
        bool fits = open < 0 ? known == (ulong)elements : known != 0 && (ulong)elements % known == 0;
        if (!fits)
            throw new InputException($"{operation}({Text(shape)}): {this} has {elements} elements to shape");
        if (open >= 0)
            sizes[open] = (long)((ulong)elements / known);
    }

    private static string Text(ReadOnlySpan<long> values) => $"[{string.Join(", ", values.ToArray())}]";
}
