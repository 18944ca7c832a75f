using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>How the losses of the examples become one number.</summary>
public enum Reduction
{
    /// <summary>They do not: one loss for each example.</summary>
    None = 0,
    /// <summary>Their mean.</summary>
    Mean = 1,
    /// <summary>Their sum.</summary>
    Sum = 2,
}

/// <summary>Layers and losses of a network as functions, each with the function of its gradient. Errors as those of <see cref="Tensor"/>.</summary>
public static partial class Functional
{
    private static readonly AtenOperator
        EmbeddingOp = new("aten::embedding"), EmbeddingBackwardOp = new("aten::embedding_dense_backward"),
        LogSoftmaxBackwardOp = new("aten::_log_softmax_backward_data"), LogSoftmaxOutOp = new("aten::_log_softmax", "out"),
        CrossEntropyOp = new("aten::cross_entropy_loss"), NllForwardOp = new("aten::nll_loss_forward"),
        NllBackwardOp = new("aten::nll_loss_backward"),
        BceOp = new("aten::binary_cross_entropy_with_logits"), MseOp = new("aten::mse_loss"), MseBackwardOp = new("aten::mse_loss_backward"),
        ExpInPlaceOp = new("aten::exp_");

    /// <summary>Rows of a table by index.</summary>
    /// <param name="indices">Integers, any shape [...].</param>
    /// <param name="weight">[rows, C].</param>
    /// <returns>[..., C].</returns>
    /// <exception cref="TorchException">An index is outside the table.</exception>
    public static Tensor Embedding(Tensor indices, Tensor weight) => EmbeddingOp.Call(weight, indices, -1L, false, false);

    /// <summary>The gradient of <see cref="Embedding"/> with respect to the table.</summary>
    /// <param name="gradient">[..., C].</param>
    /// <param name="indices">As given to the forward function.</param>
    /// <param name="rows">Of the table.</param>
    /// <param name="paddingIndex">A row that receives no gradient; null for none.</param>
    /// <returns>[rows, C].</returns>
    public static Tensor EmbeddingBackward(Tensor gradient, Tensor indices, long rows, long? paddingIndex = null) =>
        EmbeddingBackwardOp.Call(gradient, indices, rows, paddingIndex ?? -1, false);

    /// <summary>Cross entropy of the softmax of logits with class labels.</summary>
    /// <param name="logits">[N, classes].</param>
    /// <param name="labels">[N], Int64: the class, or <paramref name="ignoreIndex"/>.</param>
    /// <param name="ignoreIndex">Examples with this label do not count.</param>
    /// <param name="reduction">The mean is over the examples that count: NaN if none does, as in the reference.</param>
    /// <param name="labelSmoothing">Part of the probability that is spread over all classes.</param>
    public static Tensor CrossEntropy(Tensor logits, Tensor labels, long ignoreIndex = -100, Reduction reduction = Reduction.Mean,
        double labelSmoothing = 0) => CrossEntropyOp.Call(logits, labels, Argument.None, (long)reduction, ignoreIndex, labelSmoothing);

    /// <summary>The gradient of <see cref="CrossEntropy"/> without label smoothing, with respect to the logits.</summary>
    /// <param name="gradient">Of the loss: no dimensions, or [N] without a reduction.</param>
    /// <param name="logits">As given to the forward function, and so the rest.</param>
    /// <param name="labels">[N].</param>
    /// <param name="ignoreIndex">Examples with this label do not count.</param>
    /// <param name="reduction">How the losses were put together.</param>
    /// <returns>[N, classes].</returns>
    public static Tensor CrossEntropyBackward(Tensor gradient, Tensor logits, Tensor labels, long ignoreIndex = -100,
        Reduction reduction = Reduction.Mean)
    {
        ArgumentNullException.ThrowIfNull(logits);
        using TensorScope scope = new();
        Tensor likelihood = logits.LogSoftmax(1);
        // The total weight is what a mean divides by.
        (_, Tensor total) = NllForwardOp.Call2(likelihood, labels, Argument.None, (long)reduction, ignoreIndex);
        Tensor inner = NllBackwardOp.Call(gradient, likelihood, labels, Argument.None, (long)reduction, ignoreIndex, total);
        return scope.Keep(LogSoftmaxBackwardOp.Call(inner, likelihood, 1L, likelihood.DType));
    }

    /// <summary>
    /// The sum of the cross entropies of logits with labels, and its gradient with respect to the logits, from one softmax. With smoothing e a row's
    /// loss is (1 - e) nll + e * mean over the classes of -log p.
    /// </summary>
    /// <param name="logits">[N, classes]; the softmax is computed in Float32 (of Float64 in Float64).</param>
    /// <param name="labels">Int64 [N], each 0..classes-1.</param>
    /// <param name="labelSmoothing">e, from 0 to below 1.</param>
    /// <param name="withGradient">Whether the gradient is wanted; without it the second result holds log p.</param>
    /// <param name="overwrites">Whether the logits are needed nowhere else: the second result may then take their memory.</param>
    /// <returns>A number and [N, classes], both in the dtype of the softmax.</returns>
    public static (Tensor Loss, Tensor Gradient) CrossEntropyAndGradient(Tensor logits, Tensor labels, double labelSmoothing = 0,
        bool withGradient = true, bool overwrites = false)
    {
        ArgumentNullException.ThrowIfNull(logits);
        ArgumentNullException.ThrowIfNull(labels);
        if (labelSmoothing is not (>= 0 and < 1))
            throw new InputException($"labelSmoothing: expected 0 to below 1, given {labelSmoothing}");
        using TensorScope scope = new();
        (long rows, long classes) = (logits.Size(0), logits.Size(1));
        // Into memory of ours: what an operator of libtorch makes comes from malloc's, where such blocks leave holes. On a CPU libtorch's softmax
        // reads a row for its sum and then writes each element where it has just read it.
        DType wide = logits.DType == DType.Float64 ? DType.Float64 : DType.Float32;
        Tensor likelihood = scope.Keep(overwrites && logits.DType == wide && logits.Device == Device.Cpu
            ? logits.Alias() : Tensor.Empty([rows, classes], wide, logits.Device));
        if (rows > 0)
            LogSoftmaxOutOp.Run(logits.To(wide), 1L, false, likelihood);
        if (rows == 0)
            return (scope.Keep(Tensor.Zeros([], likelihood.DType, logits.Device)), likelihood);
        (Tensor loss, _) = NllForwardOp.Call2(likelihood, labels, Argument.None, (long)Reduction.Sum, -1L);
        if (labelSmoothing > 0)
            loss = (loss * (1 - labelSmoothing)).Add(likelihood.Sum(), -labelSmoothing / classes);
        scope.Keep(loss);
        if (!withGradient)
            return (loss, likelihood);
        ExpInPlaceOp.Run(likelihood);
        if (labelSmoothing > 0)
            likelihood.AddInPlace(-labelSmoothing / classes);
        Tensor places = Tensor.Arange(rows, logits.Device) * classes + labels;
        likelihood.View(-1).IndexAddInPlace(0, places, Tensor.Full([rows], labelSmoothing - 1, likelihood.DType, logits.Device));
        return (loss, likelihood);
    }

    /// <summary>Binary cross entropy of the sigmoid of logits with targets in 0..1, of equal shape and dtype.</summary>
    public static Tensor BinaryCrossEntropyWithLogits(Tensor logits, Tensor targets, Reduction reduction = Reduction.Mean) =>
        BceOp.Call(logits, targets, Argument.None, Argument.None, (long)reduction);

    /// <summary>The gradient of <see cref="BinaryCrossEntropyWithLogits"/> with respect to the logits.</summary>
    /// <param name="gradient">Of the loss: no dimensions, or the shape of the logits without a reduction.</param>
    /// <param name="logits">As given to the forward function, and so the rest.</param>
    /// <param name="targets">As the logits.</param>
    /// <param name="reduction">How the losses were put together.</param>
    public static Tensor BinaryCrossEntropyWithLogitsBackward(Tensor gradient, Tensor logits, Tensor targets, Reduction reduction = Reduction.Mean)
    {
        ArgumentNullException.ThrowIfNull(logits);
        using TensorScope scope = new();
        Tensor result = (logits.Sigmoid() - targets) * gradient;
        return scope.Keep(reduction == Reduction.Mean ? result / (double)logits.ElementCount : result);
    }

    /// <summary>Squared difference of two tensors of equal shape.</summary>
    public static Tensor MseLoss(Tensor input, Tensor target, Reduction reduction = Reduction.Mean) => MseOp.Call(input, target, (long)reduction);

    /// <summary>The gradient of <see cref="MseLoss"/> with respect to the input.</summary>
    /// <param name="gradient">Of the loss: no dimensions, or the shape of the input without a reduction.</param>
    /// <param name="input">As given to the forward function, and so the rest.</param>
    /// <param name="target">As the input.</param>
    /// <param name="reduction">How the losses were put together.</param>
    public static Tensor MseLossBackward(Tensor gradient, Tensor input, Tensor target, Reduction reduction = Reduction.Mean) =>
        MseBackwardOp.Call(gradient, input, target, (long)reduction);

    /// <summary>Divided by the Euclidean norm over a dimension, or by <paramref name="epsilon"/> where the norm is smaller.</summary>
    public static Tensor Normalize(Tensor input, long dimension = -1, double epsilon = 1e-12)
    {
        ArgumentNullException.ThrowIfNull(input);
        using TensorScope scope = new();
        return scope.Keep(input / (input * input).Sum(dimension, keep: true).Sqrt().Clamp(minimum: epsilon));
    }
}
