using System.Diagnostics;
using System.Runtime.InteropServices;

namespace LongformerInterop.Torch.Interop;

/// <summary>The libraries that this process has loaded, by whomever.</summary>
internal static unsafe partial class LoadedLibraries
{
    [ThreadStatic] private static List<string>? _gathered;

    /// <summary>Their paths, each file once.</summary>
    public static IReadOnlyList<string> Paths()
    {
        List<string> paths = _gathered = [];
        if (OperatingSystem.IsWindows())
            paths.AddRange(Process.GetCurrentProcess().Modules.Cast<ProcessModule>().Select(m => m.FileName));
        else
            _ = Iterate(&Gather, null);
        _gathered = null;
        return [.. paths.Distinct()];
    }

    [UnmanagedCallersOnly]
    private static int Gather(Information* information, nuint size, void* data)
    {
        if (information->Name is not null && *information->Name != 0)
            _gathered?.Add(Native.Utf8(information->Name));
        return 0;
    }

    [LibraryImport("libc", EntryPoint = "dl_iterate_phdr")]
    private static partial int Iterate(delegate* unmanaged<Information*, nuint, void*, int> callback, void* data);

    /// <summary>The beginning of dl_phdr_info of link.h.</summary>
    [StructLayout(LayoutKind.Explicit)]
    private readonly struct Information
    {
        [FieldOffset(8)] public readonly byte* Name;
    }
}
