using System.Globalization;
using System.Text.Json;

namespace LongformerInterop.Checkpoints;

/// <summary>The architecture that a checkpoint's tensors belong to.</summary>
public enum CheckpointFamily
{
    /// <summary>None of those below; names stay as they are.</summary>
    Unknown,

    /// <summary>Longformer: an encoder with projections for global attention.</summary>
    Longformer,

    /// <summary>LED: an encoder with Longformer's attention, and a decoder.</summary>
    Led,

    /// <summary>RoBERTa, from which a Longformer is made.</summary>
    Roberta,

    /// <summary>BERT, also as a sentence encoder.</summary>
    Bert,

    /// <summary>BART, from which an LED is made.</summary>
    Bart,

    /// <summary>mBART: BART with LayerNorm before the layers and after the last one.</summary>
    MBart,
}

/// <summary>Where a tensor of HF's name comes from.</summary>
/// <param name="Source">The name in the file.</param>
/// <param name="SkipRows">Rows of the outermost dimension to leave out in front (the two unused rows of BART's position tables).</param>
public sealed record NameMapEntry(string Source, long SkipRows = 0);

/// <summary>A tensor of the file that has no place in the model.</summary>
/// <param name="Source">The name in the file.</param>
/// <param name="Reason">Why it is left out.</param>
public sealed record DroppedName(string Source, string Reason);

/// <summary>
/// How the names of a checkpoint relate to HF's names of Longformer and LED (and of what they are converted from), recognised from
/// the tensors themselves: prefixes of wrapping modules (pytorch-lightning's <c>model.</c>, DataParallel's <c>module.</c>), a
/// Longformer that calls itself <c>roberta.</c>, allenai's LED, which calls itself <c>model.</c> and keeps BART's two unused rows of
/// positions, LayerNorm's old <c>gamma</c> and <c>beta</c>, and buffers that are no weights.
/// </summary>
/// <remarks>
/// Sources: allenai/longformer (longformer/longformer.py, longformer_encoder_decoder.py, scripts/*.py) for its names,
/// transformers' convert_longformer_original_pytorch_lightning_to_pytorch.py and load_tf_weights for the old ones.
/// </remarks>
public sealed class NameMap
{
    private const string WordEmbeddings = "embeddings.word_embeddings.weight";
    private const string FirstLayer = "encoder.layers.0.";

    // HF's names for the bare model inside a model with a head.
    private static readonly Dictionary<CheckpointFamily, string> BackboneOf = new()
    {
        [CheckpointFamily.Longformer] = "longformer.", [CheckpointFamily.Led] = "led.", [CheckpointFamily.Roberta] = "roberta.",
        [CheckpointFamily.Bert] = "bert.", [CheckpointFamily.Bart] = "model.", [CheckpointFamily.MBart] = "model.",
    };

    private static readonly string[] EncoderBackbones = ["longformer", "roberta", "bert"];

    private static readonly string[] SequenceBackbones = ["led", "model"];

    private static readonly string[] BackboneParts = ["embeddings", "encoder", "decoder", "shared", "pooler"];

    // The names under which wrapping modules hold the wrapped one, at any depth: FSDP, activation checkpointing, torch.compile, fairscale, Lightning.
    private static readonly HashSet<string> WrapperSegments = new(StringComparer.Ordinal)
    {
        "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod", "_fpw_module", "_forward_module", "_original_module",
    };

    private readonly Dictionary<string, string> _sources = new(StringComparer.Ordinal);
    private readonly Dictionary<string, NameMapEntry> _entries = new(StringComparer.Ordinal);
    private readonly List<DroppedName> _dropped = [];
    private readonly List<string> _findings = [];

    private NameMap()
    {
    }

    /// <summary>The architecture.</summary>
    public CheckpointFamily Family { get; private set; }

    /// <summary>The tensors by HF's name.</summary>
    public IReadOnlyDictionary<string, NameMapEntry> Entries => _entries;

    /// <summary>Tensors of the file that are left out.</summary>
    public IReadOnlyList<DroppedName> Dropped => _dropped;

    /// <summary>The findings, one sentence each, for <c>info</c>.</summary>
    public IReadOnlyList<string> Findings => _findings;

    /// <summary>Whether the file has HF's names already: nothing is renamed, cut or left out.</summary>
    public bool IsIdentity => _dropped.Count == 0 && _entries.All(e => e.Key == e.Value.Source && e.Value.SkipRows == 0);

    /// <summary>Recognises the names of an open checkpoint.</summary>
    /// <param name="checkpoint">The checkpoint, under the names in its file.</param>
    /// <param name="configurationJson">The text of its <c>config.json</c>, if it has one: it decides where the names leave a doubt.</param>
    /// <exception cref="CheckpointException">Two tensors of the file would get the same name.</exception>
    public static NameMap Recognize(Checkpoint checkpoint, string? configurationJson = null)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        return Recognize([.. checkpoint.Names.Select(checkpoint.Entry)], configurationJson, checkpoint.Path);
    }

    /// <summary>An open checkpoint's names with the help of the <c>config.json</c> in its folder, if there is one.</summary>
    /// <exception cref="CheckpointException">Two tensors of the file would get the same name, or the configuration cannot be read.</exception>
    public static NameMap RecognizeIn(Checkpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        string file = System.IO.Path.Combine(checkpoint.Folder, "config.json");
        try
        {
            return Recognize(checkpoint, System.IO.File.Exists(file) ? System.IO.File.ReadAllText(file) : null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{file}: cannot be read: {e.Message}", e);
        }
    }

    internal static NameMap Recognize(IReadOnlyCollection<TensorEntry> tensors, string? configurationJson, string path)
    {
        NameMap map = new();
        Configuration configuration = Configuration.Parse(configurationJson, path);
        tensors = map.WithoutWrappers(tensors);
        string[] encoders = Prefixes(tensors, n => n.EndsWith(WordEmbeddings, StringComparison.Ordinal) ? n.Length - WordEmbeddings.Length : -1);
        string[] sequences = Prefixes(tensors, n => n.IndexOf(FirstLayer, StringComparison.Ordinal));
        if (sequences.Length == 1 && encoders.Length == 0)
            map.MapSequenceModel(tensors, sequences[0], configuration, path);
        else if (encoders.Length == 1 && sequences.Length == 0)
            map.MapEncoder(tensors, encoders[0], configuration, path);
        else
            map.MapUnknown(tensors, encoders.Length + sequences.Length);
        return map;
    }

    /// <summary>The tensors under names without what wrapping modules put in front and in between.</summary>
    private IReadOnlyCollection<TensorEntry> WithoutWrappers(IReadOnlyCollection<TensorEntry> tensors)
    {
        List<TensorEntry> plain = new(tensors.Count);
        HashSet<string> segments = new(StringComparer.Ordinal);
        foreach (TensorEntry tensor in tensors)
        {
            string[] parts = tensor.Name.Split('.');
            string[] inner = [.. parts.Where(p => !WrapperSegments.Contains(p))];

            // DDP's and DeepSpeed's "module" in front is a prefix like any other; between names it is nothing.
            string[] kept = [.. inner.Where((p, i) => i == 0 || p != "module")];
            if (kept.Length == parts.Length || kept.Length == 0)
            {
                plain.Add(tensor);
                continue;
            }

            segments.UnionWith(parts.Except(kept, StringComparer.Ordinal));
            TensorEntry renamed = tensor.Rename(string.Join('.', kept), 0);
            plain.Add(renamed);
            _sources[renamed.Name] = tensor.Name;
        }

        if (_sources.Count == 0)
            return tensors;
        if (plain.Select(t => t.Name).Distinct(StringComparer.Ordinal).Count() < plain.Count)
        {
            // Both a wrapped tensor and one of the same name without: neither is a mere wrapping of the other.
            _sources.Clear();
            return tensors;
        }

        _findings.Add(string.Create(CultureInfo.InvariantCulture,
            $"{_sources.Count} names have the prefixes of wrapping modules ({string.Join(", ", segments.Order(StringComparer.Ordinal))}): left out"));
        return plain;
    }

    private string SourceOf(string name) => _sources.GetValueOrDefault(name, name);

    private static string[] Prefixes(IReadOnlyCollection<TensorEntry> tensors, Func<string, int> anchor) =>
        [.. tensors.Select(t => (t.Name, At: anchor(t.Name))).Where(t => t.At == 0 || (t.At > 0 && t.Name[t.At - 1] == '.'))
            .Select(t => t.Name[..t.At]).Distinct(StringComparer.Ordinal)];

    private void MapUnknown(IReadOnlyCollection<TensorEntry> tensors, int candidates)
    {
        foreach (TensorEntry tensor in tensors)
            _entries.Add(tensor.Name, new NameMapEntry(SourceOf(tensor.Name)));
        _findings.Add(candidates == 0
            ? "the names are not those of a Longformer, LED, RoBERTa, BERT or BART model"
            : "the names are those of several models in one file");
    }

    private void MapEncoder(IReadOnlyCollection<TensorEntry> tensors, string prefix, Configuration configuration, string path)
    {
        (string wrapper, string? backbone) = SplitPrefix(prefix, EncoderBackbones);
        bool global = tensors.Any(t => t.Name.Contains(".attention.self.query_global.", StringComparison.Ordinal));
        Family = global ? CheckpointFamily.Longformer
            : backbone == "bert" || (backbone is null && configuration.ModelType == "bert") ? CheckpointFamily.Bert
            : backbone is not null || configuration.ModelType is "roberta" or "xlm-roberta" or "camembert" ? CheckpointFamily.Roberta
            // A bare encoder without configuration: RoBERTa has one segment, BERT two.
            : tensors.Any(t => t.Name == $"{prefix}embeddings.token_type_embeddings.weight" && t.Shape.Length == 2 && t.Shape[0] > 1)
                ? CheckpointFamily.Bert : CheckpointFamily.Roberta;
        Apply(tensors, prefix, wrapper, backbone, path, _ => 0);
    }

    private void MapSequenceModel(IReadOnlyCollection<TensorEntry> tensors, string prefix, Configuration configuration, string path)
    {
        (string wrapper, string? backbone) = SplitPrefix(prefix, SequenceBackbones);
        bool led = tensors.Any(t => t.Name.Contains(".longformer_self_attn.", StringComparison.Ordinal));
        Family = led ? CheckpointFamily.Led
            : tensors.Any(t => t.Name == $"{prefix}encoder.layer_norm.weight") ? CheckpointFamily.MBart : CheckpointFamily.Bart;
        // allenai's LED descends from BART's class, and its position tables begin with the two rows that BART never uses.
        bool bartRows = led && backbone == "model" && configuration.ModelType != "led";
        long skip = bartRows ? 2 : 0;
        if (bartRows)
        {
            TensorEntry? table = tensors.FirstOrDefault(t => t.Name == $"{prefix}encoder.embed_positions.weight");
            if (table is not null && table.Shape.Length > 0 && configuration.EncoderPositions is { } positions && table.Shape[0] != positions + 2)
            {
                throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                    $"{path}: allenai's LED has two unused rows in front of its positions: the configuration says {positions} positions, ")
                    + $"{table.Name} is {TensorEntry.ShapeText(table.Shape)}");
            }
            _findings.Add("position tables begin with BART's two unused rows: left out");
        }
        Apply(tensors, prefix, wrapper, backbone, path, rest => rest.EndsWith("coder.embed_positions.weight", StringComparison.Ordinal) ? skip : 0);
    }

    // "model.roberta." is the model roberta inside a module that calls it model.
    private static (string Wrapper, string? Backbone) SplitPrefix(string prefix, string[] backbones)
    {
        if (prefix.Length == 0)
            return ("", null);
        string last = prefix.TrimEnd('.').Split('.')[^1];
        return backbones.Contains(last) ? (prefix[..^(last.Length + 1)], last) : (prefix, null);
    }

    private void Apply(IReadOnlyCollection<TensorEntry> tensors, string prefix, string wrapper, string? backbone, string path,
        Func<string, long> skipRows)
    {
        // A bare model keeps its bare names, which HF reads too; with a wrapper, heads may be beside it.
        string target = prefix.Length == 0 ? "" : BackboneOf[Family];
        int oldNorms = 0;
        foreach (TensorEntry tensor in tensors)
        {
            string rest, name;
            if (tensor.Name.StartsWith(prefix, StringComparison.Ordinal))
            {
                rest = tensor.Name[prefix.Length..];
                // A wrapped model without its own name has its heads under the same prefix.
                name = backbone is null && !BackboneParts.Contains(rest.Split('.')[0]) ? rest : target + rest;
            }
            else
            {
                rest = tensor.Name.StartsWith(wrapper, StringComparison.Ordinal) ? tensor.Name[wrapper.Length..] : tensor.Name;
                name = rest;
            }
            if (rest.EndsWith("position_ids", StringComparison.Ordinal) || rest.EndsWith("embeddings.token_type_ids", StringComparison.Ordinal))
            {
                _dropped.Add(new DroppedName(SourceOf(tensor.Name), "a buffer that the model computes itself"));
                continue;
            }
            string modern = ModernNorm(name);
            oldNorms += modern == name ? 0 : 1;
            if (!_entries.TryAdd(modern, new NameMapEntry(SourceOf(tensor.Name), skipRows(rest))))
            {
                throw new CheckpointException($"{path}: the tensors {SafetensorsHeader.Quote(_entries[modern].Source)} and "
                    + $"{SafetensorsHeader.Quote(SourceOf(tensor.Name))} would both be {modern}");
            }
        }
        Describe(wrapper, backbone, oldNorms);
    }

    private void Describe(string wrapper, string? backbone, int oldNorms)
    {
        string whose = (Family, backbone) switch
        {
            (CheckpointFamily.Longformer, "roberta" or "bert") =>
                $"Longformer under the names of the {backbone} that it was converted from (allenai)",
            (CheckpointFamily.Led, "model") => "LED under the names of the BART that it was converted from (allenai)",
            (CheckpointFamily.Led, _) => "LED under HF's names",
            _ => $"{Family} under HF's names",
        };
        _findings.Insert(0, whose + (backbone is null ? ", without the prefix of a model with a head" : ""));
        if (wrapper.Length > 0)
            _findings.Add($"inside a module that calls it '{wrapper.TrimEnd('.')}' (as pytorch-lightning's do): the prefix is left out");
        if (oldNorms > 0)
            _findings.Add(string.Create(CultureInfo.InvariantCulture, $"{oldNorms} LayerNorm tensors have the old names gamma and beta"));
        if (_dropped.Count > 0)
            _findings.Add($"left out, since the model computes them itself: {string.Join(", ", _dropped.Select(d => d.Source))}");
    }

    private static string ModernNorm(string name) =>
        name.EndsWith("LayerNorm.gamma", StringComparison.Ordinal) || name.EndsWith("layer_norm.gamma", StringComparison.Ordinal)
            ? name[..^"gamma".Length] + "weight"

        : name.EndsWith("LayerNorm.beta", StringComparison.Ordinal) || name.EndsWith("layer_norm.beta", StringComparison.Ordinal)
        ? name[..^"beta".Length] + "bias"
        : name;

    private readonly record struct Configuration(string? ModelType, long? EncoderPositions)
    {
        internal static Configuration Parse(string? json, string path)
        {
            if (json is null)
                return default;
            try
            {
                using JsonDocument document = JsonText.Parse(System.Text.Encoding.UTF8.GetBytes(json));
                JsonElement root = document.RootElement;
                if (root.ValueKind != JsonValueKind.Object)
                    throw new CheckpointException($"{path}: the configuration next to it is not a JSON object");
                string? type = root.TryGetProperty("model_type", out JsonElement t) && t.ValueKind == JsonValueKind.String ? t.GetString() : null;
                long? positions = root.TryGetProperty("max_encoder_position_embeddings", out JsonElement p)
                    && p.ValueKind == JsonValueKind.Number && p.TryGetInt64(out long value) ? value : null;
                return new Configuration(type, positions);
            }
            catch (JsonException e)
            {
                throw new CheckpointException($"{path}: the configuration next to it is not valid JSON: {e.Message}", e);
            }
        }
    }
}
