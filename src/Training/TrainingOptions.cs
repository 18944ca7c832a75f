using System.Globalization;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Optimization;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training;

/// <summary>The optimizer.</summary>
public enum OptimizerKind
{
    /// <summary>Adam with decoupled decay.</summary>
    AdamW,
    /// <summary>Adafactor with a given rate: almost no further memory.</summary>
    Adafactor,
}

/// <summary>The settings of a <see cref="Trainer"/>. Settings that HF's trainer has too have its names and defaults.</summary>
public sealed record TrainingOptions
{
    /// <summary>The task to learn.</summary>
    public required TrainingTask Task { get; init; }

    /// <summary>
    /// Where to begin: a folder with a Longformer or an LED, with the head or without; a RoBERTa, BERT or BART, which is made long on the way; or a
    /// folder with a config.json and a tokenizer and no weights, for random ones.
    /// </summary>
    public required string Checkpoint { get; init; }

    /// <summary>The data to learn from: files, folders, patterns.</summary>
    public required IReadOnlyList<string> Data { get; init; }

    /// <summary>The data to measure on; empty: nothing is measured.</summary>
    public IReadOnlyList<string> EvaluationData { get; init; } = [];

    /// <summary>The output folder. It must be empty or absent, unless the run is resumed.</summary>
    public required string Output { get; init; }

    /// <summary>Where tokenized data is kept; null: in a folder <c>.longformer-cache</c> beside the data, or in the output where that cannot be
    /// written.</summary>
    public string? Cache { get; init; }

    /// <summary>How records become examples.</summary>
    public RecipeOptions Recipe { get; init; } = new();

    /// <summary>Continues from the last checkpoint of the output folder.</summary>
    public bool Resume { get; init; }

    /// <summary>The largest learning rate.</summary>
    public double LearningRate { get; init; } = 3e-5;

    /// <summary>The learning rate of the head; null: that of the rest.</summary>
    public double? HeadLearningRate { get; init; }

    /// <summary>Each layer further from the head has this part of the next one's rate.</summary>
    public double LayerDecay { get; init; } = 1;

    /// <summary>The shape of the rate behind the warm-up.</summary>
    public ScheduleKind Schedule { get; init; } = ScheduleKind.Linear;

    /// <summary>Steps of warm-up; null: <see cref="WarmupRatio"/> of all.</summary>
    public long? WarmupSteps { get; init; }

    /// <summary>The part of the steps that warm up.</summary>
    public double WarmupRatio { get; init; }

    /// <summary>Of a polynomial schedule.</summary>
    public double Power { get; init; } = 1;

    /// <summary>The optimizer.</summary>
    public OptimizerKind Optimizer { get; init; } = OptimizerKind.AdamW;

    /// <summary>Of AdamW.</summary>
    public AdamWOptions AdamW { get; init; } = new();

    /// <summary>Decay of weights in each step, as a part of the rate; none for biases and LayerNorm.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Gradients with a larger norm are scaled down to it; null: none are.</summary>
    public double? MaxGradNorm { get; init; } = 1;

    /// <summary>Part of the probability that is spread over all classes.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>The parts that are not trained.</summary>
    public FrozenPart Frozen { get; init; }

    /// <summary>With <see cref="FrozenPart.AllButAddedPositions"/>: the first row of the position table that is trained; RoBERTa has 514.</summary>
    public long FirstAddedPosition { get; init; } = 514;

    /// <summary>How often the data is gone through; a part of an epoch counts too.</summary>
    public double Epochs { get; init; } = 3;

    /// <summary>How many steps there are; null: as <see cref="Epochs"/> says.</summary>
    public long? Steps { get; init; }

    /// <summary>How examples are put into steps. Its seed is <see cref="Seed"/>.</summary>
    public BatchPlan Batches { get; init; } = new();

    /// <summary>Of the order, the hidden tokens, the dropouts and a new head.</summary>
    public long Seed { get; init; } = 42;

    /// <summary>Whether the dropouts of the configuration are on.</summary>
    public bool Dropout { get; init; } = true;

    /// <summary>Steps between two evaluations; null: an epoch.</summary>
    public long? EvaluateEvery { get; init; }

    /// <summary>Steps between two checkpoints; null: as for evaluations.</summary>
    public long? SaveEvery { get; init; }

    /// <summary>How many checkpoints are kept, the best one not counted.</summary>
    public int KeepLast { get; init; } = 2;

    /// <summary>The run ends when so many evaluations in a row were no better than the best; null: it does not.</summary>
    public int? Patience { get; init; }

    /// <summary>Where the work is done.</summary>
    public Device Device { get; init; } = Device.Cpu;

    /// <summary>Float32, or BFloat16 with Float32 masters.</summary>
    public DType DType { get; init; } = DType.Float32;

    /// <summary>Which implementation computes the window attention.</summary>
    public AttentionImplementation Attention { get; init; } = AttentionImplementation.Fused;

    /// <summary>Whether layers run again in the backward pass instead of keeping their results: much less memory, a third more time.</summary>
    public bool Recompute { get; init; }

    /// <summary>Only the first so many layers run again: that part of the memory for that part of the time; null: all with <see cref="Recompute"/>,
    /// else none.</summary>
    public int? RecomputeLayers { get; init; }

    /// <summary>Whether a GPU may compute Float32 products in TF32; null leaves it as it is.</summary>
    public bool? TF32 { get; init; }

    /// <summary>The settings that the numbers of a run depend on, by name: a run can only be resumed with the same.</summary>
    internal IReadOnlyDictionary<string, string> Settings()
    {
        static string Text(IFormattable? value) => value?.ToString(null, CultureInfo.InvariantCulture) ?? "none";
        return new Dictionary<string, string>
        {
            ["task"] = Recipes.Recipe.Of(Task, Recipe).Name, ["learning-rate"] = Text(LearningRate), ["head-learning-rate"] = Text(HeadLearningRate),
            ["layer-decay"] = Text(LayerDecay),
            ["schedule"] = Text(Schedule), ["warmup-steps"] = Text(WarmupSteps), ["warmup-ratio"] = Text(WarmupRatio), ["power"] = Text(Power),
            ["optimizer"] = Text(Optimizer),
            ["beta1"] = Text(AdamW.Beta1), ["beta2"] = Text(AdamW.Beta2), ["epsilon"] = Text(AdamW.Epsilon), ["weight-decay"] = Text(WeightDecay),
            ["max-grad-norm"] = Text(MaxGradNorm),
            ["label-smoothing"] = Text(LabelSmoothing), ["freeze"] = Text(Frozen), ["first-added-position"] = Text(FirstAddedPosition),
            ["epochs"] = Text(Epochs), ["steps"] = Text(Steps),
            ["batch-size"] = Text(Batches.ExamplesPerStep), ["tokens-per-step"] = Text(Batches.TokensPerStep),
            ["tokens-per-batch"] = Text(Batches.TokensPerBatch),
            ["shuffle"] = Batches.Shuffles ? "yes" : "no", ["seed"] = Text(Seed), ["dropout"] = Dropout ? "yes" : "no", ["dtype"] = Text(DType),
            ["mask-probability"] = Text(Recipe.MaskProbability),
            ["max-tokens"] = Text(Recipe.MaxTokens),
        };
    }

    /// <exception cref="InputException">A number is outside its range.</exception>
    internal void Check()
    {
        if (DType is not (DType.Float32 or DType.BFloat16))
            throw new InputException($"dtype: expected Float32 or BFloat16 to train in, given {DType}");
        if (!(Epochs > 0) || !double.IsFinite(Epochs))
            throw new InputException($"epochs: expected more than 0, given {Epochs}");
        if (Steps is { } steps && steps < 1)
            throw new InputException($"steps: expected 1 or more, given {steps}");
        if (HeadLearningRate is { } head && !(head >= 0))
            throw new InputException($"the head's learning rate: expected 0 or more, given {head}");
        if (WarmupRatio is not (>= 0 and <= 1))
            throw new InputException($"warm-up ratio: expected 0 to 1, given {WarmupRatio}");
        if (EvaluateEvery is { } evaluate && evaluate < 1)
            throw new InputException($"steps between evaluations: expected 1 or more, given {evaluate}");
        if (SaveEvery is { } save && save < 1)
            throw new InputException($"steps between checkpoints: expected 1 or more, given {save}");
        if (KeepLast < 1)
            throw new InputException($"checkpoints to keep: expected 1 or more, given {KeepLast}");
        if (RecomputeLayers is { } again && again < 1)
            throw new InputException($"layers to run again: expected 1 or more, given {again}");
        if (Patience is { } patience && patience < 1)
            throw new InputException($"patience: expected 1 or more, given {patience}");
        if (Patience is not null && EvaluationData.Count == 0)
            throw new InputException("patience: expected data to measure on, given none");
        Batches.Check();
    }
}
