using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Heads;

/// <summary>The right one of each example's own alternatives: cross entropy over their scores.</summary>
public abstract class AlternativesHead : TrainingHead
{
    private protected AlternativesHead(PretrainedModel model) : base(model) { }

    /// <summary>Returns the scores of every example's alternatives, each [1, alternatives].</summary>
    /// <param name="batch">The examples.</param>
    /// <param name="seed">The seed of the dropouts; null: nothing is dropped.</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    public abstract IReadOnlyList<Tensor> Logits(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default);

    /// <inheritdoc/>
    public override Tensor LossSum(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        using TensorScope scope = new();
        return scope.Keep(Loss(Logits(batch, seed, cancellation), batch));
    }

    /// <summary>The sum of the losses of scores that are there already.</summary>
    internal Tensor Loss(IReadOnlyList<Tensor> logits, IReadOnlyList<TrainingExample> batch)
    {
        using TensorScope scope = new();
        Tensor? sum = null;
        for (int i = 0; i < batch.Count; i++)
        {
            Tensor loss = Differentiable.LabelLoss(logits[i], Checked.Classes([batch[i]], (int)logits[i].Size(1)).To(Model.Device), LabelSmoothing);
            sum = sum is null ? loss : Differentiable.Add(sum, loss);
        }
        return scope.Keep(sum!);
    }

    /// <inheritdoc/>
    public override long LabelCount(TrainingExample example) => 1;
}
