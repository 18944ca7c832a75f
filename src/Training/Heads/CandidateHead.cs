using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Heads;

/// <summary>The right one of the candidates of a question. Each window of the documents repeats the candidates, whose scores are averaged.</summary>
public sealed class CandidateHead : TrainingHead
{
    private readonly LongformerForCandidateScoring _model;

    internal CandidateHead(LongformerForCandidateScoring model) : base(model) => _model = model;

    /// <summary>The scores of the candidates of every example, each [1, candidates].</summary>
    public IReadOnlyList<Tensor> Logits(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using TensorScope scope = new();
        List<long> rows = [];
        long first = 0;
        foreach (TrainingExample example in batch)
        {
            if (example.Starts is not { Length: > 0 } starts)
                throw new InputException($"{example.Source}: expected candidates, given none");
            foreach (int length in Windows(example))
            {
                foreach (int start in starts)
                {
                    rows.Add(start >= 0 && start < length ? first + start
                        : throw new InputException($"{example.Source}: expected candidates in the {length} tokens of a window, given {start}"));
                }
                first += length;
            }
        }
        Tensor scores = _model.Forward(Pack(batch, seed) with { EntityStartPositions = Tensor.From<long>([.. rows]) }, cancellation).Logits;
        List<Tensor> each = [];
        long from = 0;
        foreach (TrainingExample example in batch)
        {
            (int count, int windows) = (example.Starts!.Length, Windows(example).Length);
            Tensor sum = Differentiable.Narrow(scores, 0, from, count);
            for (int w = 1; w < windows; w++)
                sum = Differentiable.Add(sum, Differentiable.Narrow(scores, 0, from + ((long)w * count), count));
            from += (long)windows * count;
            each.Add(scope.Keep(Differentiable.Reshape(windows == 1 ? sum : Differentiable.Scale(sum, 1.0 / windows), 1, count)));
        }
        return each;
    }

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

    private static int[] Windows(TrainingExample example) => example.Lengths ?? [example.Ids.Length];
}
