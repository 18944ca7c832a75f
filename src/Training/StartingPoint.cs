using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Models.Conversion;
using LongformerInterop.Tokenizers;
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

    private int _firstAdded, _added;

    private StartingPoint(string folder, LongformerConfiguration? longformer, LedConfiguration? led) =>
        (Folder, TokenizerFolder, Longformer, Led) = (folder, folder, longformer, led);

    /// <summary>Where its files are.</summary>
    public string Folder { get; private set; }

    /// <summary>Where its tokenizer is.</summary>
    public string TokenizerFolder { get; private set; }

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

    /// <summary>Adds the tokens that its tokenizer lacks, behind the last one; their rows are made by <see cref="Prepare"/>.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <param name="work">A folder for what is made.</param>
    /// <exception cref="LongformerException">It is an LED, or its tokenizer cannot be read.</exception>
    public void AddTokens(IReadOnlyList<string> tokens, string work)
    {
        if (tokens.Count == 0)
            return;
        Tokenizer tokenizer = Tokenizer.Load(Folder);
        string[] missing = [.. tokens.Where(t => tokenizer.TokenToId(t) is null)];
        if (missing.Length == 0)
            return;
        if (Longformer is null)
            throw new CheckpointException($"{Folder}: expected a Longformer, a RoBERTa or a BERT for a task with markers, given an LED");
        (_firstAdded, _added) = (tokenizer.VocabularySize, missing.Length);
        string target = Path.Combine(work, "tokenizer");
        Directory.CreateDirectory(target);
        TokenizerFiles.Copy(Folder, target);
        // The class of a tokenizer may follow from the model's.
        File.Copy(Path.Combine(Folder, "config.json"), Path.Combine(target, "config.json"), overwrite: true);
        TokenizerFiles.Add(target, missing, _firstAdded);
        TokenizerFolder = target;
        Longformer = Longformer with { VocabSize = Math.Max(Longformer.VocabSize, _firstAdded + _added) };
        Notes.Add($"new tokens: {string.Join(" ", missing)}");
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
        if (fits && same && _added == 0)
            return;

        List<string> made = [], missing = [];
        List<TensorSource> tensors = [];
        foreach (ParameterShape shape in shapes)
        {
            string? name = source is null ? null : Find(source, shape);
            if (name is not null && _added > 0 && shape.Name.EndsWith("word_embeddings.weight", StringComparison.Ordinal))
            {
                tensors.Add(TensorSource.Deferred(shape.Name, DType.Float32, shape.Shape, () => WithAddedRows(source!.Get(name), shape, seed)));
                continue;
            }
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
        TokenizerFiles.Copy(TokenizerFolder, target);
        Notes.Add(source is null ? "random weights" : made.Count > 0 ? $"new and random: {string.Join(", ", made)}"
            : $"the head of {architecture} under other labels");
        (Folder, TokenizerFolder, Longformer) = (target, target, wanted);
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

    /// <summary>A word table with rows for the added tokens: normal, with the mean and the deviation of the whole table, as allenai's code draws
    /// them.</summary>
    private Tensor WithAddedRows(Tensor table, ParameterShape shape, long seed)
    {
        float[] old = table.To(DType.Float32).Contiguous().ToArray<float>();
        double mean = old.Average(v => (double)v), deviation = Math.Sqrt(old.Sum(v => (v - mean) * (v - mean)) / Math.Max(1, old.Length - 1));
        float[] values = new float[shape.Shape[0] * shape.Shape[1]];
        old.CopyTo(values, 0);
        // A table may have had rows to spare, which are drawn too, as are those between it and the first added token.
        long first = Math.Min(_firstAdded, table.Size(0)) * shape.Shape[1], end = (long)(_firstAdded + _added) * shape.Shape[1];
        for (long i = first; i < end; i++)
            values[i] = (float)(mean + (deviation * Normal(seed, HashOf(shape.Name) + 1, i)));
        return Tensor.From<float>(values, shape.Shape);
    }

    private static long HashOf(string name) => name.Aggregate(0L, (hash, c) => (long)Mixing.Of(hash, c));

    private static double Normal(long seed, long stream, long i) => Math.Sqrt(-2 * Math.Log(1 - Mixing.Unit(Mixing.Of(seed, stream, i, 0))))
        * Math.Cos(2 * Math.PI * Mixing.Unit(Mixing.Of(seed, stream, i, 1)));

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
        long name = HashOf(shape.Name);
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)(deviation * Normal(seed, name, i));
        int padding = Longformer?.PadTokenId ?? Led!.PadTokenId;
        bool padded = shape.Name.EndsWith("word_embeddings.weight", StringComparison.Ordinal)
            || shape.Name.EndsWith("shared.weight", StringComparison.Ordinal)
            || shape.Name.EndsWith("position_embeddings.weight", StringComparison.Ordinal);
        if (padded)
            Array.Clear(values, padding * (int)shape.Shape[1], (int)shape.Shape[1]);
        return Tensor.From<float>(values, shape.Shape);
    }
}
