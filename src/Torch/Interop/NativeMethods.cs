using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace LongformerInterop.Torch.Interop;

/// <summary>The kinds of value of longformer_shim.h (lf_shim_tag).</summary>
internal enum Tag
{
    None = 0,
    Default = 1,
    Tensor = 2,
    Int = 3,
    Double = 4,
    Bool = 5,
    String = 6,
    Device = 7,
    IntList = 8,
    DoubleList = 9,
    BoolList = 10,
    TensorList = 11,
}

/// <summary>lf_shim_value: 16 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal unsafe struct NativeValue
{
    [FieldOffset(0)] public Tag Tag;
    [FieldOffset(4)] public int N;
    [FieldOffset(8)] public long Integer;
    [FieldOffset(8)] public double Real;
    [FieldOffset(8)] public void* Pointer;
}

/// <summary>lf_shim_tensor_info.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeTensorInfo
{
    public nint Data;
    public long Elements;
    public int ElementSize;
    public int DType;
    public int DeviceType;
    public int DeviceIndex;
    public int Rank;
    public int Flags;

    public const int Contiguous = 1, RequiresGrad = 2, Leaf = 4, Inference = 8;
}

/// <summary>The functions of longformer_shim.h, which documents them. All blittable; none may suppress the GC transition,
/// since most can run an operator or a release callback.</summary>
internal static unsafe partial class NativeMethods
{
    public const string Library = "longformer_shim";
    public const int AbiVersion = 1;

    [LibraryImport(Library, EntryPoint = "lf_shim_last_error")]
    public static partial byte* LastError();

    [LibraryImport(Library, EntryPoint = "lf_shim_initialize")]
    public static partial int Initialize(int abiVersion, int threads);

    [LibraryImport(Library, EntryPoint = "lf_shim_version")]
    public static partial int Version(byte** built, byte** loaded);

    [LibraryImport(Library, EntryPoint = "lf_shim_load_library")]
    public static partial int LoadLibrary(byte* path);

    [LibraryImport(Library, EntryPoint = "lf_shim_operator_find")]
    public static partial int OperatorFind(byte* name, byte* overload, nint* result);

    [LibraryImport(Library, EntryPoint = "lf_shim_operator_schema")]
    public static partial int OperatorSchema(nint op, byte** schema, int* arguments, int* results);

    [LibraryImport(Library, EntryPoint = "lf_shim_call")]
    public static partial int Call(nint op, NativeValue* arguments, int n, NativeValue* results, int capacity, int* count);

    [LibraryImport(Library, EntryPoint = "lf_shim_tensor_adopt")]
    public static partial int TensorAdopt(nint tensor, int retain);

    [LibraryImport(Library, EntryPoint = "lf_shim_tensor_release")]
    public static partial int TensorRelease(nint tensor);

    [LibraryImport(Library, EntryPoint = "lf_shim_tensor_count")]
    public static partial int TensorCount(long* count);

    [LibraryImport(Library, EntryPoint = "lf_shim_tensor_describe")]
    public static partial int TensorDescribe(nint tensor, NativeTensorInfo* info);

    [LibraryImport(Library, EntryPoint = "lf_shim_tensor_shape")]
    public static partial int TensorShape(nint tensor, long* sizes, long* strides, int capacity);

    [LibraryImport(Library, EntryPoint = "lf_shim_tensor_from_blob")]
    public static partial int TensorFromBlob(void* data, long* sizes, long* strides, int rank, int dtype, int deviceType,
        int deviceIndex, delegate* unmanaged<void*, void> release, void* context, nint* result);

    [LibraryImport(Library, EntryPoint = "lf_shim_tensor_set_requires_grad")]
    public static partial int TensorSetRequiresGrad(nint tensor, int requiresGrad);

    [LibraryImport(Library, EntryPoint = "lf_shim_tensor_grad")]
    public static partial int TensorGrad(nint tensor, nint* grad);

    [LibraryImport(Library, EntryPoint = "lf_shim_tensor_set_grad")]
    public static partial int TensorSetGrad(nint tensor, nint grad);

    [LibraryImport(Library, EntryPoint = "lf_shim_autograd")]
    public static partial int Autograd(nint* outputs, nint* gradients, int n, nint* inputs, int nInputs, int flags, nint* inputsGradients);

    [LibraryImport(Library, EntryPoint = "lf_shim_mode_enter")]
    public static partial int ModeEnter(int mode, nint* guard);

    [LibraryImport(Library, EntryPoint = "lf_shim_mode_exit")]
    public static partial int ModeExit(nint guard);

    [LibraryImport(Library, EntryPoint = "lf_shim_mode_query")]
    public static partial int ModeQuery(int* grad, int* inference);

    [LibraryImport(Library, EntryPoint = "lf_shim_manual_seed")]
    public static partial int ManualSeed(long seed);

    [LibraryImport(Library, EntryPoint = "lf_shim_set_threads")]
    public static partial int SetThreads(int threads);

    [LibraryImport(Library, EntryPoint = "lf_shim_get_threads")]
    public static partial int GetThreads(int* threads);

    [LibraryImport(Library, EntryPoint = "lf_shim_device_count")]
    public static partial int DeviceCount(int deviceType, int* count);

    [LibraryImport(Library, EntryPoint = "lf_shim_device_memory")]
    public static partial int DeviceMemory(int deviceType, int deviceIndex, long* free, long* total);

    [LibraryImport(Library, EntryPoint = "lf_shim_device_synchronize")]
    public static partial int DeviceSynchronize(int deviceType, int deviceIndex);

    [LibraryImport(Library, EntryPoint = "lf_shim_set_tf32")]
    public static partial int SetTF32(int allowed);

    [LibraryImport(Library, EntryPoint = "lf_shim_get_tf32")]
    public static partial int GetTF32(int* allowed);
}
