namespace LongformerInterop.Tasks.Generation;

/// <summary>One generated sequence.</summary>
public sealed record GeneratedSequence
{
    /// <summary>Decoder tokens: the prompt with its start token, then what was generated, with its end token if it has one. No padding.</summary>
    public required IReadOnlyList<int> Ids { get; init; }

    /// <summary>How many of <see cref="Ids"/> are the prompt.</summary>
    public required int PromptLength { get; init; }

    /// <summary>
    /// Sum of <see cref="TokenScores"/> / (generated tokens)^length_penalty: for beam search HF's sequences_scores.
    /// </summary>
    public required float Score { get; init; }

    /// <summary>
    /// Log-probability of each generated token after the logits processors. In beam search these are not normalised again (a forced
    /// token has 0), as HF's compute_transition_scores gives them; otherwise they are (its normalize_logits=True).
    /// </summary>
    public required IReadOnlyList<float> TokenScores { get; init; }

    /// <summary>True if an end token closed it, false if it was cut at the maximum length.</summary>
    public required bool Ended { get; init; }

    /// <summary>[steps][V] raw logits, only with <see cref="GenerationOptions.KeepLogits"/>.</summary>
    public IReadOnlyList<float[]>? Logits { get; init; }
}

/// <summary>A token that is settled: it will be in the result.</summary>
/// <param name="Document">Index of the document in the batch.</param>
/// <param name="Sequence">Which of the results of the document: 0 is the best. A beam search streams its best only.</param>
/// <param name="Position">Place in <see cref="GeneratedSequence.Ids"/>.</param>
/// <param name="Id">The token.</param>
public readonly record struct GeneratedToken(int Document, int Sequence, int Position, int Id);

/// <summary>How far a generation is.</summary>
/// <param name="Step">Tokens generated so far in the longest sequence.</param>
/// <param name="MaxSteps">The most there can be.</param>
/// <param name="OpenDocuments">Documents that are not finished.</param>
public readonly record struct GenerationProgress(int Step, int MaxSteps, int OpenDocuments);
