using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>The losses of the heads, as Hugging Face computes them. Labels are checked on the host.</summary>
internal static class Losses
{
    private const long Ignored = -100;

    /// <summary>Cross entropy of logits [..., classes] and class ids; -100 is ignored.</summary>
    /// <param name="logits">[M, classes].</param>
    /// <param name="labels">Ids of shape <paramref name="shape"/>.</param>
    /// <param name="shape">Its M values as the caller lays them out.</param>
    /// <param name="classes">Number of classes.</param>
    public static Tensor Classes(Tensor logits, Tensor labels, long[] shape, int classes)
    {
        using var scope = new TensorScope();
        if (!labels.Shape.SequenceEqual(shape) && !(shape.Length == 1 && labels.ElementCount == shape[0]))
            throw new InputException($"labels: expected shape {InputReader.Show(shape)}, given {InputReader.Show(labels.Shape)}");
        if (labels.DType is not (DType.Int64 or DType.Int32))
            throw new InputException($"labels: expected int64 class ids, given {labels.DType}");
        long[] values = HostValues.ToInt64(labels);
        foreach (long value in values)
            if (value != Ignored && (ulong)value >= (ulong)classes)
                throw new InputException($"labels: expected class ids 0..{classes - 1}, or {Ignored} to ignore, given {value}");
        Tensor targets = HostBuffer.Upload(values, logits.Device);
        return scope.Keep(Functional.CrossEntropy(logits, targets, ignoreIndex: Ignored));
    }

    /// <summary>Regression, single-label or multi-label loss of logits [S, labels]: by <c>problem_type</c>, else by the labels.</summary>
    public static Tensor Sequences(Tensor logits, Tensor labels, LongformerConfiguration configuration)
    {
        bool integers = labels.DType is DType.Int64 or DType.Int32;
        string problem = configuration.ProblemType ?? (configuration.NumLabels == 1 ? "regression"
            : integers ? "single_label_classification" : "multi_label_classification");
        if (problem == "single_label_classification")
            return Classes(logits, labels, [logits.Shape[0]], configuration.NumLabels);
        if (labels.ElementCount != logits.ElementCount || labels.Shape[0] != logits.Shape[0])
            throw new InputException(
                $"labels: expected a value for each of {InputReader.Show(logits.Shape)} ({problem}), given {InputReader.Show(labels.Shape)}");
        using var scope = new TensorScope();
        Tensor targets = labels.To(logits.Device).To(logits.DType).Reshape(logits.Shape);
        return scope.Keep(problem == "regression" ? Functional.MseLoss(logits, targets) : Functional.BinaryCrossEntropyWithLogits(logits, targets));
    }

    /// <summary>
    /// Cross entropy over the tokens of each sequence, logits [N]. Positions are clamped to 0..length, and those equal to the
    /// length (the answer was cut off) do not count.
    /// </summary>
    public static Tensor Positions(Tensor logits, Tensor positions, SequenceBatch batch, string name)
    {
        using var scope = new TensorScope();
        if (positions.ElementCount != batch.SequenceCount || positions.DType is not (DType.Int64 or DType.Int32))
            throw new InputException(
                $"{name}: expected int64 positions [{batch.SequenceCount}], given {positions.DType} {InputReader.Show(positions.Shape)}");
        long[] values = HostValues.ToInt64(positions);
        var losses = new List<Tensor>();
        for (int s = 0; s < values.Length; s++)
        {
            (long from, long length) = (batch.Offsets[s], batch.Offsets[s + 1] - batch.Offsets[s]);
            long position = Math.Clamp(values[s], 0, length);
            if (position < length)
                losses.Add(-logits.Narrow(0, from, length).LogSoftmax(0).Select(0, position));
        }
        // The mean of nothing, as the reference has it.
        return scope.Keep(losses.Count == 0 ? Tensor.Full([], double.NaN, logits.DType, logits.Device) : Tensor.Stack([.. losses], 0).Mean());
    }
}
