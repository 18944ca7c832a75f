using LongformerInterop.Models;

namespace LongformerInterop.Tasks;

/// <summary>
/// A task class by its name. <see cref="All"/> is the one table of them, by which the C library knows its handles: a new task is its class and
/// a line there.
/// </summary>
/// <param name="Type">The class.</param>
/// <param name="Load">Loads a checkpoint folder.</param>
public sealed record TaskKind(Type Type, Func<string, LoadOptions?, TextTask> Load)
{
    /// <summary>Every task.</summary>
    public static IReadOnlyList<TaskKind> All { get; } =
    [
        Of(DocumentEncoder.Load), Of(QuestionAnswerer.Load), Of(TextClassifier.Load), Of(TokenClassifier.Load), Of(MultipleChoice.Load),
        Of(MaskFiller.Load), Of(SpanClassifier.Load), Of(CoreferenceResolver.Load), Of(Summarizer.Load),
    ];

    /// <summary>The class's name, for example <c>TextClassifier</c>.</summary>
    public string Name => Type.Name;

    private static TaskKind Of<T>(Func<string, LoadOptions?, T> load) where T : TextTask => new(typeof(T), load);
}
