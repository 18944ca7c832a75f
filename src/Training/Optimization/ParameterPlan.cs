using System.Globalization;
using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Optimization;

/// <summary>The part of a model that is not trained.</summary>
public enum FrozenPart
{
    /// <summary>None: everything is trained.</summary>
    None,
    /// <summary>The embeddings: words, positions, types and their LayerNorm.</summary>
    Embeddings,
    /// <summary>Everything but the head.</summary>
    Body,
    /// <summary>Everything but the rows of the position table from <see cref="ParameterPlan.FirstAddedPosition"/> on (the paper's
    /// ablation).</summary>
    AllButAddedPositions,
    /// <summary>Everything but biases and the head (BitFit).</summary>
    AllButBiases,
}

/// <summary>Which parameters are trained, at which part of the learning rate, and with which decay.</summary>
public sealed record ParameterPlan
{
    private const string WordTable = "word_embeddings.weight";

    /// <summary>Decay of weights; biases and LayerNorm weights have none.</summary>
    public double WeightDecay { get; init; }

    /// <summary>The head's learning rate as a multiple of the others'.</summary>
    public double HeadFactor { get; init; } = 1;

    /// <summary>Each layer further from the head has this part of the next one's learning rate; the embeddings come below the first layer.</summary>
    public double LayerDecay { get; init; } = 1;

    /// <summary>
    /// Whether head and body are trained as Joshi et al. (2019) do it: each clipped by its own norm, the body by BERT's AdamW
    /// (<see cref="TrainedParameter.IsBerts"/>), the head by Adam without decay.
    /// </summary>
    public bool HeadApart { get; init; }

    /// <summary>The parts that are not trained.</summary>
    public FrozenPart Frozen { get; init; }

    /// <summary>With <see cref="FrozenPart.AllButAddedPositions"/>: the first row of the position table that is trained.</summary>
    public long FirstAddedPosition { get; init; }

    /// <summary>The parameters of a model that are trained.</summary>
    /// <exception cref="InputException">A number is outside its range, or nothing is left to train.</exception>
    public IReadOnlyList<TrainedParameter> Of(PretrainedModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!(WeightDecay >= 0))
            throw new InputException($"weight decay: expected 0 or more, given {WeightDecay}");
        if (!(HeadFactor >= 0))
            throw new InputException($"the head's learning rate: expected 0 or more, given {HeadFactor} times the others'");
        if (LayerDecay is not (> 0 and <= 1))
            throw new InputException($"layer decay: expected more than 0 and at most 1, given {LayerDecay}");
        if (!model.Options.Trainable)
            throw new InvalidOperationException("training needs a model that was loaded with Trainable = true");
        NamedParameter[] all = [.. model.NamedParameters.Where(p => p.IsTrained)];
        int layers = all.Select(p => LayerOf(p.Name)).Max() + 1;
        List<TrainedParameter> trained = [];
        foreach (NamedParameter parameter in all)
        {
            if (IsFrozen(parameter.Name))
                continue;
            bool partly = Frozen == FrozenPart.AllButAddedPositions;
            double factor = IsHead(parameter.Name) ? HeadFactor
                : Math.Pow(LayerDecay, IsEmbedding(parameter.Name) ? layers : layers - 1 - Math.Max(LayerOf(parameter.Name), -1));
            if (!IsHead(parameter.Name) && !IsEmbedding(parameter.Name) && LayerOf(parameter.Name) < 0)
                factor = 1;
            bool apart = HeadApart && IsHead(parameter.Name);
            trained.Add(new TrainedParameter(parameter.Name, parameter.Tensor, factor, Decays(parameter.Name) && !partly && !apart ? WeightDecay : 0)
            {
                FirstRow = partly ? FirstAddedPosition : 0, ClipGroup = apart ? 1 : 0, IsBerts = HeadApart && !apart,
            });
            if (partly && FirstAddedPosition >= parameter.Tensor.Size(0))
            {
                throw new InputException($"the first added position: expected below {parameter.Tensor.Size(0)}, the rows of {parameter.Name}, "
                    + $"given {FirstAddedPosition}");
            }
        }
        return trained.Count > 0 ? trained : throw new InputException($"frozen: expected a part of {model.Architecture} to train, given all parts");
    }

    /// <summary>Whether a parameter decays: no bias and no weight of a LayerNorm does.</summary>
    public static bool Decays(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return !name.EndsWith("bias", StringComparison.Ordinal)
            && !((string[])["LayerNorm", "layernorm", "layer_norm"]).Any(part => name.Contains(part, StringComparison.Ordinal));
    }

    private bool IsFrozen(string name) => Frozen switch
    {
        FrozenPart.Embeddings => IsEmbedding(name),
        FrozenPart.Body => !IsHead(name),
        FrozenPart.AllButAddedPositions => !IsPositionTable(name),
        FrozenPart.AllButBiases => !name.EndsWith("bias", StringComparison.Ordinal) && !IsHead(name),
        _ => false,
    };

    private static bool IsPositionTable(string name) => name.EndsWith("position_embeddings.weight", StringComparison.Ordinal)
        || name.EndsWith("encoder.embed_positions.weight", StringComparison.Ordinal);

    private static bool IsEmbedding(string name) => name.Contains("embeddings.", StringComparison.Ordinal)
        || name.EndsWith("shared.weight", StringComparison.Ordinal)
        || name.Contains("embed_positions", StringComparison.Ordinal) || name.Contains("layernorm_embedding", StringComparison.Ordinal)
        || name.Contains("embed_tokens", StringComparison.Ordinal) || name.EndsWith(WordTable, StringComparison.Ordinal);

    /// <summary>Parameters of no body, whose names begin so where a head is beside it and so where it is alone; the pooler of multiple choice
    /// belongs to the head.</summary>
    internal static bool IsHead(string name) => name.Contains("pooler.", StringComparison.Ordinal)
        || !((string[])["longformer.", "led.", "embeddings.", "encoder.", "decoder.", "shared."]).Any(body =>
            name.StartsWith(body, StringComparison.Ordinal));

    /// <summary>The number of a layer, the decoder's behind the encoder's; -1: in none.</summary>
    private static int LayerOf(string name)
    {
        string[] parts = name.Split('.');
        int at = Array.FindIndex(parts, p => p is "layer" or "layers");
        return at >= 0 && at + 1 < parts.Length && int.TryParse(parts[at + 1], NumberStyles.None, CultureInfo.InvariantCulture, out int layer) ? layer
            : -1;
    }
}
