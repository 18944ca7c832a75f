using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Models.Conversion;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training;

/// <summary>
/// The checkpoint that a run begins with: the one that is there, where it has the head; else one with a new head. A RoBERTa, BERT or BART is
/// converted first, and a configuration without weights gets random ones.
/// </summary>
internal sealed class StartingPoint
{
    private static readonly string[] Short = ["roberta", "bert", "xlm-roberta", "camembert", "bart", "mbart"];
    private static readonly string[] Weights = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
        "pytorch_model.bin.index.json"];

    private StartingPoint(string folder, LongformerConfiguration? longformer, LedConfiguration? led) =>
        (Folder, Longformer, Led) = (folder, longformer, led);

    /// <summary>Where its files are.</summary>
    public string Folder { get; private set; }

    /// <summary>The configuration of a Longformer, else null.</summary>
    public LongformerConfiguration? Longformer { get; private set; }

    /// <summary>The configuration of an LED, else null.</summary>
    public LedConfiguration? Led { get; }

    /// <summary>The changes made to it, for people.</summary>
    public List<string> Notes { get; } = [];

    public int MaxTokens => Longformer?.MaxTokens ?? Led!.MaxEncoderPositionEmbeddings;

    public int VocabSize => Longformer?.VocabSize ?? Led!.VocabSize;

    /// <summary>Reads a folder; converts it where it is short.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="work">A folder for what is made on the way.</param>
    /// <exception cref="LongformerException">It is no checkpoint that can be trained.</exception>
    public static StartingPoint Open(string folder, string work)
    {
        string configuration = Path.Combine(Checkpoint.FolderOf(folder), "config.json");
        if (!File.Exists(configuration))
            throw new CheckpointException($"{folder}: no config.json there: expected a checkpoint folder");
        string? type = null;
        bool isLong;
        try
        {
            using JsonDocument json = JsonText.Parse(File.ReadAllBytes(configuration));
            if (json.RootElement.TryGetProperty("model_type", out JsonElement value))
                type = value.GetString();
            isLong = json.RootElement.TryGetProperty("attention_window", out _) || json.RootElement.TryGetProperty("attention_mode", out _);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CheckpointException($"{configuration}: not a JSON object: {e.Message}", e);
        }
        if (!isLong && Short.Contains(type))
        {
            bool led = type is "bart" or "mbart";
            string converted = Path.Combine(work, "converted");
            ConversionResult result = CheckpointConverter.Convert(folder, converted,
                new ConversionOptions { To = led ? ConversionTarget.Led : ConversionTarget.Longformer, Overwrite = true });
            StartingPoint point = Open(converted, work);
            point.Notes.Add($"made of a {type} with positions for {result.Positions} tokens");
            point.Notes.AddRange(result.Notes);
            return point;
        }
        folder = Checkpoint.FolderOf(folder);
        return LedConfiguration.IsIn(folder) ? new StartingPoint(folder, null, LedConfiguration.Load(folder))
            : new StartingPoint(folder, LongformerConfiguration.Load(folder), null);
    }

    /// <summary>The labels of its head, if it has that of an architecture.</summary>
    public LabelSet? LabelsOf(string architecture) => Longformer is { } c && c.Architectures is [string first, ..]
        && first.Replace("Roberta", "Longformer", StringComparison.Ordinal) == architecture
        ? new LabelSet(c.Id2Label) { ProblemType = c.ProblemType } : null;

    /// <summary>Gives it the head of an architecture, with labels.</summary>
    /// <param name="architecture">HF's class.</param>
    /// <param name="labels">The labels, or null.</param>
    /// <param name="seed">Of random weights.</param>
    /// <param name="work">A folder for what is made.</param>
    /// <exception cref="LongformerException">The checkpoint is of another kind, or lacks parts of the body.</exception>
    public void Prepare(string architecture, LabelSet? labels, long seed, string work)
    {
        bool led = architecture.StartsWith("LED", StringComparison.Ordinal);
        if (led != (Led is not null))
        {
            throw new CheckpointException($"{Folder}: expected {(led ? "an LED or a BART" : "a Longformer, a RoBERTa or a BERT")} for "
                + $"{architecture}, given {(led ? "a Longformer" : "an LED")}");
        }
        LongformerConfiguration? wanted = Longformer is null ? null : labels is null
            ? Longformer with { Architectures = [architecture], Id2Label = architecture == "LongformerForQuestionAnswering" ? ["LABEL_0", "LABEL_1"]
                : Longformer.Id2Label }
            : Longformer with { Architectures = [architecture], Id2Label = labels.Names, ProblemType = labels.ProblemType };
        bool hasWeights = Weights.Any(file => File.Exists(Path.Combine(Folder, file)));
        using Checkpoint? files = hasWeights ? Checkpoint.Open(Folder) : null;
        using Checkpoint? source = files?.Rename(NameMap.RecognizeIn(files));
        ParameterShape[] shapes = [.. Architecture.All.First(a => a.Name == architecture).Parameters(wanted is null ? Led! : wanted)];
        bool fits = source is not null && shapes.All(s => Find(source, s) is { } name && source.Entry(name).Shape.SequenceEqual(s.Shape));
        bool same = wanted is null || (LabelsOf(architecture) is { } old
            && (labels is null || (old.Names.SequenceEqual(labels.Names) && old.ProblemType == labels.ProblemType)));
        if (fits && same)
            return;

        List<string> made = [], missing = [];
        List<TensorSource> tensors = [];
        foreach (ParameterShape shape in shapes)
        {
            string? name = source is null ? null : Find(source, shape);
            if (name is not null && source!.Entry(name).Shape.SequenceEqual(shape.Shape))
            {
                tensors.Add(TensorSource.From(shape.Name, source, name));
                continue;
            }
            if (source is not null && !IsHead(shape.Name))
                missing.Add(shape.Name);
            made.Add(shape.Name);
            tensors.Add(TensorSource.Deferred(shape.Name, DType.Float32, shape.Shape, () => Random(shape, seed)));
        }
        if (missing.Count > 0)
        {
            throw new CheckpointException($"{Folder}: the body lacks {string.Join(", ", missing.Take(8))}"
                + (missing.Count > 8 ? $" and {missing.Count - 8} more" : ""));
        }
        string target = Path.Combine(work, "start");
        Directory.CreateDirectory(target);
        ShardedWriter.Write(target, tensors);
        File.WriteAllText(Path.Combine(target, "config.json"), wanted?.ToJson() ?? (Led! with { Architectures = [architecture] }).ToJson());
        TokenizerFiles.Copy(Folder, target);
        Notes.Add(source is null ? "random weights" : made.Count > 0 ? $"new and random: {string.Join(", ", made)}"
            : $"the head of {architecture} under other labels");
        (Folder, Longformer) = (target, wanted);
    }

    private static bool IsHead(string name) => name == "final_logits_bias" || Optimization.ParameterPlan.IsHead(name);

    private static string? Find(Checkpoint source, ParameterShape shape)
    {
        string bare = shape.Name[(shape.Name.IndexOf('.', StringComparison.Ordinal) + 1)..];
        string[] names = shape.Name.StartsWith("longformer.", StringComparison.Ordinal) ? [shape.Name, "roberta." + bare, bare]
            : shape.Name.StartsWith("led.", StringComparison.Ordinal) ? [shape.Name, "model." + bare, bare]
            : shape.Name == "lm_head.bias" ? [shape.Name, "lm_head.decoder.bias"] : [shape.Name];
        return names.FirstOrDefault(source.Contains);
    }

    /// <summary>As HF initialises: normal with the configured deviation, LayerNorm 1 and 0, biases 0, the rows of the padding 0.</summary>
    private Tensor Random(ParameterShape shape, long seed)
    {
        float[] values = new float[shape.Shape.Aggregate(1L, (product, size) => product * size)];
        bool norm = !Optimization.ParameterPlan.Decays(shape.Name);
        if (norm)
        {
            if (shape.Name.EndsWith("weight", StringComparison.Ordinal))
                Array.Fill(values, 1);
            return Tensor.From<float>(values, shape.Shape);
        }
        if (shape.Name == "final_logits_bias")
            return Tensor.From<float>(values, shape.Shape);
        double deviation = Longformer?.InitializerRange ?? Led!.InitStd;
        long name = shape.Name.Aggregate(0L, (hash, c) => (long)Mixing.Of(hash, c));
        for (int i = 0; i < values.Length; i++)
        {
            double radius = Math.Sqrt(-2 * Math.Log(1 - Mixing.Unit(Mixing.Of(seed, name, i, 0))));
            values[i] = (float)(deviation * radius * Math.Cos(2 * Math.PI * Mixing.Unit(Mixing.Of(seed, name, i, 1))));
        }
        int padding = Longformer?.PadTokenId ?? Led!.PadTokenId;
        bool padded = shape.Name.EndsWith("word_embeddings.weight", StringComparison.Ordinal)
            || shape.Name.EndsWith("shared.weight", StringComparison.Ordinal)
            || shape.Name.EndsWith("position_embeddings.weight", StringComparison.Ordinal);
        if (padded)
            Array.Clear(values, padding * (int)shape.Shape[1], (int)shape.Shape[1]);
        return Tensor.From<float>(values, shape.Shape);
    }
}

/// <summary>The files of a tokenizer, which go wherever the weights go.</summary>
internal static class TokenizerFiles
{
    private static readonly string[] Names =
    [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt",
        "generation_config.json",
    ];

    /// <summary>Copies those that are there.</summary>
    public static void Copy(string from, string to)
    {
        foreach (string name in Names)
        {
            if (File.Exists(Path.Combine(from, name)))
                File.WriteAllBytes(Path.Combine(to, name), File.ReadAllBytes(Path.Combine(from, name)));
        }
    }

    /// <summary>The bytes of all, for a fingerprint.</summary>
    public static IEnumerable<byte[]> Contents(string folder) =>
        Names.Where(name => name != "generation_config.json" && File.Exists(Path.Combine(folder, name))).Select(name =>
            File.ReadAllBytes(Path.Combine(folder, name)));
}
