using System.Globalization;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Optimization;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training;

/// <summary>Values of settings by name, as the command line, C or Python was given them. Null: not given.</summary>
public interface ISettingValues
{
    /// <summary>An integer.</summary>
    /// <exception cref="InputException">It is something else.</exception>
    long? Integer(string name);

    /// <summary>A number.</summary>
    /// <exception cref="InputException">It is something else.</exception>
    double? Number(string name);

    /// <summary>A truth value.</summary>
    /// <exception cref="InputException">It is something else.</exception>
    bool? Flag(string name);

    /// <summary>A text.</summary>
    /// <exception cref="InputException">It is something else.</exception>
    string? Text(string name);

    /// <summary>Several texts.</summary>
    /// <exception cref="InputException">It is something else.</exception>
    IReadOnlyList<string>? Texts(string name);
}

/// <summary>
/// The settings of <see cref="Trainer"/> and <see cref="Evaluator"/> by name: the command line's, with underscores
/// (<c>learning_rate</c>). A task asks for its own settings alone, so that the caller can refuse every other.
/// </summary>
public static class TrainingSettings
{
    /// <summary>The tasks by name.</summary>
    public static IReadOnlyList<(string Name, TrainingTask Task)> Tasks { get; } =
    [
        ("masked-lm", TrainingTask.MaskedLanguage), ("classify", TrainingTask.Classify), ("tag", TrainingTask.Tag), ("answer", TrainingTask.Answer),
        ("choose", TrainingTask.Choose), ("summarize", TrainingTask.Summarize), ("wikihop", TrainingTask.WikiHop),
        ("triviaqa", TrainingTask.TriviaQa), ("imdb", TrainingTask.Imdb), ("hyperpartisan", TrainingTask.Hyperpartisan),
        ("arxiv", TrainingTask.Arxiv), ("hotpotqa", TrainingTask.HotpotQA), ("coref", TrainingTask.Coreference),
    ];

    /// <summary>Whether a task is one of the paper's, read from its official files.</summary>
    public static bool IsPaper(TrainingTask task) => task >= TrainingTask.WikiHop;

    /// <summary>Whether a task divides its data by itself, so that an evaluation can ask for a part.</summary>
    public static bool Divides(TrainingTask task) => Recipe.Of(task).DividesData;

    /// <summary>The parts of data that a task divides by itself, by name.</summary>
    public static IReadOnlyList<(string Name, DataPart Value)> Parts { get; } =
        [("all", DataPart.All), ("train", DataPart.Training), ("dev", DataPart.Development), ("test", DataPart.Test)];

    /// <summary>The schedules by name.</summary>
    public static IReadOnlyList<(string Name, ScheduleKind Value)> Schedules { get; } =
    [
        ("linear", ScheduleKind.Linear), ("cosine", ScheduleKind.Cosine), ("polynomial", ScheduleKind.Polynomial),
        ("constant", ScheduleKind.Constant), ("inverse-sqrt", ScheduleKind.InverseSqrt),
    ];

    /// <summary>The optimizers by name.</summary>
    public static IReadOnlyList<(string Name, OptimizerKind Value)> Optimizers { get; } =
        [("adamw", OptimizerKind.AdamW), ("adafactor", OptimizerKind.Adafactor)];

    /// <summary>The parts of a model that can be frozen, by name.</summary>
    public static IReadOnlyList<(string Name, FrozenPart Value)> FrozenParts { get; } =
    [
        ("none", FrozenPart.None), ("embeddings", FrozenPart.Embeddings), ("body", FrozenPart.Body),
        ("all-but-added-positions", FrozenPart.AllButAddedPositions), ("all-but-biases", FrozenPart.AllButBiases),
    ];

    internal static readonly (string Name, DType Value)[] DTypes =
        [("float32", DType.Float32), ("bfloat16", DType.BFloat16), ("float16", DType.Float16)];

    /// <summary>Those that a model may be evaluated in.</summary>
    internal static readonly (string Name, DType Value)[] EvaluationDTypes = [.. DTypes, ("int8", DType.Int8)];

    internal static readonly (string Name, AttentionImplementation Value)[] Attentions =
        [("fused", AttentionImplementation.Fused), ("chunks", AttentionImplementation.Chunks), ("loop", AttentionImplementation.Loop)];

    /// <summary>A task by its name.</summary>
    /// <exception cref="InputException">There is none of that name.</exception>
    public static TrainingTask TaskOf(string name) => OneOf("task", name, Tasks);

    /// <summary>The presets of a task: published settings by a name.</summary>
    public static IReadOnlyList<string> PresetsOf(TrainingTask task) => Preset.NamesOf(task);

    /// <summary>Describes a preset for people: <c>epochs 15, batch_size 32</c>.</summary>
    public static string DescribePreset(string name, TrainingTask task) => Preset.Describe(name, task);

    /// <summary>The options of a training.</summary>
    /// <param name="task">What is to be learned.</param>
    /// <param name="checkpoint">Where to begin.</param>
    /// <param name="data">What to learn from.</param>
    /// <param name="evaluationData">What to measure on; may be empty.</param>
    /// <param name="output">The output folder.</param>
    /// <param name="given">Everything else.</param>
    /// <exception cref="InputException">A value is of the wrong kind, or none of the words that there are.</exception>
    public static TrainingOptions ForTraining(TrainingTask task, string checkpoint, IReadOnlyList<string> data, IReadOnlyList<string> evaluationData,
        string output, ISettingValues given)
    {
        ArgumentNullException.ThrowIfNull(given);
        ISettingValues values = given.Text("preset") is { } preset ? new Preset(preset, task, given) : given;
        BatchPlan plan = new();
        int perStep = Int(values, "tokens_per_step") ?? plan.TokensPerStep;
        if (Int(values, "accumulate") is { } parts && parts < 1)
            throw new InputException("accumulate", "at least 1", $"{parts}");
        TrainingOptions defaults = new() { Task = task, Checkpoint = checkpoint, Data = data, Output = output };
        AdamWOptions adam = new();
        return defaults with
        {
            EvaluationData = evaluationData,
            Cache = values.Text("cache"),
            Recipe = RecipeOf(task, values),
            Resume = values.Flag("resume") ?? false,
            LearningRate = values.Number("learning_rate") ?? defaults.LearningRate,
            HeadLearningRate = values.Number("head_learning_rate"),
            LayerDecay = values.Number("layer_decay") ?? defaults.LayerDecay,
            Schedule = Choice(values, "schedule", Schedules) ?? defaults.Schedule,
            Power = values.Number("power") ?? defaults.Power,
            WarmupSteps = values.Integer("warmup_steps"),
            WarmupRatio = values.Number("warmup_ratio") ?? defaults.WarmupRatio,
            Optimizer = Choice(values, "optimizer", Optimizers) ?? defaults.Optimizer,
            AdamW = new AdamWOptions
            {
                Beta1 = values.Number("beta1") ?? adam.Beta1, Beta2 = values.Number("beta2") ?? adam.Beta2,
                Epsilon = values.Number("epsilon") ?? adam.Epsilon,
            },
            WeightDecay = values.Number("weight_decay") ?? defaults.WeightDecay,
            MaxGradNorm = values.Number("max_grad_norm") is { } norm ? norm == 0 ? null : norm : defaults.MaxGradNorm,
            LabelSmoothing = values.Number("label_smoothing") ?? defaults.LabelSmoothing,
            Frozen = Choice(values, "freeze", FrozenParts) ?? defaults.Frozen,
            FirstAddedPosition = values.Integer("first_added_position") ?? defaults.FirstAddedPosition,
            Epochs = values.Number("epochs") ?? defaults.Epochs,
            Steps = values.Integer("steps"),
            Seed = values.Integer("seed") ?? defaults.Seed,
            Dropout = !(values.Flag("no_dropout") ?? false),
            Batches = plan with
            {
                ExamplesPerStep = Int(values, "batch_size"), TokensPerStep = perStep, Shuffles = !(values.Flag("no_shuffle") ?? false),
                TokensPerBatch = Int(values, "accumulate") is { } batches ? Math.Max(1, perStep / batches)
                    : Int(values, "tokens_per_batch") ?? plan.TokensPerBatch,
            },
            EvaluateEvery = values.Integer("eval_every"),
            SaveEvery = values.Integer("save_every"),
            KeepLast = Int(values, "keep") ?? defaults.KeepLast,
            Patience = Int(values, "patience"),
            Device = DeviceOf(values),
            DType = Choice(values, "dtype", DTypes) ?? defaults.DType,
            Attention = Choice(values, "attention", Attentions) ?? defaults.Attention,
            TF32 = values.Flag("tf32"),
            Recompute = values.Flag("recompute") ?? defaults.Recompute,
            RecomputeLayers = Int(values, "recompute_layers"),
        };
    }

    /// <summary>The seeds that a training is to be repeated with; null: it is one training, by <c>seed</c>.</summary>
    /// <param name="task">What is to be learned; the paper's tasks alone are repeated.</param>
    /// <param name="values">Everything: <c>seeds</c> is <c>1,2,3</c>.</param>
    /// <exception cref="InputException">A seed is no integer.</exception>
    public static IReadOnlyList<long>? SeedsOf(TrainingTask task, ISettingValues values)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (!IsPaper(task) || values.Text("seeds") is not { } seeds)
            return null;
        return [.. seeds.Split(',', StringSplitOptions.TrimEntries).Select(s =>
            long.TryParse(s, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long seed) ? seed
                : throw new InputException("seeds", "integers A,B,...", $"\"{seeds}\""))];
    }

    /// <summary>The options of an evaluation.</summary>
    /// <param name="task">What the checkpoint does.</param>
    /// <param name="checkpoint">A folder with the head.</param>
    /// <param name="data">What to measure on.</param>
    /// <param name="values">Everything else.</param>
    /// <exception cref="InputException">A value is of the wrong kind, or none of the words that there are.</exception>
    public static EvaluatorOptions ForEvaluation(TrainingTask task, string checkpoint, IReadOnlyList<string> data, ISettingValues values)
    {
        ArgumentNullException.ThrowIfNull(values);
        EvaluatorOptions defaults = new() { Task = task, Checkpoint = checkpoint, Data = data };
        RecipeOptions recipe = RecipeOf(task, values);
        if (Divides(task))
            recipe = recipe with { Part = Choice(values, "part", Parts) ?? DataPart.All };
        if (task == TrainingTask.HotpotQA)
            recipe = recipe with { KeepsGoldParagraphs = values.Flag("keep_gold_paragraphs") ?? false };
        return defaults with
        {
            Recipe = recipe,
            Journal = task == TrainingTask.Arxiv ? values.Text("journal") : null,
            Output = values.Text("output"),
            Shortened = task == TrainingTask.HotpotQA ? values.Text("shortened") : null,
            Cache = values.Text("cache"),
            TokensPerBatch = Int(values, "tokens_per_batch") ?? defaults.TokensPerBatch,
            Load = new LoadOptions
            {
                Device = DeviceOf(values), DType = Choice(values, "dtype", EvaluationDTypes),
                Attention = Choice(values, "attention", Attentions) ?? AttentionImplementation.Fused, TF32 = values.Flag("tf32"),
            },
        };
    }

    private static RecipeOptions RecipeOf(TrainingTask task, ISettingValues values)
    {
        RecipeOptions options = new() { MaxTokens = Int(values, "max_tokens") };
        // Official files have columns of their own; what the paper's tasks share is asked for here.
        options = IsPaper(task) ? options with { NoGlobalAttention = values.Flag("no_global_attention") ?? false }
            : options with { Columns = Columns(values.Texts("column")) };
        return task switch
        {
            TrainingTask.WikiHop => options with { FirstChunkOnly = values.Flag("first_chunk_only") ?? false },
            TrainingTask.HotpotQA => options with
            {
                MaxAnswerTokens = Int(values, "max_answer_tokens") ?? options.MaxAnswerTokens,
            },
            TrainingTask.Coreference => options with
            {
                MaxTrainingSegments = Int(values, "max_training_segments") ?? options.MaxTrainingSegments,
            },
            TrainingTask.Imdb => options with { HeldOut = Int(values, "held_out") },
            TrainingTask.Hyperpartisan => options with { Splits = values.Text("splits") },
            TrainingTask.Arxiv => options with
            {
                MaxTargetTokens = Int(values, "max_target_tokens") ?? options.MaxTargetTokens, Generates = !(values.Flag("loss_only") ?? false),
                Beams = Int(values, "beams") ?? options.Beams, LengthPenalty = values.Number("length_penalty"),
            },
            TrainingTask.TriviaQa => options with
            {
                Evidence = values.Text("evidence"), Stride = Int(values, "stride") ?? options.Stride,
                MaxDocumentTokens = Int(values, "max_document_tokens") ?? options.MaxDocumentTokens,
                FirstWindowOnly = values.Flag("first_window_only") ?? false,
                MaxAnswerTokens = Int(values, "max_answer_tokens") ?? options.MaxAnswerTokens,
            },
            TrainingTask.MaskedLanguage => options with
            {
                MaskProbability = values.Number("mask_probability") ?? options.MaskProbability, JoinsTexts = values.Flag("join_texts") ?? false,
            },
            TrainingTask.Classify => options with { Labels = values.Texts("labels"), ProblemType = values.Text("problem") },
            TrainingTask.Tag => options with { Labels = values.Texts("labels") },
            TrainingTask.Answer => options with
            {
                Stride = Int(values, "stride") ?? options.Stride, FirstTokenIsNoAnswer = !(values.Flag("ignore_windows_without_answer") ?? false),
                MaxAnswerTokens = Int(values, "max_answer_tokens") ?? options.MaxAnswerTokens,
            },
            TrainingTask.Summarize => options with
            {
                MaxTargetTokens = Int(values, "max_target_tokens") ?? options.MaxTargetTokens, Generates = !(values.Flag("loss_only") ?? false),
            },
            _ => options,
        };
    }

    private static Dictionary<string, string> Columns(IReadOnlyList<string>? pairs)
    {
        Dictionary<string, string> columns = new(StringComparer.Ordinal);
        foreach (string pair in pairs ?? [])
        {
            int at = pair.IndexOf('=', StringComparison.Ordinal);
            if (at <= 0 || at == pair.Length - 1)
                throw new InputException("column", "PURPOSE=NAME, such as text=review", $"\"{pair}\"");
            columns[pair[..at]] = pair[(at + 1)..];
        }
        return columns;
    }

    internal static Device DeviceOf(ISettingValues values) => values.Text("device") is { } device ? Device.Parse(device) : Device.Cpu;

    internal static int? Int(ISettingValues values, string name) => values.Integer(name) switch
    {
        null => null,
        >= int.MinValue and <= int.MaxValue and long value => (int)value,
        long value => throw new InputException(name, "at most 32 bits", $"{value}"),
    };

    internal static T? Choice<T>(ISettingValues values, string name, IReadOnlyList<(string Name, T Value)> choices) where T : struct =>
        values.Text(name) is { } word ? OneOf(name, word, choices) : null;

    internal static T OneOf<T>(string setting, string word, IReadOnlyList<(string Name, T Value)> choices)
    {
        foreach ((string name, T value) in choices)
        {
            if (name == word)
                return value;
        }
        throw new InputException(setting, string.Join(", ", choices.Select(c => c.Name)), $"\"{word}\"");
    }
}
