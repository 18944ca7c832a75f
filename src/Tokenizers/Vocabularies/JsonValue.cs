using System.Text.Json;

namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>A JSON value that knows its file and its key, so that every complaint can name both.</summary>
internal readonly struct JsonValue
{
    private readonly string _file;
    private readonly string _path;
    private readonly JsonElement _element;

    private JsonValue(string file, string path, JsonElement element)
    {
        _file = file;
        _path = path;
        _element = element;
    }

    /// <summary>File and key.</summary>
    public string Where => _path.Length == 0 ? _file : $"{_file}: {_path}";

    public bool IsString => _element.ValueKind == JsonValueKind.String;

    public bool IsArray => _element.ValueKind == JsonValueKind.Array;

    public bool IsZero => _element.ValueKind == JsonValueKind.Number && _element.GetDouble() == 0;

    public bool IsNull => _element.ValueKind == JsonValueKind.Null;

    public bool IsObject => _element.ValueKind == JsonValueKind.Object;

    /// <summary>Reads a file whose top is an object.</summary>
    public static JsonValue ReadObject(string path)
    {
        try
        {
            JsonValue root = new(path, "", JsonDocument.Parse(LenientJson.ToStandard(TextFile.ReadUtf8(path))).RootElement);
            return root._element.ValueKind == JsonValueKind.Object ? root : throw root.Expected("a JSON object");
        }
        catch (JsonException e)
        {
            throw new TokenizerException(
                $"{path}: line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}: expected complete, well-formed JSON: {FirstSentence(e.Message)}",
                e);
        }
    }

    /// <summary>As <see cref="ReadObject"/>; null if there is no such file.</summary>
    public static JsonValue? TryReadObject(string path) => File.Exists(path) ? ReadObject(path) : null;

    /// <summary>A property that must be there.</summary>
    public JsonValue this[string key] =>
        Optional(key) ?? throw new TokenizerException($"{Where}: expected the key '{key}', but it is missing or null");

    /// <summary>A property; null if it is missing or null.</summary>
    public JsonValue? Optional(string key)
    {
        if (_element.ValueKind != JsonValueKind.Object)
            throw Expected("a JSON object");
        try
        {
            return _element.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null
                ? new JsonValue(_file, _path.Length == 0 ? key : $"{_path}.{key}", value)
                : null;
        }
        catch (InvalidOperationException e)
        {
            throw BadKey(Where, e);
        }
    }

    /// <summary>Whether a property is there, null though it may be.</summary>
    public bool Has(string key) => IsObject && _element.TryGetProperty(key, out _);

    public string AsString()
    {
        if (!IsString)
            throw Expected("a string");
        try
        {
            return _element.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw new TokenizerException($"{Where}: expected a string of valid Unicode, given half a surrogate pair: {_element.GetRawText()}", e);
        }
    }

    public bool AsBoolean() => _element.ValueKind is JsonValueKind.True or JsonValueKind.False
        ? _element.GetBoolean()
        : throw Expected("true or false");

    /// <summary>An integer from 0 to 2^31 - 1.</summary>
    public int AsId() =>
        _element.ValueKind == JsonValueKind.Number && _element.TryGetInt32(out int value) && value >= 0
            ? value
            : throw Expected("an integer from 0 to 2147483647");

    /// <summary>A number that may be beyond any integer (HF writes "no limit" as 1e30, some as Infinity); null if it is.</summary>
    public int? AsLimit()
    {
        if (IsString && AsString() == "Infinity")
            return null;
        if (_element.ValueKind != JsonValueKind.Number)
            throw Expected("a number");
        return _element.TryGetInt32(out int value) && value is > 0 and < 1_000_000_000 ? value : null;
    }

    public bool Boolean(string key, bool fallback) => Optional(key)?.AsBoolean() ?? fallback;

    public IEnumerable<JsonValue> Items()
    {
        if (!IsArray)
            throw Expected("a list");
        return Enumerate(this);

        static IEnumerable<JsonValue> Enumerate(JsonValue list)
        {
            int index = 0;
            foreach (JsonElement item in list._element.EnumerateArray())
                yield return new JsonValue(list._file, $"{list._path}[{index++}]", item);
        }
    }

    /// <summary>All properties in order, equal names included.</summary>
    public IEnumerable<(string Key, JsonValue Value)> Properties()
    {
        if (_element.ValueKind != JsonValueKind.Object)
            throw Expected("a JSON object");
        return Enumerate(this);

        static IEnumerable<(string, JsonValue)> Enumerate(JsonValue parent)
        {
            foreach (JsonProperty property in parent._element.EnumerateObject())
            {
                string name;
                try
                {
                    name = property.Name;
                }
                catch (InvalidOperationException e)
                {
                    throw BadKey(parent.Where, e);
                }

                yield return (name, new JsonValue(parent._file, parent._path.Length == 0 ? name : $"{parent._path}.{name}", property.Value));
            }
        }
    }

    /// <summary>An error that says what was expected here.</summary>
    public TokenizerException Expected(string what)
    {
        string given = _element.GetRawText();
        return new TokenizerException($"{Where}: expected {what}, given {(given.Length > 60 ? given[..60] + "..." : given)}");
    }

    private static TokenizerException BadKey(string where, Exception cause) =>
        new($"{where}: expected keys of valid Unicode, given half a surrogate pair", cause);

    private static string FirstSentence(string message)
    {
        int end = message.IndexOf(". ", StringComparison.Ordinal);
        return end < 0 ? message : message[..(end + 1)];
    }
}
