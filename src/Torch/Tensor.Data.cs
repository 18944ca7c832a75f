using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

public sealed unsafe partial class Tensor
{
    /// <summary>A tensor on the CPU with a copy of the values, row-major.</summary>
    /// <typeparam name="T">float, double, Half, the integers of 8 to 64 bits or bool.</typeparam>
    /// <param name="values">The elements.</param>
    /// <param name="shape">The sizes; none for one dimension of all the values.</param>
    /// <exception cref="InputException">The shape has another number of elements than <paramref name="values"/>.</exception>
    public static Tensor From<T>(ReadOnlySpan<T> values, params ReadOnlySpan<long> shape) where T : unmanaged
    {
        if (shape.IsEmpty)
            shape = [values.Length];
        long elements = ElementsOf(shape);
        if (elements != values.Length)
            throw new InputException("values", $"{elements} for the shape [{string.Join(", ", shape.ToArray())}]", $"{values.Length}");
        Tensor tensor = Empty(shape, DTypes.Of<T>());
        fixed (T* source = values) // a span of bool is copied as it is: one byte each
            NativeMemory.Copy(source, (void*)tensor.DataPointer, (nuint)((long)values.Length * sizeof(T)));
        GC.KeepAlive(tensor);
        return tensor;
    }

    /// <summary>A tensor without dimensions that holds one value.</summary>
    public static Tensor From<T>(T value) where T : unmanaged
    {
        Tensor tensor = Empty([], DTypes.Of<T>());
        *(T*)tensor.DataPointer = value;
        GC.KeepAlive(tensor);
        return tensor;
    }

    /// <summary>A tensor over memory of the caller, without a copy: writing to one is seen in the other.</summary>
    /// <param name="memory">The address of the first element. It must stay valid until libtorch frees the storage, which can be
    /// later than this tensor's end: other tensors may view the same storage.</param>
    /// <param name="shape">The sizes.</param>
    /// <param name="dtype">The type of the elements.</param>
    /// <param name="strides">Distances between neighbors in elements; none for row-major.</param>
    /// <param name="keepAlive">Kept from collection until libtorch frees the storage; an <see cref="IMemoryLease"/> is released
    /// then.</param>
    /// <param name="device">The device of the memory; the CPU if not given.</param>
    /// <exception cref="InputException">Shape, strides or dtype is impossible.</exception>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public static Tensor View(nint memory, ReadOnlySpan<long> shape, DType dtype, ReadOnlySpan<long> strides = default,
        object? keepAlive = null, Device? device = null)
    {
        if (!strides.IsEmpty && strides.Length != shape.Length)
            throw new InputException("strides", $"{shape.Length} for the shape [{string.Join(", ", shape.ToArray())}]", $"{strides.Length}");
        Device where = device ?? Device.Cpu;
        try
        {
            Native.Ensure();
            TorchRuntime.RequireDevice(where);
            if (memory == 0 && ElementsOf(shape) > 0)
                throw new InputException($"memory: it is null, but the shape {Text(shape)} has elements");
        }
        catch
        {
            (keepAlive as IMemoryLease)?.Return();
            throw;
        }
        GCHandle root = keepAlive is null ? default : GCHandle.Alloc(keepAlive);
        nint result;
        fixed (long* s = shape, d = strides)
        {
            // The native side calls back exactly once, also when it fails.
            Native.Check(NativeMethods.FromMemory((void*)memory, s, strides.IsEmpty ? null : d, shape.Length, (int)dtype, (int)where.Type,
                where.Index, keepAlive is null ? null : &FreeRoot, (void*)GCHandle.ToIntPtr(root), &result));
        }
        return Viewing(result);
    }

    /// <summary>A tensor over a managed array, without a copy: the array is pinned until libtorch frees the storage.</summary>
    /// <exception cref="InputException">The shape has another number of elements than <paramref name="values"/>.</exception>
    public static Tensor View<T>(T[] values, params ReadOnlySpan<long> shape) where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(values);
        if (shape.IsEmpty)
            shape = [values.Length];
        long elements = ElementsOf(shape);
        if (elements != values.Length)
            throw new InputException("values", $"{elements} for the shape [{string.Join(", ", shape.ToArray())}]", $"{values.Length}");
        PinnedArray pinned = new(values);
        return View(pinned.Address, shape, DTypes.Of<T>(), keepAlive: pinned);
    }

    /// <summary>The elements where they are, row-major. Valid as long as the tensor is neither disposed nor collected.</summary>
    /// <typeparam name="T">The C# type of the dtype.</typeparam>
    /// <exception cref="InputException">Another dtype, a device other than the CPU, gaps between the elements, or more than
    /// 2^31-1 of them.</exception>
    public ReadOnlySpan<T> AsSpan<T>() where T : unmanaged
    {
        if (DType != DTypes.Of<T>())
        {
            throw new InputException(
                $"{this}: read as {typeof(T).Name}, which is {DTypes.Of<T>()}; convert with To({nameof(DType)}.{DTypes.Of<T>()}) first");
        }
        return new ReadOnlySpan<T>((void*)CheckedData(), checked((int)ElementCount));
    }

    /// <summary>The bytes of the elements where they are, row-major, whatever the dtype. Valid as long as the tensor is.</summary>
    /// <exception cref="InputException">A device other than the CPU, gaps between the elements, or more than 2^31-1 bytes.</exception>
    public ReadOnlySpan<byte> AsBytes()
    {
        nint data = CheckedData();
        long bytes = ByteCount;
        if (bytes > int.MaxValue)
            throw new InputException($"{this}: {bytes} bytes are more than a span holds; take it in parts");
        return new ReadOnlySpan<byte>((void*)data, (int)bytes);
    }

    /// <summary>A copy of the elements, row-major, from any device and layout.</summary>
    /// <typeparam name="T">The C# type of the dtype.</typeparam>
    /// <exception cref="InputException">Another dtype.</exception>
    public T[] ToArray<T>() where T : unmanaged
    {
        if (Device == Device.Cpu && IsContiguous)
        {
            T[] copy = AsSpan<T>().ToArray();
            GC.KeepAlive(this);
            return copy;
        }
        using TensorScope temporary = new();
        Tensor near = To(Device.Cpu).Contiguous();
        return near.AsSpan<T>().ToArray();
    }

    /// <summary>The one element of a tensor of one element.</summary>
    /// <typeparam name="T">The C# type of the dtype.</typeparam>
    /// <exception cref="InputException">Another dtype, or another number of elements.</exception>
    public T Item<T>() where T : unmanaged
    {
        if (ElementCount != 1)
            throw new InputException($"{this}: expected one element, it has {ElementCount}");
        if (Device != Device.Cpu)
            return ToArray<T>()[0];
        T value = AsSpan<T>()[0];
        GC.KeepAlive(this);
        return value;
    }

    /// <summary>The one element of a tensor of one element, of any real dtype, as a double.</summary>
    /// <exception cref="InputException">Another number of elements.</exception>
    public double ToDouble()
    {
        using Tensor converted = To(DType.Float64);
        return converted.Item<double>();
    }

    /// <summary>The product of the sizes, or an error where it does not fit 64 bits or a size is negative.</summary>
    internal static long ElementsOf(ReadOnlySpan<long> shape)
    {
        UInt128 elements = 1;
        foreach (long size in shape)
        {
            if (size < 0)
                throw new InputException("shape", "sizes of 0 or more", $"[{string.Join(", ", shape.ToArray())}]");
            elements *= (ulong)size;
            if (elements > long.MaxValue)
                throw new InputException($"shape: [{string.Join(", ", shape.ToArray())}] has more elements than 64 bits can count");
        }
        return (long)elements;
    }

    private nint CheckedData()
    {
        if (Device != Device.Cpu)
            throw new InputException($"{this}: not in the memory of the CPU; copy it with To(Device.Cpu) first");
        if (!IsContiguous)
            throw new InputException($"{this}: has gaps between its elements; copy it with Contiguous() first");
        if (ElementCount > int.MaxValue)
            throw new InputException($"{this}: {ElementCount} elements are more than a span holds; take it in parts");
        return DataPointer;
    }

    [UnmanagedCallersOnly]
    private static void FreeRoot(void* context)
    {
        GCHandle root = GCHandle.FromIntPtr((nint)context);
        object? target = root.Target;
        root.Free();
        (target as IMemoryLease)?.Return();
    }

    private sealed class PinnedArray : IMemoryLease
    {
        private GCHandle _pin;

        public PinnedArray(Array array) => _pin = GCHandle.Alloc(array, GCHandleType.Pinned);

        public nint Address => _pin.AddrOfPinnedObject();

        public void Return() => _pin.Free();
    }
}

/// <summary>Memory borrowed by <see cref="Tensor.View(nint, ReadOnlySpan{long}, DType, ReadOnlySpan{long}, object?, Device?)"/>.</summary>
public interface IMemoryLease
{
    /// <summary>libtorch no longer uses the memory. Called once, on the thread that dropped the last reference; must not throw.</summary>
    void Return();
}
