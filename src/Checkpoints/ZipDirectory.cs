using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace LongformerInterop.Checkpoints;

/// <summary>An entry of a zip archive, stored as it is.</summary>
/// <param name="Begin">Where its bytes begin in the file.</param>
/// <param name="Length">How many there are.</param>
internal readonly record struct ZipEntry(long Begin, long Length);

/// <summary>
/// The directory of a zip archive whose entries are stored without compression, as torch writes them: each is a range of the file
/// that can be used in place. Compressed and encrypted entries are refused, so nothing ever grows beyond its size in the file.
/// </summary>
/// <remarks>Source: PKWARE's APPNOTE 6.3.10, sections 4.3.7 (local header) to 4.3.16 (end of central directory), ZIP64 included.</remarks>
internal static class ZipDirectory
{
    private const uint LocalHeader = 0x04034b50;
    private const uint CentralHeader = 0x02014b50;
    private const uint End = 0x06054b50;
    private const uint End64 = 0x06064b50;
    private const uint Locator64 = 0x07064b50;
    private const int EndBytes = 22;
    private const int MaximumComment = ushort.MaxValue;
    private const long MaximumDirectory = 64 << 20;

    /// <summary>The entries by name.</summary>
    /// <exception cref="CheckpointException">No zip archive, a damaged one, or one with compressed or encrypted entries.</exception>
    internal static Dictionary<string, ZipEntry> Read(MappedFile map)
    {
        (long begin, long length, long count) = FindDirectory(map);
        if (begin < 0 || length < 0 || begin > map.Length - length)
            throw Failure(map, "its directory would be outside the file");
        if (length > MaximumDirectory)
            throw Failure(map, "its directory is larger than that of any checkpoint");
        byte[] directory = new byte[length];
        map.Read(begin, directory);
        Dictionary<string, ZipEntry> entries = new(StringComparer.Ordinal);
        int position = 0;
        for (long i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> rest = directory.AsSpan(position);
            if (rest.Length < 46 || U32(rest, 0) != CentralHeader)
                throw Failure(map, "its directory is damaged");
            int nameLength = U16(rest, 28), extraLength = U16(rest, 30), total = 46 + nameLength + extraLength + U16(rest, 32);
            if (rest.Length < total)
                throw Failure(map, "its directory is damaged");
            ReadOnlySpan<byte> name = rest.Slice(46, nameLength);
            string text = Encoding.UTF8.GetString(name);
            if ((U16(rest, 8) & 1) != 0)
                throw Failure(map, $"the entry {SafetensorsHeader.Quote(text)} is encrypted");
            if (U16(rest, 10) != 0)
                throw Failure(map, $"the entry {SafetensorsHeader.Quote(text)} is compressed, which torch never does");
            (long size, long packed, long offset) = Sizes(map, rest, rest.Slice(46 + nameLength, extraLength));
            if (size != packed)
                throw Failure(map, $"the entry {SafetensorsHeader.Quote(text)} gives two sizes");
            if (!entries.TryAdd(text, Locate(map, text, name, offset, size, begin)))
                throw Failure(map, $"the entry {SafetensorsHeader.Quote(text)} occurs twice in its directory");
            position += total;
        }
        return entries;
    }

    private static (long Begin, long Length, long Count) FindDirectory(MappedFile map)
    {
        int tailLength = (int)Math.Min(map.Length, EndBytes + MaximumComment);
        byte[] tail = new byte[tailLength];
        map.Read(map.Length - tailLength, tail);
        for (int at = tailLength - EndBytes; at >= 0; at--)
        {
            // The last record whose comment reaches exactly to the end of the file.
            if (U32(tail, at) != End || at + EndBytes + U16(tail, at + 20) != tailLength)
                continue;
            (long begin, long length, long count) = (U32(tail, at + 16), U32(tail, at + 12), U16(tail, at + 10));
            if (begin != uint.MaxValue && length != uint.MaxValue && count != ushort.MaxValue)
                return (begin, length, count);
            return FindDirectory64(map, map.Length - tailLength + at - 20) ?? (begin, length, count);
        }
        throw Failure(map, "it has no directory: cut off, or not written to its end");
    }

    private static (long Begin, long Length, long Count)? FindDirectory64(MappedFile map, long locatorAt)
    {
        if (locatorAt < 0)
            return null;
        byte[] record = new byte[56];
        map.Read(locatorAt, record.AsSpan(0, 20));
        if (U32(record, 0) != Locator64)
            return null;
        long at = I64(record, 8);
        if (at < 0 || at > map.Length - record.Length)
            throw Failure(map, "its directory would be outside the file");
        map.Read(at, record);
        return U32(record, 0) == End64 ? (I64(record, 48), I64(record, 40), I64(record, 32)) : throw Failure(map, "its directory is damaged");
    }

    // 32-bit sizes that are all ones are in the ZIP64 extra field instead, in this order, only those that are needed.
    private static (long Size, long Packed, long Offset) Sizes(MappedFile map, ReadOnlySpan<byte> header, ReadOnlySpan<byte> extra)
    {
        long[] values = [U32(header, 24), U32(header, 20), U32(header, 42)];
        if (!values.Contains(uint.MaxValue))
            return (values[0], values[1], values[2]);
        while (extra.Length >= 4)
        {
            int length = U16(extra, 2);
            if (extra.Length < 4 + length)
                break;
            ReadOnlySpan<byte> field = extra.Slice(4, length);
            if (U16(extra, 0) == 1)
            {
                for (int i = 0; i < values.Length; i++)
                {
                    if (values[i] != uint.MaxValue)
                        continue;
                    if (field.Length < 8)
                        throw Failure(map, "its directory is damaged");
                    values[i] = I64(field, 0);
                    field = field[8..];
                }
                return (values[0], values[1], values[2]);
            }
            extra = extra[(4 + length)..];
        }
        return (values[0], values[1], values[2]);
    }

    private static ZipEntry Locate(MappedFile map, string text, ReadOnlySpan<byte> name, long offset, long size, long directory)
    {
        const int fixedBytes = 30;
        if (offset < 0 || size < 0 || offset > directory - fixedBytes - name.Length)
            throw Failure(map, $"the entry {SafetensorsHeader.Quote(text)} would be outside the file");
        byte[] local = new byte[fixedBytes + name.Length];
        map.Read(offset, local);
        // A local header that names another entry is how two readers are made to see different archives.
        if (U32(local, 0) != LocalHeader || U16(local, 26) != name.Length || !local.AsSpan(fixedBytes).SequenceEqual(name) || U16(local, 8) != 0)
            throw Failure(map, $"the entry {SafetensorsHeader.Quote(text)} is not where the directory says");
        long begin = offset + local.Length + U16(local, 28);
        return begin <= directory && size <= directory - begin
            ? new ZipEntry(begin, size)
            : throw Failure(map, string.Create(CultureInfo.InvariantCulture,
                $"the entry {SafetensorsHeader.Quote(text)} of {size} bytes would be outside the file"));
    }

    private static CheckpointException Failure(MappedFile map, string what) => new($"{map.Path}: damaged zip archive: {what}");

    private static ushort U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long I64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
}
