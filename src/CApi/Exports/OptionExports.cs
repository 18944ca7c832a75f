using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class OptionExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_load_options_create", CallConvs = [typeof(CallConvCdecl)])]
    public static int LoadOptionsCreate(nint* options) => Failure.Run(() =>
    {
        CMemory.Out(options, "options");
        *options = Handles.Add(new LoadSettings());
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_load_options_set", CallConvs = [typeof(CallConvCdecl)])]
    public static int LoadOptionsSet(nint options, byte* name, byte* value) => Failure.Run(() =>
    {
        using Lease<LoadSettings> settings = Handles.Use<LoadSettings>(options, "options");
        settings.Value.Set(CMemory.Name(name, "name"), CMemory.Name(value, "value"));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_load_options_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int LoadOptionsFree(nint options) => Failure.Run(() => Handles.Free<LoadSettings>(options, "options"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_create", CallConvs = [typeof(CallConvCdecl)])]
    public static int Create(nint* options) => Failure.Run(() =>
    {
        CMemory.Out(options, "options");
        *options = Handles.Add(new CallSettings());
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_set_int", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetInt(nint options, byte* name, long value) => Set(options, name, () => value);

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_set_float", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetFloat(nint options, byte* name, double value) => Set(options, name, () => value);

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_set_text", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetText(nint options, byte* name, byte* text, nuint length) => Set(options, name, () => CMemory.Text(text, length, "text"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_set_ints", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetInts(nint options, byte* name, long* values, nuint count) =>
        Set(options, name, () => CMemory.Span(values, count, "values").ToArray());

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_set_tensor", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetTensor(nint options, byte* name, nint tensor) => Set(options, name, () =>
    {
        using Lease<TensorHandle> given = Handles.Use<TensorHandle>(tensor, "tensor");
        return TensorHandle.Share(given.Value.Tensor).Tensor;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int Free(nint options) => Failure.Run(() => Handles.Free<CallSettings>(options, "options"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_set_cancel", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetCancel(nint options, delegate* unmanaged[Cdecl]<void*, int> callback, void* context) => Failure.Run(() =>
    {
        using Lease<CallSettings> settings = Handles.Use<CallSettings>(options, "options");
        settings.Value.Cancel = callback;
        settings.Value.CancelContext = context;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_set_cancel_interval", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetCancelInterval(nint options, int milliseconds) => Failure.Run(() =>
    {
        using Lease<CallSettings> settings = Handles.Use<CallSettings>(options, "options");
        if (milliseconds < 0)
            throw new InputException("milliseconds", "at least 0", $"{milliseconds}");
        settings.Value.CancelInterval = milliseconds;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_set_progress", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetProgress(nint options, delegate* unmanaged[Cdecl]<void*, long, long, long, int> callback, void* context) => Failure.Run(() =>
    {
        using Lease<CallSettings> settings = Handles.Use<CallSettings>(options, "options");
        settings.Value.Progress = callback;
        settings.Value.ProgressContext = context;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_set_on_text", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetOnText(nint options, delegate* unmanaged[Cdecl]<void*, byte*, nuint, int> callback, void* context) => Failure.Run(() =>
    {
        using Lease<CallSettings> settings = Handles.Use<CallSettings>(options, "options");
        settings.Value.OnText = callback;
        settings.Value.OnTextContext = context;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_options_set_on_token", CallConvs = [typeof(CallConvCdecl)])]
    public static int SetOnToken(nint options, delegate* unmanaged[Cdecl]<void*, long, int, int, int, int> callback, void* context) =>
        Failure.Run(() =>
    {
        using Lease<CallSettings> settings = Handles.Use<CallSettings>(options, "options");
        settings.Value.OnToken = callback;
        settings.Value.OnTokenContext = context;
    });

    private static int Set(nint options, byte* name, Func<object> value) => Failure.Run(() =>
    {
        using Lease<CallSettings> settings = Handles.Use<CallSettings>(options, "options");
        settings.Value.Set(CMemory.Name(name, "name"), value());
    });
}
