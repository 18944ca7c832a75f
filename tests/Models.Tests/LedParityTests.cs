using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Every golden case of LED that is one pass through a model, and its gradients, under each attention implementation.</summary>
public sealed class LedParityTests
{
    private static IEnumerable<string> Cases() => Golden.Names("led").Where(name => !name.StartsWith("generate", StringComparison.Ordinal));

    [Test]
    public void A_model_gives_every_expected_tensor([ValueSource(nameof(Cases))] string name, [Values] AttentionImplementation implementation)
    {
        Golden golden = Golden.Open("led", name);
        using TensorScope scope = new();
        using PretrainedModel model = PretrainedModel.Load(golden.Folder, new LoadOptions { Attention = implementation });
        Dictionary<string, Tensor> expected = golden.Expected();

        IReadOnlyDictionary<string, Tensor> outputs = model.Run(
            golden.Inputs(), expected.Keys.Any(k => k.Contains("hidden_states.", StringComparison.Ordinal)),
            expected.Keys.Any(k => k.Contains("attentions.", StringComparison.Ordinal)));

        Assert.That(outputs.Keys, Is.EquivalentTo(expected.Keys));
        foreach ((string output, Tensor tensor) in expected)
            golden.AssertMatches(output, outputs[output], tensor);
    }

    [Test]
    public void Gradients_of_the_loss_are_those_of_the_reference([Values] AttentionImplementation implementation)
    {
        Golden golden = Golden.Open("gradients", "led_seq2seq");
        using TensorScope scope = new();
        using PretrainedModel model = PretrainedModel.Load(golden.Folder, new LoadOptions { Attention = implementation, Trainable = true });
        Dictionary<string, Tensor> expected = golden.Expected();

        IReadOnlyDictionary<string, Tensor> gradients = model.LossAndGradients(golden.Inputs());

        Assert.That(gradients.Keys, Is.EquivalentTo(expected.Keys));
        foreach ((string output, Tensor tensor) in expected)
            golden.AssertMatches(output, gradients[output], tensor);
    }
}
