using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace LongformerInterop.Torch.Interop;

/// <summary>Reads the head of a library's file before the loader does, whose messages are hard to understand.</summary>
internal static class LibraryFile
{
    private const int PeHeader = 0x3C, ElfMachine = 18, ElfSectionTable = 40, ElfSectionSize = 58, ElfSectionCount = 60;

    private static readonly Dictionary<int, string> ElfMachines =
        new() { [62] = "x64", [183] = "Arm64", [3] = "x86", [40] = "Arm", [243] = "RiscV64", [21] = "Ppc64le", [22] = "S390x" };
    private static readonly Dictionary<int, string> PeMachines = new() { [0x8664] = "x64", [0xAA64] = "Arm64", [0x14C] = "x86" };

    /// <summary>Why a file cannot be loaded into this process; null where nothing speaks against it.</summary>
    public static string? Fault(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            byte[] head = new byte[4096];
            int length = file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
            return OperatingSystem.IsWindows() ? PeFault(head.AsSpan(0, length), file.Length) : ElfFault(head.AsSpan(0, length), file.Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"cannot be read: {e.Message}";
        }
    }

    /// <summary>As <see cref="Fault"/>, for Linux.</summary>
    internal static string? ElfFault(ReadOnlySpan<byte> head, long length)
    {
        if (length == 0)
            return "is empty";
        if (head.Length < 4 || !head[..4].SequenceEqual("\u007FELF"u8))
            return "is not a library";
        if (head.Length < 64)
            return "is truncated";
        if (head[4] != 2)
            return "is a library for 32 bits";
        if (Wrong(ElfMachines, BinaryPrimitives.ReadUInt16LittleEndian(head[ElfMachine..])) is { } machine)
            return machine;
        // The table of sections comes last in the file.
        ulong end = BinaryPrimitives.ReadUInt64LittleEndian(head[ElfSectionTable..])
            + ((ulong)BinaryPrimitives.ReadUInt16LittleEndian(head[ElfSectionSize..])
                * BinaryPrimitives.ReadUInt16LittleEndian(head[ElfSectionCount..]));
        return end > (ulong)length ? $"is truncated: it has {length} of {end} bytes" : null;
    }

    /// <summary>As <see cref="Fault"/>, for Windows.</summary>
    internal static string? PeFault(ReadOnlySpan<byte> head, long length)
    {
        if (length == 0)
            return "is empty";
        if (head.Length < 2 || head[0] != 'M' || head[1] != 'Z')
            return "is not a library";
        if (head.Length < PeHeader + 4)
            return "is truncated";
        int at = BinaryPrimitives.ReadInt32LittleEndian(head[PeHeader..]);
        if (at < 0 || at > head.Length - 24)
            return "is truncated";
        if (!head.Slice(at, 4).SequenceEqual("PE\0\0"u8))
            return "is not a library";
        if (Wrong(PeMachines, BinaryPrimitives.ReadUInt16LittleEndian(head[(at + 4)..])) is { } machine)
            return machine;
        int sections = BinaryPrimitives.ReadUInt16LittleEndian(head[(at + 6)..]),
            table = at + 24 + BinaryPrimitives.ReadUInt16LittleEndian(head[(at + 20)..]);
        for (int i = 0; i < sections; i++)
        {
            int section = table + (40 * i);
            if (section + 40 > head.Length)
                return length < section + 40 ? "is truncated" : null;
            long end = (long)BinaryPrimitives.ReadUInt32LittleEndian(head[(section + 16)..])
                + BinaryPrimitives.ReadUInt32LittleEndian(head[(section + 20)..]);
            if (end > length)
                return $"is truncated: it has {length} of at least {end} bytes";
        }
        return null;
    }

    private static string? Wrong(Dictionary<int, string> machines, int machine)
    {
        string own = RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();
        string given = machines.GetValueOrDefault(machine, $"number {machine}");
        return given.Equals(own, StringComparison.OrdinalIgnoreCase)
            ? null
            : $"is a library for another processor: {given}, this process needs {own}";
    }
}
