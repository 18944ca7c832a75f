using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

// Losses: each is one number, and the gradient of its logits is written down at once.
public static partial class Differentiable
{
    /// <summary>Cross entropy of the softmax of logits with class labels, as <see cref="Functional.CrossEntropy"/>.</summary>
    /// <param name="logits">[M, classes].</param>
    /// <param name="labels">Int64 [M]: the class, or <paramref name="ignoreIndex"/>.</param>
    /// <param name="ignoreIndex">Examples with this label do not count.</param>
    /// <param name="reduction">The mean over the examples that count (NaN if none does), or their sum: for a mean over several batches.</param>
    /// <param name="labelSmoothing">Part of the probability that is spread over all classes.</param>
    public static Tensor CrossEntropy(Tensor logits, Tensor labels, long ignoreIndex = -100, Reduction reduction = Reduction.Mean, double labelSmoothing = 0)
    {
        if (reduction == Reduction.None) throw new InputException("reduction: expected Mean or Sum, given None: a loss is one number");
        Tensor loss = Functional.CrossEntropy(logits, labels, ignoreIndex, reduction, labelSmoothing);
        if (!Recording(out GradientTape tape, [logits])) return loss;
        GradientSum into = tape.Find(logits)!;
        tape.Record(loss, [logits, labels], (gradient, saved) =>
        {
            (Tensor counts, long classes) = (saved[1].Ne(ignoreIndex), saved[0].Size(1));
            // softmax - (1 - s) at the label - s / classes everywhere, of the rows that count.
            Tensor of = saved[0].Softmax(-1);
            Tensor label = saved[1].MaskedFill(counts.Not(), 0), rows = Tensor.Arange(label.ElementCount, DType.Int64, label.Device);
            of.IndexPutInPlace([rows, label], Tensor.Full([1], labelSmoothing - 1, of.DType, of.Device), accumulate: true);
            if (labelSmoothing != 0) of.AddInPlace(-labelSmoothing / classes);
            Tensor weight = counts.To(of.DType) * gradient.Tensor;
            if (reduction == Reduction.Mean) weight = weight / counts.Sum().Clamp(minimum: 1).To(of.DType);
            into.Add(of.MulInPlace(weight.View(-1, 1)));
        });
        return loss;
    }

    /// <summary>Mean binary cross entropy of the sigmoid of logits with targets in 0..1, of equal shape and dtype.</summary>
    public static Tensor BinaryCrossEntropyWithLogits(Tensor logits, Tensor targets)
    {
        Tensor loss = Functional.BinaryCrossEntropyWithLogits(logits, targets);
        if (!Recording(out GradientTape tape, [logits])) return loss;
        GradientSum into = tape.Find(logits)!;
        tape.Record(loss, [logits, targets], (gradient, saved) =>
            into.Add((saved[0].Sigmoid() - saved[1]) * (gradient.Tensor * (1.0 / saved[0].ElementCount))));
        return loss;
    }

    /// <summary>Mean squared difference of two tensors of equal shape.</summary>
    public static Tensor MeanSquaredError(Tensor values, Tensor targets)
    {
        Tensor loss = Functional.MseLoss(values, targets);
        if (!Recording(out GradientTape tape, [values])) return loss;
        GradientSum into = tape.Find(values)!;
        tape.Record(loss, [values, targets], (gradient, saved) =>
            into.Add((saved[0] - saved[1]) * (gradient.Tensor * (2.0 / saved[0].ElementCount))));
        return loss;
    }

    /// <summary>Mean cross entropy of one position in each sequence, by a softmax over the sequence's tokens.</summary>
    /// <param name="logits">[N].</param>
    /// <param name="offsets">S + 1 offsets of the S sequences in N.</param>
    /// <param name="positions">S positions, each inside its sequence; a sequence with the position -1 does not count.</param>
    /// <returns>A number; NaN where no sequence counts.</returns>
    public static Tensor SpanLoss(Tensor logits, long[] offsets, long[] positions)
    {
        using var scope = new TensorScope();
        int[] counted = [.. Enumerable.Range(0, positions.Length).Where(s => positions[s] >= 0)];
        Tensor Scores(Tensor of, int s) => of.Narrow(0, offsets[s], offsets[s + 1] - offsets[s]);
        Tensor[] losses = [.. counted.Select(s => -Scores(logits, s).LogSoftmax(0).Select(0, positions[s]))];
        Tensor loss = scope.Keep(losses.Length == 0 ? Tensor.Full([], double.NaN, logits.DType, logits.Device) : Tensor.Stack(losses, 0).Mean());
        if (!Recording(out GradientTape tape, [logits])) return loss;
        GradientSum into = tape.Find(logits)!;
        tape.Record(loss, [logits], (gradient, saved) =>
        {
            Tensor of = saved[0].ZerosLike(), weight = gradient.Tensor * (1.0 / Math.Max(counted.Length, 1));
            foreach (int s in counted)
            {
                Tensor part = Scores(of, s).CopyInPlace(Scores(saved[0], s).Softmax(0));
                part.Narrow(0, positions[s], 1).AddInPlace(-1.0);
                part.MulInPlace(weight);
            }
            into.Add(of);
        });
        return loss;
    }
}
