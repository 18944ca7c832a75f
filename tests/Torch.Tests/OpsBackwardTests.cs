namespace LongformerInterop.Torch.Tests;

/// <summary>The gradients of the operators against differences, in Float64: each result lands under its name.</summary>
[TestFixture]
public class OpsBackwardTests : TensorTest
{
    private const int B = 2, T = 6, H = 2, D = 3, C = H * D;

    [Test]
    public void Of_banded_attention([Values] AttentionImplementation implementation)
    {
        Tensor query = Doubles(B, T, H, D), key = Doubles(B, T, H, D), value = Doubles(B, T, H, D), gradient = Doubles(B, T, H, D);
        BandedAttentionOptions options = new()
        {
            WindowLeft = 2, WindowRight = 1, GlobalIndex = Tensor.From([0L, 5], B, 1), Dropout = 0.2, Seed = 9, Scale = 0.7,
            Implementation = implementation,
        };
        (Tensor output, Tensor logSumExp) = LongformerOps.BandedAttention(query, key, value, options);
        (Tensor dq, Tensor dk, Tensor dv) = LongformerOps.BandedAttentionBackward(gradient, query, key, value, output, logSumExp, options);
        Tensor At(Tensor q, Tensor k, Tensor v) => LongformerOps.BandedAttention(q, k, v, options).Output;
        Check(dq, query, gradient, x => At(x, key, value));
        Check(dk, key, gradient, x => At(query, x, value));
        Check(dv, value, gradient, x => At(query, key, x));
    }

    [Test]
    public void Of_relative_banded_attention([Values] AttentionImplementation implementation)
    {
        Tensor query = Doubles(B, T, H, D), key = Doubles(B, T, H, D), value = Doubles(B, T, H, D), gradient = Doubles(B, T, H, D);
        // The second head's keys are up to two tokens to the right.
        RelativePositions relative = new(Doubles(T + 2, H, D), Doubles(H, D), Doubles(H, D), Zero: 2);
        BandedAttentionOptions options = new()
        {
            WindowLeft = 2, WindowRight = 1, Dilation = [1, 2], Dropout = 0.2, Seed = 9, Scale = 0.7, Implementation = implementation,
        };
        (Tensor output, Tensor logSumExp) = LongformerOps.RelativeBandedAttention(query, key, value, relative, options);
        RelativeAttentionGradients of =
            LongformerOps.RelativeBandedAttentionBackward(gradient, query, key, value, relative, output, logSumExp, options);
        Tensor At(Tensor q, Tensor k, Tensor v, RelativePositions r) => LongformerOps.RelativeBandedAttention(q, k, v, r, options).Output;
        Check(of.Query, query, gradient, x => At(x, key, value, relative));
        Check(of.Key, key, gradient, x => At(query, x, value, relative));
        Check(of.Value, value, gradient, x => At(query, key, x, relative));
        Check(of.Table, relative.Table, gradient, x => At(query, key, value, relative with { Table = x }));
        Check(of.ContentBias, relative.ContentBias!, gradient, x => At(query, key, value, relative with { ContentBias = x }));
        Check(of.PositionBias, relative.PositionBias!, gradient, x => At(query, key, value, relative with { PositionBias = x }));
    }

    [Test]
    public void Relative_positions_take_no_global_tokens()
    {
        Tensor x = Doubles(B, T, H, D);
        BandedAttentionOptions options = new() { WindowLeft = 1, WindowRight = 0, GlobalIndex = Tensor.From([0L, 5], B, 1) };
        Assert.That(() => LongformerOps.RelativeBandedAttention(x, x, x, new RelativePositions(Doubles(2, H, D)), options),
            Throws.TypeOf<InputException>().With.Message.Contains("GlobalIndex"));
    }

    [Test]
    public void Of_global_attention()
    {
        Tensor query = Doubles(B, 2, H, D), key = Doubles(B, T, H, D), value = Doubles(B, T, H, D), gradient = Doubles(B, 2, H, D);
        Tensor index = Tensor.From([0L, 3, 4, -1], B, 2);
        GlobalAttentionOptions options = new() { Scale = 0.6, Dropout = 0.2, Seed = 5 };
        (Tensor dq, Tensor dk, Tensor dv) = LongformerOps.GlobalAttentionBackward(gradient, query, key, value, index, options);
        Tensor At(Tensor q, Tensor k, Tensor v) => LongformerOps.GlobalAttention(q, k, v, index, options);
        Check(dq, query, gradient, x => At(x, key, value));
        Check(dk, key, gradient, x => At(query, x, value));
        Check(dv, value, gradient, x => At(query, key, x));
    }

    [Test]
    public void Of_folded_global_attention([Values] bool biased)
    {
        Tensor query = Doubles(B, 2, H, D), hidden = Doubles(B, T, C), kw = Doubles(C, C), vw = Doubles(C, C), gradient = Doubles(B, 2, H, D);
        Tensor? kb = biased ? Doubles(C) : null, vb = biased ? Doubles(C) : null;
        Tensor index = Tensor.From([0L, 3, 4, -1], B, 2);
        GlobalAttentionOptions options = new() { Dropout = 0.2, Seed = 5 };
        FoldedGlobalAttentionGradients d = LongformerOps.FoldedGlobalAttentionBackward(gradient, query, hidden, kw, kb, vw, vb, index, options);
        Check(d.Query, query, gradient, x => LongformerOps.FoldedGlobalAttention(x, hidden, kw, kb, vw, vb, index, options));
        Check(d.Hidden, hidden, gradient, x => LongformerOps.FoldedGlobalAttention(query, x, kw, kb, vw, vb, index, options));
        Check(d.KeyWeight, kw, gradient, x => LongformerOps.FoldedGlobalAttention(query, hidden, x, kb, vw, vb, index, options));
        Check(d.ValueWeight, vw, gradient, x => LongformerOps.FoldedGlobalAttention(query, hidden, kw, kb, x, vb, index, options));
        Assert.That((d.KeyBias is not null, d.ValueBias is not null), Is.EqualTo((biased, biased)));
        if (!biased)
            return;
        Check(d.KeyBias!, kb!, gradient, x => LongformerOps.FoldedGlobalAttention(query, hidden, kw, x, vw, vb, index, options));
        Check(d.ValueBias!, vb!, gradient, x => LongformerOps.FoldedGlobalAttention(query, hidden, kw, kb, vw, x, index, options));
    }

    [Test]
    public void Of_a_linear_layer_as_far_as_needed()
    {
        Tensor input = Doubles(2, 3, 4), weight = Doubles(5, 4), bias = Doubles(5), gradient = Doubles(2, 3, 5);
        (Tensor? x, Tensor? w, Tensor? b) = LongformerOps.LinearBackward(gradient, input, weight, true, true, true);
        Check(x!, input, gradient, t => LongformerOps.Linear(t, weight, bias));
        Check(w!, weight, gradient, t => LongformerOps.Linear(input, t, bias));
        Check(b!, bias, gradient, t => LongformerOps.Linear(input, weight, t));
        (x, w, b) = LongformerOps.LinearBackward(gradient, input, weight, false, true, false);
        Assert.That((x, b), Is.EqualTo(((Tensor?)null, (Tensor?)null)));
        Check(w!, weight, gradient, t => LongformerOps.Linear(input, t, bias));
    }

    [Test]
    public void Of_an_activation([Values] Activation activation)
    {
        Tensor input = Doubles(3, 5), gradient = Doubles(3, 5);
        Check(LongformerOps.ActivationBackward(gradient, input, activation), input, gradient, t => LongformerOps.Activate(t, activation));
    }

    [Test]
    public void Of_layer_normalization([Values] bool added)
    {
        Tensor input = Doubles(3, 5), weight = Doubles(5), bias = Doubles(5), gradient = Doubles(3, 5);
        Tensor? residual = added ? Doubles(3, 5) : null;
        (Tensor sum, Tensor w, Tensor b) = LongformerOps.AddLayerNormBackward(gradient, input, residual, weight, 1e-5);
        Check(sum, input, gradient, t => LongformerOps.AddLayerNorm(t, residual, weight, bias, 1e-5));
        Check(w, weight, gradient, t => LongformerOps.AddLayerNorm(input, residual, t, bias, 1e-5));
        Check(b, bias, gradient, t => LongformerOps.AddLayerNorm(input, residual, weight, t, 1e-5));
    }

    [Test]
    public void Of_an_embedding([Values] bool typed)
    {
        Tensor table = Doubles(7, 4), places = Doubles(5, 4), weight = Doubles(4), bias = Doubles(4), gradient = Doubles(6, 4), kinds = Doubles(2, 4);
        Tensor wordIds = Tensor.From([6L, 0, 3, 3, 2, 5]), positionIds = Tensor.From([0L, 4, 2, 2, 3, 0]), typeIds = Tensor.From([0L, 1, 1, 0, 0, 1]);
        Tensor Run(Tensor? t = null, Tensor? p = null, Tensor? k = null, Tensor? w = null, Tensor? b = null) =>
            LongformerOps.Embed(new(t ?? table, wordIds), new(p ?? places, positionIds), typed ? new(k ?? kinds, typeIds) : null, w ?? weight,
                b ?? bias, 1e-5, 1.5);
        EmbedGradients d = LongformerOps.EmbedBackward(gradient, new(table, wordIds), new(places, positionIds),
            typed ? new(kinds, typeIds) : null, weight, bias,
            1e-5, 1.5);
        Check(d.Words!, table, gradient, x => Run(t: x));
        Check(d.Positions, places, gradient, x => Run(p: x));
        Check(d.Weight, weight, gradient, x => Run(w: x));
        Check(d.Bias, bias, gradient, x => Run(b: x));
        Assert.That(d.Types is not null, Is.EqualTo(typed));
        if (typed)
            Check(d.Types!, kinds, gradient, x => Run(k: x));
        EmbedGradients padded = LongformerOps.EmbedBackward(gradient, new(table, wordIds, 3), new(places, positionIds, 2), null, weight, bias, 1e-5);
        Assert.That(padded.Words!.Select(0, 3).ToArray<double>(), Has.All.Zero);
        Assert.That(padded.Positions.Select(0, 2).ToArray<double>(), Has.All.Zero);
        Assert.That(padded.Words.Select(0, 6).Abs().Max().Item<double>(), Is.GreaterThan(0));
        Tensor sum = table.Clone();
        EmbedGradients added = LongformerOps.EmbedBackward(gradient, new(table, wordIds, 3), new(places, positionIds, 2), null, weight, bias, 1e-5,
            toWords: sum);
        Assert.That(added.Words, Is.Null);
        Assert.That((sum - (table + padded.Words)).Abs().Max().Item<double>(), Is.LessThan(1e-12));
    }

    private Tensor Doubles(params long[] shape) => Randn(shape).To(DType.Float64);

    private static void Check(Tensor actual, Tensor at, Tensor gradient, Func<Tensor, Tensor> function)
    {
        const double Step = 1e-5;
        Assert.That(actual.Shape, Is.EqualTo(at.Shape));
        double[] given = actual.ToArray<double>(), values = at.ToArray<double>();
        for (int i = 0; i < values.Length; i++)
        {
            using TensorScope scope = new();
            double Moved(double step)
            {
                double[] moved = [.. values];
                moved[i] += step;
                return (function(Tensor.From<double>(moved, at.Shape)) * gradient).Sum().Item<double>();
            }
            Assert.That(given[i], Is.EqualTo((Moved(Step) - Moved(-Step)) / (2 * Step)).Within(1e-6), $"element {i}");
        }
    }
}
