using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// The header of a safetensors file: eight bytes of length (little endian), that many bytes of JSON, then the data.
/// Parsing checks everything that the format promises, so that what is behind needs no check again: each name once, a known dtype,
/// a shape that fits in memory arithmetic, and byte ranges that cover the data part exactly, without overlap or hole.
/// </summary>
/// <remarks>Source: the format's description and the validation in huggingface/safetensors, safetensors/src/tensor.rs.</remarks>
internal sealed class SafetensorsHeader
{
    /// <summary>Bytes of the length in front.</summary>
    internal const int PrefixLength = 8;

    /// <summary>The reference refuses longer headers too; a header of this length describes about a million tensors.</summary>
    internal const long MaximumLength = 100_000_000;

    /// <summary>libtorch's own operators take no more dimensions.</summary>
    internal const int MaximumRank = 64;

    private const string MetadataName = "__metadata__";

    private readonly string _file;
    private readonly long _dataStart;
    private readonly long _dataLength;
    private readonly Dictionary<string, TensorEntry> _entries = new(StringComparer.Ordinal);
    private Dictionary<string, string>? _metadata;

    private SafetensorsHeader(string file, long dataStart, long dataLength)
    {
        _file = file;
        _dataStart = dataStart;
        _dataLength = dataLength;
    }

    /// <summary>The tensors in the order of their data, by name.</summary>
    internal IReadOnlyDictionary<string, TensorEntry> Entries { get; private set; } = new Dictionary<string, TensorEntry>();

    /// <summary>The strings of <c>__metadata__</c>; empty where the file has none.</summary>
    internal IReadOnlyDictionary<string, string> Metadata => _metadata ??= [];

    /// <summary>The length of the JSON part, checked against the file's length.</summary>
    /// <param name="prefix">The first bytes of the file, eight unless it is shorter.</param>
    /// <param name="fileLength">The length of the whole file.</param>
    /// <param name="file">The file's name, for messages.</param>
    internal static int ReadLength(ReadOnlySpan<byte> prefix, long fileLength, string file)
    {
        if (prefix.Length < PrefixLength)
            throw Failure(file, Text($"not a safetensors file: it has {fileLength} bytes, the length of its header alone takes 8"));
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaximumLength)
            throw Failure(file, Text($"not a safetensors file: the header would have {length} bytes, at most {MaximumLength} are allowed"));
        if ((long)length > fileLength - PrefixLength)
        {
            throw Failure(file, Text($"the header would have {length} bytes and the file has only {fileLength - PrefixLength} after the length: ")
                + "cut off, or not a safetensors file");
        }
        return (int)length;
    }

    /// <summary>Reads and checks the JSON part.</summary>
    /// <param name="json">The header without the length in front.</param>
    /// <param name="fileLength">The length of the whole file.</param>
    /// <param name="file">The file's name, for messages and entries.</param>
    internal static SafetensorsHeader Parse(ReadOnlySpan<byte> json, long fileLength, string file)
    {
        long dataStart = PrefixLength + json.Length;
        SafetensorsHeader header = new(file, dataStart, fileLength - dataStart);
        if (!Utf8.IsValid(json))
            throw Failure(file, "the header is not UTF-8 text");
        // White space around the object is JSON, and the reference reads it so.
        if (!json.TrimStart(" \t\r\n"u8).StartsWith("{"u8))
            throw Failure(file, "the header is not a JSON object: it does not begin with '{'");
        try
        {
            header.ReadObject(json);
        }
        catch (JsonException e)
        {
            throw new CheckpointException($"{file}: the header is not valid JSON: {e.Message}", e);
        }
        header.CheckCoverage();
        return header;
    }

    private void ReadObject(ReadOnlySpan<byte> json)
    {
        Utf8JsonReader reader = new(json);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = ReadString(ref reader, "a tensor's name");
            reader.Read();
            if (name == MetadataName)
                ReadMetadata(ref reader);
            else
                ReadEntry(ref reader, name);
        }
        // Reading on to the end finds anything but white space behind the closing brace.
        while (reader.Read())
        {
        }
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        if (_metadata is not null)
            throw Failure("__metadata__ occurs twice in the header");
        _metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        if (reader.TokenType == JsonTokenType.Null)
            return;
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Failure($"__metadata__ is {Kind(reader.TokenType)}, not an object of strings");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = ReadString(ref reader, "a key of __metadata__");
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw Failure($"__metadata__ holds {Kind(reader.TokenType)} under {Quote(key)}: only strings are allowed");
            if (!_metadata.TryAdd(key, ReadString(ref reader, $"__metadata__ {Quote(key)}")))
                throw Failure($"the key {Quote(key)} occurs twice in __metadata__");
        }
    }

    private void ReadEntry(ref Utf8JsonReader reader, string name)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Failure($"tensor {Quote(name)} is described by {Kind(reader.TokenType)}, not by an object");
        StoredType? type = null;
        long[]? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string field = ReadString(ref reader, $"a field of tensor {Quote(name)}");
            reader.Read();
            bool again = field switch { "dtype" => type is not null, "shape" => shape is not null,
                "data_offsets" => offsets is not null, _ => false };
            if (again)
                throw Failure($"tensor {Quote(name)} gives {field} twice");
            switch (field)
            {
                case "dtype":
                    type = ReadType(ref reader, name);
                    break;
                case "shape":
                    shape = ReadIntegers(ref reader, name, field, MaximumRank);
                    break;
                case "data_offsets":
                    offsets = ReadIntegers(ref reader, name, field, 2);
                    break;
                default:
                    // A newer writer's: the reference passes over what it does not know.
                    reader.Skip();
                    break;
            }
        }
        if (type is null || shape is null || offsets is null)
            throw Failure($"tensor {Quote(name)} has no {(type is null ? "dtype" : shape is null ? "shape" : "data_offsets")}");
        if (offsets.Length != 2)
            throw Failure(Text($"tensor {Quote(name)}: data_offsets has {offsets.Length} numbers instead of begin and end"));
        TensorEntry entry = CheckEntry(name, type.Value, shape, offsets[0], offsets[1]);
        if (!_entries.TryAdd(name, entry))
            throw Failure($"the tensor {Quote(name)} occurs twice in the header");
    }

    private StoredType ReadType(ref Utf8JsonReader reader, string name)
    {
        if (reader.TokenType != JsonTokenType.String)
            throw Failure($"tensor {Quote(name)}: dtype is {Kind(reader.TokenType)}, not a string");
        string text = ReadString(ref reader, $"the dtype of tensor {Quote(name)}");
        return StoredTypes.TryParse(text, out StoredType type)
            ? type
            : throw Failure($"tensor {Quote(name)}: unknown dtype {Quote(text)}");
    }

    private long[] ReadIntegers(ref Utf8JsonReader reader, string name, string field, int maximum)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw Failure($"tensor {Quote(name)}: {field} is {Kind(reader.TokenType)}, not an array of numbers");
        List<long> values = [];
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number)
                throw Failure($"tensor {Quote(name)}: {field} holds {Kind(reader.TokenType)} instead of a number");
            if (!reader.TryGetInt64(out long value) || value < 0)
                throw Failure($"tensor {Quote(name)}: {field} holds {NumberFault(reader.ValueSpan)}");
            if (values.Count == maximum)
                throw Failure(Text($"tensor {Quote(name)}: {field} has more than {maximum} numbers"));
            values.Add(value);
        }
        return [.. values];
    }

    private static string NumberFault(ReadOnlySpan<byte> digits)
    {
        string number = Encoding.UTF8.GetString(digits[..Math.Min(digits.Length, 40)]);
        if (digits.IndexOfAny((byte)'.', (byte)'e', (byte)'E') >= 0)
            return $"{number}, which is not an integer";
        return digits[0] == (byte)'-' ? $"{number}, which is negative" : $"{number}, which does not fit in 63 bits";
    }

    private TensorEntry CheckEntry(string name, StoredType type, long[] shape, long begin, long end)
    {
        if (end < begin)
            throw Failure(Text($"tensor {Quote(name)}: data_offsets [{begin}, {end}] are reversed"));
        if (end > _dataLength)
        {
            throw Failure(Text($"tensor {Quote(name)}: its data ends at byte {end} and the file holds {_dataLength} bytes of data: ")
                + "cut off, or damaged");
        }
        Int128 elements = 1;
        // Strides multiply the sizes even where one is zero, so the product without zeros must fit too.
        Int128 strides = 1;
        foreach (long size in shape)
        {
            elements *= size;
            strides *= Math.Max(size, 1);
            if (strides > long.MaxValue / 64)
                throw Failure($"tensor {Quote(name)}: the shape {TensorEntry.ShapeText(shape)} has more elements than memory can address");
        }
        Int128 bits = elements * type.Bits();
        if (bits % 8 != 0)
        {
            throw Failure(Text($"tensor {Quote(name)}: {(long)elements} elements of {type.Name()} with {type.Bits()} bits each ")
                + "do not end on a byte");
        }
        if (bits / 8 != end - begin)
        {
            throw Failure(Text($"tensor {Quote(name)}: {type.Name()} {TensorEntry.ShapeText(shape)} takes {(long)(bits / 8)} bytes, ")
                + Text($"data_offsets [{begin}, {end}] give {end - begin}"));
        }
        return new TensorEntry(name, type, shape, _dataStart + begin, _file);
    }

    private void CheckCoverage()
    {
        // By beginning, then by end: an empty tensor may be where another begins.
        TensorEntry[] ordered = [.. _entries.Values.OrderBy(e => e.Begin).ThenBy(e => e.ByteCount)];
        long position = 0;
        string before = "";
        foreach (TensorEntry entry in ordered)
        {
            long begin = entry.Begin - _dataStart;
            if (begin < position)
            {
                throw Failure(Text($"tensors {Quote(before)} and {Quote(entry.Name)} overlap: one ends at byte {position}, ")
                    + Text($"the other begins at {begin}"));
            }
            if (begin > position)
                throw Failure(Text($"bytes {position} to {begin} of the data, before tensor {Quote(entry.Name)}, belong to no tensor"));
            position = begin + entry.ByteCount;
            before = entry.Name;
        }
        if (position != _dataLength)
            throw Failure(Text($"{_dataLength - position} bytes behind the last tensor belong to no tensor"));
        Entries = ordered.ToDictionary(e => e.Name, StringComparer.Ordinal);
    }

    // A name escaped as half of a surrogate pair is JSON, but no text.
    private string ReadString(ref Utf8JsonReader reader, string what)
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw new CheckpointException($"{_file}: {what} in the header is not valid text: {e.Message}", e);
        }
    }

    private static string Kind(JsonTokenType token) => token switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "an array",
        JsonTokenType.String => "a string",
        JsonTokenType.Number => "a number",
        JsonTokenType.True or JsonTokenType.False => "a boolean",
        _ => "null",
    };

    /// <summary>A name from a file as it may be in a message: quoted, control characters escaped, at most 200 characters.</summary>
    internal static string Quote(string name)
    {
        StringBuilder text = new("'");
        foreach (char c in name.Length > 200 ? name.AsSpan(0, 200) : name)
        {
            if (char.IsControl(c))
                text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                text.Append(c);
        }
        return text.Append(name.Length > 200 ? "...'" : "'").ToString();
    }

    private CheckpointException Failure(string what) => Failure(_file, what);

    private static CheckpointException Failure(string file, string what) => new($"{file}: {what}");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
