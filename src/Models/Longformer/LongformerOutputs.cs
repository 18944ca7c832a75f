using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// The outputs of every Longformer that are given on request. B sequences of T tokens (or, packed, N tokens in place of [B, T]), C hidden, H heads,
/// G the largest number of global tokens in a sequence.
/// </summary>
public abstract record LongformerOutputs : ModelOutputs
{
    /// <summary>Embeddings, then the output of every layer, each [B, T, C] (packed [N, C]); null unless asked for.</summary>
    public IReadOnlyList<Tensor>? HiddenStates { get; init; }

    /// <summary>
    /// Per layer [B, H, T, G + window + 1]: probabilities of the global keys, then of the keys in the window from left to right;
    /// a global key in the window counts in its global column. Zero in the rows of padding and of global queries. Null unless asked for.
    /// </summary>
    public IReadOnlyList<Tensor>? Attentions { get; init; }

    /// <summary>
    /// Per layer [B, H, P, G]: probabilities that each global query gives to every key; P is T rounded up to a multiple of the
    /// largest window, as the reference returns them (zero at the added keys; 1/P in the columns of global tokens that a sequence
    /// lacks). Null unless asked for, and where no token is global.
    /// </summary>
    public IReadOnlyList<Tensor>? GlobalAttentions { get; init; }

    private protected sealed override IEnumerable<(string, IReadOnlyList<Tensor>?)> Lists() =>
        [("hidden_states", HiddenStates), ("attentions", Attentions), ("global_attentions", GlobalAttentions)];
}

/// <summary>Outputs of the bare model.</summary>
public sealed record BaseModelOutputs : LongformerOutputs
{
    /// <summary>Output of the last layer, [B, T, C] (packed [N, C]).</summary>
    public required Tensor LastHiddenState { get; init; }

    /// <summary>Pooled first token of each sequence, [B, C]; null where the checkpoint has no pooler.</summary>
    public Tensor? PoolerOutput { get; init; }

    private protected override IEnumerable<(string, Tensor?)> Named() => [("last_hidden_state", LastHiddenState), ("pooler_output", PoolerOutput)];
}

/// <summary>Outputs of the heads that score classes.</summary>
public sealed record LogitsOutputs : LongformerOutputs
{
    /// <summary>
    /// Masked LM [B, T, vocabulary]; token classification [B, T, labels]; sequence classification [B, labels]; multiple choice
    /// [B, choices]; span classification [B, S, labels]. Packed: [N, ...] in place of [B, T, ...], and [M, labels] of all spans.
    /// </summary>
    public required Tensor Logits { get; init; }

    /// <summary>Scalar loss; null without labels.</summary>
    public Tensor? Loss { get; init; }

    private protected override IEnumerable<(string, Tensor?)> Named() => [("loss", Loss), ("logits", Logits)];
}

/// <summary>Outputs of the question answering head.</summary>
public sealed record SpanOutputs : LongformerOutputs
{
    /// <summary>Score of every token as the first of the answer, [B, T] (packed [N]).</summary>
    public required Tensor StartLogits { get; init; }

    /// <summary>Score of every token as the last of the answer, [B, T] (packed [N]).</summary>
    public required Tensor EndLogits { get; init; }

    /// <summary>Mean of the two cross entropies; null without positions.</summary>
    public Tensor? Loss { get; init; }

    private protected override IEnumerable<(string, Tensor?)> Named() => [("loss", Loss), ("start_logits", StartLogits), ("end_logits", EndLogits)];
}
