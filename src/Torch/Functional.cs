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

/// <summary>The layers and losses of a network as functions. Errors as those of <see cref="Operator.Call"/>.</summary>
public static unsafe class Functional
{
    private static readonly Operator
        linearOp = Operator.Lazy("aten::linear"), layerNormOp = Operator.Lazy("aten::layer_norm"), embeddingOp = Operator.Lazy("aten::embedding"),
        dropoutOp = Operator.Lazy("aten::dropout"), crossEntropyOp = Operator.Lazy("aten::cross_entropy_loss"),
        bceOp = Operator.Lazy("aten::binary_cross_entropy_with_logits"), mseOp = Operator.Lazy("aten::mse_loss"),
        normalizeNormOp = Operator.Lazy("aten::linalg_vector_norm"), oneHotOp = Operator.Lazy("aten::one_hot");

    /// <summary>input x weight^T + bias: [..., in] -> [..., out].</summary>
    /// <param name="input">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="bias">[out], or null.</param>
    public static Tensor Linear(Tensor input, Tensor weight, Tensor? bias = null) => linearOp.Call(input, weight, bias);

    /// <summary>Layer normalization over the last dimensions, as many as <paramref name="weight"/> has.</summary>
    /// <param name="input">[..., C].</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C], or null.</param>
    /// <param name="epsilon">Added to the variance.</param>
    public static Tensor LayerNorm(Tensor input, Tensor weight, Tensor? bias, double epsilon = 1e-5)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return layerNormOp.Call(input, weight.Shape, weight, bias, epsilon);
    }

    /// <summary>Rows of a table by index.</summary>
    /// <param name="indices">Integers, any shape [...].</param>
    /// <param name="weight">[rows, C].</param>
    /// <param name="paddingIndex">A row that receives no gradient; null for none.</param>
    /// <returns>[..., C].</returns>
    /// <exception cref="TorchException">An index lies outside the table.</exception>
    public static Tensor Embedding(Tensor indices, Tensor weight, long? paddingIndex = null) =>
        embeddingOp.Call(weight, indices, paddingIndex ?? -1);

    /// <summary>Sets elements to zero with some probability and scales the others by 1 / (1 - probability); nothing outside training.</summary>
    public static Tensor Dropout(Tensor input, double probability, bool training) => dropoutOp.Call(input, probability, training);

    /// <summary>Gaussian error linear unit; <paramref name="tanh"/> for the approximation by tanh.</summary>
    public static Tensor Gelu(Tensor input, bool tanh = false)
    {
        ArgumentNullException.ThrowIfNull(input);
        return input.Gelu(tanh);
    }

    /// <summary>Softmax over one dimension.</summary>
    public static Tensor Softmax(Tensor input, long dimension = -1, DType? dtype = null)
    {
        ArgumentNullException.ThrowIfNull(input);
        return input.Softmax(dimension, dtype);
    }

    /// <summary>Cross entropy of the softmax of logits with class labels.</summary>
    /// <param name="logits">[N, classes].</param>
    /// <param name="labels">[N], Int64: the class, or <paramref name="ignoreIndex"/>.</param>
    /// <param name="ignoreIndex">Examples with this label do not count.</param>
    /// <param name="reduction">The mean is over the examples that count: NaN if none does, as in the reference.</param>
    /// <param name="labelSmoothing">Part of the probability that is spread over all classes.</param>
    public static Tensor CrossEntropy(Tensor logits, Tensor labels, long ignoreIndex = -100, Reduction reduction = Reduction.Mean,
        double labelSmoothing = 0) => crossEntropyOp.Call(logits, labels, Argument.None, (long)reduction, ignoreIndex, labelSmoothing);

    /// <summary>Binary cross entropy of the sigmoid of logits with targets in 0..1, of equal shape and dtype.</summary>
    public static Tensor BinaryCrossEntropyWithLogits(Tensor logits, Tensor targets, Reduction reduction = Reduction.Mean) =>
        bceOp.Call(logits, targets, Argument.None, Argument.None, (long)reduction);

    /// <summary>Squared difference of two tensors of equal shape.</summary>
    public static Tensor MseLoss(Tensor input, Tensor target, Reduction reduction = Reduction.Mean) => mseOp.Call(input, target, (long)reduction);

    /// <summary>Divided by the Euclidean norm over a dimension, or by <paramref name="epsilon"/> where the norm is smaller.</summary>
    public static Tensor Normalize(Tensor input, long dimension = -1, double epsilon = 1e-12)
    {
        ArgumentNullException.ThrowIfNull(input);
        using TensorScope scope = new();
        Tensor norm = normalizeNormOp.Call(input, 2.0, new[] { dimension }, true);
        return scope.Keep(input / norm.Clamp(minimum: epsilon));
    }

    /// <summary>Ones at the classes, zeros elsewhere: [...] -> [..., classes], Int64.</summary>
    public static Tensor OneHot(Tensor labels, long classes) => oneHotOp.Call(labels, classes);
}
