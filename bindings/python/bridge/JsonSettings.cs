using System.Text.Json;
using LongformerInterop.Torch;
using LongformerInterop.Training;

namespace LongformerInterop.PythonNet;

/// <summary>Settings from a JSON object; remembers what was asked for.</summary>
internal sealed class JsonSettings(string text) : ISettingValues, IDisposable
{
    private readonly JsonDocument _values = JsonDocument.Parse(text);
    private readonly HashSet<string> _known = [];

    public long? Integer(string name) => Find(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number) ? number : throw Wrong(name, "an int", value);

    public double? Number(string name) => Find(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Number ? value.GetDouble() : throw Wrong(name, "a float", value);

    public bool? Flag(string name) => Find(name) is not { } value ? null : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong(name, "True or False", value),
    };

    public string? Text(string name) => Find(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(name, "a text", value);

    public IReadOnlyList<string>? Texts(string name) => Find(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray().Select(item => item.GetString()!)]
            : throw Wrong(name, "texts", value);

    /// <summary>Refuses settings that were not asked for.</summary>
    public void Finish(string function)
    {
        foreach (JsonProperty property in _values.RootElement.EnumerateObject())
        {
            if (!_known.Contains(property.Name))
                throw new InputException($"options: {function} takes no \"{property.Name}\"; expected {string.Join(", ", _known)}");
        }
    }

    public void Dispose() => _values.Dispose();

    private JsonElement? Find(string name)
    {
        _known.Add(name);
        return _values.RootElement.TryGetProperty(name, out JsonElement value) ? value : null;
    }

    private static InputException Wrong(string name, string expected, JsonElement given) => new(name, expected, given.GetRawText());
}
