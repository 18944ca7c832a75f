using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity;

/// <summary>A case folder: <c>case.json</c>, and whichever of config.json, inputs, model and expected.safetensors it has.</summary>
internal sealed class ParityCase
{
    private const double DefaultRelative = 1e-5;
    private readonly JsonElement _case;
    private readonly double _relative;

    private ParityCase(string folder, JsonElement description, JsonElement configuration)
    {
        Folder = folder;
        _case = description;
        Configuration = configuration;
        Group = description.GetProperty("group").GetString()!;
        Name = description.GetProperty("name").GetString()!;
        _relative = Number(description, "tolerance", "rtol") ?? DefaultRelative;
    }

    internal string Folder { get; }

    /// <summary>Kind of case: the folder that it is in, in the parity set.</summary>
    internal string Group { get; }

    internal string Name { get; }

    internal string Id => $"{Group}/{Name}";

    /// <summary>All of case.json.</summary>
    internal JsonElement Description => _case;

    /// <summary>All of config.json; undefined where there is none.</summary>
    internal JsonElement Configuration { get; }

    /// <summary>Names of the tensors that case.json expects, in its order.</summary>
    internal IReadOnlyList<string> ExpectedNames =>
        _case.TryGetProperty("expected", out JsonElement expected) && expected.ValueKind == JsonValueKind.Object
            ? [.. expected.EnumerateObject().Select(p => p.Name)]
            : [];

    /// <exception cref="IOException">The folder's JSON files cannot be read, are malformed or lack group and name.</exception>
    internal static ParityCase Load(string folder)
    {
        JsonElement description = ReadJson(Path.Combine(folder, "case.json"));
        foreach (string key in new[] { "group", "name" })
        {
            if (description.ValueKind != JsonValueKind.Object || !description.TryGetProperty(key, out JsonElement value)
                || value.ValueKind != JsonValueKind.String)
            {
                throw new IOException($"{Path.Combine(folder, "case.json")}: expected a string under \"{key}\"");
            }
        }
        string configuration = Path.Combine(folder, "config.json");
        return new ParityCase(folder, description, File.Exists(configuration) ? ReadJson(configuration) : default);
    }

    internal string PathOf(string file) => Path.Combine(Folder, file);

    /// <summary>Absolute and relative tolerance of a tensor: |value - expected| &lt;= absolute + relative |expected|.</summary>
    internal (double Absolute, double Relative) ToleranceOf(string tensor) =>
        (Number(_case, "expected", tensor, "atol") ?? Number(_case, "tolerance", "atol")
            ?? throw new IOException($"{PathOf("case.json")}: no tolerance for {tensor}"), _relative);

    /// <summary>All tensors of a file by name; they join the current scope.</summary>
    internal Dictionary<string, Tensor> Tensors(string file)
    {
        using SafetensorsFile tensors = SafetensorsFile.Open(PathOf(file));
        return tensors.Entries.Keys.ToDictionary(name => name, tensors.Get);
    }

    internal Dictionary<string, Tensor> Inputs() => Tensors("inputs.safetensors");

    /// <summary>An integer of config.json.</summary>
    internal int Integer(string key) => Integer(Configuration, key);

    internal static int Integer(JsonElement parent, string key) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(key, out JsonElement value) && value.TryGetInt32(out int number)
            ? number
            : throw new IOException($"config.json: expected an integer under \"{key}\"");

    /// <summary>A list of integers of config.json; one integer is a list of one.</summary>
    internal static int[] Integers(JsonElement parent, string key)
    {
        JsonElement value = parent.GetProperty(key);
        return value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray().Select(e => e.GetInt32())] : [value.GetInt32()];
    }

    internal bool Has(string key) => Configuration.ValueKind == JsonValueKind.Object && Configuration.TryGetProperty(key, out _);

    private static double? Number(JsonElement element, params ReadOnlySpan<string> path)
    {
        foreach (string key in path)
        {
            if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty(key, out element))
                return null;
        }
        return element.ValueKind == JsonValueKind.Number ? element.GetDouble() : null;
    }

    private static JsonElement ReadJson(string path)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            return document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            throw new IOException($"{path}: not JSON: {e.Message}", e);
        }
    }
}
