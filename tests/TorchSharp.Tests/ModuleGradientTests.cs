using LongformerInterop.Models;
using LongformerInterop.Models.Tests;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp.Tests;

/// <summary>The gradients of the goldens, through TorchSharp.</summary>
public class ModuleGradientTests
{
    [TestCase("masked_lm", false)]
    [TestCase("question_answering", false)]
    [TestCase("sequence_classification", false)]
    [TestCase("led_seq2seq", false)]
    [TestCase("masked_lm", true)]
    [TestCase("led_seq2seq", true)]
    public void Gradients_of_every_parameter_are_the_references(string name, bool recompute)
    {
        using TensorScope scope = new();
        using DisposeScope disposeScope = torch.NewDisposeScope();
        Golden golden = Golden.Open("gradients", name);
        using PretrainedModule module = PretrainedModule.Load(golden.Folder);
        module.eval();
        module.RecomputeLayers = recompute;
        Dictionary<string, Tensor> expected = golden.Expected();
        ModuleOutputs outputs = module.call(ModuleInputs.FromNames(golden.Inputs().ToDictionary(i => i.Key, i => i.Value.ToTorchSharp())));
        outputs.Loss!.RunBackward();
        golden.AssertMatches("loss", outputs.Loss!.detach().ToLongformer(), expected["loss"]);
        Dictionary<string, TorchTensor> parameters = module.named_parameters().ToDictionary(p => p.name, p => (TorchTensor)p.parameter);
        int compared = 0;
        foreach (string tensor in expected.Keys.Where(k => k.StartsWith("grad.", StringComparison.Ordinal)))
        {
            TorchTensor parameter = parameters[tensor["grad.".Length..]];
            golden.AssertMatches(tensor, (parameter.grad ?? torch.zeros_like(parameter)).detach().ToLongformer(), expected[tensor]);
            compared++;
        }
        Assert.That(compared, Is.GreaterThan(10));
    }

    [Test]
    public void Gradients_flow_into_given_embeddings_and_through_a_head_of_ones_own()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module();
        module.eval();
        using global::TorchSharp.Modules.Linear head = torch.nn.Linear(32, 3);
        TorchTensor embeddings = torch.randn([2, 20, 32], requires_grad: true);
        TorchTensor Loss(TorchTensor embeds) =>
            head.call(module.call(new ModuleInputs { InputsEmbeds = embeds }).LastHiddenState.select(1, 0)).pow(2).sum();
        Loss(embeddings).RunBackward();
        using (torch.no_grad())
        {
            TorchTensor direction = torch.randn([2, 20, 32]) * 1e-3f;
            double up = Loss(embeddings + direction).item<float>(), down = Loss(embeddings - direction).item<float>();
            Assert.That((embeddings.grad! * direction).sum().item<float>(), Is.EqualTo((up - down) / 2).Within(2).Percent);
        }
        Assert.That(head.weight.grad, Is.Not.Null);
        Assert.That(module.parameters().Count(p => p.grad is not null), Is.GreaterThan(40));
    }

    [Test]
    public void Two_passes_add_up_and_frozen_parts_get_nothing()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module("LongformerForSequenceClassification");
        module.eval();
        TorchTensor ids = Torches.Ids(), labels = torch.tensor(new long[] { 1, 2 });
        foreach ((string name, global::TorchSharp.Modules.Parameter parameter) in module.named_parameters())
        {
            if (name.StartsWith("longformer.embeddings", StringComparison.Ordinal))
                parameter.requires_grad_(false);
        }
        module.forward(ids, labels: labels).Loss!.RunBackward();
        TorchTensor once = module.get_parameter("classifier.dense.weight")!.grad!.clone();
        module.forward(ids, labels: labels).Loss!.RunBackward();
        Torches.AssertClose(module.get_parameter("classifier.dense.weight")!.grad!, once * 2, 1e-6, "twice");
        Assert.That(module.get_parameter("longformer.embeddings.word_embeddings.weight")!.grad, Is.Null);
        foreach (global::TorchSharp.Modules.Parameter parameter in module.parameters())
            parameter.requires_grad_(false);
        Assert.That(module.forward(ids, labels: labels).Loss!.requires_grad, Is.False);
    }

    [Test]
    public void Failures_of_a_backward_pass_reach_the_caller()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module();
        TorchTensor Sum() => module.forward(Torches.Ids()).LastHiddenState.sum();
        TorchTensor loss = Sum();
        loss.backward(retain_graph: true);
        Assert.That(() => loss.RunBackward(),
            Throws.InvalidOperationException.With.Message.StartsWith("LongformerModel: a second backward pass through one forward pass"));
        Assert.That(() => loss.backward(), Throws.TypeOf<System.Runtime.InteropServices.ExternalException>());
        loss = Sum();
        using (torch.no_grad())
            module.get_parameter("encoder.layer.0.output.dense.weight")!.mul_(2);
        Assert.That(() => loss.RunBackward(), Throws.Exception.With.Message.Contains("modified by an inplace operation"));
        Sum().RunBackward();
    }

    [Test]
    public void Dropout_is_seeded_by_torch_and_off_in_evaluation()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module();
        TorchTensor Run(long seed)
        {
            torch.random.manual_seed(seed);
            return module.forward(Torches.Ids()).LastHiddenState.detach();
        }

        module.train();
        float[] first = Torches.Values(Run(1)), again = Torches.Values(Run(1)), other = Torches.Values(Run(2));
        Assert.That(again, Is.EqualTo(first));
        Assert.That(other, Is.Not.EqualTo(first));
        module.eval();
        (first, other) = (Torches.Values(Run(1)), Torches.Values(Run(2)));
        Assert.That(other, Is.EqualTo(first));
    }
}
