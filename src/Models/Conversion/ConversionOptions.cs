using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models.Conversion;

/// <summary>The target of a conversion.</summary>
public enum ConversionTarget
{
    /// <summary>A Longformer under HF's names, from RoBERTa, BERT or a Longformer.</summary>
    Longformer,

    /// <summary>An LED under HF's names, from BART, mBART or an LED.</summary>
    Led,

    /// <summary>The same model in HF's safetensors format.</summary>
    Safetensors,
}

/// <summary>How <see cref="CheckpointConverter"/> converts.</summary>
public sealed record ConversionOptions
{
    /// <summary>The target of the conversion.</summary>
    public ConversionTarget To { get; init; } = ConversionTarget.Longformer;

    /// <summary>
    /// Tokens that a document may have afterwards (of an LED: the encoder's). Null: 4,096 for a Longformer from RoBERTa or BERT, 16 times
    /// BART's positions for an LED, and what it had for a model that is long already.
    /// </summary>
    public int? Positions { get; init; }

    /// <summary>
    /// Attention window, both sides together as HF counts: one value for all layers, or one per layer. Null: 512 for a
    /// Longformer and 1,024 for an LED, and what it had for a model that is long already.
    /// </summary>
    public IReadOnlyList<int>? Window { get; init; }

    /// <summary>
    /// How many positions of the source are copied over and over; null: all. For a model that was trained on fewer positions than its
    /// table holds, since copies of untrained rows would be noise in the middle of a document.
    /// </summary>
    public int? BasePositions { get; init; }

    /// <summary>
    /// Whether the weights of the layers' products get eight bits, each output with a scale, the form that a model loaded with
    /// <see cref="Torch.DType.Int8"/> computes with: about half the size of a base model, whose tables stay as they are.
    /// </summary>
    public bool Int8 { get; init; }

    /// <summary>Another file than <c>config.json</c> beside the weights.</summary>
    public string? ConfigurationFile { get; init; }

    /// <summary>Whether a checkpoint that is at the output already is replaced.</summary>
    public bool Overwrite { get; init; }

    /// <summary>The size above which the weights are split into several files.</summary>
    public long ShardBytes { get; init; } = ShardedWriter.DefaultShardBytes;
}

/// <summary>The result of a conversion.</summary>
/// <param name="Folder">Where.</param>
/// <param name="Source">The findings on the source, one sentence each.</param>
/// <param name="Architecture">HF's class of the result; null where no configuration says it.</param>
/// <param name="Positions">Tokens that a document may have; null where no configuration says it.</param>
/// <param name="Files">The files of the result, relative to the folder.</param>
/// <param name="Notes">Notes for the user: tensors left out or made up, values assumed.</param>
public sealed record ConversionResult(
    string Folder, IReadOnlyList<string> Source, string? Architecture, int? Positions, IReadOnlyList<string> Files, IReadOnlyList<string> Notes);
