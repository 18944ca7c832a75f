using System.Globalization;
using LongformerInterop.Torch;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training;

/// <summary>
/// The published settings of a training; settings that the caller gave win over them. From the paper (arXiv 2004.05150, section 5 and appendix)
/// and allenai's scripts.
/// </summary>
internal sealed class Preset : ISettingValues
{
    // Dev is looked at every 250 updates; AdamW and its decay are allenai's.
    private static readonly (string Setting, object Value)[] WikiHop =
    [
        ("batch_size", 32L), ("learning_rate", 3e-5), ("warmup_steps", 200L), ("eval_every", 250L), ("beta2", 0.98), ("weight_decay", 0.01),
    ];

    // The large model's epochs are those of allenai's cheatsheet, whose plain Adam does not decay or clip.
    private static readonly (string Setting, object Value)[] TriviaQa =
    [
        ("batch_size", 32L), ("learning_rate", 3e-5), ("warmup_steps", 1_000L), ("max_grad_norm", 0.0), ("first_window_only", true),
    ];

    private static readonly (string Setting, object Value)[] Documents =
        [("epochs", 15.0), ("batch_size", 32L), ("learning_rate", 3e-5), ("warmup_ratio", 0.1)];

    private static readonly (string Setting, object Value)[] Abstracts =
    [
        ("epochs", 5.0), ("batch_size", 16L), ("learning_rate", 3e-5), ("warmup_steps", 1_000L), ("max_target_tokens", 256L), ("max_grad_norm", 0.0),
    ];

    private static readonly (string Setting, object Value)[] Hotpot =
        [("epochs", 5.0), ("batch_size", 32L), ("learning_rate", 3e-5), ("warmup_steps", 1_000L)];

    private static readonly (string Name, TrainingTask Task, (string Setting, object Value)[] Values)[] All =
    [
        // RoBERTa made long and trained on: 65,000 steps of 2^18 tokens.
        ("pretrain", TrainingTask.MaskedLanguage,
        [
            ("join_texts", true), ("tokens_per_step", 262_144L), ("steps", 65_000L), ("learning_rate", 3e-5), ("warmup_steps", 500L),
            ("schedule", "polynomial"), ("power", 3.0),
        ]),
        ("imdb", TrainingTask.Classify, [("epochs", 15.0), ("batch_size", 32L), ("learning_rate", 3e-5), ("warmup_ratio", 0.1)]),
        ("hyperpartisan", TrainingTask.Classify, [("epochs", 15.0), ("batch_size", 32L), ("learning_rate", 3e-5), ("warmup_ratio", 0.1)]),
        ("triviaqa", TrainingTask.Answer,
        [
            ("epochs", 5.0), ("batch_size", 32L), ("learning_rate", 3e-5), ("warmup_steps", 1_000L), ("ignore_windows_without_answer", true),
        ]),
        ("arxiv", TrainingTask.Summarize,
            [("epochs", 5.0), ("batch_size", 16L), ("learning_rate", 3e-5), ("warmup_steps", 1_000L), ("max_target_tokens", 256L)]),
        ("paper-base", TrainingTask.WikiHop, [("epochs", 15.0), .. WikiHop]),
        ("paper-large", TrainingTask.WikiHop, [("epochs", 5.0), ("first_chunk_only", true), .. WikiHop]),
        ("paper-base", TrainingTask.TriviaQa, [("epochs", 5.0), .. TriviaQa]),
        ("paper-large", TrainingTask.TriviaQa, [("epochs", 4.0), .. TriviaQa]),
        ("paper-base", TrainingTask.HotpotQA, Hotpot),
        ("paper-large", TrainingTask.HotpotQA, Hotpot),
        // The paper has no large model of coreference.
        ("paper-base", TrainingTask.Coreference,
        [
            ("epochs", 20.0), ("batch_size", 1L), ("learning_rate", 1e-5), ("head_learning_rate", 1e-4), ("warmup_ratio", 0.1),
            ("weight_decay", 0.01), ("max_grad_norm", 1.0),
        ]),
        ("paper-base", TrainingTask.Imdb, Documents),
        ("paper-large", TrainingTask.Imdb, Documents),
        ("paper-base", TrainingTask.Hyperpartisan, Documents),
        ("paper-large", TrainingTask.Hyperpartisan, Documents),
        ("paper-base", TrainingTask.Arxiv, [("max_tokens", 16_384L), ("recompute", true), .. Abstracts]),
        ("paper-large", TrainingTask.Arxiv, [("max_tokens", 16_384L), ("recompute", true), .. Abstracts]),
        ("paper-4k", TrainingTask.Arxiv, [("max_tokens", 4_096L), ("recompute", true), .. Abstracts]),
        ("paper-1k", TrainingTask.Arxiv, [("max_tokens", 1_024L), .. Abstracts]),
    ];

    private static (string Setting, object Value)[] ValuesOf(string name, TrainingTask task) =>
        All.First(p => p.Name == name && p.Task == task).Values;

    private readonly Dictionary<string, object> _values;
    private readonly ISettingValues _given;

    /// <summary>A preset below what was given.</summary>
    /// <exception cref="InputException">There is none of that name, or it is for another task.</exception>
    public Preset(string name, TrainingTask task, ISettingValues given)
    {
        string[] names = NamesOf(task);
        if (!names.Contains(name))
            throw new InputException("preset", names.Length == 0 ? "none, since this task has none" : string.Join(", ", names), $"\"{name}\"");
        _values = ValuesOf(name, task).ToDictionary(v => v.Setting, v => v.Value);
        _given = given;
        // How long: one of the two that was given decides.
        if (given.Number("epochs") is not null)
            _values.Remove("steps");
        if (given.Integer("steps") is not null)
            _values.Remove("epochs");
        // Likewise how a step is filled and how the rate rises.
        if (given.Integer("tokens_per_step") is not null)
            _values.Remove("batch_size");
        if (given.Number("warmup_ratio") is not null)
            _values.Remove("warmup_steps");
    }

    /// <summary>The presets of a task.</summary>
    public static string[] NamesOf(TrainingTask task) => [.. All.Where(p => p.Task == task).Select(p => p.Name)];

    /// <summary>Describes a preset for people: <c>steps 65000, power 3</c>.</summary>
    public static string Describe(string name, TrainingTask task) => string.Join(", ", ValuesOf(name, task).Select(v =>
        v.Value is true ? v.Setting : string.Create(CultureInfo.InvariantCulture, $"{v.Setting} {v.Value}")));

    public long? Integer(string name) => _given.Integer(name) ?? (_values.GetValueOrDefault(name) as long?);

    public double? Number(string name) => _given.Number(name) ?? (_values.GetValueOrDefault(name) as double?);

    public bool? Flag(string name) => _given.Flag(name) ?? (_values.GetValueOrDefault(name) as bool?);

    public string? Text(string name) => _given.Text(name) ?? (_values.GetValueOrDefault(name) as string);

    public IReadOnlyList<string>? Texts(string name) => _given.Texts(name);
}
