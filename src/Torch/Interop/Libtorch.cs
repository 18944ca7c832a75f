using System.Runtime.InteropServices;

namespace LongformerInterop.Torch.Interop;

/// <summary>
/// The functions of libtorch's C interface that C# calls. All of them have been there since 2.10. Those that read a field of a tensor
/// leave the thread in managed mode: they take nanoseconds, and neither wait nor call back.
/// </summary>
internal static unsafe class Libtorch
{
    /// <summary>The interface that arguments are laid out for: 2.10.</summary>
    public const ulong Interface = (2UL << 56) | (10UL << 48);

    /// <summary>One of the functions that libtorch has had since 2.10 and not before.</summary>
    public const string NewestFunction = "torch_call_dispatcher";

    public static delegate* unmanaged<ulong> AbiVersion;
    public static delegate* unmanaged<byte*, byte*, ulong*, ulong, int> CallDispatcher;
    public static delegate* unmanaged<nint, nint*, int> NewTensorHandle;
    public static delegate* unmanaged<nint, int> DeleteTensor;
    public static delegate* unmanaged<nint, long, long*, long*, long, nint*, int> Reinterpret;
    public static delegate* unmanaged<nint, nint, double, nint*, int> Subtract;
    public static delegate* unmanaged<nint, nint, int, int> Copy;
    public static delegate* unmanaged<nint, int> Zero;
    public static delegate* unmanaged<nint, double, int> Fill;
    public static delegate* unmanaged<nint, long*, long, byte*, double*, nint*, int> Pad;
    public static delegate* unmanaged<long, long*, long*, int, int, int, nint*, int> EmptyPinned;
    public static delegate* unmanaged<double, nint*, int> ScalarFloat64;
    public static delegate* unmanaged<float, nint*, int> ScalarFloat32;
    public static delegate* unmanaged<long, nint*, int> ScalarInt64;
    public static delegate* unmanaged<nuint, nint*, int> NewList;
    public static delegate* unmanaged<nint, ulong, int> ListPush;
    public static delegate* unmanaged<nint, int> DeleteList;

    public static delegate* unmanaged[SuppressGCTransition]<nint, long*, int> GetDim;
    public static delegate* unmanaged[SuppressGCTransition]<nint, long**, int> GetSizes;
    public static delegate* unmanaged[SuppressGCTransition]<nint, long**, int> GetStrides;
    public static delegate* unmanaged[SuppressGCTransition]<nint, int*, int> GetDType;
    public static delegate* unmanaged[SuppressGCTransition]<nint, int*, int> GetDeviceType;
    public static delegate* unmanaged[SuppressGCTransition]<nint, int*, int> GetDeviceIndex;
    public static delegate* unmanaged[SuppressGCTransition]<nint, int*, int> GetLayout;
    public static delegate* unmanaged[SuppressGCTransition]<nint, long*, int> GetStorageOffset;
    public static delegate* unmanaged[SuppressGCTransition]<nint, void**, int> GetDataPointer;
    public static delegate* unmanaged<nint, long*, int> GetStorageSize;

    /// <summary>The version of the libtorch behind <see cref="AbiVersion"/>, such as 2.10.0.</summary>
    public static Version Version
    {
        get
        {
            ulong packed = AbiVersion();
            return new((int)(packed >> 56), (int)(packed >> 48) & 0xFF, (int)(packed >> 40) & 0xFF);
        }
    }

    /// <summary>Takes the functions out of a loaded libtorch.</summary>
    /// <exception cref="EntryPointNotFoundException">It lacks one.</exception>
    public static void Bind(nint library)
    {
        AbiVersion = (delegate* unmanaged<ulong>)Function("aoti_torch_abi_version");
        CallDispatcher = (delegate* unmanaged<byte*, byte*, ulong*, ulong, int>)Function(NewestFunction);
        NewTensorHandle = (delegate* unmanaged<nint, nint*, int>)Function("aoti_torch_new_tensor_handle");
        DeleteTensor = (delegate* unmanaged<nint, int>)Function("aoti_torch_delete_tensor_object");
        Reinterpret = (delegate* unmanaged<nint, long, long*, long*, long, nint*, int>)Function("aoti_torch__reinterpret_tensor");
        Subtract = (delegate* unmanaged<nint, nint, double, nint*, int>)Function("aoti_torch_aten_subtract_Tensor");
        Copy = (delegate* unmanaged<nint, nint, int, int>)Function("aoti_torch_copy_");
        Zero = (delegate* unmanaged<nint, int>)Function("aoti_torch_zero_");
        Fill = (delegate* unmanaged<nint, double, int>)Function("aoti_torch_aten_fill__Scalar");
        Pad = (delegate* unmanaged<nint, long*, long, byte*, double*, nint*, int>)Function("aoti_torch_aten_pad");
        EmptyPinned = (delegate* unmanaged<long, long*, long*, int, int, int, nint*, int>)Function("aoti_torch_empty_strided_pinned");
        ScalarFloat64 = (delegate* unmanaged<double, nint*, int>)Function("aoti_torch_scalar_to_tensor_float64");
        ScalarFloat32 = (delegate* unmanaged<float, nint*, int>)Function("aoti_torch_scalar_to_tensor_float32");
        ScalarInt64 = (delegate* unmanaged<long, nint*, int>)Function("aoti_torch_scalar_to_tensor_int64");
        NewList = (delegate* unmanaged<nuint, nint*, int>)Function("torch_new_list_reserve_size");
        ListPush = (delegate* unmanaged<nint, ulong, int>)Function("torch_list_push_back");
        DeleteList = (delegate* unmanaged<nint, int>)Function("torch_delete_list");
        GetDim = (delegate* unmanaged[SuppressGCTransition]<nint, long*, int>)Function("aoti_torch_get_dim");
        GetSizes = (delegate* unmanaged[SuppressGCTransition]<nint, long**, int>)Function("aoti_torch_get_sizes");
        GetStrides = (delegate* unmanaged[SuppressGCTransition]<nint, long**, int>)Function("aoti_torch_get_strides");
        GetDType = (delegate* unmanaged[SuppressGCTransition]<nint, int*, int>)Function("aoti_torch_get_dtype");
        GetDeviceType = (delegate* unmanaged[SuppressGCTransition]<nint, int*, int>)Function("aoti_torch_get_device_type");
        GetDeviceIndex = (delegate* unmanaged[SuppressGCTransition]<nint, int*, int>)Function("aoti_torch_get_device_index");
        GetLayout = (delegate* unmanaged[SuppressGCTransition]<nint, int*, int>)Function("aoti_torch_get_layout");
        GetStorageOffset = (delegate* unmanaged[SuppressGCTransition]<nint, long*, int>)Function("aoti_torch_get_storage_offset");
        GetDataPointer = (delegate* unmanaged[SuppressGCTransition]<nint, void**, int>)Function("aoti_torch_get_data_ptr");
        GetStorageSize = (delegate* unmanaged<nint, long*, int>)Function("aoti_torch_get_storage_size");

        nint Function(string name) => NativeLibrary.GetExport(library, name);
    }
}
