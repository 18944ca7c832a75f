namespace LongformerInterop.Training;

/// <summary>
/// One example as the model gets it: tokens, and the labels to learn. Which of the labels are there depends on the head. Examples of a
/// batch are packed behind one another; none is padded.
/// </summary>
public sealed record TrainingExample
{
    /// <summary>The label of a token that is not to be learned.</summary>
    public const int Ignored = -100;

    /// <summary>Token ids. Multiple choice: of all choices behind one another; so the windows of one document.</summary>
    public required int[] Ids { get; init; }

    /// <summary>Multiple choice: the number of tokens of every choice. Several windows of one document: of every window. Null: one
    /// sequence.</summary>
    public int[]? Lengths { get; init; }

    /// <summary>Positions with global attention in <see cref="Ids"/>, ascending; null: the model's own choice (an LED: none).</summary>
    public int[]? Globals { get; init; }

    /// <summary>
    /// Masked LM and tags: a label for every token, <see cref="Ignored"/> for none. Classes and choices: one. Several classes: all of them. An LED:
    /// the tokens to write.
    /// </summary>
    public int[]? Labels { get; init; }

    /// <summary>Regression: the numbers. Several classes: 1 for those that apply.</summary>
    public float[]? Targets { get; init; }

    /// <summary>Answers: the first token of every gold one. Candidates: the marker in front of each, in the first window; they are at the same
    /// places in all.</summary>
    public int[]? Starts { get; init; }

    /// <summary>Answers: the last token of every gold one. Candidates: the marker behind each.</summary>
    public int[]? Ends { get; init; }

    /// <summary>Where it comes from, for messages: file and line.</summary>
    public string Source { get; init; } = "";

    /// <summary>Further values that an evaluation needs, as JSON; null: none.</summary>
    public string? Notes { get; init; }
}
