using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using LongformerInterop.Checkpoints.Interop;
using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// Writes safetensors files, one tensor at a time, in the layout of the safetensors library: wide dtypes first, then by name, the
/// header padded so that the data begin at a multiple of eight. A file appears under its name only when it is complete and on the
/// disk; a failure leaves what was there before.
/// </summary>
public static class SafetensorsWriter
{
    private const string ShortEscapes = "\"\\\b\f\n\r\t";

    private static readonly Dictionary<string, string> DefaultMetadata = new() { ["format"] = "pt" };

    /// <summary>Writes tensors that are at hand.</summary>
    /// <param name="path">The file to write or replace.</param>
    /// <param name="tensors">The tensors by name, on any device and of any strides.</param>
    /// <param name="metadata">Strings for <c>__metadata__</c>; by default <c>format</c> = <c>pt</c>, which HF's loaders ask for.</param>
    /// <exception cref="CheckpointException">A name or dtype that the format cannot hold, or the disk refused.</exception>
    public static void Write(string path, IReadOnlyDictionary<string, Tensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        Write(path, tensors.Select(t => TensorSource.From(t.Key, t.Value)), metadata);
    }

    /// <summary>Writes tensors whose values come one by one, so that memory stays bounded whatever the file's size.</summary>
    /// <param name="path">The file to write or replace.</param>
    /// <param name="tensors">The tensors to write, in any order.</param>
    /// <param name="metadata">Strings for <c>__metadata__</c>; by default <c>format</c> = <c>pt</c>.</param>
    /// <exception cref="CheckpointException">A name that the format cannot hold or that comes twice, or the disk refused.</exception>
    public static void Write(string path, IEnumerable<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        Write(path, tensors, metadata, OpenTemporary);

    /// <summary>The same with another way to open the temporary file: tests put a disk that fills up here.</summary>
    internal static void Write(string path, IEnumerable<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata,
        Func<string, Stream> open)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tensors);
        TensorSource[] ordered = Order(tensors);
        byte[] header = Header(ordered, metadata ?? DefaultMetadata);
        AtomicFile.Write(path, stream =>
        {
            stream.Write(header);
            foreach (TensorSource tensor in ordered)
            {
                CountingStream counted = new(stream);
                tensor.WriteTo(counted);
                if (counted.Count != tensor.ByteCount)
                {
                    throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                        $"tensor {SafetensorsHeader.Quote(tensor.Name)}: {counted.Count} bytes came instead of {tensor.ByteCount}"));
                }
            }
        }, open);
    }

    /// <summary>The header with its length in front, as the file begins.</summary>
    internal static byte[] Header(IReadOnlyList<TensorSource> ordered, IReadOnlyDictionary<string, string> metadata)
    {
        StringBuilder json = new("{\"__metadata__\":{");
        string separator = "";
        foreach ((string key, string value) in metadata.OrderBy(m => m.Key, StringComparer.Ordinal))
        {
            json.Append(separator).Append(Json(key, "a key of the metadata")).Append(':').Append(Json(value, $"the metadata {key}"));
            separator = ",";
        }
        json.Append('}');
        long offset = 0;
        foreach (TensorSource tensor in ordered)
        {
            json.Append(',').Append(Json(tensor.Name, "a tensor's name")).Append(":{\"dtype\":\"").Append(tensor.Type.Name())
                .Append("\",\"shape\":[");
            for (int i = 0; i < tensor.Shape.Length; i++)
                json.Append(i == 0 ? "" : ",").Append(CultureInfo.InvariantCulture, $"{tensor.Shape[i]}");
            json.Append(CultureInfo.InvariantCulture, $"],\"data_offsets\":[{offset},{offset + tensor.ByteCount}]}}");
            offset = checked(offset + tensor.ByteCount);
        }
        json.Append('}');
        byte[] text = Encoding.UTF8.GetBytes(json.ToString());
        int padded = (text.Length + 7) / 8 * 8;
        if (padded > SafetensorsHeader.MaximumLength)
        {
            throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                $"the header would have {padded} bytes, readers take at most {SafetensorsHeader.MaximumLength}"));
        }
        byte[] header = new byte[SafetensorsHeader.PrefixLength + padded];
        BinaryPrimitives.WriteInt64LittleEndian(header, padded);
        header.AsSpan(SafetensorsHeader.PrefixLength).Fill((byte)' ');
        text.CopyTo(header, SafetensorsHeader.PrefixLength);
        return header;
    }

    /// <summary>The library's order: by dtype, the widest first, then by name (in code points, as UTF-8 sorts).</summary>
    internal static TensorSource[] Order(IEnumerable<TensorSource> tensors)
    {
        TensorSource[] ordered = [.. tensors];
        HashSet<string> names = new(StringComparer.Ordinal);
        foreach (TensorSource tensor in ordered)
        {
            if (tensor.Name == "__metadata__")
                throw new CheckpointException("a tensor cannot be named '__metadata__': the format uses that name itself");
            if (!names.Add(tensor.Name))
                throw new CheckpointException($"the tensor {SafetensorsHeader.Quote(tensor.Name)} was given twice");
            if (tensor.Shape.Length > SafetensorsHeader.MaximumRank)
            {
                throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                    $"tensor {SafetensorsHeader.Quote(tensor.Name)} has {tensor.Shape.Length} dimensions, at most {SafetensorsHeader.MaximumRank} "
                    + $"are allowed"));
            }
        }
        Array.Sort(ordered, static (a, b) => a.Type != b.Type ? b.Type.CompareTo(a.Type) : CompareCodePoints(a.Name, b.Name));
        return ordered;
    }

    // UTF-16 order differs from UTF-8 order only where a surrogate meets U+E000..U+FFFF.
    private static int CompareCodePoints(string a, string b)
    {
        int common = a.AsSpan().CommonPrefixLength(b);
        if (common == a.Length || common == b.Length)
            return a.Length.CompareTo(b.Length);
        (char x, char y) = (a[common], b[common]);
        return char.IsSurrogate(x) != char.IsSurrogate(y) ? (char.IsSurrogate(x) ? 1 : -1) : x.CompareTo(y);
    }

    // Only what JSON demands is escaped, as the library does; half a surrogate pair has no UTF-8.
    internal static string Json(string text, string what)
    {
        StringBuilder json = new("\"", text.Length + 2);
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (char.IsSurrogate(c))
            {
                if (i + 1 == text.Length || !char.IsSurrogatePair(c, text[i + 1]))
                {
                    throw new CheckpointException(
                        $"{what} is not valid text: half a surrogate pair at character {i.ToString(CultureInfo.InvariantCulture)}");
                }
                json.Append(c).Append(text[++i]);
            }
            else if (ShortEscapes.IndexOf(c, StringComparison.Ordinal) is >= 0 and int at)
            {
                json.Append('\\').Append("\"\\bfnrt"[at]);
            }
            else if (c < ' ')
            {
                json.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            }
            else
            {
                json.Append(c);
            }
        }
        return json.Append('"').ToString();
    }

    private static FileStream OpenTemporary(string path) => AtomicFile.Open(path);
}
