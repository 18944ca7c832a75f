using System.Globalization;
using System.Text;
using System.Text.Json;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// The one rule by which every reader of this library takes JSON: as Python's <c>json</c> takes it, and as editors leave it. A byte order mark is
/// passed over, UTF-16 with a mark is read, and NaN, Infinity and -Infinity, which JSON lacks, become strings of those names: a reader of a number
/// refuses them by name, and nobody else minds.
/// </summary>
public static class JsonText
{
    /// <summary>Parses JSON of a file of a checkpoint.</summary>
    /// <param name="json">The bytes.</param>
    /// <exception cref="JsonException">It is none.</exception>
    public static JsonDocument Parse(ReadOnlyMemory<byte> json) =>
        FileHints.OfContent(json.Span) is { } hint ? throw new JsonException($"it is {hint}") : JsonDocument.Parse(ToStandard(json));

    /// <summary>Parses JSON that holds texts to work on. Half a surrogate pair is no character: as everywhere in this library it is read as
    /// U+FFFD.</summary>
    /// <param name="json">The JSON.</param>
    /// <exception cref="JsonException">It is none.</exception>
    public static JsonDocument ParseTexts(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        return Parse(Encoding.UTF8.GetBytes(WholeCharacters(json)));
    }

    /// <summary>The same as standard JSON in UTF-8.</summary>
    /// <param name="json">The bytes; returned as they are where nothing is to be changed.</param>
    public static ReadOnlyMemory<byte> ToStandard(ReadOnlyMemory<byte> json) => LenientJson.ToStandard(json);

    /// <summary>Half a surrogate pair written as an escape is U+FFFD.</summary>
    private static string WholeCharacters(string json)
    {
        if (!json.Contains("\\u", StringComparison.Ordinal))
            return json;
        char[] whole = json.ToCharArray();
        for (int i = 0; i + 5 < json.Length; i++)
        {
            if (json[i] != '\\')
                continue;
            if (json[i + 1] != 'u' || !ushort.TryParse(json.AsSpan(i + 2, 4), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ushort unit))
            {
                i++;
                continue;
            }
            bool pair = char.IsHighSurrogate((char)unit) && i + 11 < json.Length && json[i + 6] == '\\' && json[i + 7] == 'u'
                && ushort.TryParse(json.AsSpan(i + 8, 4), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ushort next)
                && char.IsLowSurrogate((char)next);
            if (!pair && char.IsSurrogate((char)unit))
                "FFFD".CopyTo(whole.AsSpan(i + 2));
            i += pair ? 11 : 5;
        }
        return new string(whole);
    }
}
