using LongformerInterop.Checkpoints;
using LongformerInterop.Models;

namespace LongformerInterop.TorchSharp;

/// <summary>The table of the classes: a new head is its class and a line here. A class of the architectures without one is a
/// <see cref="PretrainedModule"/>.</summary>
internal static class ModuleClasses
{
    /// <summary>By HF's name.</summary>
    public static IReadOnlyDictionary<string, Func<LoadedCheckpoint, PretrainedModule>> All { get; } =
        new Dictionary<string, Func<LoadedCheckpoint, PretrainedModule>>(StringComparer.Ordinal)
        {
            ["LongformerModel"] = loaded => new LongformerModule(loaded),
            ["LongformerForMaskedLM"] = loaded => new LongformerForMaskedLMModule(loaded),
            ["LongformerForSequenceClassification"] = loaded => new LongformerForSequenceClassificationModule(loaded),
            ["LongformerForQuestionAnswering"] = loaded => new LongformerForQuestionAnsweringModule(loaded),
            ["LongformerForTokenClassification"] = loaded => new LongformerForTokenClassificationModule(loaded),
            ["LongformerForMultipleChoice"] = loaded => new LongformerForMultipleChoiceModule(loaded),
            ["LongformerForSpanClassification"] = loaded => new LongformerForSpanClassificationModule(loaded),
            ["LongformerForCandidateScoring"] = loaded => new LongformerForCandidateScoringModule(loaded),
            ["LongformerForCoreference"] = loaded => new LongformerForCoreferenceModule(loaded),
            ["LongformerForHotpotQA"] = loaded => new LongformerForHotpotQAModule(loaded),
            ["LEDModel"] = loaded => new LedModule(loaded),
            ["LEDForConditionalGeneration"] = loaded => new LedForConditionalGenerationModule(loaded),
            ["LEDForQuestionAnswering"] = loaded => new LedForQuestionAnsweringModule(loaded),
            ["LEDForSequenceClassification"] = loaded => new LedForSequenceClassificationModule(loaded),
        };

    /// <summary>The module of a loaded checkpoint.</summary>
    public static PretrainedModule Make(LoadedCheckpoint loaded) =>
        All.TryGetValue(loaded.Model.Architecture, out Func<LoadedCheckpoint, PretrainedModule>? make) ? make(loaded) : new PretrainedModule(loaded);
}

/// <summary>The bare Longformer, with its pooler where the checkpoint has one.</summary>
public sealed class LongformerModule : PretrainedModule
{
    internal LongformerModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder of any class of the family, its body alone.</summary>
    /// <exception cref="CheckpointException">Configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerModule Load(string folder, LoadOptions? options = null) => new(LoadAs("LongformerModel", folder, options));
}

/// <summary>Scores of every vocabulary entry at every position.</summary>
public sealed class LongformerForMaskedLMModule : PretrainedModule
{
    internal LongformerForMaskedLMModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForMaskedLMModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LongformerForMaskedLM", folder, options));
}

/// <summary>Scores of every label for a whole text; the first token is global by default.</summary>
public sealed class LongformerForSequenceClassificationModule : PretrainedModule
{
    internal LongformerForSequenceClassificationModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForSequenceClassificationModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LongformerForSequenceClassification", folder, options));
}

/// <summary>Scores of every token as the first and the last of the answer; the question is global by default.</summary>
public sealed class LongformerForQuestionAnsweringModule : PretrainedModule
{
    internal LongformerForQuestionAnsweringModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForQuestionAnsweringModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LongformerForQuestionAnswering", folder, options));
}

/// <summary>Scores of every label for every token.</summary>
public sealed class LongformerForTokenClassificationModule : PretrainedModule
{
    internal LongformerForTokenClassificationModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForTokenClassificationModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LongformerForTokenClassification", folder, options));
}

/// <summary>Scores of every choice of a question; ids are [B, choices, T].</summary>
public sealed class LongformerForMultipleChoiceModule : PretrainedModule
{
    internal LongformerForMultipleChoiceModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForMultipleChoiceModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LongformerForMultipleChoice", folder, options));
}

/// <summary>Scores of spans as mentions and of their antecedents; each sequence is a segment of one document.</summary>
public sealed class LongformerForCoreferenceModule : PretrainedModule
{
    internal LongformerForCoreferenceModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForCoreferenceModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LongformerForCoreference", folder, options));
}

/// <summary>Scores of paragraphs, sentences, answers and their types, as the paper's model of HotpotQA has them.</summary>
public sealed class LongformerForHotpotQAModule : PretrainedModule
{
    internal LongformerForHotpotQAModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForHotpotQAModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LongformerForHotpotQA", folder, options));
}

/// <summary>Scores of every label for given spans.</summary>
public sealed class LongformerForSpanClassificationModule : PretrainedModule
{
    internal LongformerForSpanClassificationModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForSpanClassificationModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LongformerForSpanClassification", folder, options));
}

/// <summary>A score for each candidate of a question, from the marker in front of it.</summary>
public sealed class LongformerForCandidateScoringModule : PretrainedModule
{
    internal LongformerForCandidateScoringModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForCandidateScoringModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LongformerForCandidateScoring", folder, options));
}

/// <summary>The bare LED.</summary>
public sealed class LedModule : PretrainedModule
{
    internal LedModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder of any class of the family, its body alone.</summary>
    /// <exception cref="CheckpointException">Configuration or weights do not fit; everything is listed.</exception>
    public static new LedModule Load(string folder, LoadOptions? options = null) => new(LoadAs("LEDModel", folder, options));
}

/// <summary>Scores of every vocabulary entry at every decoder position.</summary>
public sealed class LedForConditionalGenerationModule : PretrainedModule
{
    internal LedForConditionalGenerationModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">Configuration or weights do not fit; everything is listed.</exception>
    public static new LedForConditionalGenerationModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LEDForConditionalGeneration", folder, options));
}

/// <summary>Scores of every token as the first and the last of the answer, per decoder position.</summary>
public sealed class LedForQuestionAnsweringModule : PretrainedModule
{
    internal LedForQuestionAnsweringModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LedForQuestionAnsweringModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LEDForQuestionAnswering", folder, options));
}

/// <summary>Scores of every label for a whole document.</summary>
public sealed class LedForSequenceClassificationModule : PretrainedModule
{
    internal LedForSequenceClassificationModule(LoadedCheckpoint loaded)
        : base(loaded)
    {
    }

    /// <summary>Loads a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LedForSequenceClassificationModule Load(string folder, LoadOptions? options = null) =>
        new(LoadAs("LEDForSequenceClassification", folder, options));
}
