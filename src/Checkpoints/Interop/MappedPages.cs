using System.Runtime.InteropServices;

namespace LongformerInterop.Checkpoints.Interop;

/// <summary>Tells the kernel that pages of a mapped file are not needed for now.</summary>
internal static partial class MappedPages
{
    private const int DontNeed = 4;

    /// <summary>
    /// Takes the whole pages inside of a range out of this process's memory. The next access reads them from the file again: a page that
    /// this process changed loses the change. Best effort, and nothing on systems other than Linux.
    /// </summary>
    internal static void Leave(nint address, long bytes)
    {
        if (!OperatingSystem.IsLinux())
            return;
        long page = Environment.SystemPageSize;
        long from = (address + page - 1) / page * page, to = (address + bytes) / page * page;
        if (to > from)
            _ = Advise((nint)from, (nuint)(to - from), DontNeed);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);
}
