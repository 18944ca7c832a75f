namespace LongformerInterop.Torch.Tests;

/// <summary>Functions and losses, and their gradients against differences.</summary>
[TestFixture]
public class FunctionalTests : TensorTest
{
    [Test]
    public void Functions_are_computed()
    {
        Tensor x = Tensor.From([1f, 2f, 3f, 4f], 2, 2);
        Assert.That(Functional.Embedding(Tensor.From([1L, 0], 1, 2), x).ToArray<float>(), Is.EqualTo(new[] { 3f, 4, 1, 2 }));
        IsClose(Functional.Normalize(Tensor.From([3f, 4f, 0f, 0f], 2, 2)), Tensor.From([0.6f, 0.8f, 0, 0], 2, 2));
    }

    [Test]
    public void Losses_are_computed()
    {
        float ln2 = MathF.Log(2);
        Tensor logits = Tensor.Zeros([3, 2]);
        Expect(Functional.CrossEntropy(logits, Tensor.From([0L, 1, -100])), ln2);
        Expect(Functional.CrossEntropy(logits, Tensor.From([0L, 1, 7]), ignoreIndex: 7, reduction: Reduction.Sum), 2 * ln2);
        Expect(Functional.CrossEntropy(logits, Tensor.From([0L, 1, -100]), reduction: Reduction.None), ln2, ln2, 0);
        Expect(Functional.CrossEntropy(Tensor.From([10f, -10f], 1, 2), Tensor.From([0L]), labelSmoothing: 0.5), 5);
        Assert.That(Functional.CrossEntropy(logits, Tensor.Full([3], -100, DType.Int64)).Item<float>(), Is.NaN);
        Expect(Functional.BinaryCrossEntropyWithLogits(Tensor.Zeros([2]), Tensor.From([0f, 1f])), ln2);
        Expect(Functional.MseLoss(Tensor.From([1f, 3f]), Tensor.From([0f, 0f])), 5);
        Expect(Functional.MseLoss(Tensor.From([1f, 3f]), Tensor.From([0f, 0f]), Reduction.Sum), 10);

        static void Expect(Tensor actual, params float[] expected) => Assert.That(actual.ToArray<float>(), Is.EqualTo(expected).Within(1e-5));
    }

    [Test]
    public void A_step_of_AdamW_is_computed_in_place()
    {
        Tensor parameter = Tensor.From([1f, -2f]), mean = Tensor.Zeros([2]), square = Tensor.Zeros([2]);
        Functional.FusedAdamW([parameter], [Tensor.From([0.5f, 4f])], [mean], [square], [Tensor.From(1f)], 0.1, 0.9, 0.99, 0.2, 1e-8);
        // At the first step the corrected mean over the root of the corrected square is the gradient's sign.
        IsClose(parameter, Tensor.From([1f * (1 - 0.1f * 0.2f) - 0.1f, -2f * (1 - 0.1f * 0.2f) - 0.1f]), 1e-5, 1e-6);
        IsClose(mean, Tensor.From([0.05f, 0.4f]), 1e-5, 1e-6);
        IsClose(square, Tensor.From([0.0025f, 0.16f]), 1e-5, 1e-6);
    }

    [Test]
    public void A_loss_and_its_gradient_at_once_are_those_of_each_alone()
    {
        foreach (double smoothing in (double[])[0, 0.3])
        {
            Tensor logits = Doubles(4, 5), labels = Tensor.From([2L, 0, 4, 1]);
            (Tensor loss, Tensor gradient) = Functional.CrossEntropyAndGradient(logits, labels, smoothing);
            IsClose(loss, Functional.CrossEntropy(logits, labels, reduction: Reduction.Sum, labelSmoothing: smoothing));
            Tensor expected = logits.Softmax(-1) - smoothing / 5;
            for (int row = 0; row < 4; row++)
            {
                long label = labels.ToArray<long>()[row];
                for (int column = 0; column < 5; column++)
                {
                    double one = expected.ToArray<double>()[row * 5 + column] - (column == label ? 1 - smoothing : 0);
                    Assert.That(gradient.ToArray<double>()[row * 5 + column], Is.EqualTo(one).Within(1e-9));
                }
            }
        }
    }

    [Test]
    public void The_norm_is_over_all_elements() => Assert.That(Functional.Norm(Tensor.From([3f, 0, 0, 4], 2, 2)), Is.EqualTo(5).Within(1e-6));

    [Test]
    public void The_gradient_of_cross_entropy_is_its_derivative()
    {
        Tensor logits = Doubles(4, 3), labels = Tensor.From([2L, 0, -100, 1]);
        Check(logits, Tensor.From(0.7), x => Functional.CrossEntropy(x, labels), g => Functional.CrossEntropyBackward(g, logits, labels));
        Check(logits, Tensor.From(0.7), x => Functional.CrossEntropy(x, labels, reduction: Reduction.Sum),
            g => Functional.CrossEntropyBackward(g, logits, labels, reduction: Reduction.Sum));
        Check(logits, Doubles(4), x => Functional.CrossEntropy(x, labels, reduction: Reduction.None),
            g => Functional.CrossEntropyBackward(g, logits, labels, reduction: Reduction.None));
    }

    [Test]
    public void The_gradients_of_the_other_losses_are_their_derivatives()
    {
        Tensor logits = Doubles(4, 3), targets = Doubles(4, 3).Sigmoid();
        foreach (Reduction reduction in Enum.GetValues<Reduction>())
        {
            Tensor gradient = reduction == Reduction.None ? Doubles(4, 3) : Tensor.From(0.7);
            Check(logits, gradient, x => Functional.BinaryCrossEntropyWithLogits(x, targets, reduction),
                g => Functional.BinaryCrossEntropyWithLogitsBackward(g, logits, targets, reduction));
            Check(logits, gradient, x => Functional.MseLoss(x, targets, reduction), g => Functional.MseLossBackward(g, logits, targets, reduction));
        }
    }

    [Test]
    public void The_gradient_of_an_embedding_adds_up_rows_and_leaves_the_padding_out()
    {
        Tensor ids = Tensor.From([2L, 0, 2, 1], 2, 2), gradient = Tensor.Arange(8).To(DType.Float32).View(2, 2, 2);
        Assert.That(Functional.EmbeddingBackward(gradient, ids, 4).ToArray<float>(), Is.EqualTo(new float[] { 2, 3, 6, 7, 4, 6, 0, 0 }));
        Assert.That(Functional.EmbeddingBackward(gradient, ids, 4, paddingIndex: 1).ToArray<float>(),
            Is.EqualTo(new float[] { 2, 3, 0, 0, 4, 6, 0, 0 }));
    }

    private Tensor Doubles(params long[] shape) => Randn(shape).To(DType.Float64);

    // The function's change along each element of x, weighted with the gradient of what it gives.
    private static void Check(Tensor x, Tensor gradient, Func<Tensor, Tensor> function, Func<Tensor, Tensor> backward)
    {
        const double Step = 1e-5;
        double[] values = x.ToArray<double>(), actual = backward(gradient).ToArray<double>();
        for (int i = 0; i < values.Length; i++)
        {
            double At(double step)
            {
                double[] moved = [.. values];
                moved[i] += step;
                return (function(Tensor.From<double>(moved, x.Shape)) * gradient).Sum().Item<double>();
            }
            Assert.That(actual[i], Is.EqualTo((At(Step) - At(-Step)) / (2 * Step)).Within(1e-7), $"element {i}");
        }
    }
}
