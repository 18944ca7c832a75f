using System.Globalization;
using System.Text.Json;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models;

/// <summary>
/// Reads typed values out of a configuration object and gathers every problem instead of stopping at the first, so that one
/// message lists all of them. Reflection-free, for trimming and ahead-of-time compilation.
/// </summary>
internal sealed class ConfigurationReader(JsonElement root)
{
    /// <summary>The object itself.</summary>
    public JsonElement Root => root;

    /// <summary>The faults of the configuration, one sentence each.</summary>
    public List<string> Problems { get; } = [];

    /// <summary>Whether the key is present, even with the value null.</summary>
    public bool Has(string name) => root.TryGetProperty(name, out _);

    public int Integer(string name, int fallback, int minimum = 1)
    {
        if (!TryFind(name, out JsonElement value))
            return fallback;
        if (value.ValueKind == JsonValueKind.Array && value.GetArrayLength() > 0)
            value = value[0];  // eos_token_id may be a list; the first is the one that ends a sequence in the tokenizer
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out int number))
            return Refuse(name, "an integer", value, fallback);
        return number < minimum ? Refuse(name, $"an integer of at least {minimum}", value, fallback) : number;
    }

    public double Number(string name, double fallback, double minimum, double below)
    {
        if (!TryFind(name, out JsonElement value))
            return fallback;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out double number))
            return Refuse(name, "a number", value, fallback);
        return number >= minimum && number < below
            ? number
            : Refuse(name, FormattableString.Invariant($"a number from {minimum} to below {below}"), value, fallback);
    }

    public bool Boolean(string name, bool fallback)
    {
        if (!TryFind(name, out JsonElement value))
            return fallback;
        return value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean()
            : Refuse(name, "true or false", value, fallback);
    }

    public string? Text(string name, string? fallback)
    {
        if (!TryFind(name, out JsonElement value))
            return fallback;
        return value.ValueKind == JsonValueKind.String ? value.GetString() : Refuse(name, "a string", value, fallback);
    }

    public IReadOnlyList<string> Texts(string name)
    {
        if (!TryFind(name, out JsonElement value))
            return [];
        if (value.ValueKind != JsonValueKind.Array)
            return Refuse<IReadOnlyList<string>>(name, "a list of strings", value, []);
        List<string> texts = new();
        foreach (JsonElement item in value.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.String)
                return Refuse<IReadOnlyList<string>>(name, "a list of strings", value, []);
            texts.Add(item.GetString()!);
        }
        return texts;
    }

    /// <summary>A value per layer: the file has one integer for all layers or a list. Null where the key is absent.</summary>
    public IReadOnlyList<int>? IntegerOrList(string name)
    {
        if (!TryFind(name, out JsonElement value))
            return null;
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int single))
            return [single];
        if (Integers(value) is { } list)
            return list;
        return Refuse<IReadOnlyList<int>?>(name, "an integer or a list of integers", value, null);
    }

    /// <summary>Like <see cref="IntegerOrList"/> with, per layer, one integer or a list with one integer per head.</summary>
    public IReadOnlyList<IReadOnlyList<int>>? IntegersPerHead(string name)
    {
        if (!TryFind(name, out JsonElement value))
            return null;
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int single))
            return [[single]];
        const string expected = "an integer, a list of integers, or a list of lists with an integer per head";
        if (value.ValueKind != JsonValueKind.Array)
            return Refuse<IReadOnlyList<IReadOnlyList<int>>?>(name, expected, value, null);
        List<IReadOnlyList<int>> layers = new();
        foreach (JsonElement item in value.EnumerateArray())
        {
            if (item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int number))
                layers.Add([number]);
            else if (Integers(item) is { Count: > 0 } heads)
                layers.Add(heads);
            else
                return Refuse<IReadOnlyList<IReadOnlyList<int>>?>(name, expected, value, null);
        }
        return layers;
    }

    /// <summary>
    /// The label names in the order of their ids from <c>id2label</c>, as many as it has entries; else <c>num_labels</c> generated names, else two. A
    /// label that it names by no string, or not at all (ids with gaps, or not from 0), is called by its number: heads without labels do not mind.
    /// </summary>
    public IReadOnlyList<string> Labels()
    {
        if (!TryFind("id2label", out JsonElement value))
            return ModelConfiguration.GenericLabels(Integer("num_labels", 2));
        Dictionary<int, string> names = [];
        int count;
        if (value.ValueKind == JsonValueKind.Object)
        {
            count = value.EnumerateObject().Select(p => p.Name).Distinct().Count();
            foreach (JsonProperty property in value.EnumerateObject())
            {
                if (int.TryParse(property.Name, NumberStyles.Integer, CultureInfo.InvariantCulture, out int id))
                    names[id] = NameOf(property.Value);
            }
        }
        else if (value.ValueKind == JsonValueKind.Array)
        {
            count = value.GetArrayLength();
            for (int id = 0; id < count; id++)
                names[id] = NameOf(value[id]);
        }
        else
        {
            return Refuse("id2label", "an object from \"0\", \"1\", ... to label names", value, ModelConfiguration.GenericLabels(2));
        }
        return count == 0
            ? ModelConfiguration.GenericLabels(Integer("num_labels", 2))
            : [.. Enumerable.Range(0, count).Select(i => names.GetValueOrDefault(i) ?? i.ToString(CultureInfo.InvariantCulture))];

        static string NameOf(JsonElement name) => name.ValueKind == JsonValueKind.String ? name.GetString()! : name.GetRawText();
    }

    /// <summary>Throws one exception with all problems, if there are any.</summary>
    public static void ThrowIfAny(IReadOnlyCollection<string> problems, string source)
    {
        if (problems.Count == 0)
            return;
        string title = problems.Count == 1 ? "a problem" : $"{problems.Count} problems";
        throw new CheckpointException($"{source} has {title}: {string.Join("; ", problems)}.");
    }

    private static List<int>? Integers(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array)
            return null;
        List<int> numbers = new();
        foreach (JsonElement item in value.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt32(out int number))
                return null;
            numbers.Add(number);
        }
        return numbers;
    }

    private bool TryFind(string name, out JsonElement value) =>
        root.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;

    private T Refuse<T>(string name, string expected, JsonElement value, T fallback)
    {
        string given = value.GetRawText();
        Problems.Add($"{name} must be {expected}, given {(given.Length > 60 ? given[..60] + "..." : given)}");
        return fallback;
    }
}
