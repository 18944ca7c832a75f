using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Heads;

/// <summary>The right one of the candidates of a question. Each window of the documents repeats the candidates, whose scores are averaged.</summary>
public sealed class CandidateHead : AlternativesHead
{
    private readonly LongformerForCandidateScoring _model;

    internal CandidateHead(LongformerForCandidateScoring model) : base(model) => _model = model;

    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Logits(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
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

    private static int[] Windows(TrainingExample example) => example.Lengths ?? [example.Ids.Length];
}
