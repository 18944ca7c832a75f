using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace LongformerInterop.Checkpoints.Interop;

/// <summary>Copies part of a file into another inside the kernel, as <c>cp</c> does: no byte passes through this process.</summary>
internal static partial class FileRange
{
    // Below this, opening a path around the stream's buffer costs more than it saves.
    private const long Worthwhile = 1 << 20;

    // At most this much in one call: between two, cancellation by a signal stays possible.
    private const long Step = 1 << 27;

    private const int Interrupted = 4;
    private const int NoSpace = 28;

    /// <summary>Copies from <paramref name="offset"/> to the position of <paramref name="target"/>, which moves on.</summary>
    /// <returns>How many bytes were copied: fewer than asked, also none, where the file systems cannot do it or the source ends.</returns>
    /// <exception cref="IOException">The disk is full.</exception>
    internal static long Copy(SafeFileHandle source, long offset, FileStream target, long count)
    {
        if (!OperatingSystem.IsLinux() || count < Worthwhile)
            return 0;
        target.Flush();
        long start = target.Position, done = 0;
        while (done < count)
        {
            long from = offset + done, to = start + done;
            nint copied = CopyFileRange(source, ref from, target.SafeFileHandle, ref to, (nuint)Math.Min(Step, count - done), 0);
            if (copied > 0)
            {
                done += copied;
                continue;
            }
            int error = copied < 0 ? Marshal.GetLastPInvokeError() : 0;
            if (error == NoSpace)
                throw new IOException($"{Marshal.GetPInvokeErrorMessage(error)}.");
            // Anything else (two file systems, an old kernel, an odd file) is no failure: the caller copies the rest by hand.
            if (error != Interrupted)
                break;
        }
        target.Position = start + done;
        return done;
    }

    [LibraryImport("libc", EntryPoint = "copy_file_range", SetLastError = true)]
    private static partial nint CopyFileRange(SafeFileHandle source, ref long sourceOffset, SafeFileHandle target, ref long targetOffset,
        nuint length, uint flags);
}
