using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Data;

/// <summary>
/// Examples in a memory-mapped file: made once, opened in no time, and however many they are, only those at hand are in memory. The file carries a
/// fingerprint of what it was made from and of what it holds. Thread-safe.
/// </summary>
/// <remarks>
/// Layout, little-endian: "LFDATA01"; fingerprint of the source, 32 bytes; SHA-256 of the examples, 32 bytes; count, place of the index, int64 each;
/// the examples as int32 words; the index: for each example its place (int64) and its tokens (int64). An example: the lengths of its eight parts (-1:
/// not there), then the parts; texts in UTF-8, filled up to whole words.
/// </remarks>
public sealed unsafe class TokenizedData : IDisposable
{
    private const int HeaderBytes = 88, Parts = 8, IndexBytes = 16;
    private static readonly byte[] Magic = "LFDATA01"u8.ToArray();

    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;
    private readonly long _index;

    private TokenizedData(string path, MemoryMappedFile map, MemoryMappedViewAccessor view, byte* start)
    {
        (Path, _map, _view) = (path, map, view);
        _start = start;
        ReadOnlySpan<byte> header = new(start, HeaderBytes);
        Fingerprint = Convert.ToHexStringLower(header[8..40]);
        ContentHash = Convert.ToHexStringLower(header[40..72]);
        Count = checked((int)BinaryPrimitives.ReadInt64LittleEndian(header[72..]));
        _index = BinaryPrimitives.ReadInt64LittleEndian(header[80..]);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Of the source: data, tokenizer and settings.</summary>
    public string Fingerprint { get; }

    /// <summary>SHA-256 of all examples.</summary>
    public string ContentHash { get; }

    /// <summary>How many examples there are.</summary>
    public int Count { get; }

    /// <summary>The tokens of all examples.</summary>
    public long TotalTokens
    {
        get
        {
            long total = 0;
            for (int i = 0; i < Count; i++)
                total += TokenCount(i);
            return total;
        }
    }

    /// <summary>The tokens of an example.</summary>
    public int TokenCount(int example)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)example, (uint)Count);
        return (int)*(long*)(_start + _index + ((long)example * IndexBytes) + 8);
    }

    /// <summary>An example, copied out of the file.</summary>
    public TrainingExample this[int example]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)example, (uint)Count);
            int* at = (int*)(_start + *(long*)(_start + _index + ((long)example * IndexBytes)));
            int* lengths = at;
            at += Parts;
            int[]? Next(int part)
            {
                if (lengths[part] < 0)
                    return null;
                int[] values = new ReadOnlySpan<int>(at, lengths[part]).ToArray();
                at += lengths[part];
                return values;
            }
            string? NextText(int part)
            {
                if (lengths[part] < 0)
                    return null;
                string text = Encoding.UTF8.GetString((byte*)at, lengths[part]);
                at += (lengths[part] + 3) / 4;
                return text;
            }
            int[] ids = Next(0)!;
            (int[]? sequences, int[]? globals, int[]? labels, int[]? targets, int[]? starts) = (Next(1), Next(2), Next(3), Next(4), Next(5));
            return new TrainingExample
            {
                Ids = ids,
                Lengths = sequences,
                Globals = globals,
                Labels = labels,
                Targets = targets is null ? null : MemoryMarshal.Cast<int, float>(targets).ToArray(),
                // Starts and ends are as many: one part holds both.
                Starts = starts?[..(starts.Length / 2)],
                Ends = starts?[(starts.Length / 2)..],
                Source = NextText(6) ?? "",
                Notes = NextText(7),
            };
        }
    }

    /// <summary>Opens a file, or makes it where it is not there or was made from something else.</summary>
    /// <param name="path">The file.</param>
    /// <param name="fingerprint">SHA-256, in hexadecimal digits, of everything that the examples depend on.</param>
    /// <param name="examples">Gives the examples.</param>
    /// <param name="report">Called with the number of examples now and then; null: nobody looks.</param>
    /// <exception cref="InputException">The examples cannot be made, or the file cannot be written.</exception>
    public static TokenizedData OpenOrMake(string path, string fingerprint, Func<IEnumerable<TrainingExample>> examples, Action<long>? report = null)
    {
        ArgumentNullException.ThrowIfNull(examples);
        if (File.Exists(path) && TryOpen(path) is { } there)
        {
            if (there.Fingerprint == fingerprint)
                return there;
            there.Dispose();
        }
        string temporary = $"{path}.{System.IO.Path.GetRandomFileName()}.part";
        try
        {
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!);
            Write(temporary, Convert.FromHexString(fingerprint), examples(), report);
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path}: the tokenized data cannot be written: {e.Message}", e);
        }
        finally
        {
            File.Delete(temporary);
        }
        return TryOpen(path) ?? throw new InputException($"{path}: cannot be read again");
    }

    /// <summary>Ends the mapping.</summary>
    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _map.Dispose();
    }

    /// <summary>Null where the file is none of these, or damaged.</summary>
    private static TokenizedData? TryOpen(string path)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        long length = file.Length;
        byte[] header = new byte[HeaderBytes];
        if (length < HeaderBytes || file.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes
            || !header.AsSpan(0, 8).SequenceEqual(Magic))
        {
            return null;
        }
        (long count, long index) = (BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(72)),
            BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(80)));
        if (count < 0 || index < HeaderBytes || index + (count * IndexBytes) != length)
            return null;
        MemoryMappedFile map = MemoryMappedFile.CreateFromFile(file, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None,
            leaveOpen: false);
        MemoryMappedViewAccessor view = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        return new TokenizedData(path, map, view, start + view.PointerOffset);
    }

    private static void Write(string path, byte[] fingerprint, IEnumerable<TrainingExample> examples, Action<long>? report)
    {
        using FileStream file = new(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 20);
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        file.Write(new byte[HeaderBytes]);
        List<(long Place, long Tokens)> index = [];
        foreach (TrainingExample example in examples)
        {
            index.Add((file.Position, example.Ids.Length));
            byte[] bytes = Bytes(example);
            hash.AppendData(bytes);
            file.Write(bytes);
            if (index.Count % 256 == 0)
                report?.Invoke(index.Count);
        }
        while (file.Position % 8 != 0)
            file.WriteByte(0);
        long place = file.Position;
        foreach ((long from, long tokens) in index)
            file.Write(MemoryMarshal.AsBytes<long>([from, tokens]));
        file.Position = 0;
        file.Write(Magic);
        file.Write(fingerprint);
        file.Write(hash.GetHashAndReset());
        file.Write(MemoryMarshal.AsBytes<long>([index.Count, place]));
        file.Flush(flushToDisk: true);
        report?.Invoke(index.Count);
    }

    private static byte[] Bytes(TrainingExample example)
    {
        byte[]? source = Encoding.UTF8.GetBytes(example.Source), notes = example.Notes is null ? null : Encoding.UTF8.GetBytes(example.Notes);
        int[]? positions = example.Starts is null ? null : [.. example.Starts, .. example.Ends!];
        int[]? targets = example.Targets is null ? null : MemoryMarshal.Cast<float, int>(example.Targets).ToArray();
        List<int> words = [example.Ids.Length, .. Lengths(example.Lengths, example.Globals, example.Labels, targets, positions), source.Length,
            notes?.Length ?? -1];
        foreach (int[]? part in (int[]?[])[example.Ids, example.Lengths, example.Globals, example.Labels, targets, positions])
            words.AddRange(part ?? []);
        foreach (byte[]? text in (byte[]?[])[source, notes])
        {
            byte[] padded = new byte[((text?.Length ?? 0) + 3) / 4 * 4];
            text?.CopyTo(padded, 0);
            words.AddRange(MemoryMarshal.Cast<byte, int>(padded));
        }
        return MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(words)).ToArray();
    }

    private static IEnumerable<int> Lengths(params int[]?[] parts) => parts.Select(part => part?.Length ?? -1);
}
