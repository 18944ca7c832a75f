using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

public class MemoryAndThreadTests
{
    [Test]
    public void A_forward_pass_leaves_its_outputs_and_nothing_else([Values] bool everything)
    {
        using LongformerModel model = TinyModels.Load(LongformerModel.Load);
        using TensorScope inputScope = new();
        LongformerInputs inputs = TinyModels.Pad([TinyModels.Document(20, 1), TinyModels.Document(33, 2)], [[1, .. new byte[19]], new byte[33]])
            with { OutputHiddenStates = everything, OutputAttentions = everything };
        using (new TensorScope())
            model.Forward(inputs);  // packs the weights
        long before = TorchRuntime.LiveTensorCount;
        using (new TensorScope())
        {
            BaseModelOutputs outputs = model.Forward(inputs);
            Assert.That(TorchRuntime.LiveTensorCount - before, Is.EqualTo(outputs.ToDictionary().Count));
        }
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void Loading_and_disposing_leaves_no_tensor_behind()
    {
        long before = TorchRuntime.LiveTensorCount;
        using (LongformerForMultipleChoice model = TinyModels.Load(LongformerForMultipleChoice.Load))
            Assert.That(TorchRuntime.LiveTensorCount - before, Is.EqualTo(model.NamedParameters.Count));
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void A_model_loaded_in_a_scope_outlives_it()
    {
        LongformerModel model;
        using (new TensorScope())
            model = TinyModels.Load(LongformerModel.Load);
        using (model)
        using (new TensorScope())
            Assert.That(model.Forward(LongformerInputs.Pack([[0, 5, 2]])).LastHiddenState.Shape, Is.EqualTo([3, 32]));
    }

    [Test]
    public void Eight_threads_on_one_model_give_bit_equal_results()
    {
        using LongformerModel model = TinyModels.Load(LongformerModel.Load);
        float[][] results = new float[32][];
        Parallel.For(0, results.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
        {
            using TensorScope scope = new();
            LongformerInputs inputs = TinyModels.Pad([TinyModels.Document(60, 1), TinyModels.Document(33, 2)], [[1, .. new byte[59]], new byte[33]]);
            results[i] = model.Forward(inputs).LastHiddenState.ToArray<float>();
        });
        for (int i = 1; i < results.Length; i++)
            Assert.That(results[i].AsSpan().SequenceEqual(results[0]), Is.True, $"run {i}");
    }

    [Test]
    public void Dropout_is_a_function_of_its_seed_and_is_off_without_one()
    {
        using LongformerModel model =
            TinyModels.Load(LongformerModel.Load, TinyModels.Configuration with { HiddenDropoutProb = 0.2, AttentionProbsDropoutProb = 0.2 });
        using TensorScope scope = new();
        LongformerInputs inputs = LongformerInputs.Pack([TinyModels.Document(60, 1)], [[1, .. new byte[59]]]);
        float[] Run(long? seed) => model.Forward(inputs with { DropoutSeed = seed }).LastHiddenState.ToArray<float>();
        (float[] first, float[] evaluated) = (Run(1), Run(null));
        Assert.That(Run(1), Is.EqualTo(first));
        Assert.That(Run(2), Is.Not.EqualTo(first));
        Assert.That(Run(null), Is.EqualTo(evaluated));
        Assert.That(evaluated, Is.Not.EqualTo(first));
    }

    [Test]
    public void Hidden_dropout_keeps_the_wanted_share_and_the_mean()
    {
        using TensorScope scope = new();
        Dropout dropout = new(17, 0.25, 0);
        Tensor dropped = dropout.Apply(Tensor.Ones([400, 100]), 2, 3);
        float[] values = dropped.ToArray<float>();
        Assert.That(values.Distinct().Order(), Is.EqualTo([0f, 1 / 0.75f]).Within(1e-6));
        Assert.That(values.Count(v => v == 0) / 40000.0, Is.EqualTo(0.25).Within(0.01));
        Assert.That(dropout.Apply(Tensor.Ones([400, 100]), 2, 2).ToArray<float>(), Is.Not.EqualTo(values));
    }
}
