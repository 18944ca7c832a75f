using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// The inputs of an LED, under the names of HF's arguments: the encoder's side in one of the layouts of <see cref="ModelInputs"/>, the
/// decoder's side [B, S].
/// </summary>
public sealed record LedInputs : ModelInputs
{
    /// <summary>
    /// Tokens of the decoder, [B, S]. Absent: <see cref="ModelInputs.Labels"/> shifted right behind decoder_start_token_id, else the document's
    /// ids so shifted, as HF does.
    /// </summary>
    public Tensor? DecoderInputIds { get; init; }

    /// <summary>Word embeddings in place of the decoder's ids, [B, S, C].</summary>
    public Tensor? DecoderInputsEmbeds { get; init; }

    /// <summary>[B, S], 0 hides a decoder token from the others. Absent: all are seen, padding too, as in HF.</summary>
    public Tensor? DecoderAttentionMask { get; init; }

    /// <summary>Builds inputs from tensors under HF's argument names, as <c>inputs.safetensors</c> of a parity case holds them.</summary>
    /// <exception cref="InputException">A name is none of the arguments.</exception>
    public static LedInputs FromNames(IEnumerable<KeyValuePair<string, Tensor>> tensors) =>
        Named(new LedInputs(), tensors, (inputs, name, tensor) => name switch
    {
        "decoder_input_ids" => inputs with { DecoderInputIds = tensor },
        "decoder_inputs_embeds" => inputs with { DecoderInputsEmbeds = tensor },
        "decoder_attention_mask" => inputs with { DecoderAttentionMask = tensor },
        _ => null,
    }, "an LED", "decoder_input_ids", "decoder_inputs_embeds", "decoder_attention_mask");
}
