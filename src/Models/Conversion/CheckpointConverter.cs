using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models.Conversion;

/// <summary>
/// Turns checkpoints into others: short models into long ones as the paper does, allenai's names into HF's, torch's files into
/// safetensors. The result is a complete checkpoint folder of HF's: configuration, weights, the tokenizer's files.
/// </summary>
/// <remarks>
/// Nothing is computed but copied (or quantized, one weight at a time), from file to file in pieces of bounded size, so that memory does not grow
/// with the model. The new
/// folder appears under its name only when it is complete.
/// </remarks>
public static class CheckpointConverter
{
    /// <summary>Converts a checkpoint.</summary>
    /// <param name="source">A checkpoint folder, or its file with the weights.</param>
    /// <param name="output">The new folder; it must not exist, or be empty, unless <see cref="ConversionOptions.Overwrite"/> says so.</param>
    /// <param name="options">The target and its settings.</param>
    /// <param name="cancellation">Stops before and after the weights are copied; nothing is left behind.</param>
    /// <exception cref="CheckpointException">
    /// The source cannot be read or cannot become what is asked for (all missing tensors are listed), or the output cannot be written.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">A number of the options is not positive.</exception>
    public static ConversionResult Convert(string source, string output, ConversionOptions? options = null, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(source);
        ArgumentException.ThrowIfNullOrEmpty(output);
        options ??= new ConversionOptions();
        Check(options);
        using SourceCheckpoint checkpoint = SourceCheckpoint.Open(source, options.ConfigurationFile);
        ConversionPlan plan = Plan(checkpoint, options);
        using OutputFolder folder = new(output, options.Overwrite, checkpoint.Folder);
        if (plan.Configuration is not null)
            folder.Write("config.json", plan.Configuration.ToJson());
        foreach ((string name, byte[] content) in plan.Files.Files())
            folder.Write(name, content);
        cancellation.ThrowIfCancellationRequested();
        foreach (string file in ShardedWriter.Write(folder.Staging, plan.Tensors, Metadata(checkpoint), options.ShardBytes))
            folder.Wrote(file);
        cancellation.ThrowIfCancellationRequested();
        folder.Commit();
        return new ConversionResult(output, checkpoint.Map.Findings, plan.Architecture, plan.Positions, folder.Files, plan.Notes);
    }

    /// <summary>Returns the result that <see cref="Convert"/> would have, checked to the last tensor, and writes nothing.</summary>
    /// <param name="source">A checkpoint folder, or its file with the weights.</param>
    /// <param name="options">The target and its settings.</param>
    /// <exception cref="CheckpointException">The source cannot be read or cannot become what is asked for.</exception>
    public static ConversionResult Preview(string source, ConversionOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(source);
        options ??= new ConversionOptions();
        Check(options);
        using SourceCheckpoint checkpoint = SourceCheckpoint.Open(source, options.ConfigurationFile);
        ConversionPlan plan = Plan(checkpoint, options);
        return new ConversionResult("", checkpoint.Map.Findings, plan.Architecture, plan.Positions, [], plan.Notes);
    }

    private static ConversionPlan Plan(SourceCheckpoint source, ConversionOptions options)
    {
        if (source.Configuration?.Has(Int8Format.Key) == true)
        {
            throw new CheckpointException(
                $"{source.Folder}: its weights are quantized ({Int8Format.Key} of config.json): expected the checkpoint that it was made of");
        }
        ConversionPlan plan = FloatPlan(source, options);
        return options.Int8 ? Int8Conversion.Apply(plan, source) : plan;
    }

    private static ConversionPlan FloatPlan(SourceCheckpoint source, ConversionOptions options) => options.To switch
    {
        ConversionTarget.Longformer => LongformerConversion.Plan(source, options),
        ConversionTarget.Led => LedConversion.Plan(source, options),
        ConversionTarget.Safetensors => SafetensorsConversion.Plan(source),
        _ => throw new ArgumentOutOfRangeException(nameof(options), options.To, "options.To: not a target"),
    };

    private static void Check(ConversionOptions options)
    {
        if (options.Positions is { } positions)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(positions, "options.Positions");
        if (options.BasePositions is { } rows)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows, "options.BasePositions");
        if (options.Window is { Count: 0 })
            throw new ArgumentOutOfRangeException(nameof(options), "options.Window: expected one value or one per layer, given none");
    }

    // HF's loaders ask for the format; the file's other metadata is kept.
    private static Dictionary<string, string> Metadata(SourceCheckpoint source)
    {
        Dictionary<string, string> metadata = new(source.Original.Metadata);
        metadata.TryAdd("format", "pt");
        return metadata;
    }
}
