using System.Globalization;
using LongformerInterop.Cli.Output;

namespace LongformerInterop.Cli.Bench;

/// <summary>Resident memory of this process, whose peak Linux lets a process set back.</summary>
internal static class ResidentMemory
{
    /// <summary>Resident bytes now; the peak where the system does not say.</summary>
    public static long Now()
    {
        const string status = "/proc/self/status";
        if (File.Exists(status))
            foreach (string line in File.ReadLines(status))
                if (line.StartsWith("VmRSS:", StringComparison.Ordinal)
                    && long.TryParse(line.AsSpan(6).Trim().TrimEnd("kB").Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long kilobytes))
                    return kilobytes * 1024;
        return ProcessMemory.PeakBytes();
    }

    /// <summary>Makes the peak begin anew at what is resident now. Where that cannot be, the peak stays that of the whole process.</summary>
    public static void ResetPeak()
    {
        try
        {
            if (OperatingSystem.IsLinux()) File.WriteAllText("/proc/self/clear_refs", "5");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The peak then includes what came before, which is the safe side.
        }
    }
}
