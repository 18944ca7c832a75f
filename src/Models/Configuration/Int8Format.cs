using System.Text.Json;

namespace LongformerInterop.Models;

/// <summary>
/// How a checkpoint of eight bits says so: <c>quantization_config</c> of <c>config.json</c> in the form of compressed-tensors,
/// <c>int-quantized</c> with a scale per output channel and activations quantized per token as they come. Beside each I8 weight
/// <c>NAME.weight</c> [out, in] there are its scales, <c>NAME.weight_scale</c>, F32 [out, 1].
/// </summary>
internal static class Int8Format
{
    /// <summary>The key of <c>config.json</c>.</summary>
    public const string Key = "quantization_config";

    /// <summary>Behind the name of a weight: the name of its scales.</summary>
    public const string ScaleSuffix = "_scale";

    private const string Method = "compressed-tensors", Format = "int-quantized";

    /// <summary>Whether a configuration says that the weights have eight bits; a form that is not served is a problem.</summary>
    public static bool Read(JsonElement root, List<string> problems)
    {
        if (!root.TryGetProperty(Key, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
            return false;
        (string method, string format) = (Text(value, "quant_method"), Text(value, "format"));
        if (method == Method && format == Format && Groups(value).ToArray() is { Length: > 0 } groups && groups.All(IsServed))
            return true;
        problems.Add($"{Key}: expected quant_method {Method}, format {Format} with symmetric int weights of 8 bits per channel, given "
            + $"quant_method {method}, format {format}");
        return false;
    }

    /// <summary>Writes the key with its value.</summary>
    public static void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject(Key);
        json.WriteStartObject("config_groups");
        json.WriteStartObject("group_0");
        WriteScheme(json, "input_activations", "token", dynamic: true);
        json.WriteNull("output_activations");
        json.WriteStartArray("targets");
        json.WriteStringValue("Linear");
        json.WriteEndArray();
        WriteScheme(json, "weights", "channel", dynamic: false);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteString("format", Format);
        // Everything outside the layers: poolers and heads.
        json.WriteStartArray("ignore");
        json.WriteStringValue("re:^(?!.*\\.?layers?\\.[0-9]+\\.).*$");
        json.WriteEndArray();
        json.WriteString("quant_method", Method);
        json.WriteString("quantization_status", "compressed");
        json.WriteEndObject();
    }

    private static void WriteScheme(Utf8JsonWriter json, string name, string strategy, bool dynamic)
    {
        json.WriteStartObject(name);
        json.WriteBoolean("dynamic", dynamic);
        json.WriteNumber("num_bits", 8);
        json.WriteString("strategy", strategy);
        json.WriteBoolean("symmetric", true);
        json.WriteString("type", "int");
        json.WriteEndObject();
    }

    private static IEnumerable<JsonElement> Groups(JsonElement value) =>
        value.TryGetProperty("config_groups", out JsonElement groups) && groups.ValueKind == JsonValueKind.Object
            ? groups.EnumerateObject().Select(group => group.Value)
            : [];

    private static bool IsServed(JsonElement group) =>
        group.ValueKind == JsonValueKind.Object && group.TryGetProperty("weights", out JsonElement weights)
        && weights.ValueKind == JsonValueKind.Object && weights.TryGetProperty("num_bits", out JsonElement bits)
        && bits.ValueKind == JsonValueKind.Number && bits.TryGetInt32(out int count) && count == 8 && Text(weights, "type") == "int"
        && Text(weights, "strategy") == "channel"
        && weights.TryGetProperty("symmetric", out JsonElement symmetric) && symmetric.ValueKind == JsonValueKind.True;

    private static string Text(JsonElement value, string name) =>
        value.ValueKind == JsonValueKind.Object && value.TryGetProperty(name, out JsonElement text) && text.ValueKind == JsonValueKind.String
            ? text.GetString()!
            : "none";
}
