using System.Text;
using System.Text.Json;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models;

/// <summary>Shared by the configurations of Longformer and LED, under the names of HF's <c>config.json</c>.</summary>
public abstract record ModelConfiguration
{
    /// <summary>The model class that the weights were saved from, for example <c>LongformerForQuestionAnswering</c>.</summary>
    public IReadOnlyList<string> Architectures { get; init; } = [];

    /// <summary>Entries of the word embedding table.</summary>
    public int VocabSize { get; init; } = 50265;

    /// <summary>Id of the padding token.</summary>
    public int PadTokenId { get; init; } = 1;

    /// <summary>Id of the token that begins a text, <c>&lt;s&gt;</c>.</summary>
    public int BosTokenId { get; init; }

    /// <summary>Id of the token that ends a text, <c>&lt;/s&gt;</c>.</summary>
    public int EosTokenId { get; init; } = 2;

    /// <summary>Whether the scores of the vocabulary are made with the word embedding table.</summary>
    public bool TieWordEmbeddings { get; init; } = true;

    /// <summary><c>regression</c>, <c>single_label_classification</c>, <c>multi_label_classification</c>, or null: by the labels.</summary>
    public string? ProblemType { get; init; }

    /// <summary>Label names in the order of their ids.</summary>
    public IReadOnlyList<string> Id2Label { get; init; } = [];

    /// <summary>
    /// Window of every layer with windows. HF counts both sides (512 is 256 to the left and 256 to the right); with
    /// <see cref="OneSidedWindows"/> it counts one side, as allenai does. A single value counts for all layers.
    /// </summary>
    public IReadOnlyList<int> AttentionWindow { get; init; } = [];

    /// <summary>Whether this is allenai's configuration, whose windows count one side.</summary>
    public bool OneSidedWindows { get; init; }

    /// <summary>Whether the checkpoint holds the weights of the layers' products in eight bits (<c>quantization_config</c>).</summary>
    public bool IsInt8 { get; init; }

    /// <summary>Which kind of model this describes.</summary>
    public abstract ModelFamily Family { get; }

    /// <summary>Number of labels.</summary>
    public int NumLabels => Id2Label.Count;

    /// <summary>Every way in which the values do not fit together, one sentence each.</summary>
    public abstract IEnumerable<string> Problems();

    /// <summary>Throws one exception that lists every problem of a configuration made in code.</summary>
    /// <exception cref="CheckpointException">Values do not fit together.</exception>
    public void Check() => ConfigurationReader.ThrowIfAny([.. Problems()], "the configuration");

    /// <summary>The configuration as HF's <c>config.json</c>.</summary>
    public string ToJson()
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            Write(json);
            if (IsInt8)
                Int8Format.Write(json);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    /// <summary>The names of labels that a configuration gives none.</summary>
    internal static IReadOnlyList<string> GenericLabels(int count) => [.. Enumerable.Range(0, count).Select(i => $"LABEL_{i}")];

    /// <summary>The limits by which inputs are checked and batches laid out.</summary>
    internal abstract InputLimits Limits { get; }

    /// <summary>Writes the properties of the JSON object.</summary>
    private protected abstract void Write(Utf8JsonWriter json);

    /// <summary>Writes <c>id2label</c> and <c>label2id</c>.</summary>
    private protected void WriteLabels(Utf8JsonWriter json)
    {
        json.WriteStartObject("id2label");
        for (int id = 0; id < NumLabels; id++)
            json.WriteString($"{id}", Id2Label[id]);
        json.WriteEndObject();
        json.WriteStartObject("label2id");
        for (int id = 0; id < NumLabels; id++)
            json.WriteNumber(Id2Label[id], id);
        json.WriteEndObject();
    }

    /// <summary>Problems of windows and problem type, which both kinds of model may have.</summary>
    /// <param name="layers">How many layers have windows.</param>
    /// <param name="name">The name of these layers.</param>
    private protected IEnumerable<string> SharedProblems(int layers, string name)
    {
        if (AttentionWindow.Count != 1 && AttentionWindow.Count != layers)
            yield return $"attention_window has {AttentionWindow.Count} values for {layers} {name}";
        for (int layer = 0; layer < AttentionWindow.Count; layer++)
        {
            int window = AttentionWindow[layer];
            if (window <= 0)
                yield return $"attention_window of layer {layer} must be positive, given {window}";
            else if (!OneSidedWindows && window % 2 != 0)
                yield return $"attention_window of layer {layer} counts both sides and must be even, given {window}";
        }
        if (ProblemType is not (null or "regression" or "single_label_classification" or "multi_label_classification"))
            yield return $"problem_type \"{ProblemType}\" is unknown (regression, single_label_classification or multi_label_classification)";
    }

    /// <summary>Reads <c>config.json</c> of a checkpoint folder.</summary>
    private protected static T LoadFrom<T>(string folder, Func<ConfigurationReader, string, T> read)
        where T : ModelConfiguration
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        string path = Path.Combine(Checkpoint.FolderOf(folder), "config.json");
        byte[] json;
        try
        {
            json = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            string why = Checkpoint.Hint(folder) ?? $"cannot read config.json ({e.Message})";
            throw new CheckpointException($"{folder} is not a readable checkpoint folder: {why}", e);
        }
        return ParseFrom(json, path, read);
    }

    /// <summary>Reads a configuration from UTF-8 JSON.</summary>
    private protected static T ParseFrom<T>(ReadOnlySpan<byte> json, string source, Func<ConfigurationReader, string, T> read)
        where T : ModelConfiguration
    {
        JsonDocument document;
        try
        {
            document = JsonText.Parse(json.ToArray());
        }
        catch (JsonException e)
        {
            throw new CheckpointException($"{source} is not valid JSON: {e.Message}", e);
        }
        using (document)
        {
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? Checked(new ConfigurationReader(document.RootElement), source, read)
                : throw new CheckpointException($"{source} must hold a JSON object, given {document.RootElement.ValueKind}");
        }
    }

    /// <summary>Reads the keys of one kind of model, then those that both kinds have, and refuses all problems at once.</summary>
    private static T Checked<T>(ConfigurationReader json, string source, Func<ConfigurationReader, string, T> read)
        where T : ModelConfiguration
    {
        ModelConfiguration own = read(json, source);
        T configuration = (T)(own with
        {
            Architectures = json.Texts("architectures"),
            PadTokenId = json.Integer("pad_token_id", 1, 0),
            BosTokenId = json.Integer("bos_token_id", 0, 0),
            TieWordEmbeddings = json.Boolean("tie_word_embeddings", true),
            ProblemType = json.Text("problem_type", null),
            Id2Label = json.Labels(),
        });
        ConfigurationReader.ThrowIfAny([.. json.Problems, .. configuration.Problems()], source);
        return configuration;
    }

    /// <summary>The exception for a configuration of a model that is none of this kind.</summary>
    private protected static CheckpointException OtherArchitecture(ConfigurationReader json, string source, string expected)
    {
        string architecture = json.Texts("architectures") is [string first, ..] ? first : "a model";
        string? type = json.Text("model_type", null);
        string advice = type is not null && Advice.TryGetValue(type, out string? known) ? $"; {known}" : "";
        return new($"{source} describes {architecture} of model_type \"{type ?? "(none)"}\"; expected {expected}{advice}");
    }

    /// <summary>Advice for models of other kinds.</summary>
    private static readonly Dictionary<string, string> Advice = new()
    {
        ["roberta"] = ToLongformer, ["bert"] = ToLongformer, ["camembert"] = ToLongformer, ["xlm-roberta"] = ToLongformer,
        ["bart"] = ToLed, ["mbart"] = ToLed,
        ["longt5"] = OtherAttention, ["big_bird"] = OtherAttention, ["bigbird_pegasus"] = OtherAttention, ["pegasus_x"] = OtherAttention,
        ["reformer"] = OtherAttention, ["nystromformer"] = OtherAttention, ["yoso"] = OtherAttention, ["lsg"] = OtherAttention,
        ["modernbert"] = OtherAttention, ["nomic_bert"] = OtherAttention, ["t5"] = OtherAttention, ["pegasus"] = OtherAttention,
    };

    private const string ToLongformer = "it reads 512 tokens: convert it to a Longformer first";
    private const string ToLed = "it reads 1,024 tokens: convert it to an LED first";
    private const string OtherAttention =
        "its attention is another one, and no conversion keeps its values: run it with the library that it was trained with, "
        + "or take a Longformer or an LED for the task";
}
