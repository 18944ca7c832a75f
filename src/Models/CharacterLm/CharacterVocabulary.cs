using System.Globalization;
using System.Text;
using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// The symbols of a character model in the order of their ids: bytes, or characters (Unicode code points). Its file in the model's folder is
/// <c>vocabulary.json</c>: <c>{"unit": "byte" | "character", "symbols": [97, 98, ...]}</c>.
/// </summary>
public sealed class CharacterVocabulary
{
    private const string FileName = "vocabulary.json";
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
    private readonly Dictionary<int, int> _ids = [];

    /// <summary>A vocabulary of some symbols.</summary>
    /// <param name="isBytes">Whether they are bytes; else code points.</param>
    /// <param name="symbols">The bytes or code points, each once.</param>
    /// <exception cref="InputException">There is none, one comes twice, or one is no byte or code point.</exception>
    public CharacterVocabulary(bool isBytes, IReadOnlyList<int> symbols)
    {
        ArgumentNullException.ThrowIfNull(symbols);
        (IsBytes, Symbols) = (isBytes, [.. symbols]);
        if (symbols.Count == 0)
            throw new InputException("the vocabulary: expected at least one symbol, given none");
        for (int id = 0; id < symbols.Count; id++)
        {
            bool fits = isBytes ? symbols[id] is >= 0 and <= 255 : Rune.IsValid(symbols[id]);
            if (!fits)
                throw new InputException($"the vocabulary: expected {(isBytes ? "bytes 0..255" : "code points")}, given {symbols[id]}");
            if (!_ids.TryAdd(symbols[id], id))
                throw new InputException($"the vocabulary: {Describe(symbols[id])} comes twice");
        }
    }

    /// <summary>Whether the symbols are bytes; else Unicode code points.</summary>
    public bool IsBytes { get; }

    /// <summary>The byte or code point of each id.</summary>
    public IReadOnlyList<int> Symbols { get; }

    /// <summary>How many symbols there are.</summary>
    public int Count => Symbols.Count;

    /// <summary>The id of a byte or code point; -1: it is none of the vocabulary.</summary>
    public int IdOf(int symbol) => _ids.GetValueOrDefault(symbol, -1);

    /// <summary>The vocabulary of a model's folder; null where it has none.</summary>
    /// <exception cref="CheckpointException">The file is malformed.</exception>
    public static CharacterVocabulary? In(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            return null;
        try
        {
            using JsonDocument document = JsonText.Parse(File.ReadAllBytes(path));
            string? unit = document.RootElement.GetProperty("unit").GetString();
            if (unit is not ("byte" or "character"))
                throw new CheckpointException($"{path}: expected \"byte\" or \"character\" for unit, given \"{unit}\"");
            return new CharacterVocabulary(unit == "byte",
                [.. document.RootElement.GetProperty("symbols").EnumerateArray().Select(e => e.GetInt32())]);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or InputException
            or IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{path}: no vocabulary of characters: {e.Message}", e);
        }
    }

    /// <summary>Writes <c>vocabulary.json</c>.</summary>
    public void Save(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
        {
            json.WriteStartObject();
            json.WriteString("unit", IsBytes ? "byte" : "character");
            json.WriteStartArray("symbols");
            foreach (int symbol in Symbols)
                json.WriteNumberValue(symbol);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        File.WriteAllBytes(Path.Combine(folder, FileName), stream.ToArray());
    }

    /// <summary>The ids of a text.</summary>
    /// <exception cref="InputException">A character is none of the vocabulary; the message says which and where.</exception>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<int> ids = [];
        foreach (int symbol in IsBytes ? Encoding.UTF8.GetBytes(text).Select(b => (int)b) : text.EnumerateRunes().Select(r => r.Value))
        {
            int id = IdOf(symbol);
            if (id < 0)
            {
                throw new InputException($"{Describe(symbol)} at {(IsBytes ? "byte" : "character")} {ids.Count} of the text is not among the "
                + $"vocabulary's {Count} symbols");
            }
            ids.Add(id);
        }
        return [.. ids];
    }

    /// <summary>The text of ids; bytes that are no UTF-8 become U+FFFD.</summary>
    /// <exception cref="InputException">An id is no symbol.</exception>
    public string Decode(ReadOnlySpan<int> ids)
    {
        foreach (int id in ids)
        {
            if ((uint)id >= (uint)Count)
                throw new InputException("ids", $"symbols 0..{Count - 1}", $"{id}");
        }
        if (IsBytes)
        {
            byte[] bytes = new byte[ids.Length];
            for (int i = 0; i < bytes.Length; i++)
                bytes[i] = (byte)Symbols[ids[i]];
            return Encoding.UTF8.GetString(bytes);
        }
        StringBuilder text = new();
        foreach (int id in ids)
            text.Append(new Rune(Symbols[id]).ToString());
        return text.ToString();
    }

    /// <summary>A symbol for a message: <c>byte 0x41 'A'</c>, <c>'ä' U+00E4</c>.</summary>
    public string Describe(int symbol)
    {
        string shown = symbol is > 32 and not 127 && (!IsBytes || symbol < 127) ? $"'{new Rune(symbol)}'" : "";
        return IsBytes ? string.Create(CultureInfo.InvariantCulture, $"byte 0x{symbol:X2} {shown}").TrimEnd()
            : string.Create(CultureInfo.InvariantCulture, $"{shown} U+{symbol:X4}").TrimStart();
    }

    /// <summary>The symbols of a file, ascending.</summary>
    /// <exception cref="InputException">The file is empty, cannot be read, or is no UTF-8 where characters are wanted.</exception>
    public static CharacterVocabulary Of(string path, bool isBytes)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SortedSet<int> symbols = [];
        try
        {
            if (isBytes)
            {
                bool[] seen = new bool[256];
                byte[] buffer = new byte[1 << 20];
                using FileStream stream = File.OpenRead(path);
                for (int read; (read = stream.Read(buffer)) > 0;)
                {
                    foreach (byte b in buffer.AsSpan(0, read))
                        seen[b] = true;
                }
                symbols.UnionWith(Enumerable.Range(0, 256).Where(b => seen[b]));
            }
            else
            {
                foreach (int symbol in CodePoints(path))
                    symbols.Add(symbol);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path}: cannot be read: {e.Message}", e);
        }
        return symbols.Count > 0
            ? new CharacterVocabulary(isBytes, [.. symbols])
            : throw new InputException($"{path}: expected a text, given an empty file");
    }

    /// <summary>The code points of a UTF-8 file, one after the other.</summary>
    /// <exception cref="InputException">It is no UTF-8.</exception>
    public static IEnumerable<int> CodePoints(string path)
    {
        using StreamReader reader = new(path, Strict, detectEncodingFromByteOrderMarks: false);
        char[] buffer = new char[1 << 16];
        char high = '\0';
        long count = 0;
        while (true)
        {
            int read;
            try
            {
                read = reader.Read(buffer);
            }
            catch (DecoderFallbackException e)
            {
                throw new InputException($"{path}: expected UTF-8, given other bytes behind character {count}; read it as bytes", e);
            }
            if (read == 0)
                yield break;
            for (int i = 0; i < read; i++, count++)
            {
                if (char.IsHighSurrogate(buffer[i]))
                    high = buffer[i];
                else
                    yield return char.IsLowSurrogate(buffer[i]) ? char.ConvertToUtf32(high, buffer[i]) : buffer[i];
            }
        }
    }
}
