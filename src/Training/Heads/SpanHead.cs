using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Heads;

/// <summary>
/// The first and the last token of the answer. There may be several answers: the loss is the OR loss of the paper, which with one answer is
/// the cross entropy. An example without any adds 0 and counts in the mean.
/// </summary>
public sealed class SpanHead : TrainingHead
{
    private readonly LongformerForQuestionAnswering _model;

    internal SpanHead(LongformerForQuestionAnswering model) : base(model) => _model = model;

    /// <summary>The scores of every token as the first and as the last of the answer, each [N].</summary>
    public (Tensor Start, Tensor End) Logits(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        using TensorScope scope = new();
        SpanOutputs outputs = _model.Forward(Pack(batch, seed), cancellation);
        return scope.Keep(outputs.StartLogits, outputs.EndLogits);
    }

    /// <inheritdoc/>
    public override Tensor LossSum(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        using TensorScope scope = new();
        (Tensor start, Tensor end) = Logits(batch, seed, cancellation);
        return scope.Keep(Loss(start, end, batch));
    }

    /// <summary>The sum of the losses of scores that are there already.</summary>
    internal static Tensor Loss(Tensor start, Tensor end, IReadOnlyList<TrainingExample> batch)
    {
        using TensorScope scope = new();
        List<long> offsets = new() { 0 };
        foreach (TrainingExample example in batch)
            offsets.Add(offsets[^1] + example.Ids.Length);
        Tensor Of(Tensor logits, Func<TrainingExample, int[]?> gold) => Differentiable.AnyPositionLoss(
            logits, offsets, [.. batch.Select(e => Array.ConvertAll(gold(e) ?? [], position => (long)position))]);
        return scope.Keep(Differentiable.Scale(Differentiable.Add(Of(start, e => e.Starts), Of(end, e => e.Ends)), 0.5));
    }

    /// <inheritdoc/>
    public override long LabelCount(TrainingExample example) => 1;
}
