using System.Text;
using System.Text.Json;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models;

/// <summary>
/// The sizes of a <see cref="CharacterLanguageModel"/>, under the names of transformer-xl's arguments in <c>config.json</c>, and what each layer
/// sees: <c>window</c> and <c>dilation</c>.
/// </summary>
public sealed record CharacterLanguageModelConfiguration
{
    /// <summary>The value of <c>model_type</c> that is written.</summary>
    public const string ModelType = "character_language_model";

    /// <summary>Symbols of the vocabulary (<c>n_token</c>).</summary>
    public required int VocabularySize { get; init; }

    /// <summary>C, the width of the hidden states (<c>d_model</c>).</summary>
    public int HiddenSize { get; init; } = 512;

    /// <summary>H, heads of a layer (<c>n_head</c>).</summary>
    public int Heads { get; init; } = 8;

    /// <summary>D, dimensions of a head (<c>d_head</c>).</summary>
    public int HeadSize { get; init; } = 64;

    /// <summary>Width between the two feed-forward products (<c>d_inner</c>).</summary>
    public int InnerSize { get; init; } = 2048;

    /// <summary>Layers (<c>n_layer</c>).</summary>
    public int Layers { get; init; } = 12;

    /// <summary>Whether LayerNorm comes before attention and feed-forward (<c>pre_lnorm</c>; none behind the last layer) instead of behind
    /// them.</summary>
    public bool PreNorm { get; init; }

    /// <summary>Whether the output has the embedding's table (<c>tie_weight</c>).</summary>
    public bool TieWeights { get; init; } = true;

    /// <summary>Whether every layer has its own <c>r_w_bias</c> and <c>r_r_bias</c> (<c>untie_r</c>).</summary>
    public bool UntieBiases { get; init; }

    /// <summary>Distances beyond it count as it (<c>clamp_len</c>); 0: none do.</summary>
    public int ClampLength { get; init; }

    /// <summary>The function between the feed-forward products (<c>activation</c>); transformer-xl has ReLU, the paper GELU.</summary>
    public HiddenActivation Activation { get; init; } = HiddenActivation.Relu;

    /// <summary>Added to the variance in LayerNorm (<c>layer_norm_eps</c>).</summary>
    public double LayerNormEps { get; init; } = 1e-5;

    /// <summary>Probability of dropping a hidden state in training (<c>dropout</c>).</summary>
    public double Dropout { get; init; }

    /// <summary>Probability of dropping an attention probability in training (<c>dropatt</c>).</summary>
    public double AttentionDropout { get; init; }

    /// <summary>Keys to the left that each layer sees, in steps of its dilation; null: all earlier ones.</summary>
    public IReadOnlyList<int>? Window { get; init; }

    /// <summary>Dilation of each layer and head, 1 for none; null: 1 everywhere.</summary>
    public IReadOnlyList<IReadOnlyList<int>>? Dilation { get; init; }

    /// <summary>Keys to the left of a layer, in steps of its dilation.</summary>
    public long WindowOf(int layer) => Window is null ? long.MaxValue : Window[layer];

    /// <summary>The dilation of each head of a layer.</summary>
    public long[] DilationOf(int layer) => Dilation is null ? [.. Enumerable.Repeat(1L, Heads)] : [.. Dilation[layer].Select(d => (long)d)];

    /// <summary>How many characters back a layer sees directly; <see cref="long.MaxValue"/>: all.</summary>
    public long ReachOf(int layer) => Window is null ? long.MaxValue : Window[layer] * DilationOf(layer).Max();

    /// <summary>How many characters back the model's last layer depends on; <see cref="long.MaxValue"/>: all.</summary>
    public long Reach => Window is null ? long.MaxValue : Enumerable.Range(0, Layers).Sum(ReachOf);

    /// <summary>Reads <c>config.json</c> of a folder.</summary>
    /// <exception cref="CheckpointException">There is none, it describes another model, or it has problems; all are listed.</exception>
    public static CharacterLanguageModelConfiguration Load(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        string path = Path.Combine(folder, "config.json");
        try
        {
            using JsonDocument document = JsonText.Parse(File.ReadAllBytes(path));
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? Read(new ConfigurationReader(document.RootElement), path)
                : throw new CheckpointException($"{path} must hold a JSON object, given {document.RootElement.ValueKind}");
        }
        catch (JsonException e)
        {
            throw new CheckpointException($"{path} is not valid JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{folder} is not a readable checkpoint folder: cannot read config.json ({e.Message})", e);
        }
    }

    /// <summary>Whether a folder's <c>config.json</c> describes a character model.</summary>
    public static bool IsIn(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        try
        {
            using JsonDocument document = JsonText.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
            return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("n_token", out _)
                && document.RootElement.TryGetProperty("d_inner", out _);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Every way in which the values do not fit together, one sentence each.</summary>
    public IEnumerable<string> Problems()
    {
        if (Window is not null && Window.Count != Layers)
            yield return $"window has {Window.Count} values for {Layers} layers";
        foreach (int window in Window ?? [])
        {
            if (window < 1)
                yield return $"window must be at least 1, given {window}";
        }
        if (Dilation is not null && Dilation.Count != Layers)
            yield return $"dilation has {Dilation.Count} values for {Layers} layers";
        for (int layer = 0; layer < (Dilation?.Count ?? 0); layer++)
        {
            if (Dilation![layer].Count != Heads)
                yield return $"dilation of layer {layer} has {Dilation[layer].Count} values for {Heads} heads";
            foreach (int dilation in Dilation[layer])
            {
                if (dilation < 1)
                    yield return $"dilation of layer {layer} must be at least 1, given {dilation}";
            }
        }
        if (HiddenSize % 2 != 0)
            yield return $"d_model must be even, half sines and half cosines, given {HiddenSize}";
    }

    /// <summary>Throws one exception that lists every problem of a configuration made in code.</summary>
    /// <exception cref="CheckpointException">Values do not fit together.</exception>
    public void Check() => ConfigurationReader.ThrowIfAny([.. Problems()], "the configuration");

    /// <summary>The configuration as it is written to <c>config.json</c>.</summary>
    public string ToJson()
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("model_type", ModelType);
            json.WriteNumber("n_token", VocabularySize);
            json.WriteNumber("d_model", HiddenSize);
            json.WriteNumber("n_head", Heads);
            json.WriteNumber("d_head", HeadSize);
            json.WriteNumber("d_inner", InnerSize);
            json.WriteNumber("n_layer", Layers);
            json.WriteBoolean("pre_lnorm", PreNorm);
            json.WriteBoolean("tie_weight", TieWeights);
            json.WriteBoolean("untie_r", UntieBiases);
            json.WriteNumber("clamp_len", ClampLength > 0 ? ClampLength : -1);
            json.WriteString("activation", Activations.NameOf(Activation));
            json.WriteNumber("layer_norm_eps", LayerNormEps);
            json.WriteNumber("dropout", Dropout);
            json.WriteNumber("dropatt", AttentionDropout);
            WriteList(json, "window", Window, json.WriteNumberValue);
            WriteList(json, "dilation", Dilation, layer =>
            {
                json.WriteStartArray();
                foreach (int dilation in layer)
                    json.WriteNumberValue(dilation);
                json.WriteEndArray();
            });
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    private static void WriteList<T>(Utf8JsonWriter json, string name, IReadOnlyList<T>? values, Action<T> write)
    {
        if (values is null)
        {
            json.WriteNull(name);
            return;
        }
        json.WriteStartArray(name);
        foreach (T value in values)
            write(value);
        json.WriteEndArray();
    }

    private static CharacterLanguageModelConfiguration Read(ConfigurationReader json, string source)
    {
        foreach (string key in (string[])["n_token", "d_model", "n_head", "d_head", "d_inner", "n_layer"])
        {
            if (!json.Has(key))
                json.Problems.Add($"{key} is missing");
        }
        int layers = json.Integer("n_layer", 1), heads = json.Integer("n_head", 1);
        CharacterLanguageModelConfiguration configuration = new()
        {
            VocabularySize = json.Integer("n_token", 1),
            HiddenSize = json.Integer("d_model", 2),
            Heads = heads,
            HeadSize = json.Integer("d_head", 1),
            InnerSize = json.Integer("d_inner", 1),
            Layers = layers,
            PreNorm = json.Boolean("pre_lnorm", false),
            TieWeights = json.Boolean("tie_weight", true),
            UntieBiases = json.Boolean("untie_r", false),
            ClampLength = Math.Max(0, json.Integer("clamp_len", 0, -1)),
            Activation = json.Has("activation") ? Activations.Read(json, "activation") : HiddenActivation.Relu,
            LayerNormEps = json.Number("layer_norm_eps", 1e-5, 0, 1),
            Dropout = json.Number("dropout", 0, 0, 1),
            AttentionDropout = json.Number("dropatt", 0, 0, 1),
            Window = json.IntegerOrList("window") is { } window ? OfLayers(window, layers) : null,
            Dilation = json.IntegersPerHead("dilation") is { } dilation
                ? [.. OfLayers(dilation, layers).Select(layer => OfLayers(layer, heads))] : null,
        };
        ConfigurationReader.ThrowIfAny([.. json.Problems, .. configuration.Problems()], source);
        return configuration;
    }

    /// <summary>Repeats a single value for all layers.</summary>
    private static IReadOnlyList<T> OfLayers<T>(IReadOnlyList<T> values, int count) =>
        values.Count == 1 ? [.. Enumerable.Repeat(values[0], count)] : values;
}
