using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>The losses of the heads, as HF computes them. Labels are checked on the host.</summary>
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
        using TensorScope scope = new();
        long[] values = Checked(labels, shape, classes);
        Tensor targets = HostBuffer.Upload(values, logits.Device);
        return scope.Keep(Differentiable.CrossEntropy(logits, targets, Ignored));
    }

    /// <summary>The labelled ones among M rows: their numbers, int64 [L], and labels, int64 [L], on a device.</summary>
    public static (Tensor Rows, Tensor Labels) Labelled(Tensor labels, long[] shape, int classes, Device device)
    {
        long[] values = Checked(labels, shape, classes);
        long[] rows = [.. Enumerable.Range(0, values.Length).Where(i => values[i] != Ignored)];
        return (HostBuffer.Upload(rows, device), HostBuffer.Upload(Array.ConvertAll(rows, row => values[row]), device));
    }

    private static long[] Checked(Tensor labels, long[] shape, int classes)
    {
        if (!labels.Shape.SequenceEqual(shape) && !(shape.Length == 1 && labels.ElementCount == shape[0]))
            throw new InputException("labels", $"shape {InputReader.Show(shape)}", $"{InputReader.Show(labels.Shape)}");
        if (labels.DType is not (DType.Int64 or DType.Int32))
            throw new InputException("labels", "int64 class ids", $"{labels.DType}");
        long[] values = HostValues.ToInt64(labels);
        foreach (long value in values)
        {
            if (value != Ignored && (ulong)value >= (ulong)classes)
                throw new InputException("labels", $"class ids 0..{classes - 1}, or {Ignored} to ignore", $"{value}");
        }
        return values;
    }

    /// <summary>Regression, single-label or multi-label loss of logits [S, labels]: by <c>problem_type</c>, else by the labels.</summary>
    public static Tensor Sequences(Tensor logits, Tensor labels, ModelConfiguration configuration)
    {
        bool integers = labels.DType is DType.Int64 or DType.Int32;
        string problem = configuration.ProblemType ?? (configuration.NumLabels == 1 ? "regression"
            : integers ? "single_label_classification" : "multi_label_classification");
        if (problem == "single_label_classification")
            return Classes(logits, labels, [logits.Shape[0]], configuration.NumLabels);
        if (labels.ElementCount != logits.ElementCount || labels.Shape[0] != logits.Shape[0])
        {
            throw new InputException(
                $"labels: expected a value for each of {InputReader.Show(logits.Shape)} ({problem}), given {InputReader.Show(labels.Shape)}");
        }
        using TensorScope scope = new();
        Tensor targets = labels.To(logits.Device).To(logits.DType).Reshape(logits.Shape);
        return scope.Keep(problem == "regression"
            ? Differentiable.MeanSquaredError(logits, targets)
            : Differentiable.BinaryCrossEntropyWithLogits(logits, targets));
    }

    /// <summary>
    /// Cross entropy over the tokens of each sequence, logits [N]. Positions are clamped to 0..length, and those equal to the
    /// length (the answer was cut off) do not count.
    /// </summary>
    /// <param name="logits">[N].</param>
    /// <param name="positions">Int64 [S].</param>
    /// <param name="offsets">S + 1 offsets of the sequences in N.</param>
    /// <param name="name">Of the positions, for a message.</param>
    private static Tensor Positions(Tensor logits, Tensor positions, long[] offsets, string name)
    {
        int sequences = offsets.Length - 1;
        if (positions.ElementCount != sequences || positions.DType is not (DType.Int64 or DType.Int32))
        {
            throw new InputException(
                $"{name}: expected int64 positions [{sequences}], given {positions.DType} {InputReader.Show(positions.Shape)}");
        }
        long[] values = HostValues.ToInt64(positions);
        for (int s = 0; s < values.Length; s++)
        {
            long length = offsets[s + 1] - offsets[s], position = Math.Clamp(values[s], 0, length);
            values[s] = position < length ? position : -1;
        }
        return Differentiable.SpanLoss(logits, offsets, values);
    }

    /// <summary>The mean of the losses of an answer's first and last token; null without <c>start_positions</c> and <c>end_positions</c>.</summary>
    /// <param name="start">[N] scores of the first token.</param>
    /// <param name="end">[N] scores of the last token.</param>
    /// <param name="inputs">The labels.</param>
    /// <param name="offsets">S + 1 offsets of the sequences in N.</param>
    public static Tensor? Span(Tensor start, Tensor end, ModelInputs inputs, long[] offsets) =>
        inputs.StartPositions is null || inputs.EndPositions is null
        ? null
        : Mean(Positions(start, inputs.StartPositions, offsets, "start_positions"), Positions(end, inputs.EndPositions, offsets, "end_positions"));

    /// <summary>The mean of two losses.</summary>
    private static Tensor Mean(Tensor first, Tensor second)
    {
        using TensorScope scope = new();
        return scope.Keep(Differentiable.Scale(Differentiable.Add(first, second), 0.5));
    }
}
