using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Heads;

/// <summary>A class, several classes, or numbers for a whole text, as <c>problem_type</c> says.</summary>
public sealed class SequenceHead : TrainingHead
{
    private readonly LongformerForSequenceClassification _model;

    internal SequenceHead(LongformerForSequenceClassification model) : base(model) => _model = model;

    private int Classes => _model.Configuration.NumLabels;

    /// <summary><c>single_label_classification</c>, <c>multi_label_classification</c> or <c>regression</c>.</summary>
    public string ProblemType => _model.Configuration.ProblemType ?? (Classes == 1 ? "regression" : "single_label_classification");

    /// <summary>The scores of every class, [S, classes].</summary>
    public Tensor Logits(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        using TensorScope scope = new();
        return scope.Keep(_model.Forward(Pack(batch, seed), cancellation).Logits);
    }

    /// <inheritdoc/>
    public override Tensor LossSum(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        using TensorScope scope = new();
        return scope.Keep(Loss(Logits(batch, seed, cancellation), batch));
    }

    /// <summary>The sum of the losses of scores that are there already.</summary>
    internal Tensor Loss(Tensor logits, IReadOnlyList<TrainingExample> batch)
    {
        using TensorScope scope = new();
        if (ProblemType == "single_label_classification")
            return scope.Keep(Differentiable.LabelLoss(logits, Checked.Classes(batch, Classes).To(Model.Device), LabelSmoothing));
        Tensor wide = Differentiable.To(logits, logits.Device, logits.DType == DType.Float64 ? DType.Float64 : DType.Float32);
        Tensor targets = Tensor.From<float>([.. batch.SelectMany(TargetsOf)], batch.Count, Classes).To(Model.Device).To(wide.DType);
        Tensor mean = ProblemType == "regression" ? Differentiable.MeanSquaredError(wide, targets)
            : Differentiable.BinaryCrossEntropyWithLogits(wide, targets);
        return scope.Keep(Differentiable.Scale(mean, logits.ElementCount));
    }

    /// <inheritdoc/>
    public override long LabelCount(TrainingExample example) => ProblemType == "single_label_classification" ? 1 : Classes;

    private float[] TargetsOf(TrainingExample example) => example.Targets is { } targets && targets.Length == Classes ? targets
        : throw new InputException($"{example.Source}: expected {Classes} targets ({ProblemType}), given {example.Targets?.Length ?? 0}");
}

/// <summary>A class for every token that has a label.</summary>
public sealed class TokenHead : TrainingHead
{
    private readonly LongformerForTokenClassification _model;

    internal TokenHead(LongformerForTokenClassification model) : base(model) => _model = model;

    /// <summary>The scores of every class for every token, [N, classes].</summary>
    public Tensor Logits(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        using TensorScope scope = new();
        return scope.Keep(_model.Forward(Pack(batch, seed), cancellation).Logits);
    }

    /// <inheritdoc/>
    public override Tensor LossSum(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using TensorScope scope = new();
        return scope.Keep(Loss(Logits(batch, seed, cancellation), batch));
    }

    /// <summary>The sum of the losses of scores that are there already.</summary>
    internal Tensor Loss(Tensor logits, IReadOnlyList<TrainingExample> batch)
    {
        using TensorScope scope = new();
        List<long> rows = [], labels = [];
        long row = 0;
        foreach (TrainingExample example in batch)
        {
            int[] own = LabelsOf(example);
            if (own.Length != example.Ids.Length)
                throw new InputException($"{example.Source}: expected {example.Ids.Length} labels, one for each token, given {own.Length}");
            foreach (int label in own)
            {
                if (label != TrainingExample.Ignored)
                {
                    rows.Add(row);
                    labels.Add(Checked.Class(label, _model.Configuration.NumLabels, example));
                }
                row++;
            }
        }
        Tensor some = Differentiable.SelectRows(logits, Tensor.From<long>([.. rows]).To(Model.Device));
        return scope.Keep(Differentiable.LabelLoss(some, Tensor.From<long>([.. labels]).To(Model.Device), LabelSmoothing));
    }

    /// <inheritdoc/>
    public override long LabelCount(TrainingExample example) => LabelsOf(example).Count(label => label != TrainingExample.Ignored);
}

/// <summary>The right one of several choices; all questions of a batch have as many.</summary>
public sealed class ChoiceHead : AlternativesHead
{
    private readonly LongformerForMultipleChoice _model;

    internal ChoiceHead(LongformerForMultipleChoice model) : base(model) => _model = model;

    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Logits(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using TensorScope scope = new();
        // As one question with all the choices of the batch, so that questions may differ in how many they have.
        int[] counts = [.. batch.Select(e => e.Lengths?.Length ?? throw new InputException($"{e.Source}: expected choices, given none"))];
        Tensor scores = _model.Forward(Pack(batch, seed) with { Choices = counts.Sum() }, cancellation).Logits;
        List<Tensor> each = [];
        int from = 0;
        foreach (int count in counts)
        {
            each.Add(scope.Keep(Differentiable.Narrow(scores, 1, from, count)));
            from += count;
        }
        return each;
    }
}

/// <summary>Labels that a head has.</summary>
internal static class Checked
{
    /// <summary>The one class of every example, int64 [S].</summary>
    public static Tensor Classes(IReadOnlyList<TrainingExample> batch, int classes) => Tensor.From<long>([.. batch.Select(e =>
        Class(e.Labels is [int only] ? only : throw new InputException($"{e.Source}: expected one label, given {e.Labels?.Length ?? 0}"), classes,
            e))]);

    public static long Class(int label, int classes, TrainingExample example) => (uint)label < (uint)classes ? label
        : throw new InputException($"{example.Source}: expected a label 0..{classes - 1}, given {label}");
}
