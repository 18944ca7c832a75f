using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// What goes into an LED, under the names of HF's arguments. The encoder's side is padded ([B, T]) or packed ([N] with
/// <see cref="SequenceOffsets"/>, no padding at all), as in <see cref="LongformerInputs"/>; the decoder's side is [B, S].
/// The tensors stay the caller's. Ids and masks are read once on the host (where they are checked), so leave them on the CPU.
/// </summary>
public sealed record LedInputs
{
    /// <summary>Token ids of the document, int64 or int32, [B, T] or packed [N]. Either these or <see cref="InputsEmbeds"/>.</summary>
    public Tensor? InputIds { get; init; }

    /// <summary>Word embeddings in place of ids, [B, T, C] or packed [N, C].</summary>
    public Tensor? InputsEmbeds { get; init; }

    /// <summary>Shape of the ids: 1 is a token, 0 padding, 2 a token with global attention. Absent: every position is a token.</summary>
    public Tensor? AttentionMask { get; init; }

    /// <summary>Shape of the ids; 1 gives a token global attention. Absent: none (HF's models choose none either).</summary>
    public Tensor? GlobalAttentionMask { get; init; }

    /// <summary>Packed layout: B + 1 ascending offsets of the B documents, the first 0 and the last N. Null: padded layout.</summary>
    public IReadOnlyList<long>? SequenceOffsets { get; init; }

    /// <summary>
    /// Tokens of the decoder, [B, S]. Absent: <see cref="Labels"/> shifted right behind decoder_start_token_id, else the document's ids
    /// so shifted, as HF does.
    /// </summary>
    public Tensor? DecoderInputIds { get; init; }

    /// <summary>Word embeddings in place of the decoder's ids, [B, S, C].</summary>
    public Tensor? DecoderInputsEmbeds { get; init; }

    /// <summary>[B, S], 0 hides a decoder token from the others. Absent: all are seen, padding too, as in HF.</summary>
    public Tensor? DecoderAttentionMask { get; init; }

    /// <summary>Generation: ids [B, S], -100 ignored. Classification: [B] ids, or floats as HF takes them.</summary>
    public Tensor? Labels { get; init; }

    /// <summary>
    /// Generation, with <see cref="Labels"/>: the loss is the sum over the labels that are not -100, and there are no logits ([0, vocabulary]). Null: the
    /// mean, as in HF, beside the logits of every position.
    /// </summary>
    public TrainingLoss? TrainingLoss { get; init; }

    /// <summary>Question answering: [B] first token of the answer.</summary>
    public Tensor? StartPositions { get; init; }

    /// <summary>Question answering: [B] last token of the answer.</summary>
    public Tensor? EndPositions { get; init; }

    /// <summary>Whether to return the hidden states before the first layer and after every layer, of encoder and decoder.</summary>
    public bool OutputHiddenStates { get; init; }

    /// <summary>Whether to return all attention probabilities; for looking at them, since it costs far more than the model itself.</summary>
    public bool OutputAttentions { get; init; }

    /// <summary>Training: the seed of every dropout of this pass, which is a pure function of it. Null: evaluation, no dropout.</summary>
    public long? DropoutSeed { get; init; }

    /// <summary>
    /// Called on the calling thread before every layer of encoder and decoder; what it throws ends the pass, and everything that the pass made is freed. The place to look
    /// at a <see cref="CancellationToken"/>.
    /// </summary>
    public Action? BeforeLayer { get; init; }

    /// <summary>Builds inputs from tensors under HF's argument names, as <c>inputs.safetensors</c> of a parity case holds them.</summary>
    /// <exception cref="InputException">A name is none of the arguments.</exception>
    public static LedInputs FromNames(IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        var inputs = new LedInputs();
        foreach ((string name, Tensor tensor) in tensors)
        {
            inputs = name switch
            {
                "input_ids" => inputs with { InputIds = tensor },
                "inputs_embeds" => inputs with { InputsEmbeds = tensor },
                "attention_mask" => inputs with { AttentionMask = tensor },
                "global_attention_mask" => inputs with { GlobalAttentionMask = tensor },
                "decoder_input_ids" => inputs with { DecoderInputIds = tensor },
                "decoder_inputs_embeds" => inputs with { DecoderInputsEmbeds = tensor },
                "decoder_attention_mask" => inputs with { DecoderAttentionMask = tensor },
                "labels" => inputs with { Labels = tensor },
                "start_positions" => inputs with { StartPositions = tensor },
                "end_positions" => inputs with { EndPositions = tensor },
                _ => throw new InputException(
                    $"{name}: unknown argument; an LED takes input_ids, inputs_embeds, attention_mask, global_attention_mask, decoder_input_ids, "
                    + "decoder_inputs_embeds, decoder_attention_mask, labels, start_positions and end_positions"),
            };
        }
        return inputs;
    }
}
