using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>
/// Scores of the vocabulary: the embeddings once more (or its own table), plus <c>final_logits_bias</c>. In a model of eight bits the table has a
/// copy in eight bits for it, made at the first use: it is the largest part of what a decoding step reads.
/// </summary>
internal sealed class LedOutputHead
{
    private readonly Tensor _weight;
    private readonly Tensor? _bias;
    private readonly Int8Table? _int8;

    public LedOutputHead(LedLoader loader, Tensor? shared)
    {
        LedConfiguration c = loader.Configuration;
        _weight = shared ?? (loader.Root / "lm_head").Get("weight", c.VocabSize, c.DModel);
        _int8 = loader.Root.Int8CopyOf(_weight);
        if (!loader.Root.Has("final_logits_bias"))
            return;
        // HF's buffer, which is not trained; older checkpoints lack it.
        _bias = loader.Root.GetBuffer("final_logits_bias", 1, c.VocabSize);
    }

    /// <summary>[M, V] of [M, C].</summary>
    public Tensor Forward(Tensor hidden)
    {
        using TensorScope scope = new();
        Tensor? bias = _bias?.View(_weight.Size(0));
        return scope.Keep(_int8?.Get() is { } table
            ? LongformerOps.Int8Linear(hidden, table.Quantized, table.Scale, bias)
            : Differentiable.Linear(hidden, _weight, bias));
    }

    /// <summary>The sum of the cross entropies of rows [M, C] with labels [M].</summary>
    public Tensor Loss(Tensor hidden, Tensor labels, TrainingLoss training)
    {
        using TensorScope scope = new();
        return scope.Keep(Differentiable.VocabularyLoss(hidden, _weight, _bias?.View(_weight.Size(0)), labels, training.LabelSmoothing,
            training.RowsPerBlock));
    }

    /// <summary>The same written to <paramref name="output"/> [M, V]; nothing is recorded.</summary>
    public void ForwardInto(Tensor output, Tensor hidden)
    {
        using TensorScope scope = new();
        Tensor? bias = _bias?.View(_weight.Size(0));
        if (_int8?.Get() is { } table)
            LongformerOps.Int8LinearInto(output, hidden, table.Quantized, table.Scale, bias);
        else
            LongformerOps.LinearInto(output, hidden, _weight, bias);
    }
}
