using System.Diagnostics;
using System.Runtime.InteropServices;

namespace LongformerInterop.Checkpoints.Tests;

/// <summary>Which file is mapped at an address of this process, as the system says.</summary>
internal static partial class Mapping
{
    /// <summary>Whether a file whose path contains that text is mapped there.</summary>
    public static unsafe bool Holds(nint address, string path)
    {
        if (OperatingSystem.IsWindows())
        {
            // The name begins with the device instead of the drive, such as \Device\HarddiskVolume3.
            Span<char> name = new char[1 << 15];
            using Process process = Process.GetCurrentProcess();
            fixed (char* start = name)
            {
                return name[..(int)MappedFileName(process.Handle, address, (ushort*)start, (uint)name.Length)]
                    .Contains(path.AsSpan(path.IndexOf(':') + 1), StringComparison.OrdinalIgnoreCase);
            }
        }
        return File.ReadLines("/proc/self/maps").Where(line => line.Contains(path, StringComparison.Ordinal)).Any(line =>
        {
            string[] range = line.Split(' ')[0].Split('-');
            return (ulong)address >= Convert.ToUInt64(range[0], 16) && (ulong)address < Convert.ToUInt64(range[1], 16);
        });
    }

    [LibraryImport("kernel32", EntryPoint = "K32GetMappedFileNameW")]
    private static unsafe partial uint MappedFileName(nint process, nint address, ushort* name, uint size);
}
