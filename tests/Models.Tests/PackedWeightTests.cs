using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Weights that are laid out anew for the matrix products when they are first used.</summary>
public class PackedWeightTests
{
    private static readonly LoadOptions Plain = new() { PackWeights = false };

    [Test]
    public void Packed_weights_give_what_plain_ones_give([Values(DType.Float32, DType.BFloat16, DType.Float64)] DType dtype)
    {
        using TestFolder folder = new();
        RandomCheckpoint.Write(folder.Path, TinyModels.Configuration, 7);
        using LongformerModel packed = LongformerModel.Load(folder.Path, new LoadOptions { DType = dtype });
        using LongformerModel plain = LongformerModel.Load(folder.Path, Plain with { DType = dtype });
        using TensorScope scope = new();
        LongformerInputs inputs = TinyModels.Pad([TinyModels.Document(60, 1), TinyModels.Document(33, 2)], [[1, .. new byte[59]], new byte[33]]);
        double tolerance = dtype == DType.BFloat16 ? 0.1 : 1e-5;
        Assert.That(Golden.MaxDifference(packed.Forward(inputs).LastHiddenState.To(DType.Float32),
            plain.Forward(inputs).LastHiddenState.To(DType.Float32)),
            Is.LessThanOrEqualTo(tolerance));
    }

    [Test]
    public void Every_attention_reads_the_joined_projections([Values] AttentionImplementation implementation)
    {
        using LongformerModel packed = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { Attention = implementation });
        using LongformerModel plain = TinyModels.Load(LongformerModel.Load, options: Plain with { Attention = implementation });
        using TensorScope scope = new();
        LongformerInputs inputs = TinyModels.Pad([TinyModels.Document(60, 1), TinyModels.Document(33, 2)], [[1, .. new byte[59]], new byte[33]]);
        Assert.That(Golden.MaxDifference(packed.Forward(inputs).LastHiddenState, plain.Forward(inputs).LastHiddenState), Is.LessThanOrEqualTo(1e-5));
    }

    [Test]
    public void Blocks_of_tokens_do_not_show_in_the_result()
    {
        // More tokens than one block of the feed-forward layers holds, and rows of two documents in one block.
        LongformerConfiguration configuration =
            TinyModels.Configuration with { MaxPositionEmbeddings = 1502, NumHiddenLayers = 2, AttentionWindow = [8, 8] };
        using LongformerModel model = TinyModels.Load(LongformerModel.Load, configuration);
        using LongformerModel trained = TinyModels.Load(LongformerModel.Load, configuration, new LoadOptions { Trainable = true });
        using TensorScope scope = new();
        int[][] documents = [TinyModels.Document(1500, 1), TinyModels.Document(700, 2)];
        Tensor together = model.Forward(LongformerInputs.Pack(documents)).LastHiddenState;
        using GradientSet gradients = trained.CreateGradients();
        using (GradientTape tape = new(gradients))
        {
            Tensor whole = trained.Forward(LongformerInputs.Pack(documents)).LastHiddenState;
            Assert.That(GradientTape.Records(whole), Is.True);
            Assert.That(Golden.MaxDifference(together, whole), Is.LessThanOrEqualTo(1e-4));
        }
        Tensor alone = model.Forward(LongformerInputs.Pack([documents[1]])).LastHiddenState;
        Assert.That(Golden.MaxDifference(together.Narrow(0, 1500, 700), alone), Is.LessThanOrEqualTo(1e-4));
    }

    [Test]
    public void Four_threads_that_pack_one_fresh_model_get_bit_equal_results([Range(1, 3)] int attempt)
    {
        using LongformerModel model = TinyModels.Load(LongformerModel.Load);
        int[] document = TinyModels.Document(50 + attempt, attempt);
        float[][] results = new float[4][];
        using Barrier start = new(results.Length);
        Thread[] threads = [.. Enumerable.Range(0, results.Length).Select(i => new Thread(() =>
        {
            using TensorScope scope = new();
            LongformerInputs inputs = LongformerInputs.Pack([document], [[1, .. new byte[document.Length - 1]]]);
            start.SignalAndWait();
            results[i] = model.Forward(inputs).LastHiddenState.ToArray<float>();
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        for (int i = 1; i < results.Length; i++)
            Assert.That(results[i].AsSpan().SequenceEqual(results[0]), Is.True, $"thread {i}");
    }

    [Test]
    public void Saving_after_a_pass_writes_the_weights_as_they_were_read()
    {
        using TestFolder folder = new(), saved = new();
        RandomCheckpoint.Write(folder.Path, TinyModels.Configuration, 7);
        using (LongformerModel model = LongformerModel.Load(folder.Path))
        {
            using TensorScope scope = new();
            model.Forward(LongformerInputs.Pack([TinyModels.Document(30, 1)]));
            model.Save(saved.Path);
        }
        using SafetensorsFile before = SafetensorsFile.Open(folder["model.safetensors"]), after = SafetensorsFile.Open(saved["model.safetensors"]);
        using TensorScope reading = new();
        Assert.That(after.Entries, Is.Not.Empty);
        foreach (string name in after.Entries.Keys)
            Assert.That(after.Get(name).ToArray<float>(), Is.EqualTo(before.Get(name).ToArray<float>()), name);
    }

    [Test]
    public void A_trainable_model_packs_nothing_and_learns()
    {
        using LongformerForSequenceClassification model =
            TinyModels.Load(LongformerForSequenceClassification.Load, options: new LoadOptions { Trainable = true });
        using TensorScope scope = new();
        LongformerInputs inputs = LongformerInputs.Pack([TinyModels.Document(30, 1)]) with { Labels = Tensor.From<long>([1], 1) };
        long before = TorchRuntime.LiveTensorCount;
        using (new TensorScope())
            model.Forward(inputs);
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
        double first = model.Forward(inputs).Loss!.ToDouble();
        using GradientSet gradients = model.CreateGradients();
        using (GradientTape tape = new(gradients))
            tape.Backward(model.Forward(inputs).Loss!);
        foreach (Tensor parameter in gradients.Tensors)
        {
            if (gradients[parameter] is { } gradient)
                parameter.AddInPlace(gradient, -0.01);
        }
        Assert.That(model.Forward(inputs).Loss!.ToDouble(), Is.LessThan(first));
    }

    [Test]
    public void Gradients_reach_the_inputs_of_a_model_with_packed_weights()
    {
        using LongformerModel model = TinyModels.Load(LongformerModel.Load);
        using LongformerModel plain = TinyModels.Load(LongformerModel.Load, options: Plain);
        using TensorScope scope = new();
        Tensor Gradient(LongformerModel of)
        {
            Tensor embeds = of.WordEmbeddings(Tensor.From<long>([0, 7, 8, 9, 2], 1, 5));
            using GradientSet gradients = new(embeds);
            using GradientTape tape = new(gradients);
            Tensor output = of.Forward(new LongformerInputs { InputsEmbeds = embeds }).LastHiddenState;
            tape.Backward(output, output * output);
            return gradients[embeds]!.Alias();
        }
        Assert.That(Golden.MaxDifference(Gradient(model), Gradient(plain)), Is.LessThanOrEqualTo(1e-4));
        Assert.That(Gradient(model).Abs().Sum().ToDouble(), Is.GreaterThan(0));
    }

    [Test]
    public void Disposing_a_model_frees_what_it_packed()
    {
        long before = TorchRuntime.LiveTensorCount;
        using (LongformerForMaskedLM model = TinyModels.Load(LongformerForMaskedLM.Load))
        {
            using (new TensorScope())
                model.Forward(LongformerInputs.Pack([TinyModels.Document(30, 1)]));
            Assert.That(TorchRuntime.LiveTensorCount, Is.GreaterThan(before + model.NamedParameters.Count));
        }
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void Pages_of_a_weight_that_was_changed_in_place_stay()
    {
        using TestFolder folder = new();
        using TensorScope scope = new();
        Tensor ones = Tensor.Ones([1024, 64]);
        SafetensorsWriter.Write(folder["x.safetensors"], [TensorSource.From("a", ones), TensorSource.From("b", ones)]);
        using SafetensorsFile file = SafetensorsFile.Open(folder["x.safetensors"]);
        Tensor a = file.Get("a"), b = file.Get("b");
        b.MulInPlace(3);
        foreach (Tensor tensor in (Tensor[])[a, b, ones])
            MappedMemory.Leave(tensor);
        Assert.That((a.Sum().ToDouble(), b.Sum().ToDouble(), ones.Sum().ToDouble()), Is.EqualTo((65536.0, 3 * 65536.0, 65536.0)));
    }
}
