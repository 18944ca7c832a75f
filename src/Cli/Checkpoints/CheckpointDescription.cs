using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.Cli.Checkpoints;

/// <summary>
/// Describes any checkpoint: what its files say, whose names its tensors have, and whether it loads as what it says it is. Nothing that is
/// wrong ends the description; it becomes a problem in the list.
/// </summary>
internal static class CheckpointDescription
{
    /// <param name="path">A checkpoint folder, or its file with the weights.</param>
    /// <param name="report">Gets facts, tasks and problems.</param>
    /// <param name="cancellation">Stops between two tensors.</param>
    internal static void Describe(string path, CheckpointReport report, CancellationToken cancellation)
    {
        string folder = Checkpoint.FolderOf(path);
        if (CharacterLanguageModelConfiguration.IsIn(folder))
        {
            DescribeCharacterModel(path, folder, report, cancellation);
            return;
        }
        int? vocabulary = null;
        using (JsonDocument? configuration = Configuration(folder, report))
        {
            CheckpointFamily family = Recognize(path, configuration?.RootElement.GetRawText(), report);
            try
            {
                if (configuration is not null)
                    vocabulary = DescribeModel(path, folder, configuration.RootElement, family, report);
            }
            catch (CheckpointException e)
            {
                report.Add(e);
            }
        }
        DescribeTokenizer(folder, vocabulary, report);
        DescribePooling(folder, report);
        TensorCheck.Run(path, report, cancellation);
    }

    private static void DescribeCharacterModel(string path, string folder, CheckpointReport report, CancellationToken cancellation)
    {
        try
        {
            CharacterInfo.Describe(folder, report);
        }
        catch (CheckpointException e)
        {
            report.Add(e);
        }
        TensorCheck.Run(path, report, cancellation);
    }

    private static CheckpointFamily Recognize(string path, string? configuration, CheckpointReport report)
    {
        try
        {
            using Checkpoint checkpoint = Checkpoint.Open(path);
            NameMap map;
            try
            {
                map = NameMap.Recognize(checkpoint, configuration);
            }
            catch (CheckpointException e) when (configuration is not null)
            {
                // The two contradict each other; the names alone may still show what the tensors are.
                report.Add(e);
                map = NameMap.Recognize(checkpoint);
            }
            report.Set("architecture", map.Family.ToString());
            report.Set("names", map.Findings.ToList());
            return map.Family;
        }
        catch (CheckpointException e)
        {
            report.Add(e);
            return CheckpointFamily.Unknown;
        }
    }

    private static JsonDocument? Configuration(string folder, CheckpointReport report)
    {
        string file = Path.Combine(folder, "config.json");
        try
        {
            JsonDocument json = JsonText.Parse(File.ReadAllBytes(file));
            if (json.RootElement.ValueKind == JsonValueKind.Object)
                return json;
            json.Dispose();
            report.Problems.Add($"{file} must hold a JSON object");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            report.Problems.Add($"{folder}: no config.json: "
                + $"{Checkpoint.Hint(folder) ?? "weights alone do not give heads, windows and padding"}");
        }
        catch (JsonException e)
        {
            report.Problems.Add(CommandFailure.OneLine($"{file} is not valid JSON: {e.Message}"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            report.Problems.Add(CommandFailure.OneLine($"{file}: cannot be read: {e.Message}"));
        }
        return null;
    }

    private static int? DescribeModel(string path, string folder, JsonElement configuration, CheckpointFamily family, CheckpointReport report)
    {
        bool led = LedConfiguration.Describes(configuration);
        if (!led && family is CheckpointFamily.Roberta or CheckpointFamily.Bert or CheckpointFamily.Bart or CheckpointFamily.MBart
            && !configuration.TryGetProperty("attention_window", out _))
        {
            return ShortModelInfo.Describe(path, configuration, family, report);
        }
        ModelConfiguration described = led ? LedInfo.Describe(folder, report) : LongformerInfo.Describe(folder, report);
        int vocabulary = described.VocabSize;
        if (described.Architectures is [string name, ..] && Architecture.Find(name, described.Family) is { HasLabels: true })
            report.Set("labels", described.Id2Label.ToList());
        try
        {
            using PretrainedModel model = PretrainedModel.Load(path);
            report.Set("architecture", model.Architecture);
            if (model.UnusedTensors.Count > 0)
                report.Set("not used", model.UnusedTensors.ToList());
            // The scales of weights of eight bits are no parameters of their own.
            report.Set("parameters", model.NamedParameters.Where(p => !p.Name.EndsWith(".weight_scale", StringComparison.Ordinal))
                .Sum(p => p.Tensor.ElementCount));
            Architecture known = Architecture.Find(model.Architecture, model.Configuration.Family)!;
            // The body of every Longformer makes embeddings, with any head.
            if (known.Family == ModelFamily.Longformer)
                report.Tasks.Add("encode");
            if (known.Verb is { } verb)
                report.Tasks.Add(verb);
        }
        catch (CheckpointException e)
        {
            report.Add(e);
        }
        return vocabulary;
    }

    private static void DescribeTokenizer(string folder, int? vocabulary, CheckpointReport report)
    {
        try
        {
            Tokenizer tokenizer = Tokenizer.Load(folder);
            report.Set("tokenizer", $"{tokenizer.Kind}, {tokenizer.VocabularySize} tokens");
            if (tokenizer.VocabularySize > vocabulary)
                report.Problems.Add($"the tokenizer has {tokenizer.VocabularySize} tokens, the model only {vocabulary} embeddings");
        }
        catch (TokenizerException e)
        {
            report.Set("tokenizer", $"missing: {CommandFailure.OneLine(e.Message)}");
        }
    }

    private static void DescribePooling(string folder, CheckpointReport report)
    {
        try
        {
            SentenceTransformersFolder sentences = SentenceTransformersFolder.Read(folder);
            if (sentences.Pooling is { } pooling)
                report.Set("pooling", $"{pooling.ToString().ToLowerInvariant()}{(sentences.Normalize == true ? ", normalized" : "")}");
        }
        catch (CheckpointException e)
        {
            report.Add(e);
        }
    }
}
