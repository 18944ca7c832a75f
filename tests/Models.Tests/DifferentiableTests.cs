using LongformerInterop.Models.Coreference;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Every differentiable operator against finite differences in Float64.</summary>
public sealed class DifferentiableTests
{
    private TensorScope _scope = null!;
    private Random _random = null!;

    [SetUp]
    public void Begin() => (_scope, _random) = (new TensorScope(), new Random(5));

    [TearDown]
    public void End() => _scope.Dispose();

    private Tensor Normal(params ReadOnlySpan<long> shape)
    {
        double[] values = new double[shape.ToArray().Aggregate(1L, (product, size) => product * size)];
        for (int i = 0; i < values.Length; i++)
            values[i] = Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble());
        return Tensor.From<double>(values, values.Length).View(shape);
    }

    private static Tensor Ids(params ReadOnlySpan<long> ids) => Tensor.From<long>(ids, ids.Length);

    /// <summary>
    /// The gradients of the sum of the outputs, each times a random number, along random directions: analytic against the difference quotient of
    /// the same operator.
    /// </summary>
    private void AssertGradients(Func<Tensor[], Tensor> of, params Tensor[] inputs)
    {
        using GradientSet gradients = new(inputs);
        using GradientTape tape = new(gradients);
        Tensor output = of(inputs), weights = Normal(output.Shape);
        Tensor plain;
        tape.Backward(output, weights);
        plain = of(inputs);
        Assert.That((plain - output).Abs().Max().ToDouble(), Is.LessThan(1e-12), "the recorded operator gives what the plain one gives");
        const double step = 1e-5;
        for (int i = 0; i < inputs.Length; i++)
        {
            Assert.That(gradients[inputs[i]]!.Shape, Is.EqualTo(inputs[i].Shape), $"input {i}");
            for (int direction = 0; direction < 4; direction++)
            {
                Tensor along = Normal(inputs[i].Shape);
                double At(double sign) =>
                    (of([.. inputs.Select((input, j) => j == i ? input + (along * (sign * step)) : input)]) * weights).Sum().ToDouble();
                double numeric = (At(1) - At(-1)) / (2 * step), analytic = (gradients[inputs[i]]! * along).Sum().ToDouble();
                Assert.That(analytic, Is.EqualTo(numeric).Within(1e-6 * (1 + Math.Abs(numeric))), $"input {i}, direction {direction}");
            }
        }
    }

    [Test]
    public void Sums_scalings_and_shapes()
    {
        AssertGradients(x => Differentiable.Add(x[0], x[1]), Normal(3, 4), Normal(3, 4));
        AssertGradients(x => Differentiable.Add(x[0], Differentiable.Scale(x[0], 3)), Normal(3, 4));
        AssertGradients(x => Differentiable.Add(x[0], x[0]), Normal(3, 4));
        AssertGradients(x => Differentiable.Reshape(x[0], 2, -1), Normal(3, 4));
        AssertGradients(x => Differentiable.Reshape(Differentiable.Narrow(x[0], 1, 1, 2), 6), Normal(3, 4));
        AssertGradients(x => Differentiable.Add(Differentiable.Narrow(x[0], 0, 0, 2), Differentiable.Narrow(x[0], 0, 1, 2)), Normal(3, 4));
        AssertGradients(x => Differentiable.Dropout(x[0], 0.4, 17), Normal(6, 7));
    }

    [Test]
    public void Rows_chosen_and_replaced()
    {
        AssertGradients(x => Differentiable.SelectRows(x[0], Ids(2, 0, 2, 1)), Normal(4, 3));
        AssertGradients(x => Differentiable.SelectRows(x[0], Ids(2, 0, 2), Tensor.From<bool>([false, true, false])), Normal(4, 3, 2));
        foreach (bool overwrites in new[] { false, true })
        {
            AssertGradients(x => Differentiable.ReplaceRows(Differentiable.Scale(x[0], 1), Ids(3, 1), x[1], overwrites), Normal(4, 3), Normal(2, 3));
            // The gradient that comes back is shared with another term: it must not be changed for both.
            AssertGradients(x => Differentiable.Add(x[0], Differentiable.ReplaceRows(Differentiable.Scale(x[0], 1), Ids(3, 1), x[1], overwrites)),
                Normal(4, 3), Normal(2, 3));
        }
        // Rows are added to a gradient that exists.
        AssertGradients(x => Differentiable.Add(Differentiable.Linear(Differentiable.SelectRows(x[0], Ids(2, 0, 2, 1)), x[1]),
            Differentiable.Linear(x[0], x[1])), Normal(4, 3), Normal(2, 3));
    }

    [Test]
    public void A_conversion_gives_its_gradient_back_in_the_dtype_of_its_input()
    {
        Tensor input = Normal(5), weights = Normal(5).To(DType.Float32);
        using GradientSet gradients = new(input);
        using GradientTape tape = new(gradients);
        Tensor output = Differentiable.To(input, Device.Cpu, DType.Float32);
        tape.Backward(output, weights);
        Assert.That(gradients[input]!.DType, Is.EqualTo(DType.Float64));
        Assert.That(gradients[input]!.ToArray<double>(), Is.EqualTo(weights.To(DType.Float64).ToArray<double>()));
    }

    [Test]
    public void Products_and_activations([Values] Activation activation, [Values] bool bias)
    {
        Func<Tensor[], Tensor> linear = x => Differentiable.Linear(
            x[0], x[1], bias ? x[2] : null, activation: activation == Activation.Silu ? Activation.None : activation);
        AssertGradients(linear, bias ? [Normal(2, 3, 5), Normal(4, 5), Normal(4)] : [Normal(2, 3, 5), Normal(4, 5)]);
        AssertGradients(x => Differentiable.Activate(x[0], activation), Normal(7, 5));
        Func<Tensor[], Tensor> activated = x => Differentiable.ActivatedLinear(x[0], activation, x[1], bias ? x[2] : null);
        AssertGradients(activated, bias ? [Normal(2, 3, 5), Normal(4, 5), Normal(4)] : [Normal(2, 3, 5), Normal(4, 5)]);
        // The weight's gradient gathers from two products, the second of few rows, for which it waits.
        AssertGradients(x => Differentiable.Linear(Differentiable.ActivatedLinear(x[0], activation, x[1]), x[1]), Normal(1, 4), Normal(4, 4));
        AssertGradients(x => Differentiable.Add(Differentiable.SelectRows(Differentiable.ActivatedLinear(x[0], activation, x[1]), Ids(1)),
            Differentiable.Linear(x[2], x[1])), Normal(9, 5), Normal(4, 5), Normal(1, 5));
        // A weight that was made itself waits for nobody.
        AssertGradients(x => Differentiable.Linear(x[0], Differentiable.Scale(x[1], 2)), Normal(1, 5), Normal(4, 5));
    }

    /// <summary>With fewer rows than columns the weight's gradient is made at the end.</summary>
    [Test]
    public void The_loss_of_a_vocabulary([Values(3, 9)] int rows, [Values(0.0, 0.2)] double smoothing, [Values] bool bias)
    {
        Tensor labels = Ids([.. Enumerable.Range(0, rows).Select(i => (long)(i * 5 % 7))]);
        Func<Tensor[], Tensor> loss = x => Differentiable.VocabularyLoss(x[0], x[1], bias ? x[2] : null, labels, smoothing, rowsPerBlock: 2);
        AssertGradients(loss, bias ? [Normal(rows, 6), Normal(7, 6), Normal(7)] : [Normal(rows, 6), Normal(7, 6)]);
        // Rows that come of the weight itself, as of tied embeddings.
        AssertGradients(x => loss([Differentiable.SelectRows(x[0], labels), .. x]), bias ? [Normal(7, 6), Normal(7)] : [Normal(7, 6)]);
    }

    [Test]
    public void Normalization_over_its_input([Values(0.0, 0.4)] double dropout) =>
        AssertGradients(x => Differentiable.DropoutAddLayerNormOver(Differentiable.Scale(x[0], 1), x[3], x[1], x[2], 1e-5, dropout, 7),
            Normal(4, 6), Normal(6), Normal(6), Normal(4, 6));

    [Test]
    public void Normalization([Values] bool residual) =>
        AssertGradients(x => Differentiable.AddLayerNorm(x[0], residual ? x[3] : null, x[1], x[2], 1e-5),
            residual ? [Normal(4, 6), Normal(6), Normal(6), Normal(4, 6)] : [Normal(4, 6), Normal(6), Normal(6)]);

    [Test]
    public void Embeddings([Values] bool ids, [Values] bool types)
    {
        Tensor words = ids ? Normal(9, 6) : Normal(5, 6);
        AssertGradients(
            x => Differentiable.Embed(new(x[0], ids ? Ids(2, 0, 8, 2, 3) : null), new(x[1], Ids(1, 2, 3, 1, 2)),
                types ? new(x[4], Ids(0, 1, 1, 0, 0)) : null, x[2], x[3], 1e-5, 1.7),
            types ? [words, Normal(4, 6), Normal(6), Normal(6), Normal(2, 6)] : [words, Normal(4, 6), Normal(6), Normal(6)]);
        AssertGradients(x => Differentiable.Embedding(Ids(2, 0, 8, 2, 3).View(5, 1), x[0], 4), Normal(9, 6));
    }

    [Test]
    public void A_padding_row_gets_no_gradient()
    {
        Tensor table = Normal(4, 6), positions = Normal(5, 6), weight = Normal(6), bias = Normal(6);
        using GradientSet gradients = new(table, positions);
        using GradientTape tape = new(gradients);
        Tensor embedded = Differentiable.Embed(new(table, Ids(0, 1, 2), 1), new(positions, Ids(1, 1, 3), 1), null, weight, bias, 1e-5);
        Tensor output = Differentiable.Add(embedded, Differentiable.Embedding(Ids(1, 2, 3), table, 1));
        tape.Backward(output, Normal(3, 6));
        double[] Sums(Tensor of) => gradients[of]!.Abs().Sum(1).ToArray<double>();
        Assert.That(Sums(table).Select(sum => sum > 0), Is.EqualTo((bool[])[true, false, true, true]));
        Assert.That(Sums(positions).Select(sum => sum > 0), Is.EqualTo((bool[])[false, false, false, true, false]));
    }

    [Test]
    public void Windows_of_every_kind([Values] AttentionImplementation implementation, [Values(0, 0.3)] double dropout)
    {
        Tensor Attend(Tensor[] x, BandedAttentionOptions options) =>
            Differentiable.BandedAttention(x[0], x[1], x[2], options with { Dropout = dropout, Seed = 23, Implementation = implementation });
        Tensor[] Inputs(params ReadOnlySpan<long> shape) => [Normal(shape), Normal(shape), Normal(shape)];
        BandedAttentionOptions window = new() { WindowLeft = 2, WindowRight = 3 };
        AssertGradients(x => Attend(x, window), Inputs(2, 9, 2, 4));
        AssertGradients(x => Attend(x, window with
        {
            Dilation = [1, 2], Mask = Tensor.From<byte>([.. Enumerable.Range(0, 18).Select(i => (byte)(i % 7 == 5 ? 0 : 1))], 2, 9),
            GlobalIndex = Tensor.From<long>([0, 4, 3, -1], 2, 2),
        }), Inputs(2, 9, 2, 4));
        AssertGradients(x => Attend(x, window with { SequenceOffsets = [0, 4, 11], GlobalIndex = Tensor.From<long>([0, 6], 2, 1) }),
            Inputs(11, 2, 4));
    }

    [Test]
    public void Global_tokens([Values] bool packed, [Values(0, 0.3)] double dropout)
    {
        GlobalAttentionOptions options = new()
        {
            SequenceOffsets = packed ? [0, 4, 11] : null, Dropout = dropout, Seed = 29,
            Mask = packed ? null : Tensor.From<byte>([1, 1, 1, 1, 1, 0, 1, 1, 1, 0], 2, 5),
        };
        Tensor index = Tensor.From<long>([0, 3, 2, -1], 2, 2);
        long[] tokens = packed ? [11] : [2, 5];
        AssertGradients(x => Differentiable.GlobalAttention(x[0], x[1], x[2], index, options), Normal(2, 2, 3, 4), Normal([.. tokens, 3, 4]),
            Normal([.. tokens, 3, 4]));
        AssertGradients(x => Differentiable.FoldedGlobalAttention(x[0], x[1], x[2], x[3], x[4], x[5], index, options),
            Normal(2, 2, 3, 4), Normal([.. tokens, 6]), Normal(12, 6), Normal(12), Normal(12, 6), Normal(12));
        AssertGradients(x => Differentiable.FoldedGlobalAttention(x[0], x[1], x[2], null, x[3], null, index, options),
            Normal(2, 2, 3, 4), Normal([.. tokens, 6]), Normal(12, 6), Normal(12, 6));
    }

    [Test]
    public void Dense_attention([Values(0, 0.3)] double dropout)
    {
        Tensor causal = Tensor.From<byte>([0, 1, 1, 0, 0, 1, 0, 0, 0], 1, 1, 3, 3).To(DType.Bool);
        // A query that sees nothing takes the mean of all values.
        Tensor first = Tensor.From<byte>([0, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0], 1, 1, 3, 4).To(DType.Bool);
        DenseAttentionOptions Options(params DenseAttentionPart[] parts) => new() { Parts = parts, Scale = 0.7, Dropout = dropout };
        AssertGradients(x => Differentiable.DenseAttention(x[0], x[1], x[2], Options(new DenseAttentionPart(2, 0, 3, 0, 3, causal, 31))),
            Normal(6, 2, 4), Normal(6, 2, 4), Normal(6, 2, 4));
        // Two rows that read one document, and one of another.
        AssertGradients(
            x => Differentiable.DenseAttention(x[0], x[1], x[2],
                Options(new(1, 0, 3, 0, 4, first, 31), new(1, 3, 3, 0, 4, null, 32), new(1, 6, 3, 4, 2, null, 33))),
            Normal(9, 2, 4), Normal(6, 2, 4), Normal(6, 2, 4));
    }

    [Test]
    public void Fused_dense_attention([Values(0, 0.3)] double dropout)
    {
        // Three sequences of two lengths; of the keys of the second some are hidden.
        Tensor second = Tensor.From<byte>([0, 1, 0, 0, 1], 1, 1, 1, 5).To(DType.Bool);
        DenseAttentionPart[] parts = [new(1, 0, 3, 0, 4, null, 31), new(1, 3, 70, 4, 5, second, 32), new(2, 73, 1, 9, 2, null, 33)];
        DenseAttentionOptions options = new() { Parts = parts, Scale = 0.7, Dropout = dropout };
        Tensor query = Normal(75, 2, 4), key = Normal(13, 2, 4), value = Normal(13, 2, 4);
        Assert.That(options.Fused(query, key), Is.Not.Null);
        AssertGradients(x => Differentiable.DenseAttention(x[0], x[1], x[2], options), query, key, value);
        if (dropout > 0)
            return;
        Tensor fused = Differentiable.DenseAttention(query, key, value, options),
            byParts = Differentiable.DenseAttention(query, key, value, options with { Probabilities = _ => { } });
        Assert.That(Functional.Norm(fused - byParts), Is.LessThan(1e-12));
        // What cannot be fused: a query without keys, keys of two sequences at once.
        Tensor all = Tensor.Ones([1, 1, 1, 5], DType.Bool, query.Device);
        Assert.That((options with { Parts = [parts[0], parts[1] with { Hidden = all }, parts[2]] }).Fused(query, key), Is.Null);
        Assert.That((options with { Parts = [parts[0], parts[1] with { KeyFrom = 0 }, parts[2]] }).Fused(query, key), Is.Null);
    }

    [Test]
    public void Dense_attention_over_many_keys([Values] bool fused)
    {
        // Fused, and by libtorch's products: a mask of each query's own has no other way.
        Tensor hidden = Tensor.Arange(4200).View(1, 1, 1, 4200).Gt(Tensor.From(4000L));
        if (!fused)
            hidden = hidden.Expand(1, 1, 512, 4200);
        DenseAttentionOptions options = new() { Parts = [new(1, 0, 512, 0, 4200, hidden, 31)], Scale = 0.7 };
        Tensor query = Normal(512, 3, 2), key = Normal(4200, 3, 2), value = Normal(4200, 3, 2);
        AssertGradients(x => Differentiable.DenseAttention(x[0], x[1], x[2], options), query, key, value);
        Tensor all = Differentiable.DenseAttention(query, key, value, options);
        // Whoever looks at the probabilities is given all heads together.
        List<long[]> shapes = [];
        Tensor together = Differentiable.DenseAttention(query, key, value, options with { Probabilities = p => shapes.Add(p.Shape) });
        Assert.That(Functional.Norm(all - together), Is.LessThan(1e-12));
        Assert.That(shapes, Is.EqualTo(new[] { new long[] { 1, 3, 512, 4200 } }));
        for (int head = 0; head < 3; head++)
        {
            Tensor one = Differentiable.DenseAttention(query.Narrow(1, head, 1), key.Narrow(1, head, 1), value.Narrow(1, head, 1), options);
            Assert.That(Functional.Norm(all.Narrow(1, head, 1) - one), Is.LessThan(1e-12));
        }
    }

    [Test]
    public void Losses_of_classes([Values(Reduction.Mean, Reduction.Sum)] Reduction reduction) =>
        AssertGradients(x => Differentiable.CrossEntropy(x[0], Ids(2, -100, 0, 4), -100, reduction), Normal(4, 5));

    [Test]
    public void Losses_of_values_and_positions()
    {
        Tensor targets = Normal(3, 4);
        AssertGradients(x => Differentiable.BinaryCrossEntropyWithLogits(x[0], targets.Sigmoid()), Normal(3, 4));
        AssertGradients(x => Differentiable.MeanSquaredError(x[0], targets), Normal(3, 4));
        AssertGradients(x => Differentiable.SpanLoss(x[0], [0, 4, 6, 11], [3, -1, 0]), Normal(11));
    }

    [Test]
    public void Products_gates_and_softmaxes()
    {
        AssertGradients(x => Differentiable.Multiply(x[0], x[1]), Normal(3, 4), Normal(3, 4));
        AssertGradients(x => Differentiable.Multiply(x[0], x[0]), Normal(3, 4));
        AssertGradients(x => Differentiable.MatMul(x[0], x[1]), Normal(3, 4), Normal(4, 5));
        AssertGradients(x => Differentiable.Sigmoid(x[0]), Normal(3, 4));
        AssertGradients(x => Differentiable.Softmax(x[0]), Normal(3, 4));
        Tensor constant = Normal(3, 2);
        AssertGradients(x => Differentiable.Concatenate([x[0], constant, x[1], x[0]], 1), Normal(3, 4), Normal(3, 1));
        AssertGradients(x => Differentiable.Concatenate([x[0], x[1]], 0), Normal(3, 4), Normal(1, 4));
        AssertGradients(x => Differentiable.ScatterRows(x[0], Ids(4, 0, 4), 6), Normal(3, 4));
        // A part of a weight, as a scorer of several inputs uses it.
        AssertGradients(x => Differentiable.Add(Differentiable.Linear(x[0], Differentiable.Narrow(x[1], 1, 2, 4)),
            Differentiable.Linear(x[0], Differentiable.Narrow(x[1], 1, 0, 4))), Normal(3, 4), Normal(5, 6));
        Assert.That(() => Differentiable.Multiply(Normal(3, 4), Normal(4)), Throws.TypeOf<InputException>().With.Message.Contains("[3, 4]"));
    }

    [Test]
    public void Attention_inside_of_spans()
    {
        MentionSpan[] spans = [new(0, 0), new(0, 3), new(2, 8), new(8, 8), new(5, 6)];
        AssertGradients(x => Differentiable.SpanAttention(x[0], x[1], spans), Normal(9), Normal(9, 3));
        MentionSpan[] many = [.. Enumerable.Range(0, 600).Select(i => new MentionSpan(i / 2, Math.Min((i / 2) + (i % 7), 299)))];
        AssertGradients(x => Differentiable.SpanAttention(x[0], x[1], many), Normal(300), Normal(300, 2));
        Tensor one = Differentiable.SpanAttention(Normal(9), Tensor.Ones([9, 3], DType.Float64), spans);
        Assert.That((one - one.OnesLike()).Abs().Max().ToDouble(), Is.LessThan(1e-12), "the weights of a span add up to 1");
    }

    [Test]
    public void A_loss_with_several_right_answers()
    {
        Tensor right = Tensor.From<byte>([1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 1], 3, 4).To(DType.Bool);
        AssertGradients(x => Differentiable.MarkedLoss(x[0], right), Normal(3, 4));
        // What cannot be takes no part.
        Tensor absent = Tensor.From<double>([0, double.NegativeInfinity, 0, 0, 0, 0, 0, double.NegativeInfinity, 0, 0, 0, 0], 3, 4);
        AssertGradients(x => Differentiable.MarkedLoss(Differentiable.Add(x[0], absent), right), Normal(3, 4));
        Tensor all = Tensor.Ones([2, 3], DType.Bool);
        Assert.That(Differentiable.MarkedLoss(Normal(2, 3), all).ToDouble(), Is.EqualTo(0).Within(1e-12));
    }

    [Test]
    public void A_pause_records_nothing()
    {
        Tensor input = Normal(3);
        using GradientSet gradients = new(input);
        using GradientTape tape = new(gradients);
        using (GradientTape.Pause())
            Differentiable.Scale(input, 2);
        Assert.That(tape.Count, Is.Zero);
        tape.Backward(Differentiable.Scale(input, 3), Normal(3).OnesLike());
        Assert.That(gradients[input]!.ToArray<double>(), Is.EqualTo(new double[] { 3, 3, 3 }));
    }

    [Test]
    public void A_loss_of_nothing_is_no_number_and_moves_nothing()
    {
        Tensor logits = Normal(3, 4), scores = Normal(5);
        using GradientSet gradients = new(logits, scores);
        using GradientTape tape = new(gradients);
        Tensor loss = Differentiable.Add(Differentiable.CrossEntropy(logits, Ids(-100, -100, -100)), Differentiable.SpanLoss(scores, [0, 5], [-1]));
        Assert.That(loss.ToDouble(), Is.NaN);
        tape.Backward(loss);
        Assert.That(gradients[logits]!.Abs().Sum().ToDouble() + gradients[scores]!.Abs().Sum().ToDouble(), Is.Zero);
    }
}
