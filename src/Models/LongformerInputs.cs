using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// What goes into a Longformer, under the names of Hugging Face's arguments. Two layouts:
/// <list type="bullet">
/// <item>padded: <see cref="InputIds"/> and every mask are [B, T] (multiple choice: [B, choices, T]);</item>
/// <item>packed: they are [N], the documents one behind the other, and <see cref="SequenceOffsets"/> says where each begins.
/// No position is padding, so no work is wasted on any. See <see cref="Pack"/>.</item>
/// </list>
/// The tensors stay the caller's. Ids and masks are read once on the host (where they are checked), so leave them on the CPU.
/// </summary>
public sealed record LongformerInputs
{
    /// <summary>Token ids, int64 or int32, [B, T], [B, choices, T] or packed [N]. Either these or <see cref="InputsEmbeds"/>.</summary>
    public Tensor? InputIds { get; init; }

    /// <summary>Word embeddings in place of ids: [B, T, C], [B, choices, T, C] or packed [N, C].</summary>
    public Tensor? InputsEmbeds { get; init; }

    /// <summary>
    /// Shape of the ids; 1 is a token, 0 padding, 2 a token with global attention (allenai's convention). Any integer, bool or
    /// floating dtype. Absent: every position is a token, whatever its id.
    /// </summary>
    public Tensor? AttentionMask { get; init; }

    /// <summary>
    /// Shape of the ids; 1 gives a token global attention. It replaces the task's own choice of global tokens. A global
    /// position that <see cref="AttentionMask"/> hides is padding.
    /// </summary>
    public Tensor? GlobalAttentionMask { get; init; }

    /// <summary>Shape of the ids, int64; absent: 0.</summary>
    public Tensor? TokenTypeIds { get; init; }

    /// <summary>
    /// Shape of the ids, int64; absent: padding_idx + 1, + 2, ... counted over the ids that are not the padding id (over all
    /// positions with <see cref="InputsEmbeds"/>).
    /// </summary>
    public Tensor? PositionIds { get; init; }

    /// <summary>Packed layout: S + 1 ascending offsets of the S documents, the first 0 and the last N. Null: padded layout.</summary>
    public IReadOnlyList<long>? SequenceOffsets { get; init; }

    /// <summary>Packed layout of a multiple choice model: how many successive documents are the choices of one question.</summary>
    public int? Choices { get; init; }

    /// <summary>
    /// Masked LM and token classification: ids of the shape of the ids, -100 ignored. Sequence classification: [B] ids, or [B]
    /// (regression) or [B, labels] (multi-label) floats. Multiple choice: [B] ids.
    /// </summary>
    public Tensor? Labels { get; init; }

    /// <summary>
    /// Masked LM: int64 [M], the tokens (rows of all tokens behind one another) whose logits are wanted; they are then [M, vocabulary]. Absent:
    /// all, which for a long document and a large vocabulary takes gigabytes.
    /// </summary>
    public Tensor? LogitRows { get; init; }

    /// <summary>
    /// Masked LM, with <see cref="Labels"/>: the loss is the sum over the labelled tokens, and there are no logits ([0, vocabulary]). Null: the mean, as in
    /// Hugging Face, beside the logits of every token.
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

    /// <summary>
    /// Called on the calling thread before every layer; what it throws ends the pass, and everything that the pass made is freed. The place to look
    /// at a <see cref="CancellationToken"/>.
    /// </summary>
    public Action? BeforeLayer { get; init; }

    /// <summary>The word embeddings [N, C] of <see cref="InputIds"/> where they are at hand already: a place to take gradients at.</summary>
    internal Tensor? WordVectors { get; init; }

    /// <summary>Packs documents of unequal length behind one another, without padding.</summary>
    /// <param name="documents">Token ids of each document.</param>
    /// <param name="globalMasks">For each document 1 at its global tokens; null: the task's own choice.</param>
    /// <exception cref="InputException">There is no document, one is empty, or a mask's length is not its document's.</exception>
    public static LongformerInputs Pack(IReadOnlyList<int[]> documents, IReadOnlyList<byte[]>? globalMasks = null)
    {
        ArgumentNullException.ThrowIfNull(documents);
        if (documents.Count == 0)
            throw new InputException("documents: expected at least one document, given none");
        if (globalMasks is not null && globalMasks.Count != documents.Count)
            throw new InputException($"globalMasks: expected {documents.Count} masks, one per document, given {globalMasks.Count}");
        var offsets = new long[documents.Count + 1];
        for (int s = 0; s < documents.Count; s++)
        {
            if (documents[s].Length == 0)
                throw new InputException($"documents[{s}]: expected at least one token, given an empty document");
            if (globalMasks is not null && globalMasks[s].Length != documents[s].Length)
                throw new InputException($"globalMasks[{s}]: expected {documents[s].Length} values, as many as its document has tokens, given {globalMasks[s].Length}");
            offsets[s + 1] = offsets[s] + documents[s].Length;
        }
        var ids = new long[offsets[^1]];
        var globals = globalMasks is null ? null : new byte[ids.Length];
        for (int s = 0; s < documents.Count; s++)
        {
            for (int i = 0; i < documents[s].Length; i++)
                ids[offsets[s] + i] = documents[s][i];
            globalMasks?[s].CopyTo(globals!, (int)offsets[s]);
        }
        return new LongformerInputs
        {
            InputIds = Tensor.From<long>(ids, ids.Length),
            GlobalAttentionMask = globals is null ? null : Tensor.From<byte>(globals, globals.Length),
            SequenceOffsets = offsets,
        };
    }

    /// <summary>Builds inputs from tensors under Hugging Face's argument names, as <c>inputs.safetensors</c> of a parity case holds them.</summary>
    /// <exception cref="InputException">A name is none of the arguments.</exception>
    public static LongformerInputs FromNames(IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        var inputs = new LongformerInputs();
        foreach ((string name, Tensor tensor) in tensors)
            inputs = name switch
            {
                "input_ids" => inputs with { InputIds = tensor },
                "inputs_embeds" => inputs with { InputsEmbeds = tensor },
                "attention_mask" => inputs with { AttentionMask = tensor },
                "global_attention_mask" => inputs with { GlobalAttentionMask = tensor },
                "token_type_ids" => inputs with { TokenTypeIds = tensor },
                "position_ids" => inputs with { PositionIds = tensor },
                "labels" => inputs with { Labels = tensor },
                "start_positions" => inputs with { StartPositions = tensor },
                "end_positions" => inputs with { EndPositions = tensor },
                _ => throw new InputException(
                    $"{name}: unknown argument; a Longformer takes input_ids, inputs_embeds, attention_mask, global_attention_mask, "
                    + "token_type_ids, position_ids, labels, start_positions and end_positions"),
            };
        return inputs;
    }
}
