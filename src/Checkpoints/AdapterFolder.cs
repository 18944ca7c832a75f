using System.Text.Json;
using System.Text.RegularExpressions;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// A folder of PEFT's: <c>adapter_config.json</c> with <c>adapter_model.safetensors</c> (or <c>.bin</c>), what LoRA adds to the weights of a base
/// that is elsewhere. Read as the base with the additions merged.
/// </summary>
/// <remarks>Source: huggingface/peft, src/peft/tuners/lora (merge, get_delta_weight) and utils/save_and_load.py.</remarks>
internal sealed partial class AdapterFolder
{
    private const string ConfigurationFile = "adapter_config.json";
    private static readonly string[] WeightFiles = ["adapter_model.safetensors", "adapter_model.bin"];
    private static readonly string[] Backbones = ["longformer", "led", "roberta", "bert", "model"];

    // These settings change how the additions are computed, and are not supported: refused where they are on.
    private static readonly string[] RefusedSwitches =
        ["use_dora", "lora_bias", "use_bdlora", "alora_invocation_tokens", "arrow_config", "trainable_token_indices", "use_qalora"];

    private readonly JsonElement _configuration;

    private AdapterFolder(string folder, JsonElement configuration)
    {
        Folder = folder;
        _configuration = configuration;
    }

    public string Folder { get; }

    /// <summary>Whether a folder holds an adapter.</summary>
    public static bool IsAdapter(string folder) => File.Exists(Path.Combine(folder, ConfigurationFile));

    /// <summary>Returns the message for an adapter whose base is not found.</summary>
    public static string NeedsBase(string folder)
    {
        AdapterFolder adapter = Read(folder);
        return $"{folder}: an adapter ({adapter.Kind}) without its base '{adapter.BaseName}': give the base's folder too (base), "
            + "or put it next to the adapter's folder under that name";
    }

    public static AdapterFolder Read(string folder)
    {
        string file = Path.Combine(folder, ConfigurationFile);
        try
        {
            using JsonDocument document = JsonText.Parse(File.ReadAllBytes(file));
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? new AdapterFolder(folder, document.RootElement.Clone())
                : throw new CheckpointException($"{file}: expected a JSON object");
        }
        catch (JsonException e)
        {
            throw new CheckpointException($"{file}: not valid JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{file}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>The base's folder: the one given, else where the adapter says, else one of that name beside the adapter, else the adapter's
    /// own.</summary>
    public string FindBase(string? given)
    {
        if (given is not null)
        {
            return Directory.Exists(given) || File.Exists(given)
                ? given
                : throw new CheckpointException(
                    $"{Folder}: the base given for this adapter, {given}, is no folder{(FileHints.OfFolder(given) is { } hint ? $": {hint}" : "")}");
        }

        string name = BaseName, last = name.TrimEnd('/', '\\').Split('/', '\\')[^1];
        string full = Path.GetFullPath(Folder).TrimEnd(Path.DirectorySeparatorChar);
        string?[] places = [name, Path.Combine(full, name), Path.Combine(Path.GetDirectoryName(full) ?? full, last), Path.Combine(full, last)];
        return places.FirstOrDefault(p => !string.IsNullOrEmpty(p) && Path.GetFullPath(p) != full && HasConfiguration(p))
            ?? (HasConfiguration(full) ? full : throw new CheckpointException(NeedsBase(Folder)));
    }

    /// <summary>The adapter's tensors over those of its base, which has HF's names already.</summary>
    /// <param name="bases">The base, renamed; the result reads from it.</param>
    public MergedFile Merge(Checkpoint bases)
    {
        CheckKind();
        string file = WeightFiles.Select(f => Path.Combine(Folder, f)).FirstOrDefault(File.Exists)
            ?? throw new CheckpointException($"{Folder}: an adapter without weights: looked for {string.Join(", ", WeightFiles)}");
        ITensorFile weights = TensorFiles.Open(file);
        try
        {
            Dictionary<string, LoraAddition> additions = new(StringComparer.Ordinal);
            Dictionary<string, TensorEntry> replaced = new(StringComparer.Ordinal);
            foreach (TensorEntry entry in weights.Entries.Values)
                Place(entry, bases, additions, replaced);
            LoraAddition? half = additions.Values.FirstOrDefault(a => a.A is null || a.B is null);
            return half is null
                ? new MergedFile(bases, weights, additions, replaced,
                    _configuration.TryGetProperty("fan_in_fan_out", out JsonElement f) && f.ValueKind == JsonValueKind.True)
                : throw new CheckpointException($"{file}: the addition to {half.Target} has only one of its two matrices");
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    private string Kind => Text("peft_type") ?? "of a kind that is not named";

    private string BaseName => Text("base_model_name_or_path") ?? "";

    private static bool HasConfiguration(string folder) => File.Exists(Path.Combine(folder, "config.json"));

    private string? Text(string key) =>
        _configuration.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private void CheckKind()
    {
        string file = Path.Combine(Folder, ConfigurationFile);
        if (Kind != "LORA")
        {
            throw new CheckpointException(
                $"{file}: peft_type: expected LORA, given {Kind}, which is not supported; merge it into its base with PEFT (merge_and_unload) "
                + "and save that");
        }
        foreach (string name in RefusedSwitches)
        {
            if (_configuration.TryGetProperty(name, out JsonElement value) && value.ValueKind is not (JsonValueKind.False or JsonValueKind.Null))
            {
                throw new CheckpointException(
                    $"{file}: {name}: expected none, given {value.GetRawText()}: this kind of LoRA is not supported; merge it into its base with "
                    + "PEFT and save that");
            }
        }
    }

    /// <summary>Finds what a tensor of the adapter changes in the base.</summary>
    private void Place(TensorEntry entry, Checkpoint bases, Dictionary<string, LoraAddition> additions, Dictionary<string, TensorEntry> replaced)
    {
        string name = entry.Name.StartsWith("base_model.model.", StringComparison.Ordinal) ? entry.Name["base_model.model.".Length..] : entry.Name;
        Match match = LoraName().Match(name);
        if (!match.Success)
        {
            // A module saved whole, or a bias trained along.
            if (name.Contains(".lora_", StringComparison.Ordinal))
            {
                throw new CheckpointException(
                    $"{entry.File}: {entry.Name}: this part of an adapter is not supported; merge it into its base with PEFT and save that");
            }
            string plain = SavedWhole().Replace(name, ".").Replace(".base_layer.", ".", StringComparison.Ordinal);
            replaced[InBase(plain, bases) ?? plain] = entry;
            return;
        }

        string module = match.Groups["module"].Value.Replace(".base_layer", "", StringComparison.Ordinal);
        string target = InBase(module + ".weight", bases)
            ?? throw new CheckpointException($"{entry.File}: {entry.Name}: adds to {module}.weight, which the base {bases.Path} does not have");
        if (!additions.TryGetValue(target, out LoraAddition? addition))
            additions[target] = addition = new LoraAddition(target) { IsEmbedding = match.Groups["embedding"].Success };
        if (match.Groups["side"].Value == "A")
        {
            addition.A = entry;
            addition.Scale = ScaleOf(module, entry.Shape.Length == 2 ? entry.Shape[0] : 0);
        }
        else
        {
            addition.B = entry;
        }
    }

    /// <summary>The base's name of a tensor: adapters are trained on a class whose body may be under another prefix.</summary>
    private static string? InBase(string name, Checkpoint bases)
    {
        if (bases.Contains(name))
            return name;
        string? inside = Backbones.Select(b => $"{b}.{name}").FirstOrDefault(bases.Contains);
        int dot = name.IndexOf('.', StringComparison.Ordinal);
        if (inside is not null || dot < 0 || !Backbones.Contains(name[..dot]))
            return inside;
        string rest = name[(dot + 1)..];
        return bases.Contains(rest) ? rest : Backbones.Select(b => $"{b}.{rest}").FirstOrDefault(bases.Contains);
    }

    /// <summary>lora_alpha over the rank, or over its root, each by the module's own pattern where there is one.</summary>
    private double ScaleOf(string module, long stored)
    {
        double rank = Pattern("rank_pattern", module) ?? Number("r") ?? stored;
        double alpha = Pattern("alpha_pattern", module) ?? Number("lora_alpha") ?? 8;
        if (rank <= 0)
            throw new CheckpointException($"{Path.Combine(Folder, ConfigurationFile)}: r: expected a rank of 1 or more, given {rank}");
        bool byRoot = _configuration.TryGetProperty("use_rslora", out JsonElement rs) && rs.ValueKind == JsonValueKind.True;
        return alpha / (byRoot ? Math.Sqrt(rank) : rank);
    }

    private double? Number(string key) =>
        _configuration.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    private double? Pattern(string key, string module)
    {
        if (!_configuration.TryGetProperty(key, out JsonElement patterns) || patterns.ValueKind != JsonValueKind.Object)
            return null;
        foreach (JsonProperty pattern in patterns.EnumerateObject())
        {
            // As PEFT matches: the pattern is the end of the name, behind a dot.
            if (pattern.Value.ValueKind == JsonValueKind.Number
                && Regex.IsMatch(module, $@"^(.*\.)?({pattern.Name})$", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking))
            {
                return pattern.Value.GetDouble();
            }
        }

        return null;
    }

    [GeneratedRegex(@"^(?<module>.+)\.lora_(?<embedding>embedding_)?(?<side>[AB])(\.default)?(\.weight)?$", RegexOptions.CultureInvariant)]
    private static partial Regex LoraName();

    [GeneratedRegex(@"\.modules_to_save\.(default\.)?|\.original_module\.", RegexOptions.CultureInvariant)]
    private static partial Regex SavedWhole();
}

/// <summary>LoRA's addition to one weight: scale times B times A.</summary>
internal sealed class LoraAddition(string target)
{
    public string Target { get; } = target;

    /// <summary>[rank, inputs]; of an embedding [rank, rows].</summary>
    public TensorEntry? A { get; set; }

    /// <summary>[outputs, rank]; of an embedding [width, rank].</summary>
    public TensorEntry? B { get; set; }

    public double Scale { get; set; }

    public bool IsEmbedding { get; init; }
}
