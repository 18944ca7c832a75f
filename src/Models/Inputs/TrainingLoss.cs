namespace LongformerInterop.Models;

/// <summary>
/// Training a language modelling head: only the loss is wanted, as the sum over the labelled tokens, so that it can be divided by the labels of
/// several batches. Tokens without a label never meet the vocabulary, and the others do so in blocks: their logits do not exist all at once.
/// </summary>
public sealed record TrainingLoss
{
    /// <summary>Part of the probability that is spread over the whole vocabulary, from 0 to below 1.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>Tokens whose logits exist at one time.</summary>
    public int RowsPerBlock { get; init; } = 512;
}
