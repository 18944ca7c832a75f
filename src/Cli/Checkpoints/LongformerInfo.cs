using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.Cli.Checkpoints;

/// <summary>Describes a Longformer checkpoint and tries to load it as what it says it is.</summary>
internal static class LongformerInfo
{
    private sealed record Served(Func<string, IDisposable> Load, string[] Verbs);

    private static readonly Dictionary<string, Served> Classes = new()
    {
        ["LongformerModel"] = new(f => LongformerModel.Load(f), ["encode"]),
        ["LongformerForMaskedLM"] = new(f => LongformerForMaskedLM.Load(f), ["encode", "fill-mask"]),
        ["LongformerForSequenceClassification"] = new(f => LongformerForSequenceClassification.Load(f), ["encode", "classify"]),
        ["LongformerForQuestionAnswering"] = new(f => LongformerForQuestionAnswering.Load(f), ["encode", "answer"]),
        ["LongformerForTokenClassification"] = new(f => LongformerForTokenClassification.Load(f), ["encode", "tag"]),
        ["LongformerForMultipleChoice"] = new(f => LongformerForMultipleChoice.Load(f), ["encode", "choose"]),
    };

    internal static void Describe(string folder, CheckpointReport report)
    {
        LongformerConfiguration c = LongformerConfiguration.Load(folder);
        string architecture = c.Architectures.Count > 0 ? c.Architectures[0] : "LongformerModel";
        List<(string, object)> facts = report.Facts;
        facts.Add(("architecture", architecture));
        facts.Add(("hidden_size", (long)c.HiddenSize));
        facts.Add(("layers", (long)c.NumHiddenLayers));
        facts.Add(("heads", (long)c.NumAttentionHeads));
        facts.Add(("head_size", (long)c.HeadSize));
        facts.Add(("intermediate_size", (long)c.IntermediateSize));
        facts.Add(("vocabulary", (long)c.VocabSize));
        facts.Add(("max_tokens", (long)c.MaxTokens));
        facts.Add(("position_rows", (long)c.MaxPositionEmbeddings));
        facts.Add(("windows", Enumerable.Range(0, c.NumHiddenLayers).Select(l => (long)c.Window(l).Left + c.Window(l).Right).ToList()));
        if (c.AttentionDilation.Any(layer => layer.Any(d => d != 1)))
            facts.Add(("dilation", c.AttentionDilation.Select(layer => string.Join(' ', layer)).ToList()));
        facts.Add(("attention_mode", c.AttentionMode.ToString()));
        if (architecture is "LongformerForSequenceClassification" or "LongformerForTokenClassification")
            facts.Add(("labels", c.Id2Label.ToList()));
        DescribeTokenizer(folder, c, report);

        if (!Classes.TryGetValue(architecture, out Served? served))
        {
            report.Problems.Add($"architecture {architecture} is none of {string.Join(", ", Classes.Keys)}");
            return;
        }
        try
        {
            served.Load(folder).Dispose();
            report.Tasks.AddRange(served.Verbs);
        }
        catch (CheckpointException e) when (e.Problems.Count > 0)
        {
            report.Problems.AddRange(e.Problems.Select(p => $"{p.Name}: {Word(p.Kind)}{(p.Detail.Length > 0 ? $" {p.Detail}" : "")} ({p.File})"));
        }
        catch (CheckpointException e)
        {
            report.Problems.Add(Failure.OneLine(e.Message));
        }
    }

    private static void DescribeTokenizer(string folder, LongformerConfiguration configuration, CheckpointReport report)
    {
        try
        {
            Tokenizer tokenizer = Tokenizer.Load(folder);
            report.Facts.Add(("tokenizer", $"{tokenizer.Kind}, {tokenizer.VocabularySize} tokens"));
            if (tokenizer.VocabularySize > configuration.VocabSize)
                report.Problems.Add($"the tokenizer has {tokenizer.VocabularySize} tokens, the model only {configuration.VocabSize} embeddings");
        }
        catch (TokenizerException e)
        {
            report.Facts.Add(("tokenizer", $"missing: {Failure.OneLine(e.Message)}"));
        }
    }

    private static string Word(CheckpointProblemKind kind) => kind switch
    {
        CheckpointProblemKind.Missing => "missing",
        CheckpointProblemKind.Unexpected => "unexpected",
        CheckpointProblemKind.Shape => "of another shape",
        _ => "unusable",
    };
}
