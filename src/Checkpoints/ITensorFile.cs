using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>A file with named tensors, of any supported format. <c>Dispose</c> may be called more than once.</summary>
internal interface ITensorFile : IDisposable
{
    string Path { get; }

    IReadOnlyDictionary<string, TensorEntry> Entries { get; }

    IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>The tensor that an entry describes: one of <see cref="Entries"/>, or one derived from it (renamed, some rows).</summary>
    Tensor Get(TensorEntry entry);

    /// <summary>Writes the elements of a tensor in row-major order, reading the file in pieces of bounded size.</summary>
    void CopyTo(TensorEntry entry, Stream target);
}

/// <summary>Shared by the file formats.</summary>
internal static class TensorFiles
{
    // Half of a core's second-level cache: a piece is still there when it is written.
    private const int ChunkBytes = 1 << 18;

    /// <summary>Opens a file by its first bytes, with any name: safetensors, or one of the two formats of torch.save.</summary>
    internal static ITensorFile Open(string path)
    {
        byte[] start = new byte[512];
        int count;
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 0);
            count = stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{path}: cannot be read: {e.Message}", e);
        }
        ReadOnlySpan<byte> read = start.AsSpan(0, count);
        if (TorchFile.IsZip(read))
            return TorchFile.OpenZip(path);
        if (TorchFile.IsPickle(read))
            return TorchFile.OpenLegacy(path);
        if (count == 0)
            throw new CheckpointException($"{path}: the file is empty: a download that was broken off?");
        if (FileHints.OfContent(read) is { } hint)
            throw new CheckpointException($"{path}: expected weights, given {hint}");
        if (count > 262 && read[257..262].SequenceEqual("ustar"u8))
            throw new CheckpointException($"{path}: a tar archive (torch before 0.2, or a packed folder): unpack it, or save it with a later torch");
        return SafetensorsFile.Open(path);
    }

    internal static DType DTypeOf(TensorEntry entry) => entry.Type.ToDType() ?? throw new CheckpointException(
        $"{entry.File}: tensor {SafetensorsHeader.Quote(entry.Name)} has dtype {entry.Type.Name()}, which libtorch {TorchRuntime.Version} "
        + "does not have");

    internal static Tensor View(MappedFile map, TensorEntry entry) =>
        map.View(entry.Begin, entry.SpanBytes, entry.Shape, entry.Strides, DTypeOf(entry), Math.Max(1, entry.Type.Bits() / 8));

    internal static void Copy(MappedFile map, TensorEntry entry, Stream target)
    {
        if (entry.IsContiguous)
        {
            CopyRange(map, entry.Begin, entry.ByteCount, target);
            return;
        }
        using TensorScope scope = new();
        using Tensor view = View(map, entry);
        TensorBytes.Write(view, target);
    }

    private static void CopyRange(MappedFile map, long begin, long count, Stream target)
    {
        long first = target is CountingStream counting ? map.CopyInto(begin, count, counting) : 0;
        byte[] buffer = new byte[(int)Math.Min(count - first, ChunkBytes)];
        for (long done = first; done < count; done += buffer.Length)
        {
            Span<byte> part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, count - done));
            map.Read(begin + done, part);
            target.Write(part);
        }
    }
}
