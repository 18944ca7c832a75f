using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Pairs;

/// <summary>The settings of a training by pairs by the names that all doors have, as <see cref="TrainingSettings"/>.</summary>
public static class PairsSettings
{
    /// <summary>The name of the task.</summary>
    public const string Task = "pairs";

    /// <summary>The options of a training.</summary>
    /// <param name="checkpoint">The encoder.</param>
    /// <param name="data">Files of pairs.</param>
    /// <param name="evaluationData">The same to measure on.</param>
    /// <param name="output">The output folder.</param>
    /// <param name="given">Everything else.</param>
    /// <exception cref="InputException">A value is of the wrong kind.</exception>
    public static PairsOptions ForTraining(string checkpoint, IReadOnlyList<string> data, IReadOnlyList<string> evaluationData, string output,
        ISettingValues given)
    {
        ArgumentNullException.ThrowIfNull(given);
        PairsOptions defaults = new() { Checkpoint = checkpoint, Data = data, EvaluationData = evaluationData, Output = output };
        return defaults with
        {
            Columns = (given.Texts("column") ?? []).Select(Column).ToDictionary(), Poolings = given.Texts("poolings") ?? defaults.Poolings,
            Dimension = TrainingSettings.Int(given, "dimension") ?? defaults.Dimension,
            MaxTokens = TrainingSettings.Int(given, "max_tokens") ?? defaults.MaxTokens,
            BatchSize = TrainingSettings.Int(given, "batch_size") ?? defaults.BatchSize, Epochs = Whole(given.Number("epochs")) ?? defaults.Epochs,
            LearningRate = given.Number("learning_rate") ?? defaults.LearningRate, WeightDecay = given.Number("weight_decay") ?? defaults.WeightDecay,
            Scale = given.Number("scale") ?? defaults.Scale, Dropout = given.Number("dropout") ?? defaults.Dropout,
            Seed = given.Integer("seed") ?? defaults.Seed, Resume = given.Flag("resume") ?? false,
            Load = new LoadOptions
            {
                Device = TrainingSettings.DeviceOf(given), TF32 = given.Flag("tf32"), DType = TrainingSettings.Choice(given, "dtype",
                    TrainingSettings.DTypes),
                Attention = TrainingSettings.Choice(given, "attention", TrainingSettings.Attentions) ?? AttentionImplementation.Fused,
            },
        };
    }

    private static int? Whole(double? epochs)
    {
        if (epochs is not { } number)
            return null;
        return number >= 1 && number <= 1e6 && number == Math.Floor(number) ? (int)number
            : throw new InputException("epochs", "a whole number from 1 on", $"{number}");
    }

    private static (string, string) Column(string text) => text.Split('=') is [var purpose and ("query" or "text"), { Length: > 0 } name]
        ? (purpose, name)
        : throw new InputException("column", "query=NAME or text=NAME", $"\"{text}\"");
}
