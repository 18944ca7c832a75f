using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>The inputs of a Longformer, under the names of HF's arguments; see <see cref="ModelInputs"/> for the layouts.</summary>
public sealed record LongformerInputs : ModelInputs
{
    /// <summary>Shape of the ids, int64; absent: 0.</summary>
    public Tensor? TokenTypeIds { get; init; }

    /// <summary>
    /// Shape of the ids, int64; absent: padding_idx + 1, + 2 and so on, counted over the ids that are not the padding id (over all
    /// positions with <see cref="ModelInputs.InputsEmbeds"/>).
    /// </summary>
    public Tensor? PositionIds { get; init; }

    /// <summary>Packed layout of a multiple choice model: how many successive documents are the choices of one question.</summary>
    public int? Choices { get; init; }

    /// <summary>
    /// Masked LM: int64 [M], the tokens (rows of all tokens behind one another) whose logits are wanted; they are then [M, vocabulary]. Absent:
    /// all, which for a long document and a large vocabulary takes gigabytes.
    /// </summary>
    public Tensor? LogitRows { get; init; }

    /// <summary>
    /// Span classification: int64 [B, S], the first token of each given span in its sequence; packed [M], in rows of all tokens behind one another.
    /// Candidate scoring: the same, the marker of each candidate.
    /// </summary>
    public Tensor? EntityStartPositions { get; init; }

    /// <summary>Span classification: int64 of the same shape, the last token of each span.</summary>
    public Tensor? EntityEndPositions { get; init; }

    /// <summary>
    /// Coreference: sentences, speakers, genre and gold clusters of the document whose segments the sequences are. Null: one sentence and one
    /// speaker in each segment.
    /// </summary>
    public Coreference.CoreferenceTokens? Coreference { get; init; }

    /// <summary>Coreference by tensors, in place of <see cref="Coreference"/>: shape of the ids, int64, the sentence of each token.</summary>
    public Tensor? SentenceMap { get; init; }

    /// <summary>Coreference by tensors: shape of the ids, int64, the speaker of each token; absent: one says all.</summary>
    public Tensor? SpeakerIds { get; init; }

    /// <summary>Coreference by tensors: int64, one number; absent: the first genre.</summary>
    public Tensor? Genre { get; init; }

    /// <summary>Coreference by tensors: int64 [M], the first tokens of the gold mentions, in rows of all tokens behind one another. With them there
    /// is a loss.</summary>
    public Tensor? MentionStarts { get; init; }

    /// <summary>Coreference by tensors: int64 [M], likewise the last tokens.</summary>
    public Tensor? MentionEnds { get; init; }

    /// <summary>Coreference by tensors: int64 [M], the number of each gold mention's cluster.</summary>
    public Tensor? MentionClusters { get; init; }

    /// <summary>HotpotQA: int64 [P], the marker in front of every paragraph, in rows of all tokens behind one another; null: each sequence's first
    /// token.</summary>
    public Tensor? ParagraphPositions { get; init; }

    /// <summary>HotpotQA: int64 [S], likewise the marker behind every sentence.</summary>
    public Tensor? SentencePositions { get; init; }

    /// <summary>Packs documents of unequal length behind one another, without padding.</summary>
    /// <param name="documents">Token ids of each document.</param>
    /// <param name="globalMasks">For each document 1 at its global tokens; null: the task's own choice.</param>
    /// <exception cref="InputException">There is no document, one is empty, or a mask's length is not its document's.</exception>
    public static LongformerInputs Pack(IReadOnlyList<int[]> documents, IReadOnlyList<byte[]>? globalMasks = null) =>
        new() { Documents = Pair(documents, globalMasks) };

    /// <summary>Builds inputs from tensors under HF's argument names, as <c>inputs.safetensors</c> of a parity case holds them.</summary>
    /// <exception cref="InputException">A name is none of the arguments.</exception>
    public static LongformerInputs FromNames(IEnumerable<KeyValuePair<string, Tensor>> tensors) =>
        Named(new LongformerInputs(), tensors, (inputs, name, tensor) => name switch
    {
        "token_type_ids" => inputs with { TokenTypeIds = tensor },
        "position_ids" => inputs with { PositionIds = tensor },
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
        _ => null,
    }, "a Longformer", "token_type_ids", "position_ids", "entity_start_positions", "entity_end_positions", "paragraph_positions",
        "sentence_positions", "sentence_map", "speaker_ids", "genre", "mention_starts", "mention_ends", "mention_clusters");
}
