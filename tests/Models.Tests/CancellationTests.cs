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
        using TensorScope scope = new();
        LongformerInputs inputs = LongformerInputs.Pack([TinyModels.Document(60, 1)]);
        using (new TensorScope())
            model.Forward(inputs);  // packs the weights
        long before = TorchRuntime.LiveTensorCount;
        using CancellationTokenSource source = new();
        int asked = 0;
        using (new CancelPoll(_ =>
        {
            if (asked++ == layers)
                source.Cancel();
        }))
        {
            Assert.That(() => model.Forward(inputs, source.Token), Throws.InstanceOf<OperationCanceledException>());
        }
        Assert.That(asked, Is.EqualTo(layers + 1));
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void A_token_is_looked_at_before_every_layer_also_of_a_model_run_by_names()
    {
        using LongformerModel model = TinyModels.Load(LongformerModel.Load);
        using TensorScope scope = new();
        int asked = 0;
        Dictionary<string, Tensor> inputs = new() { ["input_ids"] = Tensor.From<long>([0, 5, 2], 1, 3) };
        using (new CancelPoll(_ => asked++))
            model.Run(inputs);
        Assert.That(asked, Is.EqualTo(TinyModels.Configuration.NumHiddenLayers));
        model.Run(inputs);
        Assert.That(asked, Is.EqualTo(TinyModels.Configuration.NumHiddenLayers), "a poll that has ended is asked no more");
        Assert.That(() => model.Run(inputs, cancellation: new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public void Polls_nest()
    {
        List<string> asked = [];
        using (new CancelPoll(_ => asked.Add("outer")))
        {
            using (new CancelPoll(_ => asked.Add("inner")))
                CancelPoll.ThrowIfStopped(CancellationToken.None);
            CancelPoll.ThrowIfStopped(CancellationToken.None);
        }
        CancelPoll.ThrowIfStopped(CancellationToken.None);
        Assert.That(asked, Is.EqualTo(["inner", "outer"]));
    }
}
