namespace LongformerInterop.Models;

/// <summary>The limits of a checkpoint's inputs.</summary>
internal sealed record InputLimits
{
    /// <summary>Ids 0..VocabSize - 1 are tokens.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Width C of word vectors.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Token types 0..TypeVocabSize - 1.</summary>
    public required int TypeVocabSize { get; init; }

    /// <summary>Id of the padding token.</summary>
    public required int PadTokenId { get; init; }

    /// <summary>Id of the separator, which separates a question from its text.</summary>
    public required int SepTokenId { get; init; }

    /// <summary>Rows of the position table.</summary>
    public required int PositionRows { get; init; }

    /// <summary>The row of a document's first token.</summary>
    public required int FirstPosition { get; init; }

    /// <summary>Whether a padding id takes a position like a token; else it takes the row of its own id, as in RoBERTa.</summary>
    public bool PaddingTakesPositions { get; init; }

    /// <summary>The explanation of the limit in a message: "per sequence, the positions of this checkpoint".</summary>
    public required string PositionsExplained { get; init; }

    /// <summary>The longest document in tokens.</summary>
    public int MaxTokens => PositionRows - FirstPosition;
}
