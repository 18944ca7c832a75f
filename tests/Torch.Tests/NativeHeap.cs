using System.Diagnostics;
using System.Runtime.InteropServices;

namespace LongformerInterop.Torch.Tests;

/// <summary>How much native memory is allocated: on Linux to the byte, elsewhere as the system counts it.</summary>
internal static partial class NativeHeap
{
    public static long Used()
    {
        if (OperatingSystem.IsLinux())
            return (long)MallInfo().Used + (long)MallInfo().Mapped;
        using Process process = Process.GetCurrentProcess();
        return process.PrivateMemorySize64;
    }

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    private static partial Information MallInfo();

    /// <summary>mallinfo2 of malloc.h: ten numbers.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 80)]
    private readonly struct Information
    {
        [FieldOffset(32)] public readonly nuint Mapped;
        [FieldOffset(56)] public readonly nuint Used;
    }
}
