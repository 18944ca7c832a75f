using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp;

/// <summary>
/// The inputs of a module, under the names of HF's arguments: padded batches of B documents of T tokens. The tensors stay the caller's. Ids and
/// masks are read once on the host, where they are checked: leave them on the CPU.
/// </summary>
public sealed record ModuleInputs
{
    /// <summary>Token ids, int64 or int32, [B, T] (multiple choice: [B, choices, T]). Either these or <see cref="InputsEmbeds"/>.</summary>
    public TorchTensor? InputIds { get; init; }

    /// <summary>Word embeddings in place of ids, [B, T, C]; gradients flow back into them.</summary>
    public TorchTensor? InputsEmbeds { get; init; }

    /// <summary>Shape of the ids; 1 is a token, 0 padding, 2 a token with global attention. Absent: every position is a token.</summary>
    public TorchTensor? AttentionMask { get; init; }

    /// <summary>Shape of the ids; 1 gives a token global attention. Absent: the head's own choice.</summary>
    public TorchTensor? GlobalAttentionMask { get; init; }

    /// <summary>Longformer: shape of the ids.</summary>
    public TorchTensor? TokenTypeIds { get; init; }

    /// <summary>Longformer: shape of the ids.</summary>
    public TorchTensor? PositionIds { get; init; }

    /// <summary>LED: tokens of the decoder, [B, S]. Absent: the labels, else the document's ids, shifted right.</summary>
    public TorchTensor? DecoderInputIds { get; init; }

    /// <summary>LED: word embeddings in place of the decoder's ids, [B, S, C]; gradients flow back into them.</summary>
    public TorchTensor? DecoderInputsEmbeds { get; init; }

    /// <summary>LED: [B, S], 0 hides a decoder token from the others.</summary>
    public TorchTensor? DecoderAttentionMask { get; init; }

    /// <summary>Span classification: the first token of each given span, [B, S].</summary>
    public TorchTensor? EntityStartPositions { get; init; }

    /// <summary>Span classification: the last token of each given span, [B, S].</summary>
    public TorchTensor? EntityEndPositions { get; init; }

    /// <summary>HotpotQA: int64 [P], the marker in front of every paragraph, in rows of all tokens behind one another. Absent: each sequence's
    /// first token.</summary>
    public TorchTensor? ParagraphPositions { get; init; }

    /// <summary>HotpotQA: int64 [S], likewise the marker behind every sentence.</summary>
    public TorchTensor? SentencePositions { get; init; }

    /// <summary>Coreference, whose rows are segments of one document: as the ids, the sentence of each token. Absent: each row is one.</summary>
    public TorchTensor? SentenceMap { get; init; }

    /// <summary>Coreference: shape of the ids, the speaker of each token. Absent: one says all.</summary>
    public TorchTensor? SpeakerIds { get; init; }

    /// <summary>Coreference: one number, the genre among those of the configuration. Absent: the first.</summary>
    public TorchTensor? Genre { get; init; }

    /// <summary>Coreference: int64 [M], the first tokens of the gold mentions, in rows of all tokens behind one another: with them there is a
    /// loss.</summary>
    public TorchTensor? MentionStarts { get; init; }

    /// <summary>Coreference: int64 [M], the last tokens of the gold mentions.</summary>
    public TorchTensor? MentionEnds { get; init; }

    /// <summary>Coreference: int64 [M], the number of each gold mention's cluster.</summary>
    public TorchTensor? MentionClusters { get; init; }

    /// <summary>As each head of HF takes them, -100 ignored: with them there is a loss.</summary>
    public TorchTensor? Labels { get; init; }

    /// <summary>Question answering: [B] first token of the answer.</summary>
    public TorchTensor? StartPositions { get; init; }

    /// <summary>Question answering: [B] last token of the answer.</summary>
    public TorchTensor? EndPositions { get; init; }

    /// <summary>Whether to return the hidden states before the first layer and after every layer.</summary>
    public bool OutputHiddenStates { get; init; }

    /// <summary>Whether to return the attention probabilities, without gradients.</summary>
    public bool OutputAttentions { get; init; }

    /// <summary>Inputs of tensors under HF's argument names, as a data set gives them.</summary>
    /// <exception cref="InputException">A name is none of the arguments.</exception>
    public static ModuleInputs FromNames(IEnumerable<KeyValuePair<string, TorchTensor>> tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        ModuleInputs inputs = new();
        foreach ((string name, TorchTensor tensor) in tensors)
        {
            inputs = name switch
            {
                "input_ids" => inputs with { InputIds = tensor },
                "inputs_embeds" => inputs with { InputsEmbeds = tensor },
                "attention_mask" => inputs with { AttentionMask = tensor },
                "global_attention_mask" => inputs with { GlobalAttentionMask = tensor },
                "token_type_ids" => inputs with { TokenTypeIds = tensor },
                "position_ids" => inputs with { PositionIds = tensor },
                "decoder_input_ids" => inputs with { DecoderInputIds = tensor },
                "decoder_inputs_embeds" => inputs with { DecoderInputsEmbeds = tensor },
                "decoder_attention_mask" => inputs with { DecoderAttentionMask = tensor },
                "entity_start_positions" => inputs with { EntityStartPositions = tensor },
                "entity_end_positions" => inputs with { EntityEndPositions = tensor },
                "paragraph_positions" => inputs with { ParagraphPositions = tensor },
                "sentence_positions" => inputs with { SentencePositions = tensor },
                "sentence_map" => inputs with { SentenceMap = tensor },
                "speaker_ids" => inputs with { SpeakerIds = tensor },
                "genre" => inputs with { Genre = tensor },
                "mention_starts" => inputs with { MentionStarts = tensor },
                "mention_ends" => inputs with { MentionEnds = tensor },
                "mention_clusters" => inputs with { MentionClusters = tensor },
                "labels" => inputs with { Labels = tensor },
                "start_positions" => inputs with { StartPositions = tensor },
                "end_positions" => inputs with { EndPositions = tensor },
                _ => throw new InputException(name, $"one of {string.Join(", ", inputs.Named().Select(a => a.Name))}", "an argument of no model"),
            };
        }
        return inputs;
    }

    /// <summary>Every argument under HF's name, null where it is not given.</summary>
    internal IEnumerable<(string Name, TorchTensor? Tensor)> Named() =>
    [
        ("input_ids", InputIds), ("inputs_embeds", InputsEmbeds), ("attention_mask", AttentionMask), ("global_attention_mask", GlobalAttentionMask),
        ("token_type_ids", TokenTypeIds), ("position_ids", PositionIds), ("decoder_input_ids", DecoderInputIds),
        ("decoder_inputs_embeds", DecoderInputsEmbeds), ("decoder_attention_mask", DecoderAttentionMask),
        ("entity_start_positions", EntityStartPositions), ("entity_end_positions", EntityEndPositions),
        ("paragraph_positions", ParagraphPositions), ("sentence_positions", SentencePositions), ("sentence_map", SentenceMap),
        ("speaker_ids", SpeakerIds), ("genre", Genre), ("mention_starts", MentionStarts), ("mention_ends", MentionEnds),
        ("mention_clusters", MentionClusters), ("labels", Labels),
        ("start_positions", StartPositions), ("end_positions", EndPositions),
    ];
}
