using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi;

/// <summary>DLManagedTensor of dlpack.h (the unversioned structure, as every library reads it).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct DLManagedTensor
{
    public void* Data;
    public int DeviceType;
    public int DeviceId;
    public int Rank;
    public byte Code;
    public byte Bits;
    public ushort Lanes;
    public long* Shape;
    public long* Strides;
    public ulong ByteOffset;
    public void* Context;
    public delegate* unmanaged[Cdecl]<DLManagedTensor*, void> Deleter;
}

/// <summary>Tensors to and from other libraries, without a copy.</summary>
internal static unsafe class DLPack
{
    private const int Cpu = 1, Cuda = 2, CudaHost = 3, CudaManaged = 13;

    private static readonly (DType Type, byte Code, byte Bits)[] Types =
    [
        (DType.Int8, 0, 8), (DType.Int16, 0, 16), (DType.Int32, 0, 32), (DType.Int64, 0, 64), (DType.UInt8, 1, 8),
        (DType.Float16, 2, 16), (DType.Float32, 2, 32), (DType.Float64, 2, 64), (DType.BFloat16, 4, 16), (DType.Bool, 6, 8),
    ];

    public static Tensor From(DLManagedTensor* managed)
    {
        (byte code, byte bits) = (managed->Code, managed->Bits);
        (DType dtype, _, byte known) = Array.Find(Types, t => t.Code == code && t.Bits == bits);
        if (known == 0 || managed->Lanes != 1)
        {
            throw new InputException(
                $"managed: a DLPack dtype that is not served (code {managed->Code}, {managed->Bits} bits, {managed->Lanes} lanes)");
        }
        Device device = managed->DeviceType switch
        {
            Cpu or CudaHost => Device.Cpu,
            Cuda or CudaManaged => Device.Cuda(managed->DeviceId),
            _ => throw new DeviceException($"managed: a DLPack device that is not served (type {managed->DeviceType}); expected CPU or CUDA"),
        };
        if (managed->Rank is < 0 or > 64)
            throw CallException.Argument($"managed: expected 0 to 64 dimensions, given {managed->Rank}");
        Holder holder = new((nint)managed);
        Tensor tensor = Tensor.View((nint)((byte*)managed->Data + managed->ByteOffset), new ReadOnlySpan<long>(managed->Shape, managed->Rank), dtype,
            managed->Strides is null ? default : new ReadOnlySpan<long>(managed->Strides, managed->Rank), holder, device);
        holder.Armed = true;
        return tensor;
    }

    public static DLManagedTensor* To(Tensor tensor)
    {
        DType dtype = tensor.DType;
        (DType Type, byte Code, byte Bits) type = Array.Find(Types, t => t.Type == dtype);
        if (type.Bits == 0)
            throw new InputException($"tensor: DLPack has no dtype for {dtype}");
        Device device = tensor.Device;
        if (device.Type is not (DeviceType.Cpu or DeviceType.Cuda))
            throw new InputException($"tensor: DLPack takes memory of the CPU or of CUDA, given {device}");
        long[] shape = tensor.Shape, strides = tensor.Strides;
        DLManagedTensor* managed = (DLManagedTensor*)NativeMemory.AllocZeroed((nuint)(sizeof(DLManagedTensor) + (2 * sizeof(long) * shape.Length)));
        managed->Data = (void*)tensor.DataPointer;
        managed->DeviceType = device.Type == DeviceType.Cuda ? Cuda : Cpu;
        managed->DeviceId = Math.Max(0, device.Index);
        managed->Rank = shape.Length;
        (managed->Code, managed->Bits, managed->Lanes) = (type.Code, type.Bits, 1);
        managed->Shape = (long*)(managed + 1);
        managed->Strides = managed->Shape + shape.Length;
        shape.CopyTo(new Span<long>(managed->Shape, shape.Length));
        strides.CopyTo(new Span<long>(managed->Strides, shape.Length));
        managed->Context = (void*)GCHandle.ToIntPtr(GCHandle.Alloc(Tensor.FromHandle(tensor.Handle, own: false).Keep()));
        managed->Deleter = &Delete;
        return managed;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Delete(DLManagedTensor* managed)
    {
        if (managed is null)
            return;
        GCHandle root = GCHandle.FromIntPtr((nint)managed->Context);
        ((Tensor)root.Target!).Dispose();
        root.Free();
        NativeMemory.Free(managed);
    }

    private sealed class Holder(nint managed) : IMemoryLease
    {
        public volatile bool Armed;

        public void Return()
        {
            DLManagedTensor* m = (DLManagedTensor*)managed;
            if (Armed && m->Deleter is not null)
                m->Deleter(m);
        }
    }
}
