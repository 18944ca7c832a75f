using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tests;
using LongformerInterop.Torch;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Optimization;

namespace LongformerInterop.Training.Tests;

/// <summary>Optimizers, schedules, and steps put together of them.</summary>
public sealed class OptimizerTests
{
    private static Tensor Values(int seed, params long[] shape) => Tensor.From<float>(
        [.. Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(i => (float)Math.Sin((seed * 3.1) + i))], shape);

    private static IOptimizer Create(string kind) => kind switch
    {
        "adamw" => new AdamW(),
        "adafactor" => new Adafactor(),
        _ => new Adafactor(new AdafactorOptions { Beta1 = 0.9, ScaleByParameter = true }),
    };

    [Test]
    public void AdamW_is_its_formula()
    {
        using TensorScope scope = new();
        using AdamW optimizer = new(new AdamWOptions { Beta1 = 0.8, Beta2 = 0.95, Epsilon = 1e-3 });
        Tensor tensor = Values(1, 2, 3);
        TrainedParameter parameter = new("p", tensor, rateFactor: 2, weightDecay: 0.1);
        double[] p = Array.ConvertAll(tensor.ToArray<float>(), v => (double)v), m = new double[6], v = new double[6];
        for (int t = 1; t <= 4; t++)
        {
            float[] g = Values(t + 5, 2, 3).ToArray<float>();
            optimizer.Step([new ParameterGradient(parameter, Tensor.From<float>(g, 2, 3))], 0.01);
            for (int i = 0; i < 6; i++)
            {
                p[i] -= 0.02 * 0.1 * p[i];
                m[i] = (0.8 * m[i]) + (0.2 * g[i]);
                v[i] = (0.95 * v[i]) + (0.05 * g[i] * g[i]);
                p[i] -= 0.02 * (m[i] / (1 - Math.Pow(0.8, t))) / (Math.Sqrt(v[i] / (1 - Math.Pow(0.95, t))) + 1e-3);
            }
        }
        Assert.That(tensor.ToArray<float>(), Is.EqualTo(Array.ConvertAll(p, x => (float)x)).Within(1e-6f));
    }

    [Test]
    public void AdamW_of_BERT_corrects_no_mean()
    {
        using TensorScope scope = new();
        using AdamW optimizer = new();
        Tensor tensor = Values(1, 2, 3);
        TrainedParameter parameter = new("p", tensor, weightDecay: 0.01) { IsBerts = true };
        double[] p = Array.ConvertAll(tensor.ToArray<float>(), v => (double)v), m = new double[6], v = new double[6];
        for (int t = 1; t <= 4; t++)
        {
            float[] g = Values(t + 5, 2, 3).ToArray<float>();
            optimizer.Step([new ParameterGradient(parameter, Tensor.From<float>(g, 2, 3))], 0.001);
            for (int i = 0; i < 6; i++)
            {
                m[i] = (0.9 * m[i]) + (0.1 * g[i]);
                v[i] = (0.999 * v[i]) + (0.001 * g[i] * g[i]);
                p[i] -= 0.001 * ((m[i] / (Math.Sqrt(v[i]) + 1e-6)) + (0.01 * p[i]));
            }
        }
        Assert.That(tensor.ToArray<float>(), Is.EqualTo(Array.ConvertAll(p, x => (float)x)).Within(1e-6f));
    }

    [Test]
    public void Head_and_body_are_clipped_each_by_its_own_norm()
    {
        using TensorScope scope = new();
        (Tensor body, Tensor head) = (Tensor.Zeros([2]), Tensor.Zeros([2]));
        TrainedParameter[] parameters = [new("body", body), new("head", head) { ClipGroup = 1 }];
        using StepGradients gradients = new(parameters);
        using (Models.Gradients.GradientTape tape = new(gradients.Set))
        {
            tape.Backward((Models.Gradients.Differentiable.Scale(body, 1), Tensor.From<float>([3, 4], 2)),
                (Models.Gradients.Differentiable.Scale(head, 1), Tensor.From<float>([0.3f, 0.4f], 2)));
        }
        double norm = gradients.Norm();
        Assert.That(norm, Is.EqualTo(Math.Sqrt(25.25)).Within(1e-6));
        Dictionary<string, float[]> clipped = [];
        gradients.Apply(norm, 1, some =>
        {
            foreach (ParameterGradient g in some)
                clipped[g.Parameter.Name] = g.Widen().ToArray<float>();
        });
        Assert.That(clipped["body"], Is.EqualTo(new[] { 0.6f, 0.8f }).Within(1e-5f));
        Assert.That(clipped["head"], Is.EqualTo(new[] { 0.3f, 0.4f }).Within(1e-7f));
    }

    [TestCase("adamw")]
    [TestCase("adafactor")]
    [TestCase("adafactor with a mean")]
    public void A_restored_optimizer_continues_to_the_bit(string kind)
    {
        using TensorScope scope = new();
        (Tensor one, Tensor two) = (Values(1, 3, 4), Values(2, 5));
        TrainedParameter[] parameters = [new("one", one, weightDecay: 0.1), new("two", two), new("never reached", Values(3, 2))];
        using IOptimizer first = Create(kind), second = Create(kind);
        void Step(IOptimizer optimizer, int t) => optimizer.Step([.. parameters.Take(2).Select((p, i) =>
            new ParameterGradient(p, Values((t * 2) + i, p.Model.Shape)))], 0.01);
        Step(first, 1);
        Step(first, 2);
        (float[] before, float[] beforeTwo) = (one.ToArray<float>(), two.ToArray<float>());
        second.Restore(first.State, parameters);
        Step(first, 3);
        (float[] after, float[] afterTwo) = (one.ToArray<float>(), two.ToArray<float>());
        one.CopyInPlace(Tensor.From<float>(before, 3, 4));
        two.CopyInPlace(Tensor.From<float>(beforeTwo, 5));
        Step(second, 3);
        Assert.That(one.ToArray<float>(), Is.EqualTo(after));
        Assert.That(two.ToArray<float>(), Is.EqualTo(afterTwo));
        Assert.That(after, Is.Not.EqualTo(before));
        Dictionary<string, Tensor> damaged = new(first.State) { [first.State.Keys.First(k =>
            !k.EndsWith("step", StringComparison.Ordinal))] = Values(1, 9) };
        Assert.That(() => second.Restore(damaged, parameters), Throws.TypeOf<CheckpointException>().With.Message.Contains("given [9]"));
        damaged.Remove("one/step");
        Assert.That(() => second.Restore(damaged, parameters), Throws.TypeOf<CheckpointException>());
    }

    [Test]
    public void Half_precision_has_a_master()
    {
        using TensorScope scope = new();
        Tensor model = Tensor.Full([4], 1, DType.BFloat16);
        using TrainedParameter parameter = new("p", model);
        using AdamW optimizer = new();
        // Each step added to 1 is lost in BFloat16, their sum is not.
        for (int i = 0; i < 100; i++)
            optimizer.Step([new ParameterGradient(parameter, Tensor.Ones([4]))], 1e-4);
        Assert.That(parameter.Master.ToArray<float>(), Is.EqualTo(new float[] { 0.99f, 0.99f, 0.99f, 0.99f }).Within(1e-5f));
        Assert.That(model.To(DType.Float32).ToArray<float>()[0], Is.EqualTo(0.99f).Within(0.004f).And.LessThan(1));
    }

    [Test]
    public void A_large_matrix_in_half_precision_steps_as_its_widened_gradient_does()
    {
        using TensorScope scope = new();
        Tensor start = Values(3, [2100, 2000]).To(DType.BFloat16), gradient = Values(4, [2100, 2000]).To(DType.BFloat16);
        Tensor model = start.Clone(), wide = start.To(DType.Float32);
        using TrainedParameter half = new("p", model, rateFactor: 0.5, weightDecay: 0.1);
        using TrainedParameter full = new("p", wide, rateFactor: 0.5, weightDecay: 0.1);
        using AdamW first = new();
        using AdamW second = new();
        for (int i = 0; i < 2; i++)
        {
            first.Step([new ParameterGradient(half, gradient.Clone(), 0.25)], 0.01);
            second.Step([new ParameterGradient(full, gradient.To(DType.Float32).MulInPlace(0.25))], 0.01);
        }
        Assert.That(Functional.Norm(half.Master - full.Master), Is.Zero);
        Assert.That(Functional.Norm(model.To(DType.Float32) - full.Master.To(DType.BFloat16).To(DType.Float32)), Is.Zero);
        Assert.That(Functional.Norm(half.Master - start.To(DType.Float32)), Is.Positive);
    }

    [Test]
    public void Halves_of_a_number_give_it_back_and_round_as_libtorch_does()
    {
        // Every lower half under upper halves from zero to the largest and infinity, even and odd, of both signs.
        uint[] upper = [0, 1, 2, 0x7f, 0x80, 0x3f7f, 0x3f80, 0x3f81, 0x7f7e, 0x7f7f, 0x8000, 0x8001, 0xbf80, 0xbf81, 0xff7e, 0xff7f];
        float[] numbers = [.. upper.SelectMany(u => Enumerable.Range(0, 65536).Select(low => BitConverter.UInt32BitsToSingle((u << 16) | (uint)low))),
            float.PositiveInfinity, float.NegativeInfinity, float.NaN];
        (ushort[] high, ushort[] low) = (new ushort[numbers.Length], new ushort[numbers.Length]);
        int[] down = SplitFloats.Split(numbers, high, low);
        float[] joined = new float[numbers.Length];
        SplitFloats.Join(high, low, down, joined);
        using TensorScope scope = new();
        ReadOnlySpan<ushort> rounded = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ushort>(
            Tensor.From<float>(numbers).To(DType.BFloat16).AsBytes());
        Assert.That(high[..^1], Is.EqualTo(rounded[..^1].ToArray()));
        Assert.That(joined[..^1].Select(BitConverter.SingleToUInt32Bits), Is.EqualTo(numbers[..^1].Select(BitConverter.SingleToUInt32Bits)));
        Assert.That(joined[^1], Is.NaN);
        Assert.That(down, Has.Length.EqualTo(upper.Count(u => u % 2 == 0)));
        // A signalling NaN whose rounding would carry into the sign.
        _ = SplitFloats.Split([BitConverter.UInt32BitsToSingle(0x7fffffff)], high.AsSpan(0, 1), low.AsSpan(0, 1));
        SplitFloats.Join(high.AsSpan(0, 1), low.AsSpan(0, 1), [], joined.AsSpan(0, 1));
        Assert.That(joined[0], Is.NaN);
    }

    [Test]
    public void A_master_in_halves_takes_two_bytes_a_number_and_is_saved_and_set_whole()
    {
        using TensorScope scope = new();
        Tensor model = Values(5, [2100, 2000]).To(DType.BFloat16);
        using TrainedParameter parameter = new("p", model);
        float[] values = Values(6, [2100, 2000]).ToArray<float>();
        parameter.SetMaster(Tensor.From<float>(values, 2100, 2000));
        Assert.That(parameter.MasterBytes, Is.EqualTo(2L * 2100 * 2000));
        Assert.That(parameter.Master.ToArray<float>(), Is.EqualTo(values));
        Assert.That(Functional.Norm(model.To(DType.Float32) - Tensor.From<float>(values, 2100, 2000).To(DType.BFloat16).To(DType.Float32)), Is.Zero);
    }

    [Test]
    public void A_parameter_that_no_gradient_reaches_has_no_master()
    {
        using TensorScope scope = new();
        using TrainedParameter reached = new("reached", Tensor.Ones([4]).To(DType.BFloat16));
        using TrainedParameter other = new("other", Tensor.Ones([4]).To(DType.BFloat16));
        using AdamW optimizer = new();
        optimizer.Step([new ParameterGradient(reached, Tensor.Ones([4]).To(DType.BFloat16))], 0.01);
        Assert.That((reached.HasMaster, other.HasMaster), Is.EqualTo((true, false)));
    }

    // From transformers 5.12.1's schedules, learning rate 1, 4 warm-up steps of 20.
    [TestCase(ScheduleKind.Linear, 0, 0)]
    [TestCase(ScheduleKind.Linear, 3, 0.75)]
    [TestCase(ScheduleKind.Linear, 12, 0.5)]
    [TestCase(ScheduleKind.Linear, 25, 0)]
    [TestCase(ScheduleKind.Cosine, 8, 0.8535533905932737)]
    [TestCase(ScheduleKind.Polynomial, 12, 0.125)]
    [TestCase(ScheduleKind.Polynomial, 21, 0)]
    [TestCase(ScheduleKind.Constant, 2, 0.5)]
    [TestCase(ScheduleKind.Constant, 19, 1)]
    [TestCase(ScheduleKind.InverseSqrt, 3, 0.75)]
    [TestCase(ScheduleKind.InverseSqrt, 4, 1)]
    [TestCase(ScheduleKind.InverseSqrt, 16, 0.5)]
    public void Schedules_are_those_of_transformers(ScheduleKind kind, long step, double rate) =>
        Assert.That(new Schedule { LearningRate = 1, Kind = kind, WarmupSteps = 4, TotalSteps = 20, Power = 3 }.At(step),
            Is.EqualTo(rate).Within(1e-12));

    [Test]
    public void Without_a_warm_up_the_inverse_root_counts_from_ten_thousand() =>
        Assert.That(new Schedule { LearningRate = 1, Kind = ScheduleKind.InverseSqrt }.At(30_000), Is.EqualTo(0.5).Within(1e-12));

    [Test]
    public void Parts_stand_still_or_learn_slower()
    {
        using LongformerForSequenceClassification model = LongformerForSequenceClassification.Load(TinyCheckpoints.Classifier,
            new LoadOptions { Trainable = true });
        Dictionary<string, TrainedParameter> Plan(ParameterPlan plan) => plan.Of(model).ToDictionary(p => p.Name);
        Dictionary<string, TrainedParameter> all = Plan(new ParameterPlan { WeightDecay = 0.1, HeadFactor = 5, LayerDecay = 0.5 });
        Assert.That(all, Has.Count.EqualTo(model.NamedParameters.Count));
        Assert.That(all["classifier.dense.weight"].RateFactor, Is.EqualTo(5));
        Assert.That(all["longformer.encoder.layer.1.output.dense.weight"].RateFactor, Is.EqualTo(1));
        Assert.That(all["longformer.encoder.layer.0.output.dense.weight"].RateFactor, Is.EqualTo(0.5));
        Assert.That(all["longformer.embeddings.word_embeddings.weight"].RateFactor, Is.EqualTo(0.25));
        Assert.That(all["longformer.encoder.layer.0.output.dense.weight"].WeightDecay, Is.EqualTo(0.1));
        Assert.That(all["longformer.encoder.layer.0.output.dense.bias"].WeightDecay, Is.Zero);
        Assert.That(all["longformer.encoder.layer.0.output.LayerNorm.weight"].WeightDecay, Is.Zero);
        Assert.That(Plan(new ParameterPlan { Frozen = FrozenPart.Body }).Keys,
            Is.EquivalentTo(new[] { "classifier.dense.weight", "classifier.dense.bias", "classifier.out_proj.weight", "classifier.out_proj.bias" }));
        Assert.That(Plan(new ParameterPlan { Frozen = FrozenPart.Embeddings }).Keys, Has.None.Contains("embeddings"));
        Assert.That(Plan(new ParameterPlan { Frozen = FrozenPart.AllButBiases }).Keys.Where(n =>
            !n.StartsWith("classifier", StringComparison.Ordinal)), Has.All.EndsWith("bias"));
        TrainedParameter positions = Plan(new ParameterPlan { Frozen = FrozenPart.AllButAddedPositions, FirstAddedPosition = 50,
            WeightDecay = 0.1 }).Values.Single();
        Assert.That((positions.Name, positions.FirstRow, positions.WeightDecay),
            Is.EqualTo(("longformer.embeddings.position_embeddings.weight", 50L, 0.0)));
        Assert.That(() => Plan(new ParameterPlan { Frozen = FrozenPart.AllButAddedPositions, FirstAddedPosition = 98 }),
            Throws.TypeOf<InputException>());
    }
}
