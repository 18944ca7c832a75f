using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

public class CancellationTests
{
    [TestCase(0)]
    [TestCase(1)]
    [TestCase(2)]
    public void A_pass_stops_in_front_of_any_layer_and_leaves_nothing_behind(int layers)
    {
        using LongformerModel model = TinyModels.Load(LongformerModel.Load);
        using var scope = new TensorScope();
        LongformerInputs inputs = LongformerInputs.Pack([TinyModels.Document(60, 1)]);
        using (new TensorScope())
            model.Forward(inputs);  // packs the weights
        long before = TorchRuntime.LiveTensorCount;
        using var source = new CancellationTokenSource();
        int asked = 0;
        Assert.That(() => model.Forward(inputs with
        {
            BeforeLayer = () =>
            {
                if (asked++ == layers)
                    source.Cancel();
                source.Token.ThrowIfCancellationRequested();
            },
        }), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(asked, Is.EqualTo(layers + 1));
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void It_is_called_before_every_layer_also_of_a_model_run_by_names()
    {
        using LongformerModel model = TinyModels.Load(LongformerModel.Load);
        using var scope = new TensorScope();
        int asked = 0;
        model.Run(new Dictionary<string, Tensor> { ["input_ids"] = Tensor.From<long>([0, 5, 2], 1, 3) }, beforeLayer: () => asked++);
        Assert.That(asked, Is.EqualTo(TinyModels.Configuration.NumHiddenLayers));
    }
}
