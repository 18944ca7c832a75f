using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>
/// The settings of a folder of sentence-transformers for its embeddings: the modules behind the transformer, in <c>modules.json</c>, each
/// with its folder (pooling, dense layers, normalization), the longest text, and prompts. These are the defaults of an encoding.
/// </summary>
/// <param name="Pooling">The pooling; null where the folder does not say one, <see cref="Pooling.Sentence"/> where it is more than one of the
/// encoder's own.</param>
/// <param name="Normalize">Whether every vector is scaled to length 1; null where the folder does not say.</param>
public sealed record SentenceTransformersFolder(Pooling? Pooling, bool? Normalize)
{
    private const string PoolingFolder = "1_Pooling";

    /// <summary>Most tokens of a text (<c>max_seq_length</c>), which cuts longer ones; null: none is named.</summary>
    public int? MaxLength { get; private init; }

    /// <summary>Whether texts are made lower case first (<c>do_lower_case</c>).</summary>
    public bool LowerCase { get; private init; }

    /// <summary>Prompts by name (<c>prompts</c>), put before the texts of a kind.</summary>
    public IReadOnlyDictionary<string, string> Prompts { get; private init; } = new Dictionary<string, string>();

    /// <summary>The prompt that is used where a call names none (<c>default_prompt_name</c>); null: none.</summary>
    public string? DefaultPrompt { get; private init; }

    /// <summary>Whether it is a folder of sentence-transformers' own (<c>modules.json</c>), which strips white space from the ends of every
    /// text.</summary>
    internal bool HasModules { get; private init; }

    /// <summary>How tokens become one vector; null: as the encoder's own poolings do.</summary>
    internal SentencePooling? Steps { get; private init; }

    /// <summary>The steps that are applied to that vector.</summary>
    internal IReadOnlyList<SentenceStep> Behind { get; private init; } = [];

    /// <summary>The width of a vector made so.</summary>
    internal int Width(int hidden) => Behind.Aggregate(hidden * (Steps?.Modes.Count ?? 1), (width, step) => step.Width(width));

    /// <summary>Reads a checkpoint folder; one that is not sentence-transformers' gives nulls.</summary>
    /// <exception cref="CheckpointException">A file is malformed, or asks for a module or a pooling that is not served; the message names
    /// it.</exception>
    public static SentenceTransformersFolder Read(string folder)
    {
        // The transformer may be in its own folder, with the modules above it.
        folder = File.Exists(folder) ? Path.GetDirectoryName(Path.GetFullPath(folder))! : folder;
        string modules = Path.Combine(folder, "modules.json"), pooling = Path.Combine(folder, PoolingFolder, "config.json");
        string transformer = folder;
        bool isSentence = File.Exists(modules);
        List<SentenceStep> behind = [];
        if (isSentence)
        {
            foreach ((string type, string path) in Modules(modules))
            {
                string own = path.Length == 0 ? folder : Path.Combine(folder, Path.GetFileName(path));
                switch (type.Split('.')[^1])
                {
                    case "Transformer":
                        transformer = own;
                        break;
                    case "Pooling":
                        pooling = Path.Combine(own, "config.json");
                        break;
                    case "Normalize":
                        behind.Add(new SentenceNormalize());
                        break;
                    case "Dense":
                        behind.Add(ReadDense(own));
                        break;
                    case "LayerNorm":
                        behind.Add(ReadLayerNorm(own));
                        break;
                    case "Dropout":
                        break;
                    default:
                        throw new CheckpointException(
                            $"{modules}: the module {type} is not served; expected Transformer, Pooling, Dense, LayerNorm, Dropout and Normalize");
                }
            }
        }
        SentencePooling? steps = File.Exists(pooling) ? ReadPooling(pooling) : isSentence ? new SentencePooling(["mean"], true) : null;
        bool normalizes = behind is [SentenceNormalize];
        // A mean alone, normalized or not, is the encoder's own; so is the first token of a folder without modules.
        bool plain = steps is null || (steps is { Modes: [var mode], IncludePrompt: true } && behind.TrueForAll(s => s is SentenceNormalize)
            && (mode == "mean" || (mode == "cls" && !isSentence)));
        SentenceTransformersFolder result = plain
            ? new(steps?.Modes[0] switch { "cls" => Tasks.Pooling.Cls, "mean" => Tasks.Pooling.Mean, _ => null }, isSentence ? normalizes : null)
            // Of a call that pools in its own way the folder still says whether its vectors have length 1.
            : new SentenceTransformersFolder(Tasks.Pooling.Sentence, behind is [.., SentenceNormalize]) { Steps = steps, Behind = behind };
        return (result with { HasModules = isSentence }).WithSettings(transformer, folder);
    }

    /// <summary>A text as its tokenizer takes it: without white space at its ends, and in lower case where the folder says so.</summary>
    internal string Prepare(string text)
    {
        string stripped = HasModules ? SentenceText.Strip(text) : text;
        return LowerCase ? SentenceText.Lower(stripped) : stripped;
    }

    /// <summary>The text of a prompt.</summary>
    /// <param name="name">The prompt's name; null: the folder's default.</param>
    /// <exception cref="InputException">There is no prompt of this name.</exception>
    internal string PromptOf(string? name)
    {
        string? chosen = name ?? DefaultPrompt;
        if (chosen is null)
            return "";
        return Prompts.TryGetValue(chosen, out string? prompt) ? prompt
            : throw new InputException("prompt", Prompts.Count == 0
                ? "none, since the folder has no prompts"
                : $"one of {string.Join(", ", Prompts.Keys)}", $"\"{chosen}\"");
    }

    private SentenceTransformersFolder WithSettings(string transformer, string folder)
    {
        string[] names = ["sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
            "sentence_camembert_config.json"];
        string? file = names.Select(n => Path.Combine(transformer, n)).FirstOrDefault(File.Exists);
        SentenceTransformersFolder result = this;
        if (file is not null)
        {
            using JsonDocument json = Parse(file, JsonValueKind.Object);
            result = result with
            {
                MaxLength = json.RootElement.TryGetProperty("max_seq_length", out JsonElement most) && most.ValueKind == JsonValueKind.Number
                    && most.TryGetInt32(out int length)
                    ? length : null,
                LowerCase = json.RootElement.TryGetProperty("do_lower_case", out JsonElement lower) && lower.ValueKind == JsonValueKind.True,
            };
        }
        string prompts = Path.Combine(folder, "config_sentence_transformers.json");
        if (!File.Exists(prompts))
            return result;
        using JsonDocument settings = Parse(prompts, JsonValueKind.Object);
        Dictionary<string, string> known = new(StringComparer.Ordinal);
        if (settings.RootElement.TryGetProperty("prompts", out JsonElement list) && list.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty prompt in list.EnumerateObject())
            {
                known[prompt.Name] = prompt.Value.ValueKind == JsonValueKind.String

                    ? prompt.Value.GetString()!
                    : throw new CheckpointException($"{prompts}: prompts.{prompt.Name}: expected a string, given {prompt.Value.GetRawText()}");
            }
        }
        string? chosen = settings.RootElement.TryGetProperty("default_prompt_name", out JsonElement name) && name.ValueKind == JsonValueKind.String
            ? name.GetString()
            : null;
        if (chosen is not null && !known.ContainsKey(chosen))
            throw new CheckpointException($"{prompts}: default_prompt_name: expected one of the prompts, given \"{chosen}\"");
        return result with { Prompts = known, DefaultPrompt = chosen };
    }

    private static SentencePooling ReadPooling(string file)
    {
        using JsonDocument json = Parse(file, JsonValueKind.Object);
        // The mean is the one pooling that is on where a file does not name it.
        bool Flag(string name) => json.RootElement.TryGetProperty(name, out JsonElement value)
            ? value.ValueKind == JsonValueKind.True : name == "pooling_mode_mean_tokens";
        List<string> modes = [];
        // Newer files name the mode, or several, instead of having a flag for each.
        if (json.RootElement.TryGetProperty("pooling_mode", out JsonElement named) && named.ValueKind is JsonValueKind.String or JsonValueKind.Array)
        {
            foreach (JsonElement one in named.ValueKind == JsonValueKind.String ? [named] : named.EnumerateArray().ToArray())
                modes.Add(one.ValueKind == JsonValueKind.String ? one.GetString()! : one.GetRawText());
        }
        else
        {
            string[] flags = ["pooling_mode_cls_token", "pooling_mode_max_tokens", "pooling_mode_mean_tokens", "pooling_mode_mean_sqrt_len_tokens",
                "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"];
            for (int i = 0; i < flags.Length; i++)
            {
                if (Flag(flags[i]))
                    modes.Add(SentencePooling.Known[i]);
            }
        }
        if (modes.Find(m => !SentencePooling.Known.Contains(m)) is { } unknown)
            throw new CheckpointException($"{file}: expected poolings among {string.Join(", ", SentencePooling.Known)}, given {unknown}");
        bool include = !json.RootElement.TryGetProperty("include_prompt", out JsonElement prompt) || prompt.ValueKind != JsonValueKind.False;
        return new SentencePooling(modes.Count == 0 ? ["mean"] : modes, include);
    }

    private static SentenceDense ReadDense(string folder)
    {
        string file = Path.Combine(folder, "config.json");
        using JsonDocument json = Parse(file, JsonValueKind.Object);
        JsonElement root = json.RootElement;
        string name = root.TryGetProperty("activation_function", out JsonElement given) && given.ValueKind == JsonValueKind.String
            ? given.GetString()!.Split('.')[^1]
            : "Tanh";
        if (!SentenceDense.Knows(name))
            throw new CheckpointException($"{file}: activation_function: expected one of {SentenceDense.NamesOfActivations}, given {name}");
        if (root.TryGetProperty("use_residual", out JsonElement residual) && residual.ValueKind == JsonValueKind.True)
            throw new CheckpointException($"{file}: use_residual: expected false, given true, which is not served");
        using TensorScope scope = new();
        using Checkpoint weights = Checkpoint.Open(folder);
        Tensor matrix = weights.Get("linear.weight");
        if (matrix.Shape.Length != 2)
            throw new CheckpointException($"{weights.Path}: linear.weight: expected a matrix, given {matrix}");
        float[]? bias = weights.Contains("linear.bias") ? Floats(weights, "linear.bias") : null;
        return new SentenceDense(Floats(weights, "linear.weight"), bias, (int)matrix.Size(1), (int)matrix.Size(0), name);
    }

    private static SentenceLayerNorm ReadLayerNorm(string folder)
    {
        using TensorScope scope = new();
        using Checkpoint weights = Checkpoint.Open(folder);
        return new SentenceLayerNorm(Floats(weights, "norm.weight"), Floats(weights, "norm.bias"));
    }

    private static float[] Floats(Checkpoint weights, string name) => weights.Get(name).To(DType.Float32).Contiguous().ToArray<float>();

    private static List<(string Type, string Path)> Modules(string file)
    {
        using JsonDocument json = Parse(file, JsonValueKind.Array);
        List<(string, string)> modules = [];
        foreach (JsonElement module in json.RootElement.EnumerateArray())
        {
            if (module.ValueKind != JsonValueKind.Object || !module.TryGetProperty("type", out JsonElement type)
                || type.ValueKind != JsonValueKind.String
                || !module.TryGetProperty("path", out JsonElement path) || path.ValueKind != JsonValueKind.String)
            {
                throw new CheckpointException($"{file}: expected objects with \"type\" and \"path\", given {module.GetRawText()}");
            }
            modules.Add((type.GetString()!, path.GetString()!));
        }
        return modules;
    }

    private static JsonDocument Parse(string file, JsonValueKind kind)
    {
        try
        {
            JsonDocument json = JsonText.Parse(File.ReadAllBytes(file));
            if (json.RootElement.ValueKind == kind)
                return json;
            json.Dispose();
            throw new CheckpointException($"{file}: expected a JSON {kind.ToString().ToLowerInvariant()}");
        }
        catch (JsonException e)
        {
            throw new CheckpointException($"{file} is not valid JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{file}: cannot be read: {e.Message}", e);
        }
    }
}
