using System.Runtime.InteropServices;

namespace LongformerInterop.Torch.Interop;

/// <summary>The file that this code was loaded from, where it is compiled ahead of time.</summary>
internal static unsafe partial class OwnLibrary
{
    /// <summary>Its folder, with links resolved to the file itself; null where the loader does not say.</summary>
    public static string? Folder()
    {
        if (OperatingSystem.IsWindows())
            return null;
        Information information;
        if (AddressInformation((nint)(delegate* unmanaged<void>)&Landmark, &information) == 0 || information.FileName is null)
            return null;
        string path = Path.GetFullPath(Native.Utf8(information.FileName));
        return Path.GetDirectoryName(File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? path);
    }

    // A function in the native file.
    [UnmanagedCallersOnly]
    private static void Landmark()
    {
    }

    [LibraryImport("libc", EntryPoint = "dladdr")]
    private static partial int AddressInformation(nint address, Information* information);

    /// <summary>Dl_info of dlfcn.h.</summary>
    private struct Information
    {
        public byte* FileName;
        public nint Base;
        public byte* SymbolName;
        public nint SymbolAddress;
    }
}
