using LongformerInterop.Checkpoints;
using LongformerInterop.Models;

namespace LongformerInterop.Cli.Checkpoints;

/// <summary>The facts of a character language model: sizes, windows, symbols, and whether its weights load.</summary>
internal static class CharacterInfo
{
    internal static void Describe(string folder, CheckpointReport report)
    {
        CharacterLanguageModelConfiguration c = CharacterLanguageModelConfiguration.Load(folder);
        report.Set("architecture", nameof(CharacterLanguageModel));
        report.Set("hidden_size", (long)c.HiddenSize);
        report.Set("layers", (long)c.Layers);
        report.Set("heads", (long)c.Heads);
        report.Set("intermediate_size", (long)c.InnerSize);
        report.Set("vocabulary", (long)c.VocabularySize);
        if (c.Window is { } windows)
            report.Set("windows", windows.Select(w => (long)w).ToList());
        report.Set("reach", c.Reach == long.MaxValue ? "all earlier characters" : $"{c.Reach} characters");
        try
        {
            using CharacterLanguageModel model = CharacterLanguageModel.Load(folder);
            if (model.UnusedTensors.Count > 0)
                report.Set("not used", model.UnusedTensors.ToList());
            report.Set("parameters", model.NamedParameters.Sum(p => p.Tensor.ElementCount));
            report.Tasks.Add("generate");
        }
        catch (CheckpointException e)
        {
            report.Add(e);
        }
        DescribeSymbols(folder, c, report);
    }

    private static void DescribeSymbols(string folder, CharacterLanguageModelConfiguration configuration, CheckpointReport report)
    {
        try
        {
            CharacterVocabulary? vocabulary = CharacterVocabulary.In(folder);
            report.Set("symbols", vocabulary is null
                ? "missing: no vocabulary.json, without which no text can be read"
                : $"{vocabulary.Count} {(vocabulary.IsBytes ? "bytes" : "characters")}");
            if (vocabulary?.Count > configuration.VocabularySize)
                report.Problems.Add($"vocabulary.json has {vocabulary.Count} symbols, the model only {configuration.VocabularySize} embeddings");
        }
        catch (CheckpointException e)
        {
            report.Add(e);
        }
    }
}
