namespace LongformerInterop.Torch.Tests;

/// <summary>
/// The typed doors to the project's own operators: each option arrives under its name. That the operators compute the right thing
/// is the business of their own tests; here a few lines of C# say what is expected.
/// </summary>
[TestFixture]
public class LongformerOpsTests : TensorTest
{
    private const int B = 2, T = 7, H = 2, D = 4;

    private static (Tensor Query, Tensor Key, Tensor Value) Inputs()
    {
        TorchRuntime.ManualSeed(3);
        return (Tensor.Randn([B, T, H, D]), Tensor.Randn([B, T, H, D]), Tensor.Randn([B, T, H, D]));
    }

    [Test]
    public void Banded_attention_takes_every_option([Values] AttentionImplementation implementation)
    {
        (Tensor query, Tensor key, Tensor value) = Inputs();
        bool[] visible = new bool[B * T];
        for (int i = 0; i < visible.Length; i++) visible[i] = i % 5 != 4;
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
        Assert.That(whole.View(B, T, H, D).AllClose(batch, absolute: 1e-6));
    }

    [Test]
    public void Banded_attention_is_differentiated()
    {
        (Tensor query, Tensor key, Tensor value) = Inputs();
        BandedAttentionOptions options = new() { WindowLeft = 1, WindowRight = 1, Implementation = AttentionImplementation.Loop };
        query.RequiresGrad = key.RequiresGrad = value.RequiresGrad = true;
        (Tensor output, Tensor logSumExp) = LongformerOps.BandedAttention(query, key, value, options);
        Tensor seed = Tensor.Randn([B, T, H, D]);
        output.Backward(seed);
        (Tensor dq, Tensor dk, Tensor dv) = LongformerOps.BandedAttentionBackward(seed, query.Detach(), key.Detach(), value.Detach(),
            output.Detach(), logSumExp, options);
        Assert.That(query.Grad!.AllClose(dq, absolute: 1e-6));
        Assert.That(key.Grad!.AllClose(dk, absolute: 1e-6));
        Assert.That(value.Grad!.AllClose(dv, absolute: 1e-6));
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
        Tensor hidden = Tensor.Randn([B, T, C]), index = Tensor.From([0L, 3, 5, -1], B, 2), globalQuery = Tensor.Randn([B, 2, H, D]);
        Tensor keyWeight = Tensor.Randn([C, C]), keyBias = Tensor.Randn([C]), valueWeight = Tensor.Randn([C, C]), valueBias = Tensor.Randn([C]);
        bool[] visible = new bool[B * T];
        for (int i = 0; i < visible.Length; i++) visible[i] = i != 2;
        GlobalAttentionOptions options = new() { Mask = Tensor.From(visible, B, T), Scale = 0.2 };
        Tensor folded = LongformerOps.FoldedGlobalAttention(globalQuery, hidden, keyWeight, keyBias, valueWeight, valueBias, index, options);
        Tensor projected = LongformerOps.GlobalAttention(globalQuery, Functional.Linear(hidden, keyWeight, keyBias).View(B, T, H, D),
            Functional.Linear(hidden, valueWeight, valueBias).View(B, T, H, D), index, options);
        Assert.That(folded.Shape, Is.EqualTo(new long[] { B, 2, H, D }));
        Assert.That(folded.AllClose(projected, 1e-4, 1e-4));
        Assert.That(folded.Select(0, 1).Select(0, 1).ToArray<float>(), Has.All.Zero, "the padding of the index");
    }

    [Test]
    public void The_fused_linear_layer_equals_its_parts([Values] Activation activation, [Values] bool packed)
    {
        Tensor x = Tensor.Randn([3, 8]), weight = Tensor.Randn([5, 8]), bias = Tensor.Randn([5]), residual = Tensor.Randn([3, 5]);
        Tensor? pack = packed ? LongformerOps.LinearPack(weight) : null;
        Tensor product = Functional.Linear(x, weight, bias);
        Tensor expected = residual + activation switch
        {
            Activation.Gelu => product.Gelu(),
            Activation.GeluTanh => product.Gelu(tanh: true),
            Activation.Relu => product.Relu(),
            Activation.Tanh => product.Tanh(),
            _ => product,
        };
        Assert.That(LongformerOps.Linear(x, weight, bias, pack, activation, residual).AllClose(expected, 1e-4, 1e-5));
        Tensor output = Tensor.Empty([3, 5]);
        Assert.That(LongformerOps.LinearInto(output, x, weight, bias, pack, activation, residual), Is.SameAs(output));
        Assert.That(output.AllClose(expected, 1e-4, 1e-5));
    }

    [Test]
    public void The_fused_layer_normalization_equals_its_parts()
    {
        Tensor x = Tensor.Randn([3, 8]), residual = Tensor.Randn([3, 8]), weight = Tensor.Randn([8]), bias = Tensor.Randn([8]);
        Assert.That(LongformerOps.AddLayerNorm(x, residual, weight, bias, 1e-5).AllClose(Functional.LayerNorm(x + residual, weight, bias), 1e-4, 1e-5));
        Assert.That(LongformerOps.AddLayerNorm(x, null, weight, bias, 1e-5).AllClose(Functional.LayerNorm(x, weight, bias), 1e-4, 1e-5));
    }

    [Test]
    public void The_fused_embedding_equals_its_parts([Values] bool typed, [Values] bool vectors)
    {
        Tensor words = Tensor.Randn([9, 8]), positions = Tensor.Randn([5, 8]), types = Tensor.Randn([2, 8]), weight = Tensor.Randn([8]), bias = Tensor.Randn([8]);
        Tensor wordIds = Tensor.From<long>([8, 0, 3, 3, 1, 7], 6), positionIds = Tensor.From<long>([0, 1, 2, 3, 4, 0], 6), typeIds = Tensor.From<long>([0, 1, 1, 0, 0, 1], 6);
        Tensor chosen = vectors ? Tensor.Randn([6, 8]) : Functional.Embedding(wordIds, words);
        Tensor sum = (chosen * 1.5) + Functional.Embedding(positionIds, positions);
        if (typed) sum += Functional.Embedding(typeIds, types);
        Tensor embedded = LongformerOps.Embed(vectors ? new(chosen) : new(words, wordIds), new(positions, positionIds), typed ? new(types, typeIds) : null,
            weight, bias, 1e-5, wordScale: 1.5);
        Assert.That(embedded.AllClose(Functional.LayerNorm(sum, weight, bias), 1e-4, 1e-5));
    }

    [Test]
    public void The_fused_embedding_records_no_gradient_of_padding_and_refuses_foreign_ids()
    {
        Tensor words = Tensor.Randn([9, 8]).WithGrad(), positions = Tensor.Randn([3, 8]), weight = Tensor.Randn([8]), bias = Tensor.Zeros([8]);
        Tensor ids = Tensor.From<long>([8, 1, 3], 3);
        LongformerOps.Embed(new(words, ids, PaddingIndex: 1), new(positions), null, weight, bias, 1e-5).Pow(2).Sum().Backward();
        Assert.That(words.Grad!.Select(0, 1).Abs().Max().Item<float>(), Is.Zero);
        Assert.That(words.Grad!.Select(0, 8).Abs().Max().Item<float>(), Is.GreaterThan(0));
        using IDisposable mode = TorchRuntime.NoGrad();
        Assert.That(() => LongformerOps.Embed(new(words, Tensor.From<long>([8, 9, 3], 3)), new(positions), null, weight, bias, 1e-5),
            Throws.InstanceOf<TorchException>().With.Message.Contains("the ids of words must be rows of [9, C], given 9"));
    }

    [Test]
    public void A_tensor_goes_through_a_handle_with_its_recording()
    {
        Tensor x = Tensor.From(3.0).WithGrad();
        nint handle = LongformerOps.ToHandle(x * x);
        Tensor borrowed = LongformerOps.FromHandle(handle);
        Tensor taken = Tensor.FromHandle(handle, own: true);
        Assert.That(taken.Handle, Is.EqualTo(borrowed.Handle));
        borrowed.Dispose();
        taken.Backward();
        Assert.That(x.Grad!.Item<double>(), Is.EqualTo(6));
        Assert.That(() => LongformerOps.FromHandle(0), Throws.TypeOf<TorchException>().With.Message.Contains("_from_handle"));
    }

    [Test]
    public void Impossible_options_are_refused()
    {
        (Tensor query, Tensor key, Tensor value) = Inputs();
        Assert.That(() => LongformerOps.BandedAttention(query, key, value, new() { WindowLeft = 1, WindowRight = 1, Implementation = (AttentionImplementation)9 }),
            Throws.TypeOf<InputException>());
        Assert.That(() => LongformerOps.BandedAttention(query, key, value, new() { WindowLeft = -1, WindowRight = 1 }),
            Throws.TypeOf<TorchException>().With.Message.Contains("window_left"));
        Assert.That(() => LongformerOps.Linear(query, value, activation: (Activation)9), Throws.TypeOf<InputException>());
    }

    private static float[] Expected(float[] q, float[] k, float[] v, BandedAttentionOptions o, bool[] visible, long[] global)
    {
        float[] result = new float[q.Length];
        int At(int b, int t, int h) => ((b * T + t) * H + h) * D;
        for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
        for (int i = 0; i < T; i++)
        {
            if (!visible[b * T + i]) continue;
            SortedSet<int> keys = [];
            for (long s = -o.WindowLeft; s <= o.WindowRight; s++) keys.Add((int)(i + s * o.Dilation![h]));
            for (int g = 0; g < 2; g++) keys.Add((int)global[b * 2 + g]);
            double total = 0;
            double[] sum = new double[D];
            foreach (int j in keys.Where(j => j >= 0 && j < T && visible[b * T + j]))
            {
                double weight = Math.Exp(o.Scale!.Value * Enumerable.Range(0, D).Sum(d => (double)q[At(b, i, h) + d] * k[At(b, j, h) + d]));
                total += weight;
                for (int d = 0; d < D; d++) sum[d] += weight * v[At(b, j, h) + d];
            }
            for (int d = 0; d < D && total > 0; d++) result[At(b, i, h) + d] = (float)(sum[d] / total);
        }
        return result;
    }
}
