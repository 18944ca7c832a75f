using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Tests;

/// <summary>The losses of training against plain formulas, their gradients against finite differences in Float64.</summary>
public sealed class LossTests
{
    private static Tensor Values(int seed, params long[] shape) => Tensor.From<double>(
        [.. Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(i => Math.Sin((seed * 7.1) + (i * 1.7)) * 1.5)], shape);

    private static void AssertGradients(Func<Tensor> loss, params Tensor[] inputs)
    {
        using GradientSet gradients = new(inputs);
        using (new TensorScope())
        using (GradientTape tape = new(gradients))
        {
            Tensor value = loss();
            tape.Backward(value, value.OnesLike() * 0.5);
        }
        foreach (Tensor input in inputs)
        {
            using TensorScope scope = new();
            Tensor along = Values(11, input.Shape);
            double At(double scale)
            {
                using TensorScope inner = new();
                input.AddInPlace(along, scale);
                return loss().ToDouble();
            }
            const double step = 1e-5;
            double numeric = (At(step) - At(-2 * step)) / (4 * step);
            input.AddInPlace(along, step);
            Assert.That((gradients[input]! * along).Sum().ToDouble(), Is.EqualTo(numeric).Within(1e-7 * (1 + Math.Abs(numeric))));
        }
    }

    private static double Smoothed(double[] row, int label, double smoothing)
    {
        double total = Math.Log(row.Sum(Math.Exp));
        return ((1 - smoothing) * (total - row[label])) + (smoothing * row.Average(v => total - v));
    }

    [Test]
    public void Rows_through_the_vocabulary_in_blocks([Values(0, 0.1)] double smoothing, [Values(1, 3, 100)] int block)
    {
        using TensorScope scope = new();
        (Tensor hidden, Tensor weight, Tensor bias) = (Values(1, 7, 5), Values(2, 11, 5), Values(3, 11));
        long[] labels = [3, 0, 10, 3, 7, 7, 1];
        Tensor Loss() => Differentiable.VocabularyLoss(hidden, weight, bias, Tensor.From<long>(labels), smoothing, block);
        double[] logits = (hidden.MatMul(weight.Transpose(0, 1)) + bias).ToArray<double>();
        double expected = labels.Select((label, i) => Smoothed(logits[(i * 11)..((i + 1) * 11)], (int)label, smoothing)).Sum();
        Assert.That(Loss().ToDouble(), Is.EqualTo(expected).Within(1e-10));
        AssertGradients(Loss, hidden, weight, bias);
        Assert.That(Differentiable.VocabularyLoss(hidden.Narrow(0, 0, 0), weight, bias, Tensor.From<long>([])).ToDouble(), Is.Zero);
    }

    [Test]
    public void Logits_with_labels([Values(0, 0.2)] double smoothing)
    {
        using TensorScope scope = new();
        Tensor logits = Values(1, 4, 3);
        long[] labels = [2, 0, 0, 1];
        Tensor Loss() => Differentiable.LabelLoss(logits, Tensor.From<long>(labels), smoothing);
        double[] values = logits.ToArray<double>();
        Assert.That(Loss().ToDouble(), Is.EqualTo(labels.Select((label, i) =>
            Smoothed(values[(i * 3)..((i + 1) * 3)], (int)label, smoothing)).Sum()).Within(1e-12));
        AssertGradients(Loss, logits);
        Assert.That(() => Differentiable.LabelLoss(logits, Tensor.From<long>(labels), 1),
            Throws.TypeOf<InputException>().With.Message.Contains("labelSmoothing"));
    }

    [Test]
    public void Any_of_several_positions()
    {
        using TensorScope scope = new();
        Tensor logits = Values(5, 9);
        long[] offsets = [0, 4, 7, 9];
        long[][] positions = [[1, 3, 1], [], [0]];
        Tensor Loss() => Differentiable.AnyPositionLoss(logits, offsets, positions);
        double[] v = logits.ToArray<double>();
        double expected = -Math.Log((Math.Exp(v[1]) + Math.Exp(v[3])) / v[..4].Sum(Math.Exp)) - Math.Log(Math.Exp(v[7]) / v[7..].Sum(Math.Exp));
        Assert.That(Loss().ToDouble(), Is.EqualTo(expected).Within(1e-12));
        AssertGradients(Loss, logits);
        Assert.That(() => Differentiable.AnyPositionLoss(logits, offsets, [[4], [], []]),
            Throws.TypeOf<InputException>().With.Message.EqualTo("positions[0]: expected 0..3, given 4"));
    }

    [Test]
    public void Half_precision_keeps_its_dtype()
    {
        using TensorScope scope = new();
        Tensor hidden = Values(1, 6, 4).To(DType.BFloat16), weight = Values(2, 9, 4).To(DType.BFloat16);
        using GradientSet gradients = new(hidden, weight);
        using GradientTape tape = new(gradients);
        Tensor loss = Differentiable.VocabularyLoss(hidden, weight, null, Tensor.From<long>([1, 2, 3, 4, 5, 6]), rowsPerBlock: 4);
        tape.Backward(loss);
        Assert.That(loss.DType, Is.EqualTo(DType.Float32));
        Assert.That(gradients[weight]!.DType, Is.EqualTo(DType.BFloat16));
        Assert.That(gradients[hidden]!.Shape, Is.EqualTo(new long[] { 6, 4 }));
    }
}
