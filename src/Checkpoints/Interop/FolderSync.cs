using System.Runtime.InteropServices;

namespace LongformerInterop.Checkpoints.Interop;

/// <summary>Makes a rename durable: .NET opens no folders, so the three calls go to the C library.</summary>
internal static partial class FolderSync
{
    private const int ReadOnly = 0;

    /// <summary>
    /// Flushes a folder's entries to the disk. Best effort: the data are on the disk already, and file systems that cannot do this
    /// for folders (some network ones) are no reason to report a failed write.
    /// </summary>
    internal static void Flush(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        int descriptor = Open(folder, ReadOnly);
        if (descriptor < 0)
            return;
        _ = Sync(descriptor);
        _ = Close(descriptor);
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int Sync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
