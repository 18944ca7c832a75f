using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi.Exports;

// longformer.h documents every function of this folder.
internal static unsafe class LibraryExports
{
    private const int AbiVersion = 3;

    private static byte* _torchVersion;

    [UnmanagedCallersOnly(EntryPoint = "lfm_require_abi", CallConvs = [typeof(CallConvCdecl)])]
    public static int RequireAbi(int version) => Failure.Run(() =>
    {
        if (version != AbiVersion)
        {
            throw new CallException(Status.AbiMismatch,
                $"the program was compiled against interface {version} of longformer.h, the library that was loaded has interface {AbiVersion}");
        }
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_last_error", CallConvs = [typeof(CallConvCdecl)])]
    public static byte* LastError() => Failure.LastError;

    [UnmanagedCallersOnly(EntryPoint = "lfm_last_error_fields", CallConvs = [typeof(CallConvCdecl)])]
    public static int LastErrorFields(nint* argument, long* index, nint* expected, nint* given)
    {
        (nint name, long place, nint wanted, nint found) = Failure.LastFields;
        CMemory.Give(argument, name);
        CMemory.Give(index, place);
        CMemory.Give(expected, wanted);
        CMemory.Give(given, found);
        return (int)Status.Ok;
    }

    [UnmanagedCallersOnly(EntryPoint = "lfm_torch_version", CallConvs = [typeof(CallConvCdecl)])]
    public static int TorchVersion(byte** version) => Failure.Run(() =>
    {
        CMemory.NotNull(version, "version");
        if (_torchVersion is null)
            _torchVersion = Static(TorchRuntime.Version);
        *version = _torchVersion;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_set_threads", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetThreads(int threads) => Failure.Run(() =>
    {
        if (threads < 1)
            throw new InputException("threads", "at least 1", $"{threads}");
        TorchRuntime.ThreadCount = threads;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_get_threads", CallConvs = [typeof(CallConvCdecl)])]
    public static int GetThreads(int* threads) => Failure.Run(() =>
    {
        CMemory.NotNull(threads, "threads");
        *threads = TorchRuntime.ThreadCount;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_device_count", CallConvs = [typeof(CallConvCdecl)])]
    public static int DeviceCount(byte* kind, int* count) => Failure.Run(() =>
    {
        CMemory.NotNull(count, "count");
        *count = TorchRuntime.DeviceCount(CMemory.Name(kind, "kind") switch
        {
            "cpu" => DeviceType.Cpu,
            "cuda" => DeviceType.Cuda,
            string other => throw CallException.Argument($"kind: expected cpu or cuda, given \"{other}\""),
        });
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_set_log", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetLog(delegate* unmanaged[Cdecl]<void*, int, byte*, nuint, void> callback, void* context, int level) =>
        Failure.Run(() => LogSink.Set(callback, context, level));

    [UnmanagedCallersOnly(EntryPoint = "lfm_live", CallConvs = [typeof(CallConvCdecl)])]
    public static int Live(long* handles, long* tensors) => Failure.Run(() =>
    {
        if (tensors is not null)
            *tensors = TorchRuntime.LiveTensorCount;
        if (handles is not null)
            *handles = Handles.Live;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_text_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int TextFree(byte* text) => Failure.Run(() => CMemory.FreeText(text));

    // Lives as long as the process.
    private static byte* Static(string text) => new BorrowedMemory().Text(0, 0, () => text, out _);
}
