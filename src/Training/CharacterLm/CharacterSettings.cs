using System.Globalization;
using LongformerInterop.Models;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.CharacterLm;

/// <summary>The settings of the character model by the names that all doors have, as <see cref="TrainingSettings"/>.</summary>
public static class CharacterSettings
{
    /// <summary>The name of the task.</summary>
    public const string Task = "char-lm";

    private static readonly (string Name, CharacterPart Value)[] Parts =
        [("train", CharacterPart.Train), ("dev", CharacterPart.Dev), ("test", CharacterPart.Test), ("all", CharacterPart.All)];

    private static readonly (string Name, CharacterSchedule Value)[] Presets =
        [("small", CharacterSchedule.Small), ("large", CharacterSchedule.Large)];

    /// <summary>The options of a training.</summary>
    /// <param name="checkpoint">A character model to go on from; null: a new one.</param>
    /// <param name="data">One file.</param>
    /// <param name="evaluationData">None: the development part of the file is measured.</param>
    /// <param name="output">The output folder.</param>
    /// <param name="given">Everything else; <c>schedule</c> is a file or a JSON object.</param>
    /// <exception cref="InputException">A value is of the wrong kind, or there is not one of preset and schedule.</exception>
    public static CharacterTrainerOptions ForTraining(string? checkpoint, IReadOnlyList<string> data, IReadOnlyList<string> evaluationData,
        string output, ISettingValues given)
    {
        ArgumentNullException.ThrowIfNull(given);
        ArgumentNullException.ThrowIfNull(evaluationData);
        string? preset = given.Text("preset"), schedule = given.Text("schedule");
        // Every name is asked for before anything is refused: the message has what the task takes.
        CharacterTrainerOptions defaults = new() { Data = "", Output = output, Schedule = CharacterSchedule.Small };
        CharacterTrainerOptions options = defaults with
        {
            Checkpoint = checkpoint, Bytes = !(given.Flag("characters") ?? false), Split = Lengths(given.Text("split")),
            Resume = given.Flag("resume") ?? false, Seed = given.Integer("seed") ?? defaults.Seed,
            SequencesPerPass = TrainingSettings.Int(given, "sequences_per_pass"), Recompute = given.Flag("recompute") ?? false,
            EvaluateEvery = given.Integer("eval_every"), EvaluateCharacters = given.Integer("eval_characters"),
            SaveEvery = given.Integer("save_every") ?? defaults.SaveEvery, KeepLast = TrainingSettings.Int(given, "keep") ?? defaults.KeepLast,
            Device = TrainingSettings.DeviceOf(given), TF32 = given.Flag("tf32"),
            DType = TrainingSettings.Choice(given, "dtype", TrainingSettings.DTypes) ?? defaults.DType,
            Attention = TrainingSettings.Choice(given, "attention", TrainingSettings.Attentions) ?? defaults.Attention,
        };
        if ((preset is null) == (schedule is null))
            throw new InputException($"{Task}: expected one of preset (small, large) and schedule, given {(preset is null ? "none" : "both")}");
        if (evaluationData.Count > 0)
            throw new InputException("eval", "none: a part of the text is measured, which split says", $"{evaluationData.Count}");
        CharacterSchedule phases = preset is not null ? TrainingSettings.OneOf("preset", preset, Presets) : Read(schedule!);
        return options with { Data = OneFile(data), Schedule = phases };
    }

    /// <summary>How a text file is measured.</summary>
    /// <exception cref="InputException">A value is of the wrong kind.</exception>
    public static CharacterEvaluationOptions ForEvaluation(ISettingValues given)
    {
        ArgumentNullException.ThrowIfNull(given);
        CharacterEvaluationOptions defaults = new();
        return new CharacterEvaluationOptions
        {
            Part = TrainingSettings.Choice(given, "part", Parts) ?? defaults.Part, Split = Lengths(given.Text("split")),
            Length = TrainingSettings.Int(given, "length") ?? defaults.Length, Step = TrainingSettings.Int(given, "step") ?? defaults.Step,
            OnePass = given.Flag("one_pass") ?? false, EveryCharacter = given.Flag("every_character") ?? false,
        };
    }

    /// <summary>How a text is written.</summary>
    /// <exception cref="InputException">A value is of the wrong kind.</exception>
    public static CharacterGenerationOptions ForGeneration(ISettingValues given)
    {
        ArgumentNullException.ThrowIfNull(given);
        CharacterGenerationOptions defaults = new();
        return new CharacterGenerationOptions
        {
            MaxCharacters = TrainingSettings.Int(given, "characters") ?? defaults.MaxCharacters, Sample = !(given.Flag("greedy") ?? false),
            Temperature = given.Number("temperature") ?? defaults.Temperature, TopK = TrainingSettings.Int(given, "top_k") ?? defaults.TopK,
            TopP = given.Number("top_p") ?? defaults.TopP, Seed = unchecked((ulong)(given.Integer("seed") ?? 0)),
        };
    }

    /// <summary>How the model of an evaluation is loaded.</summary>
    internal static LoadOptions Load(ISettingValues given) => new()
    {
        Device = TrainingSettings.DeviceOf(given), DType = TrainingSettings.Choice(given, "dtype", TrainingSettings.DTypes),
        Attention = TrainingSettings.Choice(given, "attention", TrainingSettings.Attentions) ?? AttentionImplementation.Fused,
        TF32 = given.Flag("tf32"),
    };

    /// <summary>The file, where there is one.</summary>
    internal static string OneFile(IReadOnlyList<string> data) =>
        data.Count == 1 ? data[0] : throw new InputException("data", "one file", $"{data.Count}");

    private static CharacterSchedule Read(string schedule) =>
        schedule.AsSpan().TrimStart().StartsWith("{") ? CharacterSchedule.Parse(schedule) : CharacterSchedule.Load(schedule);

    private static long[]? Lengths(string? split)
    {
        if (split is null)
            return null;
        long[] lengths = [.. split.Split(',').Select(part =>
            long.TryParse(part, NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture, out long n) ? n : -1)];
        return lengths.Length == 3 && !lengths.Contains(-1) ? lengths
            : throw new InputException("split", "three lengths, as 90000000,5000000,5000000", $"\"{split}\"");
    }
}
