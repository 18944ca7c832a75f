using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>The tokens of one document, as a tokenizer gives them.</summary>
/// <param name="Ids">T token ids, special tokens included.</param>
/// <param name="Globals">Positions of the tokens with global attention, ascending and distinct; null: the task's own choice.</param>
public readonly record struct DocumentTokens(ReadOnlyMemory<int> Ids, IReadOnlyList<int>? Globals = null)
{
    /// <summary>For each token whether it may be seen; null: all may.</summary>
    public IReadOnlyList<bool>? Visible { get; init; }
}

/// <summary>
/// The inputs of a Longformer, or of the encoder of an LED, under the names of HF's arguments. Three layouts:
/// <list type="bullet">
/// <item>padded: <see cref="InputIds"/> and every mask are [B, T] (multiple choice: [B, choices, T]);</item>
/// <item>packed: they are [N], the documents one after the other, and <see cref="SequenceOffsets"/> says where each begins.
/// No position is padding, so no work is wasted on any;</item>
/// <item>packed on the host: <see cref="Documents"/> in place of ids, masks and offsets, which go to the device once.</item>
/// </list>
/// The tensors stay the caller's. Ids and masks are read once on the host (where they are checked), so leave them on the CPU.
/// </summary>
public abstract record ModelInputs
{
    /// <summary>Token ids, int64 or int32, [B, T], [B, choices, T] or packed [N]. Either these, <see cref="InputsEmbeds"/> or
    /// <see cref="Documents"/>.</summary>
    public Tensor? InputIds { get; init; }

    /// <summary>Word embeddings in place of ids: [B, T, C], [B, choices, T, C] or packed [N, C].</summary>
    public Tensor? InputsEmbeds { get; init; }

    /// <summary>
    /// The documents on the host, packed: ids and global positions as a tokenizer and a task give them. <see cref="SequenceOffsets"/>,
    /// <see cref="AttentionMask"/> and <see cref="GlobalAttentionMask"/> are not given beside them.
    /// </summary>
    public IReadOnlyList<DocumentTokens>? Documents { get; init; }

    /// <summary>
    /// Shape of the ids; 1 is a token, 0 padding, 2 a token with global attention (allenai's convention). Any integer, bool or
    /// floating dtype. Absent: every position is a token, with any id.
    /// </summary>
    public Tensor? AttentionMask { get; init; }

    /// <summary>
    /// Shape of the ids; 1 gives a token global attention. It replaces the task's own choice of global tokens (of an LED: none). A global
    /// position that <see cref="AttentionMask"/> hides is padding.
    /// </summary>
    public Tensor? GlobalAttentionMask { get; init; }

    /// <summary>Packed layout: S + 1 ascending offsets of the S documents, the first 0 and the last N. Null: padded layout.</summary>
    public IReadOnlyList<long>? SequenceOffsets { get; init; }

    /// <summary>
    /// Masked LM and token classification: ids of the shape of the ids, -100 ignored. Sequence classification: [B] ids, or [B]
    /// (regression) or [B, labels] (multi-label) floats. Multiple choice: [B] ids. Span classification: ids of the shape of the spans, -100
    /// ignored. Generation: ids [B, S] of the decoder.
    /// </summary>
    public Tensor? Labels { get; init; }

    /// <summary>
    /// Masked LM and generation, with <see cref="Labels"/>: the loss is the sum over the labels that are not -100, and there are no logits
    /// ([0, vocabulary]). Null: the mean, as in HF, beside the logits of every position.
    /// </summary>
    public TrainingLoss? TrainingLoss { get; init; }

    /// <summary>Question answering: [B] first token of the answer.</summary>
    public Tensor? StartPositions { get; init; }

    /// <summary>Question answering: [B] last token of the answer.</summary>
    public Tensor? EndPositions { get; init; }

    /// <summary>Whether to return the hidden states before the first layer and after every layer.</summary>
    public bool OutputHiddenStates { get; init; }

    /// <summary>Whether to return the attention probabilities; for looking at them, since it costs far more than the model itself.</summary>
    public bool OutputAttentions { get; init; }

    /// <summary>
    /// Training: the seed of every dropout of this pass, which is a pure function of it (two passes with one seed drop the same
    /// values). Null: evaluation, no dropout.
    /// </summary>
    public long? DropoutSeed { get; init; }

    /// <summary>The word embeddings [N, C] of the ids where they are at hand already: a place to take gradients at.</summary>
    internal Tensor? WordVectors { get; init; }

    /// <summary>Whether the documents are behind one another without padding.</summary>
    internal bool IsPacked => SequenceOffsets is not null || Documents is not null;

    /// <summary>HF's name of what the tokens are given as.</summary>
    internal string MainName => Documents is not null ? "documents" : InputIds is not null ? "input_ids" : "inputs_embeds";

    /// <summary>Ids of documents with masks of their global tokens, as documents on the host.</summary>
    private protected static DocumentTokens[] Pair(IReadOnlyList<int[]> documents, IReadOnlyList<byte[]>? globalMasks)
    {
        ArgumentNullException.ThrowIfNull(documents);
        if (documents.Count == 0)
            throw new InputException("documents", "at least one document", "none");
        if (globalMasks is not null && globalMasks.Count != documents.Count)
            throw new InputException("globalMasks", $"{documents.Count} masks, one per document", $"{globalMasks.Count}");
        DocumentTokens[] paired = new DocumentTokens[documents.Count];
        for (int s = 0; s < paired.Length; s++)
        {
            byte[]? mask = globalMasks?[s];
            if (mask is not null && mask.Length != documents[s].Length)
            {
                throw new InputException(new("globalMasks", s), $"{documents[s].Length} values, as many as its document has tokens",
                    $"{mask.Length}");
            }
            paired[s] = new DocumentTokens(documents[s], mask is null ? null : [.. Enumerable.Range(0, mask.Length).Where(i => mask[i] != 0)]);
        }
        return paired;
    }

    /// <summary>Inputs with tensors under HF's argument names in them.</summary>
    /// <param name="inputs">No inputs yet.</param>
    /// <param name="tensors">The arguments.</param>
    /// <param name="own">Sets an argument that only this kind of model has; null for one that it has not.</param>
    /// <param name="model">The name of the model.</param>
    /// <param name="ownNames">The arguments that only it has.</param>
    private protected static T Named<T>(T inputs, IEnumerable<KeyValuePair<string, Tensor>> tensors, Func<T, string, Tensor, T?> own, string model,
        params ReadOnlySpan<string> ownNames)
        where T : ModelInputs
    {
        ArgumentNullException.ThrowIfNull(tensors);
        foreach ((string name, Tensor tensor) in tensors)
        {
            ModelInputs given = inputs;
            inputs = name switch
            {
                "input_ids" => (T)(given with { InputIds = tensor }),
                "inputs_embeds" => (T)(given with { InputsEmbeds = tensor }),
                "attention_mask" => (T)(given with { AttentionMask = tensor }),
                "global_attention_mask" => (T)(given with { GlobalAttentionMask = tensor }),
                "labels" => (T)(given with { Labels = tensor }),
                "start_positions" => (T)(given with { StartPositions = tensor }),
                "end_positions" => (T)(given with { EndPositions = tensor }),
                _ => own(inputs, name, tensor) ?? throw new InputException(
                    $"{name}: unknown argument; {model} takes input_ids, inputs_embeds, attention_mask, global_attention_mask, "
                    + $"{string.Join(", ", ownNames)}, labels, start_positions and end_positions"),
            };
        }
        return inputs;
    }
}
