using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class TensorExports
{
    private const int MaximumRank = 64;

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_from_memory", CallConvs = [typeof(CallConvCdecl)])]
    public static int FromMemory(void* data, int dtype, long* shape, long* strides, int rank, byte* device,
        nint release, nint context, nint* tensor) => Failure.Run(() =>
    {
        CMemory.Out(tensor, "tensor");
        ReadOnlySpan<long> sizes = Shape(shape, rank);
        long elements = Elements(sizes, dtype);
        if (elements > 0)
            CMemory.NotNull(data, "data");
        Device where = CMemory.NameOrNull(device, "device") is { } name ? Device.Parse(name) : Device.Cpu;
        CallerMemory memory = new(release, context);
        Tensor view = Tensor.View((nint)data, sizes, (DType)dtype, strides is null ? default : new ReadOnlySpan<long>(strides, rank), memory, where);
        memory.Armed = true;
        *tensor = Handles.Add(new TensorHandle(view));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_copy", CallConvs = [typeof(CallConvCdecl)])]
    public static int Copy(void* data, nuint bytes, int dtype, long* shape, int rank, nint* tensor) => Failure.Run(() =>
    {
        CMemory.Out(tensor, "tensor");
        ReadOnlySpan<long> sizes = Shape(shape, rank);
        UInt128 expected = (UInt128)Elements(sizes, dtype) * (uint)((DType)dtype).ElementSize();
        if (expected != (ulong)bytes)
            throw CallException.Argument($"bytes: expected {expected} for {(DType)dtype}[{string.Join(", ", sizes.ToArray())}], given {bytes}");
        if (bytes > 0)
            CMemory.NotNull(data, "data");
        Tensor copy = Tensor.Empty(sizes, (DType)dtype);
        NativeMemory.Copy(data, (void*)copy.DataPointer, bytes);
        *tensor = Handles.Add(new TensorHandle(copy));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_from_dlpack", CallConvs = [typeof(CallConvCdecl)])]
    public static int FromDLPack(DLManagedTensor* managed, nint* tensor) => Failure.Run(() =>
    {
        CMemory.Out(tensor, "tensor");
        CMemory.NotNull(managed, "managed");
        *tensor = Handles.Add(new TensorHandle(DLPack.From(managed)));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_to_dlpack", CallConvs = [typeof(CallConvCdecl)])]
    public static int ToDLPack(nint tensor, DLManagedTensor** managed) => Failure.Run(() =>
    {
        CMemory.NotNull(managed, "managed");
        *managed = null;
        using Lease<TensorHandle> given = Use(tensor);
        *managed = DLPack.To(given.Value.Tensor);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_from_torch", CallConvs = [typeof(CallConvCdecl)])]
    public static int FromTorch(long handle, nint* tensor) => Failure.Run(() =>
    {
        CMemory.Out(tensor, "tensor");
        if (handle == 0)
            throw CallException.Argument("handle: expected the address of a tensor, given 0");
        *tensor = Handles.Add(new TensorHandle(Tensor.FromHandle((nint)handle, own: false)));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_to_torch", CallConvs = [typeof(CallConvCdecl)])]
    public static int ToTorch(nint tensor, long* handle) => Read(tensor, handle, "handle", static t => t.Tensor.Handle);

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_data", CallConvs = [typeof(CallConvCdecl)])]
    public static int Data(nint tensor, nint* data) => Read(tensor, data, "data", static t => t.Tensor.DataPointer);

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_dtype", CallConvs = [typeof(CallConvCdecl)])]
    public static int Type(nint tensor, int* dtype) => Read(tensor, dtype, "dtype", static t => (int)t.Tensor.DType);

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_rank", CallConvs = [typeof(CallConvCdecl)])]
    public static int Rank(nint tensor, int* rank) => Read(tensor, rank, "rank", static t => t.Tensor.Rank);

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_shape", CallConvs = [typeof(CallConvCdecl)])]
    public static int Shape(nint tensor, nint* shape) => Read(tensor, shape, "shape", static t => (nint)t.Shape);

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_strides", CallConvs = [typeof(CallConvCdecl)])]
    public static int Strides(nint tensor, nint* strides) => Read(tensor, strides, "strides", static t => (nint)t.Strides);

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_elements", CallConvs = [typeof(CallConvCdecl)])]
    public static int ElementCount(nint tensor, long* elements) => Read(tensor, elements, "elements", static t => t.Tensor.ElementCount);

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_contiguous", CallConvs = [typeof(CallConvCdecl)])]
    public static int Contiguous(nint tensor, int* contiguous) => Read(tensor, contiguous, "contiguous", static t => t.Tensor.IsContiguous ? 1 : 0);

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_device", CallConvs = [typeof(CallConvCdecl)])]
    public static int DeviceOf(nint tensor, nint* device) => Read(tensor, device, "device", static t => (nint)t.Device);

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_describe", CallConvs = [typeof(CallConvCdecl)])]
    public static int Describe(nint tensor, nint* data, int* dtype, int* rank, nint* shape, nint* strides, nint* device) => Failure.Run(() =>
    {
        using Lease<TensorHandle> given = Use(tensor);
        TensorHandle t = given.Value;
        nint address = t.Tensor.DataPointer, sizes = (nint)t.Shape, steps = (nint)t.Strides, where = (nint)t.Device;
        CMemory.Give(data, address);
        CMemory.Give(dtype, (int)t.Tensor.DType);
        CMemory.Give(rank, t.Tensor.Rank);
        CMemory.Give(shape, sizes);
        CMemory.Give(strides, steps);
        CMemory.Give(device, where);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_read", CallConvs = [typeof(CallConvCdecl)])]
    public static int Read(nint tensor, void* destination, nuint bytes) => Failure.Run(() =>
    {
        using Lease<TensorHandle> given = Use(tensor);
        ulong needed = (ulong)given.Value.Tensor.ByteCount;
        if (bytes < needed)
            throw CallException.Argument($"bytes: expected at least {needed} for {given.Value.Tensor}, given {bytes}");
        if (needed == 0)
            return;
        CMemory.NotNull(destination, "destination");
        using TensorScope scope = new();
        Tensor near = given.Value.Tensor.To(Torch.Device.Cpu).Contiguous();
        NativeMemory.Copy((void*)near.DataPointer, destination, (nuint)needed);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_convert", CallConvs = [typeof(CallConvCdecl)])]
    public static int Convert(nint tensor, int dtype, byte* device, nint* converted) => Failure.Run(() =>
    {
        CMemory.Out(converted, "converted");
        using Lease<TensorHandle> given = Use(tensor);
        CheckType(dtype);
        Tensor source = given.Value.Tensor;
        Device where = CMemory.NameOrNull(device, "device") is { } name ? Torch.Device.Parse(name) : source.Device;
        using TensorScope scope = new();
        *converted = Handles.Add(TensorHandle.Result(source.To(where, (DType)dtype)));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensor_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int Free(nint tensor) => Failure.Run(() => Handles.Free<TensorHandle>(tensor, "tensor"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensors_open", CallConvs = [typeof(CallConvCdecl)])]
    public static int MapOpen(byte* file, nint* tensors) => Failure.Run(() =>
    {
        CMemory.Out(tensors, "tensors");
        *tensors = Handles.Add(TensorMap.Open(CMemory.Name(file, "file")));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensors_write", CallConvs = [typeof(CallConvCdecl)])]
    public static int MapWrite(byte* file, byte** names, nint* tensors, nuint count) => Failure.Run(() =>
    {
        string path = CMemory.Name(file, "file");
        using NamedInputs named = new(names, tensors, count);
        using TensorScope scope = new();
        SafetensorsWriter.Write(path, named.Tensors);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensors_count", CallConvs = [typeof(CallConvCdecl)])]
    public static int MapCount(nint tensors, nuint* count) => Failure.Run(() =>
    {
        CMemory.NotNull(count, "count");
        using Lease<TensorMap> map = Handles.Use<TensorMap>(tensors, "tensors");
        *count = (nuint)map.Value.Count;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensors_name", CallConvs = [typeof(CallConvCdecl)])]
    public static int MapName(nint tensors, nuint index, byte** name) => Failure.Run(() =>
    {
        CMemory.NotNull(name, "name");
        using Lease<TensorMap> map = Handles.Use<TensorMap>(tensors, "tensors");
        *name = map.Value.Name(CMemory.Index(index, map.Value.Count, "index"));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensors_get", CallConvs = [typeof(CallConvCdecl)])]
    public static int MapGet(nint tensors, byte* name, nint* tensor) => Failure.Run(() =>
    {
        CMemory.Out(tensor, "tensor");
        using Lease<TensorMap> map = Handles.Use<TensorMap>(tensors, "tensors");
        *tensor = Handles.Add(map.Value.Get(CMemory.Name(name, "name")));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensors_at", CallConvs = [typeof(CallConvCdecl)])]
    public static int MapAt(nint tensors, nuint index, byte** name, nint* tensor) => Failure.Run(() =>
    {
        CMemory.Out(tensor, "tensor");
        using Lease<TensorMap> map = Handles.Use<TensorMap>(tensors, "tensors");
        int at = CMemory.Index(index, map.Value.Count, "index");
        nint text = (nint)map.Value.Name(at);
        *tensor = Handles.Add(map.Value.At(at));
        CMemory.Give((nint*)name, text);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tensors_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int MapFree(nint tensors) => Failure.Run(() => Handles.Free<TensorMap>(tensors, "tensors"));

    private static Lease<TensorHandle> Use(nint tensor) => Handles.Use<TensorHandle>(tensor, "tensor");

    private static int Read<T>(nint tensor, T* output, string argument, Func<TensorHandle, T> read) where T : unmanaged => Failure.Run(() =>
    {
        CMemory.NotNull(output, argument);
        using Lease<TensorHandle> given = Use(tensor);
        *output = read(given.Value);
    });

    private static ReadOnlySpan<long> Shape(long* shape, int rank)
    {
        if (rank is < 0 or > MaximumRank)
            throw CallException.Argument($"rank: expected 0 to {MaximumRank}, given {rank}");
        if (rank > 0)
            CMemory.NotNull(shape, "shape");
        return new ReadOnlySpan<long>(shape, rank);
    }

    private static void CheckType(int dtype)
    {
        if (dtype is not ((>= 0 and <= 7) or (int)DType.Bool or (int)DType.BFloat16))
            throw CallException.Argument($"dtype: expected an lf_dtype, given {dtype}");
    }

    private static long Elements(ReadOnlySpan<long> shape, int dtype)
    {
        CheckType(dtype);
        return Tensor.ElementsOf(shape);
    }
}

/// <summary>Named inputs of a call, held until it ends.</summary>
internal sealed unsafe class NamedInputs : IDisposable
{
    private readonly List<Lease<TensorHandle>> _leases = [];

    public NamedInputs(byte** names, nint* tensors, nuint count)
    {
        int n = CMemory.Count(count, "count");
        if (n > 0)
        {
            CMemory.NotNull(names, "names");
            CMemory.NotNull(tensors, "tensors");
        }
        try
        {
            for (int i = 0; i < n; i++)
            {
                string name = CMemory.Name(names[i], $"names[{i}]");
                Lease<TensorHandle> lease = Handles.Use<TensorHandle>(tensors[i], $"tensors[{i}] ({name})");
                _leases.Add(lease);
                if (!Tensors.TryAdd(name, lease.Value.Tensor))
                    throw new InputException($"names[{i}]: \"{name}\" was given twice");
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public Dictionary<string, Tensor> Tensors { get; } = new(StringComparer.Ordinal);

    public void Dispose()
    {
        foreach (Lease<TensorHandle> lease in _leases)
            lease.Dispose();
    }
}
