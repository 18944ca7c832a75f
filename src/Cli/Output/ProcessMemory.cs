using System.Diagnostics;
using System.Globalization;

namespace LongformerInterop.Cli.Output;

/// <summary>How much memory this process held at most.</summary>
internal static class ProcessMemory
{
    /// <summary>Peak resident bytes: VmHWM of /proc/self/status, which counts mapped weights that were touched; elsewhere the runtime's figure.</summary>
    internal static long PeakBytes()
    {
        const string status = "/proc/self/status";
        if (File.Exists(status))
            foreach (string line in File.ReadLines(status))
                if (line.StartsWith("VmHWM:", StringComparison.Ordinal)
                    && long.TryParse(line.AsSpan(6).Trim().TrimEnd("kB").Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long kilobytes))
                    return kilobytes * 1024;
        using Process self = Process.GetCurrentProcess();
        return self.PeakWorkingSet64;
    }
}
