using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models.Conversion;

/// <summary>
/// A JSON object of a checkpoint folder that is read, changed and written again. Keys that a conversion does not know stay as they are: labels,
/// dropout, a task's parameters.
/// </summary>
internal sealed class ConfigurationObject
{
    // Readable text for any language; the file is no part of a web page.
    private static readonly JsonWriterOptions Format = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly JsonObject _json;
    private readonly string _source;

    private ConfigurationObject(JsonObject json, string source)
    {
        _json = json;
        _source = source;
    }

    internal static ConfigurationObject Empty(string source) => new([], source);

    /// <exception cref="CheckpointException">The file cannot be read or holds no JSON object.</exception>
    internal static ConfigurationObject Read(string path)
    {
        try
        {
            if (JsonNode.Parse(JsonText.ToStandard(File.ReadAllBytes(path)).Span) is JsonObject json)
            {
                _ = json.Count;  // a name that comes twice shows only when the object is used
                return new ConfigurationObject(json, path);
            }
            throw new CheckpointException($"{path} must hold a JSON object");
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            throw new CheckpointException($"{path} is not valid JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    internal ConfigurationObject Copy() => new((JsonObject)_json.DeepClone(), _source);

    /// <summary>Whether the key is there with another value than null.</summary>
    internal bool Has(string name) => _json[name] is not null;

    internal string? Text(string name) => _json[name] is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    internal bool Flag(string name, bool fallback = false) => _json[name] is JsonValue value && value.TryGetValue(out bool flag) ? flag : fallback;

    /// <summary>An integer; null where the key is absent or null.</summary>
    /// <exception cref="CheckpointException">The value is something else.</exception>
    internal int? Integer(string name)
    {
        JsonNode? node = _json[name] is JsonArray { Count: > 0 } list ? list[0] : _json[name];
        return node switch
        {
            null => null,
            JsonValue value when value.TryGetValue(out int number) => number,
            _ => throw new CheckpointException($"{_source}: {name} must be an integer, given {node.ToJsonString()}"),
        };
    }

    /// <summary>A list of integers, one integer being a list of one; null where the key is absent.</summary>
    /// <exception cref="CheckpointException">The value is something else.</exception>
    internal IReadOnlyList<int>? Integers(string name) => _json[name] switch
    {
        null => null,
        JsonArray list when list.All(i => i is JsonValue v && v.TryGetValue(out int _)) => [.. list.Select(i => i!.GetValue<int>())],
        JsonValue value when value.TryGetValue(out int number) => [number],
        { } other => throw new CheckpointException($"{_source}: {name} must be an integer or a list of integers, given {other.ToJsonString()}"),
    };

    /// <summary>The first of <c>architectures</c>.</summary>
    internal string? Architecture() =>
        _json["architectures"] is JsonArray { Count: > 0 } list && list[0] is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    internal void Set(string name, string value) => _json[name] = JsonValue.Create(value);

    internal void Set(string name, int value) => _json[name] = JsonValue.Create(value);

    internal void Set(string name, bool value) => _json[name] = JsonValue.Create(value);

    internal void Set(string name, IEnumerable<int> values) => _json[name] = new JsonArray([.. values.Select(v => (JsonNode?)JsonValue.Create(v))]);

    internal void Set(string name, IEnumerable<string> values) =>
        _json[name] = new JsonArray([.. values.Select(v => (JsonNode?)JsonValue.Create(v))]);

    /// <summary>Says that the weights have eight bits.</summary>
    internal void SetInt8()
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
        {
            json.WriteStartObject();
            Int8Format.Write(json);
            json.WriteEndObject();
        }
        _json[Int8Format.Key] = JsonNode.Parse(stream.ToArray())![Int8Format.Key]!.DeepClone();
    }

    /// <summary>Gives the key a value where it has none.</summary>
    internal void Default(string name, int value)
    {
        if (!Has(name))
            Set(name, value);
    }

    internal void Remove(params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
            _json.Remove(name);
    }

    /// <summary>Moves a key with its value to another object; one with the value null is dropped.</summary>
    internal void Move(string name, ConfigurationObject target)
    {
        if (!_json.TryGetPropertyValue(name, out JsonNode? value))
            return;
        _json.Remove(name);
        if (value is not null)
            target._json[name] = value;
    }

    /// <summary>Gives a value another key.</summary>
    internal void Rename(string name, string to)
    {
        if (!_json.TryGetPropertyValue(name, out JsonNode? value))
            return;
        _json.Remove(name);
        _json[to] = value;
    }

    /// <summary>The object with its keys in order, as HF writes it.</summary>
    internal string ToJson()
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, Format))
        {
            json.WriteStartObject();
            foreach ((string name, JsonNode? value) in _json.OrderBy(p => p.Key, StringComparer.Ordinal))
            {
                json.WritePropertyName(name);
                if (value is null)
                    json.WriteNullValue();
                else
                    value.WriteTo(json);
            }
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    internal CheckpointException Refuse(string reason) => new(string.Create(CultureInfo.InvariantCulture, $"{_source}: {reason}"));
}
