using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>The tape: it records, keeps, adds up and frees.</summary>
public sealed class GradientTapeTests
{
    private static LongformerConfiguration WithDropout { get; } =
        TinyModels.Configuration with { HiddenDropoutProb = 0.1, AttentionProbsDropoutProb = 0.1 };

    private static LongformerInputs Batch(long? seed = 7)
    {
        LongformerInputs packed =
            LongformerInputs.Pack([TinyModels.Document(40, 1), TinyModels.Document(23, 2)], [[1, .. new byte[39]], [1, 1, .. new byte[21]]]);
        return packed with { Labels = Tensor.From<long>([.. Enumerable.Range(0, 63).Select(i => i % 5 == 2 ? -100L : i % 3)]), DropoutSeed = seed };
    }

    private static LongformerForTokenClassification Load(AttentionImplementation attention = AttentionImplementation.Fused) =>
        TinyModels.Load(LongformerForTokenClassification.Load, WithDropout, new LoadOptions { Trainable = true, Attention = attention });

    [Test]
    public void Without_a_tape_nothing_is_kept()
    {
        using LongformerForTokenClassification model = Load();
        using TensorScope scope = new();
        LongformerInputs inputs = Batch();
        long before = TorchRuntime.LiveTensorCount;
        using (new TensorScope())
            model.Forward(inputs);
        Assert.That((TorchRuntime.LiveTensorCount, GradientTape.Current), Is.EqualTo((before, (GradientTape?)null)));
    }

    [Test]
    public void What_does_not_depend_on_the_set_is_not_recorded()
    {
        using LongformerForTokenClassification model = Load();
        using TensorScope scope = new();
        using GradientSet head = new(model.NamedParameters.Where(p => p.Name.StartsWith("classifier.", StringComparison.Ordinal))
            .Select(p => p.Tensor));
        using GradientTape tape = new(head);
        Tensor loss = model.Forward(Batch()).Loss!;
        // The product and the loss: the frozen body takes its fast ways.
        Assert.That(tape.Count, Is.EqualTo(2));
        tape.Backward(loss);
        using GradientSet all = model.CreateGradients();
        using GradientTape whole = new(all);
        whole.Backward(model.Forward(Batch()).Loss!);
        foreach (Tensor parameter in head.Tensors)
            Assert.That(Golden.MaxDifference(head[parameter]!, all[parameter]!), Is.LessThan(1e-6));
    }

    [Test]
    public void Running_a_layer_again_gives_the_same_gradients_bit_for_bit([Values] AttentionImplementation attention)
    {
        using LongformerForTokenClassification model = Load(attention);
        using TensorScope scope = new();
        Dictionary<string, float[]> kept = Gradients(model, false), again = Gradients(model, true), first = Gradients(model, true, 1);
        Assert.That(kept, Has.Count.EqualTo(model.NamedParameters.Count));
        foreach ((string name, float[] values) in kept)
        {
            Assert.That(again[name].AsSpan().SequenceEqual(values), Is.True, name);
            Assert.That(first[name].AsSpan().SequenceEqual(values), Is.True, name);
        }

        static Dictionary<string, float[]> Gradients(LongformerForTokenClassification model, bool recomputes, int? layers = null)
        {
            using GradientSet gradients = model.CreateGradients();
            using GradientTape tape = new(gradients) { RecomputesLayers = recomputes, RecomputedLayers = layers };
            tape.Backward(model.Forward(Batch()).Loss!);
            return model.NamedParameters.ToDictionary(p => p.Name, p => gradients[p.Tensor]!.ToArray<float>());
        }
    }

    [Test]
    public void Each_layer_that_is_run_again_keeps_less()
    {
        using LongformerForTokenClassification model = Load();
        int layers = model.Configuration.NumHiddenLayers;
        List<long> kept = [.. Enumerable.Range(0, layers + 1).Select(n =>
        {
            using TensorScope scope = new();
            using GradientSet gradients = model.CreateGradients();
            using GradientTape tape = new(gradients) { RecomputesLayers = n > 0, RecomputedLayers = n };
            _ = model.Forward(Batch());
            return tape.KeptBytes;
        })];
        Assert.That(kept, Is.Ordered.Descending.And.Unique);
        using GradientSet set = model.CreateGradients();
        using GradientTape all = new(set) { RecomputesLayers = true };
        using TensorScope last = new();
        _ = model.Forward(Batch());
        Assert.That(all.KeptBytes, Is.EqualTo(kept[^1]));
    }

    [Test]
    public void Running_the_layers_of_an_led_again_gives_the_same_gradients_bit_for_bit()
    {
        Golden golden = Golden.Open("gradients", "led_seq2seq");
        using TensorScope scope = new();
        using LedForConditionalGeneration model = LedForConditionalGeneration.Load(golden.Folder, new LoadOptions { Trainable = true });
        LedInputs inputs = LedInputs.FromNames(golden.Inputs()) with { DropoutSeed = 3 };
        Dictionary<string, float[]> kept = Gradients(false), again = Gradients(true);
        Assert.That(kept, Is.Not.Empty);
        foreach ((string name, float[] values) in kept)
            Assert.That(again[name].AsSpan().SequenceEqual(values), Is.True, name);

        Dictionary<string, float[]> Gradients(bool recomputes)
        {
            using GradientSet gradients = model.CreateGradients();
            using GradientTape tape = new(gradients) { RecomputesLayers = recomputes };
            tape.Backward(model.Forward(inputs).Loss!);
            return model.NamedParameters.Where(p => p.IsTrained && gradients[p.Tensor] is not null)
                .ToDictionary(p => p.Name, p => gradients[p.Tensor]!.ToArray<float>());
        }
    }

    [Test]
    public void Nothing_is_left_behind([Values] bool recomputes, [Values] bool backward)
    {
        using LongformerForTokenClassification model = Load();
        using TensorScope scope = new();
        LongformerInputs inputs = Batch();
        long before = TorchRuntime.LiveTensorCount;
        using (new TensorScope())
        {
            using GradientSet gradients = model.CreateGradients();
            using (GradientTape tape = new(gradients) { RecomputesLayers = recomputes })
            {
                Tensor loss = model.Forward(inputs).Loss!;
                if (backward)
                    tape.Backward(loss);
            }
            if (backward)
                Assert.That(gradients.Tensors.Select(t => gradients[t]), Has.None.Null);
        }
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void An_exception_leaves_nothing_behind_either([Values] bool recomputes)
    {
        using LongformerForTokenClassification model = Load();
        using TensorScope scope = new();
        int layers = 0;
        LongformerInputs inputs = Batch();
        using CancelPoll poll = new(_ =>
        {
            if (++layers == 3)
                throw new OperationCanceledException();
        });
        long before = TorchRuntime.LiveTensorCount;
        Assert.That(() =>
        {
            using TensorScope inner = new();
            using GradientSet gradients = model.CreateGradients();
            using GradientTape tape = new(gradients) { RecomputesLayers = recomputes };
            model.Forward(inputs);
        }, Throws.TypeOf<OperationCanceledException>());
        Assert.That((TorchRuntime.LiveTensorCount, GradientTape.Current), Is.EqualTo((before, (GradientTape?)null)));
    }

    [Test]
    public void Layers_that_are_run_again_hold_little_and_memory_falls_as_the_pass_goes_back()
    {
        using TensorScope scope = new();
        Tensor weight = Tensor.Ones([8, 8]) * 0.1, input = Tensor.Ones([4, 8]);
        (long keptAfter, _) = Run(false);
        (long after, List<long> live) = Run(true);
        Assert.That(after, Is.LessThan(keptAfter / 2));
        // Twelve layers, the last first, each when what the one behind it held is free.
        Assert.That(live, Has.Count.EqualTo(12));
        Assert.That(live, Is.Ordered.Descending);
        Assert.That(live[^1], Is.LessThan(live[0]));

        (long After, List<long> Live) Run(bool recomputes)
        {
            using GradientSet gradients = new(weight);
            using GradientTape tape = new(gradients) { RecomputesLayers = recomputes };
            List<long> live = [];
            long before = TorchRuntime.LiveTensorCount;
            Tensor hidden = input.Alias();
            for (int i = 0; i < 12; i++)
            {
                using TensorScope layer = new();
                hidden = layer.Keep(GradientTape.Layer([hidden], x =>
                {
                    using TensorScope inside = new();
                    live.Add(TorchRuntime.LiveTensorCount);
                    Tensor y = x[0];
                    for (int j = 0; j < 5; j++)
                        y = Differentiable.Linear(y, weight);
                    return inside.Keep(y);
                }));
            }
            long after = TorchRuntime.LiveTensorCount - before;
            live.Clear();
            tape.Backward(hidden, Tensor.Ones([4, 8]));
            return (after, live);
        }
    }

    [Test]
    public void What_an_activation_makes_is_made_again_and_not_kept()
    {
        using TensorScope scope = new();
        Random random = new(3);
        Tensor input = Tensor.Randn([100, 32], random), inner = Tensor.Randn([64, 32], random), outer = Tensor.Randn([32, 64], random);
        using GradientSet set = new(inner, outer);
        using GradientTape tape = new(set);
        Tensor output;
        using (TensorScope pass = new())
        {
            Tensor states = Differentiable.Linear(input, inner, activation: Activation.Gelu);
            output = pass.Keep(Differentiable.Linear(states, outer));
        }
        Assert.That(tape.KeptBytes, Is.EqualTo(sizeof(float) * ((100 * 32) + (100 * 64))), "the input and what the activation was given");
        tape.Backward((output, output.OnesLike()));
        Tensor before = LongformerOps.Linear(input, inner), after = LongformerOps.Activate(before, Activation.Gelu);
        (Tensor? ofStates, Tensor? ofOuter, _) = LongformerOps.LinearBackward(output.OnesLike(), after, outer, true, true, false);
        (_, Tensor? ofInner, _) = LongformerOps.LinearBackward(
            LongformerOps.ActivationBackward(ofStates!, before, Activation.Gelu), input, inner, false, true, false);
        Assert.That(set[outer]!.ToArray<float>(), Is.EqualTo(ofOuter!.ToArray<float>()));
        Assert.That(set[inner]!.ToArray<float>(), Is.EqualTo(ofInner!.ToArray<float>()));
    }

    [Test]
    public void What_went_into_several_products_gathers_their_gradients_in_one_memory()
    {
        using TensorScope scope = new();
        Random random = new(4);
        Tensor input = Tensor.Randn([40, 24], random);
        Tensor[] weights = [.. Enumerable.Range(0, 3).Select(_ => Tensor.Randn([20, 24], random))];
        using GradientSet set = new([input, .. weights]);
        float[] Gradient(int passes)
        {
            for (int pass = 0; pass < passes; pass++)
            {
                using GradientTape tape = new(set);
                using TensorScope inner = new();
                Tensor sum = weights.Select(w => Differentiable.Linear(input, w)).Aggregate(Differentiable.Add);
                tape.Backward((sum, sum.OnesLike()));
            }
            return set[input]!.ToArray<float>();
        }
        float[] once = Gradient(1), twice = Gradient(1);
        Tensor expected = weights.Select(w => LongformerOps.LinearBackward(Tensor.Ones([40, 20]), input, w, true, false, false).Input!)
            .Aggregate((a, b) => a + b);
        Assert.That(once, Is.EqualTo(expected.ToArray<float>()).Within(1e-4f));
        Assert.That(twice, Is.EqualTo(once.Select(x => 2 * x).ToArray()).Within(2e-4f), "the second pass adds to the first");
    }

    [Test]
    public void Gradients_add_up_over_passes_until_they_are_cleared()
    {
        using LongformerForTokenClassification model = Load();
        using TensorScope scope = new();
        using GradientSet gradients = model.CreateGradients();
        Tensor weight = model.NamedParameters.Single(p => p.Name == "classifier.weight").Tensor;
        void Pass()
        {
            using GradientTape tape = new(gradients);
            tape.Backward(model.Forward(Batch()).Loss!);
        }
        Pass();
        float[] once = gradients[weight]!.ToArray<float>();
        Pass();
        Assert.That(gradients[weight]!.ToArray<float>(), Is.EqualTo(once.Select(x => 2 * x)).Within(1e-6));
        gradients.Clear();
        Assert.That(gradients[weight], Is.Null);
        Pass();
        Assert.That(gradients[weight]!.ToArray<float>(), Is.EqualTo(once));
    }

    [Test]
    public void Several_outputs_go_back_at_once()
    {
        using TensorScope scope = new();
        Tensor x = Tensor.From<double>([1, 2, 3]);
        using GradientSet gradients = new(x);
        using GradientTape tape = new(gradients);
        Tensor first = Differentiable.Scale(x, 2), second = Differentiable.Add(first, x);
        tape.Backward((first, Tensor.From<double>([1, 0, 0])), (second, Tensor.From<double>([0, 10, 100])));
        Assert.That(gradients[x]!.ToArray<double>(), Is.EqualTo((double[])[2, 30, 300]));
    }

    [Test]
    public void No_two_gradients_share_their_memory()
    {
        using TensorScope scope = new();
        Tensor x = Tensor.From<double>([1, 2]), y = Tensor.From<double>([3, 4]), seed = Tensor.From<double>([5, 6]);
        using GradientSet gradients = new(x, y);
        using GradientTape tape = new(gradients);
        tape.Backward(Differentiable.Add(x, y), seed);
        gradients[x]!.MulInPlace(10);
        Assert.That(gradients[y]!.ToArray<double>(), Is.EqualTo((double[])[5, 6]));
        Assert.That(seed.ToArray<double>(), Is.EqualTo((double[])[5, 6]));
    }

    [Test]
    public void A_watched_tensor_in_between_keeps_its_gradient_and_passes_it_on()
    {
        using TensorScope scope = new();
        Tensor x = Tensor.From<double>([1, 2]);
        using GradientSet gradients = new(x);
        using GradientTape tape = new(gradients);
        Tensor middle = Differentiable.Scale(x, 3);
        tape.Watch(middle);
        tape.Backward(Differentiable.Add(middle, Differentiable.Scale(middle, 4)), Tensor.From<double>([1, 10]));
        Assert.That(gradients[middle]!.ToArray<double>(), Is.EqualTo((double[])[5, 50]));
        Assert.That(gradients[x]!.ToArray<double>(), Is.EqualTo((double[])[15, 150]));
    }

    [Test]
    public void Tapes_nest_and_each_thread_has_its_own()
    {
        using TensorScope scope = new();
        Tensor x = Tensor.From<double>([1, 2]);
        using GradientSet outer = new(x), inner = new(x);
        using GradientTape tape = new(outer);
        using (GradientTape nested = new(inner))
        {
            Assert.That(GradientTape.Current, Is.SameAs(nested));
            nested.Backward(Differentiable.Scale(x, 2), Tensor.Ones([2], DType.Float64));
        }
        Assert.That((GradientTape.Current, tape.Count), Is.EqualTo((tape, 0)));
        GradientTape? elsewhere = tape;
        Thread thread = new(() => elsewhere = GradientTape.Current);
        thread.Start();
        thread.Join();
        Assert.That(elsewhere, Is.Null);
        Assert.That((inner[x]!.ToArray<double>(), outer[x]), Is.EqualTo((new double[] { 2, 2 }, (Tensor?)null)));
    }

    [Test]
    public void Misuse_is_told()
    {
        using TensorScope scope = new();
        Tensor x = Tensor.From<double>([1, 2]), other = Tensor.From<double>([1, 2]);
        using GradientSet gradients = new(x);
        GradientTape tape = new(gradients);
        Tensor y = Differentiable.Scale(x, 2);
        Assert.That(() => tape.Backward(y), Throws.TypeOf<InputException>().With.Message.Contains("2 elements"));
        Assert.That(() => tape.Backward(y, Tensor.Ones([3], DType.Float64)), Throws.TypeOf<InputException>().With.Message.Contains("[2]"));
        Assert.That(() => tape.Backward(Differentiable.Scale(other, 2), other),
            Throws.InvalidOperationException.With.Message.Contains("depends on no tensor"));
        Assert.That(() => gradients[other], Throws.ArgumentException);
        using (GradientTape inner = new(gradients))
            Assert.That(tape.Dispose, Throws.InvalidOperationException.With.Message.Contains("still open"));
        tape.Backward(y, other);
        Assert.That(() => tape.Backward(y, other), Throws.InvalidOperationException.With.Message.Contains("used up"));
        tape.Dispose();
        tape.Dispose();
        Assert.That(GradientTape.Current, Is.Null);
    }
}
