using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Every golden case of the models and of the attention module, under each implementation that the case allows.</summary>
public class ParityTests
{
    // allenai's other modes do not run on the banded operator, so its implementations make no difference to them.
    private static readonly string[] OwnMode = ["allenai_n2", "allenai_sliding_chunks_no_overlap"];

    private static IEnumerable<TestCaseData> Models() => Cases("models", name => OwnMode.Contains(name));

    private static IEnumerable<TestCaseData> SelfAttentions() =>
        Cases("self_attention", name => name.EndsWith("_no_overlap", StringComparison.Ordinal));

    private static IEnumerable<TestCaseData> Cases(string group, Func<string, bool> ownMode)
    {
        foreach (string name in Golden.Names(group))
        {
            foreach (AttentionImplementation implementation in Enum.GetValues<AttentionImplementation>())
            {
                if (implementation == AttentionImplementation.Fused || !ownMode(name))
                    yield return new TestCaseData(name, implementation);
            }
        }
    }

    [TestCaseSource(nameof(Models))]
    public void A_model_gives_every_expected_tensor(string name, AttentionImplementation implementation)
    {
        Golden golden = Golden.Open("models", name);
        using TensorScope scope = new();
        using PretrainedModel model = PretrainedModel.Load(golden.Folder, new LoadOptions { Attention = implementation });
        Dictionary<string, Tensor> expected = golden.Expected();

        IReadOnlyDictionary<string, Tensor> outputs = model.Run(
            golden.Inputs(), expected.Keys.Any(k => k.StartsWith("hidden_states", StringComparison.Ordinal)),
            expected.Keys.Any(k => k.StartsWith("attentions", StringComparison.Ordinal)));

        Assert.That(outputs.Keys, Is.EquivalentTo(expected.Keys));
        foreach ((string output, Tensor tensor) in expected)
            golden.AssertMatches(output, outputs[output], tensor);
    }

    [TestCaseSource(nameof(SelfAttentions))]
    public void The_attention_module_gives_the_expected_context(string name, AttentionImplementation implementation)
    {
        Golden golden = Golden.Open("self_attention", name);
        using TensorScope scope = new();
        using LongformerSelfAttentionModule module =
            LongformerSelfAttentionModule.Load(golden.Folder, new LoadOptions { Attention = implementation });
        Dictionary<string, Tensor> inputs = golden.Inputs();

        Tensor context = module.Forward(inputs["hidden_states"], inputs.GetValueOrDefault("attention_mask"));

        golden.AssertMatches("out", context, golden.Expected()["out"]);
    }

    [Test]
    public void Gradients_of_a_loss_are_those_of_the_reference(
        [Values("masked_lm", "question_answering", "sequence_classification")] string name, [Values] AttentionImplementation implementation)
    {
        Golden golden = Golden.Open("gradients", name);
        using TensorScope scope = new();
        using PretrainedModel model = PretrainedModel.Load(golden.Folder, new LoadOptions { Attention = implementation, Trainable = true });
        Dictionary<string, Tensor> expected = golden.Expected();

        IReadOnlyDictionary<string, Tensor> gradients = model.LossAndGradients(golden.Inputs());

        Assert.That(gradients.Keys, Is.EquivalentTo(expected.Keys));
        foreach ((string output, Tensor tensor) in expected)
            golden.AssertMatches(output, gradients[output], tensor);
    }
}
