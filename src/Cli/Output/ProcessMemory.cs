using System.Diagnostics;
using System.Globalization;

namespace LongformerInterop.Cli.Output;

/// <summary>How much memory this process holds, and held at most, as the system counts it: with the pages of mapped weights that were
/// touched.</summary>
internal static class ProcessMemory
{
    /// <summary>Peak resident bytes.</summary>
    internal static long PeakBytes() => Status("VmHWM:") ?? Runtime(process => process.PeakWorkingSet64);

    /// <summary>Resident bytes now.</summary>
    internal static long ResidentBytes() => Status("VmRSS:") ?? Runtime(process => process.WorkingSet64);

    /// <summary>Resets the peak to the memory that is resident now. Where that is not possible, it stays that of the whole process.</summary>
    internal static void ResetPeak()
    {
        try
        {
            if (OperatingSystem.IsLinux())
                File.WriteAllText("/proc/self/clear_refs", "5");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The peak then includes what came before, which is the safe side.
        }
    }

    /// <summary>A field of Linux's account of this process, in bytes; null on other systems.</summary>
    private static long? Status(string field)
    {
        const string status = "/proc/self/status";
        if (File.Exists(status))
        {
            foreach (string line in File.ReadLines(status))
            {
                if (line.StartsWith(field, StringComparison.Ordinal)
                    && long.TryParse(line.AsSpan(field.Length).Trim().TrimEnd("kB").Trim(), NumberStyles.None, CultureInfo.InvariantCulture,
                        out long kilobytes))
                {
                    return kilobytes * 1024;
                }
            }
        }
        return null;
    }

    private static long Runtime(Func<Process, long> read)
    {
        using Process self = Process.GetCurrentProcess();
        return read(self);
    }
}
