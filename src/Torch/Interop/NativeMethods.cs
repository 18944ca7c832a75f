using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace LongformerInterop.Torch.Interop;

/// <summary>The kinds of value of native/torch/api.h (longformer_tag), and those that only libtorch's own operators take.</summary>
internal enum Tag
{
    None = 0,
    Tensor = 2,
    Int = 3,
    Double = 4,
    Bool = 5,
    String = 6,
    IntList = 8,
    TensorList = 11,

    /// <summary>A number that becomes a tensor without dimensions.</summary>
    Number = 100,
}

/// <summary>longformer_value: 16 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal unsafe struct NativeValue
{
    [FieldOffset(0)] public Tag Tag;
    [FieldOffset(4)] public int N;
    [FieldOffset(8)] public long Integer;
    [FieldOffset(8)] public double Real;
    [FieldOffset(8)] public void* Pointer;
}

/// <summary>The functions of native/torch/api.h, which documents them. All blittable.</summary>
internal static unsafe partial class NativeMethods
{
    public const string Library = "longformer_ops";
    public const int AbiVersion = 2;

    [LibraryImport(Library, EntryPoint = "longformer_ops_abi")]
    public static partial int Abi();

    [LibraryImport(Library, EntryPoint = "longformer_ops_last_error")]
    public static partial byte* LastError();

    [LibraryImport(Library, EntryPoint = "longformer_ops_initialize")]
    public static partial int Initialize();

    [LibraryImport(Library, EntryPoint = "longformer_ops_find")]
    public static partial int Find(byte* name, nint* op, int* arguments, int* results);

    [LibraryImport(Library, EntryPoint = "longformer_ops_call")]
    public static partial int Call(nint op, NativeValue* arguments, int n, NativeValue* results);

    [LibraryImport(Library, EntryPoint = "longformer_ops_from_memory")]
    public static partial int FromMemory(void* data, long* sizes, long* strides, int rank, int dtype, int deviceType, int deviceIndex,
        delegate* unmanaged<void*, void> release, void* context, nint* tensor);

    [LibraryImport(Library, EntryPoint = "longformer_ops_empty")]
    public static partial int Empty(long* sizes, int rank, int dtype, int deviceType, int deviceIndex, nint* tensor);

    [LibraryImport(Library, EntryPoint = "longformer_ops_hold_memory")]
    public static partial int HoldMemory(int begins, int onePass);

    [LibraryImport(Library, EntryPoint = "longformer_ops_release_memory")]
    public static partial int ReleaseMemory();

    [LibraryImport(Library, EntryPoint = "longformer_ops_trim_malloc")]
    public static partial int TrimMalloc();

    [LibraryImport(Library, EntryPoint = "longformer_ops_torch_error")]
    public static partial byte* TorchError();

    [LibraryImport(Library, EntryPoint = "longformer_ops_set_threads")]
    public static partial int SetThreads(int threads);

    [LibraryImport(Library, EntryPoint = "longformer_ops_get_threads")]
    public static partial int GetThreads();

    [LibraryImport(Library, EntryPoint = "longformer_ops_apply_threads")]
    public static partial void ApplyThreads();

    [LibraryImport(Library, EntryPoint = "longformer_ops_forked")]
    public static partial int Forked();
}
