namespace LongformerInterop.Torch.Tests;

/// <summary>
/// The typed calls of the project's own operators: each option arrives under its name. That the operators compute the right thing
/// is the business of their own tests; here a few lines of C# say what is expected.
/// </summary>
[TestFixture]
public class LongformerOpsTests : TensorTest
{
    private const int B = 2, T = 7, H = 2, D = 4;

    private (Tensor Query, Tensor Key, Tensor Value) Inputs() => (Randn(B, T, H, D), Randn(B, T, H, D), Randn(B, T, H, D));

    [Test]
    public void Banded_attention_takes_every_option([Values] AttentionImplementation implementation)
    {
        (Tensor query, Tensor key, Tensor value) = Inputs();
        bool[] visible = new bool[B * T];
        for (int i = 0; i < visible.Length; i++)
            visible[i] = i % 5 != 4;
        long[] global = [1, -1, 0, 6];
        BandedAttentionOptions options = new()
        {
            WindowLeft = 2,
            WindowRight = 1,
            Dilation = [1, 2],
            Mask = Tensor.From(visible, B, T),
            GlobalIndex = Tensor.From(global, B, 2),
            Scale = 0.3,
            Implementation = implementation,
        };
        (Tensor output, Tensor logSumExp) = LongformerOps.BandedAttention(query, key, value, options);
        float[] expected = Expected(query.ToArray<float>(), key.ToArray<float>(), value.ToArray<float>(), options, visible, global);
        Assert.That(output.ToArray<float>(), Is.EqualTo(expected).Within(1e-5));
        Assert.That(logSumExp.Shape, Is.EqualTo(new long[] { B, T, H }));
        Assert.That(logSumExp.DType, Is.EqualTo(DType.Float32));
    }

    [Test]
    public void Packed_sequences_equal_single_ones()
    {
        (Tensor query, Tensor key, Tensor value) = Inputs();
        BandedAttentionOptions options = new() { WindowLeft = 1, WindowRight = 1, Implementation = AttentionImplementation.Loop };
        Tensor whole = LongformerOps.BandedAttention(query.View(B * T, H, D), key.View(B * T, H, D), value.View(B * T, H, D),
            options with { SequenceOffsets = [0, T, 2 * T] }).Output;
        Tensor batch = LongformerOps.BandedAttention(query, key, value, options).Output;
        IsClose(whole.View(B, T, H, D), batch);
    }

    [Test]
    public void Probabilities_add_up_to_one()
    {
        (Tensor query, Tensor key, _) = Inputs();
        BandedAttentionOptions options = new() { WindowLeft = 2, WindowRight = 1, GlobalIndex = Tensor.From([0L, 6L], B, 1) };
        Tensor banded = LongformerOps.BandedAttentionProbabilities(query, key, options);
        Assert.That(banded.Shape, Is.EqualTo(new long[] { B, T, H, 1 + 2 + 1 + 1 }));
        Assert.That(banded.Sum(-1).ToArray<float>(), Has.All.EqualTo(1f).Within(1e-5));
        Tensor global = LongformerOps.GlobalAttentionProbabilities(query.Slice(1, 0, 1), key, options.GlobalIndex!);
        Assert.That(global.Shape, Is.EqualTo(new long[] { B, 1, H, T }));
        Assert.That(global.Sum(-1).ToArray<float>(), Has.All.EqualTo(1f).Within(1e-5));
    }

    [Test]
    public void Folded_global_attention_equals_the_projected_one()
    {
        const int C = H * D;
        Tensor hidden = Randn(B, T, C), index = Tensor.From([0L, 3, 5, -1], B, 2), globalQuery = Randn(B, 2, H, D);
        Tensor keyWeight = Randn(C, C), keyBias = Randn(C), valueWeight = Randn(C, C), valueBias = Randn(C);
        bool[] visible = new bool[B * T];
        for (int i = 0; i < visible.Length; i++)
            visible[i] = i != 2;
        GlobalAttentionOptions options = new() { Mask = Tensor.From(visible, B, T), Scale = 0.2 };
        Tensor folded = LongformerOps.FoldedGlobalAttention(globalQuery, hidden, keyWeight, keyBias, valueWeight, valueBias, index, options);
        Tensor projected = LongformerOps.GlobalAttention(globalQuery, LongformerOps.Linear(hidden, keyWeight, keyBias).View(B, T, H, D),
            LongformerOps.Linear(hidden, valueWeight, valueBias).View(B, T, H, D), index, options);
        Assert.That(folded.Shape, Is.EqualTo(new long[] { B, 2, H, D }));
        IsClose(folded, projected, 1e-4, 1e-4);
        Assert.That(folded.Select(0, 1).Select(0, 1).ToArray<float>(), Has.All.Zero, "the padding of the index");
    }

    [Test]
    public void The_fused_linear_layer_equals_its_parts([Values] Activation activation, [Values] bool packed)
    {
        Tensor x = Randn(3, 8), weight = Randn(5, 8), bias = Randn(5), residual = Randn(3, 5);
        Tensor? pack = packed ? LongformerOps.LinearPack(weight) : null;
        Tensor product = x.MatMul(weight.Transpose(0, 1)) + bias;
        Tensor expected = residual + activation switch
        {
            Activation.Gelu => product.Gelu(),
            Activation.GeluTanh => product.Gelu(tanh: true),
            Activation.Relu => product.Relu(),
            Activation.Tanh => product.Tanh(),
            Activation.Silu => product * product.Sigmoid(),
            _ => product,
        };
        IsClose(LongformerOps.Activate(product, activation), expected - residual, 1e-4, 1e-5);
        IsClose(LongformerOps.Linear(x, weight, bias, pack, activation, residual), expected, 1e-4, 1e-5);
        Tensor output = Tensor.Empty([3, 5]);
        Assert.That(LongformerOps.LinearInto(output, x, weight, bias, pack, activation, residual), Is.SameAs(output));
        IsClose(output, expected, 1e-4, 1e-5);
    }

    [Test]
    public void The_fused_layer_normalization_equals_its_parts()
    {
        Tensor x = Randn(3, 8), residual = Randn(3, 8), weight = Randn(8), bias = Randn(8);
        IsClose(LongformerOps.AddLayerNorm(x, residual, weight, bias, 1e-5), Normalized(x + residual, weight, bias), 1e-4, 1e-5);
        IsClose(LongformerOps.AddLayerNorm(x, null, weight, bias, 1e-5), Normalized(x, weight, bias), 1e-4, 1e-5);
        Tensor output = Tensor.Empty([3, 8]);
        Assert.That(LongformerOps.AddLayerNormInto(output, x, residual, weight, bias, 1e-5), Is.SameAs(output));
        IsClose(output, Normalized(x + residual, weight, bias), 1e-4, 1e-5);
    }

    [Test]
    public void The_fused_embedding_equals_its_parts([Values] bool typed, [Values] bool vectors)
    {
        Tensor words = Randn(9, 8), positions = Randn(5, 8), types = Randn(2, 8), weight = Randn(8), bias = Randn(8);
        Tensor wordIds = Tensor.From<long>([8, 0, 3, 3, 1, 7], 6), positionIds = Tensor.From<long>([0, 1, 2, 3, 4, 0], 6),
            typeIds = Tensor.From<long>([0, 1, 1, 0, 0, 1], 6);
        Tensor chosen = vectors ? Randn(6, 8) : Functional.Embedding(wordIds, words);
        Tensor sum = (chosen * 1.5) + Functional.Embedding(positionIds, positions);
        if (typed)
            sum += Functional.Embedding(typeIds, types);
        Tensor embedded = LongformerOps.Embed(vectors ? new(chosen) : new(words, wordIds), new(positions, positionIds),
            typed ? new(types, typeIds) : null,
            weight, bias, 1e-5, wordScale: 1.5);
        IsClose(embedded, Normalized(sum, weight, bias), 1e-4, 1e-5);
    }

    [Test]
    public void The_fused_embedding_refuses_foreign_ids()
    {
        Tensor words = Randn(9, 8), positions = Randn(3, 8), weight = Randn(8), bias = Tensor.Zeros([8]);
        Assert.That(() => LongformerOps.Embed(new(words, Tensor.From<long>([8, 9, 3], 3)), new(positions), null, weight, bias, 1e-5),
            Throws.InstanceOf<LongformerException>().With.Message.Contains("the ids of words must be rows of [9, C], given 9"));
    }

    [Test]
    public void A_step_of_decoding_sees_its_own_document()
    {
        Tensor query = Randn(3, H, D);
        Tensor[] keys = [Randn(5, H, D), Randn(2, H, D)], values = [Randn(5, H, D), Randn(2, H, D)];
        Tensor result = LongformerOps.DecodeAttention(query, keys, values, [1, 2], [], 0.5);
        for (int row = 0, document = 0; row < 3; row++, document = 1)
        {
            Tensor scores = (keys[document] * query.Select(0, row)).Sum(-1) * 0.5;
            IsClose(result.Select(0, row), (scores.Softmax(0).Unsqueeze(-1) * values[document]).Sum(0), 1e-4, 1e-5);
        }
    }

    [Test]
    public void Dropout_keeps_what_the_seed_says_and_is_its_own_gradient()
    {
        Tensor x = Tensor.Ones([100, 100]), dropped = LongformerOps.HiddenDropout(x, 0.25, 11);
        Assert.That(dropped.EqualTo(LongformerOps.HiddenDropout(x, 0.25, 11)) && !dropped.EqualTo(LongformerOps.HiddenDropout(x, 0.25, 12)));
        IsClose(LongformerOps.HiddenDropout(x * 3, 0.25, 11), dropped * 3);
        Assert.That(dropped.Gt(0).Sum().Item<long>(), Is.InRange(7300, 7700));
        Assert.That(dropped.Max().Item<float>(), Is.EqualTo(4f / 3).Within(1e-6));
    }

    // Only arguments are passed, so that a call costs little: benchmarks/calls.sh measures it.
    [Test]
    public void A_call_into_a_given_tensor_makes_no_object()
    {
        Tensor x = Randn(1, 8), weight = Randn(8), bias = Randn(8), output = Tensor.Empty([1, 8]);
        LongformerOps.AddLayerNormInto(output, x, null, weight, bias, 1e-5);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            LongformerOps.AddLayerNormInto(output, x, null, weight, bias, 1e-5);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    [Test]
    public void Impossible_options_are_refused()
    {
        (Tensor query, Tensor key, Tensor value) = Inputs();
        Assert.That(() => LongformerOps.BandedAttention(query, key, value,
            new() { WindowLeft = 1, WindowRight = 1, Implementation = (AttentionImplementation)9 }),
            Throws.TypeOf<InputException>());
        Assert.That(() => LongformerOps.BandedAttention(query, key, value, new() { WindowLeft = -1, WindowRight = 1 }),
            Throws.TypeOf<InputException>().With.Message.Contains("window_left"));
        Assert.That(() => LongformerOps.Linear(query, value, activation: (Activation)9), Throws.TypeOf<InputException>());
    }

    private static Tensor Normalized(Tensor x, Tensor weight, Tensor bias)
    {
        Tensor centered = x - x.Mean(-1, keep: true);
        return (centered / (centered.Pow(2).Mean(-1, keep: true) + 1e-5).Sqrt() * weight) + bias;
    }

    private static float[] Expected(float[] q, float[] k, float[] v, BandedAttentionOptions o, bool[] visible, long[] global)
    {
        float[] result = new float[q.Length];
        int At(int b, int t, int h) => ((b * T + t) * H + h) * D;
        for (int b = 0; b < B; b++)
        {
            for (int h = 0; h < H; h++)
            {
                for (int i = 0; i < T; i++)
        {
            if (!visible[b * T + i])
                        continue;
            SortedSet<int> keys = [];
            for (long s = -o.WindowLeft; s <= o.WindowRight; s++)
                        keys.Add((int)(i + s * o.Dilation![h]));
            for (int g = 0; g < 2; g++)
                        keys.Add((int)global[b * 2 + g]);
            double total = 0;
            double[] sum = new double[D];
            foreach (int j in keys.Where(j => j >= 0 && j < T && visible[b * T + j]))
            {
                double weight = Math.Exp(o.Scale!.Value * Enumerable.Range(0, D).Sum(d => (double)q[At(b, i, h) + d] * k[At(b, j, h) + d]));
                total += weight;
                for (int d = 0; d < D; d++)
                            sum[d] += weight * v[At(b, j, h) + d];
                    }
                    for (int d = 0; d < D && total > 0; d++)
                        result[At(b, i, h) + d] = (float)(sum[d] / total);
                }
            }
        }
        return result;
    }
}
