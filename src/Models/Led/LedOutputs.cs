using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// The outputs of every LED. B documents of T tokens (packed: N tokens in place of [B, T]), S decoder tokens, C hidden, H heads, G the
/// largest number of global tokens in a document. Lists are null unless asked for.
/// </summary>
public abstract record LedOutputs : ModelOutputs
{
    /// <summary>Output of the last encoder layer, [B, T, C] (packed [N, C]).</summary>
    public required Tensor EncoderLastHiddenState { get; init; }

    /// <summary>Encoder embeddings, then the output of every encoder layer, each [B, T, C] (packed [N, C]).</summary>
    public IReadOnlyList<Tensor>? EncoderHiddenStates { get; init; }

    /// <summary>Per encoder layer [B, H, T, G + window + 1]; see <see cref="LongformerOutputs.Attentions"/>.</summary>
    public IReadOnlyList<Tensor>? EncoderAttentions { get; init; }

    /// <summary>Per encoder layer [B, H, P, G]; see <see cref="LongformerOutputs.GlobalAttentions"/>. Null where no token is global.</summary>
    public IReadOnlyList<Tensor>? EncoderGlobalAttentions { get; init; }

    /// <summary>Decoder embeddings, then the output of every decoder layer, each [B, S, C].</summary>
    public IReadOnlyList<Tensor>? DecoderHiddenStates { get; init; }

    /// <summary>Per decoder layer [B, H, S, S]: causal self-attention.</summary>
    public IReadOnlyList<Tensor>? DecoderAttentions { get; init; }

    /// <summary>Per decoder layer [B, H, S, T], T the longest document, zero behind the end of a shorter packed one.</summary>
    public IReadOnlyList<Tensor>? CrossAttentions { get; init; }

    /// <summary>The outputs of this head by name.</summary>
    private protected abstract IEnumerable<(string Name, Tensor? Tensor)> Head();

    private protected sealed override IEnumerable<(string, Tensor?)> Named() => [.. Head(), ("encoder_last_hidden_state", EncoderLastHiddenState)];

    private protected sealed override IEnumerable<(string, IReadOnlyList<Tensor>?)> Lists() =>
    [
        ("encoder_hidden_states", EncoderHiddenStates), ("encoder_attentions", EncoderAttentions),
        ("encoder_global_attentions", EncoderGlobalAttentions),
        ("decoder_hidden_states", DecoderHiddenStates), ("decoder_attentions", DecoderAttentions), ("cross_attentions", CrossAttentions),
    ];
}

/// <summary>Outputs of the bare model.</summary>
public sealed record LedModelOutputs : LedOutputs
{
    /// <summary>Output of the last decoder layer, [B, S, C].</summary>
    public required Tensor LastHiddenState { get; init; }

    private protected override IEnumerable<(string, Tensor?)> Head() => [("last_hidden_state", LastHiddenState)];
}

/// <summary>Outputs of the language modelling and classification heads.</summary>
public sealed record LedLogitsOutputs : LedOutputs
{
    /// <summary>Language modelling [B, S, vocabulary]; classification [B, labels].</summary>
    public required Tensor Logits { get; init; }

    /// <summary>Scalar loss; null without labels.</summary>
    public Tensor? Loss { get; init; }

    private protected override IEnumerable<(string, Tensor?)> Head() => [("loss", Loss), ("logits", Logits)];
}

/// <summary>Outputs of the question answering head: scores per decoder position.</summary>
public sealed record LedSpanOutputs : LedOutputs
{
    /// <summary>Score of every token as the first of the answer, [B, S].</summary>
    public required Tensor StartLogits { get; init; }

    /// <summary>Score of every token as the last of the answer, [B, S].</summary>
    public required Tensor EndLogits { get; init; }

    /// <summary>Mean of the two cross entropies; null without positions.</summary>
    public Tensor? Loss { get; init; }

    private protected override IEnumerable<(string, Tensor?)> Head() => [("loss", Loss), ("start_logits", StartLogits), ("end_logits", EndLogits)];
}
