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
    public static Tensor CrossEntropy(Tensor logits, Tensor labels, long ignoreIndex = -100, Reduction reduction = Reduction.Mean)
    {
        if (reduction == Reduction.None)
            throw new InputException("reduction", "Mean or Sum", "None: a loss is one number");
        Tensor loss = Functional.CrossEntropy(logits, labels, ignoreIndex, reduction);
        if (!Recording(out GradientTape tape, [logits]))
            return loss;
        GradientSum into = tape.Find(logits)!;
        tape.Record(loss, [logits, labels], (gradient, saved) =>
            into.Add(Functional.CrossEntropyBackward(gradient.Tensor, saved[0], saved[1], ignoreIndex, reduction)));
        return loss;
    }

    /// <summary>Mean binary cross entropy of the sigmoid of logits with targets in 0..1, of equal shape and dtype.</summary>
    public static Tensor BinaryCrossEntropyWithLogits(Tensor logits, Tensor targets)
    {
        Tensor loss = Functional.BinaryCrossEntropyWithLogits(logits, targets);
        if (!Recording(out GradientTape tape, [logits]))
            return loss;
        GradientSum into = tape.Find(logits)!;
        tape.Record(loss, [logits, targets], (gradient, saved) =>
            into.Add(Functional.BinaryCrossEntropyWithLogitsBackward(gradient.Tensor, saved[0], saved[1])));
        return loss;
    }

    /// <summary>Mean squared difference of two tensors of equal shape.</summary>
    public static Tensor MeanSquaredError(Tensor values, Tensor targets)
    {
        Tensor loss = Functional.MseLoss(values, targets);
        if (!Recording(out GradientTape tape, [values]))
            return loss;
        GradientSum into = tape.Find(values)!;
        tape.Record(loss, [values, targets], (gradient, saved) =>
            into.Add(Functional.MseLossBackward(gradient.Tensor, saved[0], saved[1])));
        return loss;
    }

    /// <summary>Mean cross entropy of one position in each sequence, by a softmax over the sequence's tokens.</summary>
    /// <param name="logits">[N].</param>
    /// <param name="offsets">S + 1 offsets of the S sequences in N.</param>
    /// <param name="positions">S positions, each inside its sequence; a sequence with the position -1 does not count.</param>
    /// <returns>A number; NaN where no sequence counts.</returns>
    public static Tensor SpanLoss(Tensor logits, long[] offsets, long[] positions)
    {
        using TensorScope scope = new();
        int[] counted = [.. Enumerable.Range(0, positions.Length).Where(s => positions[s] >= 0)];
        Tensor Scores(Tensor of, int s) => of.Narrow(0, offsets[s], offsets[s + 1] - offsets[s]).View(1, -1);
        Tensor labels = HostBuffer.Upload([.. counted.Select(s => positions[s])], logits.Device);
        Tensor[] losses = [.. counted.Select((s, i) => Functional.CrossEntropy(Scores(logits, s), labels.Narrow(0, i, 1)))];
        Tensor loss = scope.Keep(losses.Length == 0 ? Tensor.Full([], double.NaN, logits.DType, logits.Device) : Tensor.Stack(losses, 0).Mean());
        if (!Recording(out GradientTape tape, [logits]))
            return loss;
        GradientSum into = tape.Find(logits)!;
        tape.Record(loss, [logits, labels], (gradient, saved) =>
        {
            Tensor of = saved[0].ZerosLike(), share = gradient.Tensor * (1.0 / Math.Max(counted.Length, 1));
            for (int i = 0; i < counted.Length; i++)
                Scores(of, counted[i]).CopyInPlace(Functional.CrossEntropyBackward(share, Scores(saved[0], counted[i]), saved[1].Narrow(0, i, 1)));
            into.Add(of);
        });
        return loss;
    }
}
