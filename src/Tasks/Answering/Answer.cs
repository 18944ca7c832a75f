namespace LongformerInterop.Tasks;

/// <summary>A span of the document that answers the question.</summary>
/// <param name="Text">The characters <c>document[Start..End]</c>.</param>
/// <param name="Start">First character, in UTF-16 units of the document.</param>
/// <param name="End">One past the last character.</param>
/// <param name="Score">
/// Probability: softmax of the start logits times softmax of the end logits, over the document's tokens and the first
/// token (where a model puts "no answer"), over all windows of the document together.
/// </param>
/// <param name="Logit">Start logit plus end logit, which the ranking uses.</param>
public sealed record Answer(string Text, int Start, int End, float Score, float Logit);

/// <summary>Options of <see cref="QuestionAnswerer"/>.</summary>
public sealed record AnswerOptions : TaskOptions
{
    /// <summary>Longest answer in tokens.</summary>
    public int MaxAnswerTokens { get; init; } = 30;

    /// <summary>
    /// Tokens that two neighboring windows share when the document is longer than the model's positions. At most half a
    /// window is used.
    /// </summary>
    public int Overlap { get; init; } = 128;

    /// <summary>
    /// Whether "no answer" is an answer too, as for SQuAD 2 (HF's <c>handle_impossible_answer</c>): an empty text from 0 to 0, with the probability
    /// of the first token as start and as end, of all windows the smallest. It takes its place among the others by its score.
    /// </summary>
    public bool NoAnswer { get; init; }
}
