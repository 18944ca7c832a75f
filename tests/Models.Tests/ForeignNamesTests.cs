using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Checkpoints under other names than HF's load as they are, and as strictly.</summary>
public class ForeignNamesTests
{
    [TestCase("", "roberta.")]
    [TestCase("model.", "roberta.")]
    [TestCase("module.", "longformer.")]
    [TestCase("model.module.", "roberta.")]
    public void A_longformer_inside_other_modules_loads_directly(string wrapper, string body)
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        using LongformerForMaskedLM model = TinyModels.Load(LongformerForMaskedLM.Load);
        Write(folder, model, n => wrapper + OldNorm(n.Replace("longformer.", body, StringComparison.Ordinal)));
        using LongformerForMaskedLM loaded = LongformerForMaskedLM.Load(folder.Path);
        Assert.That(loaded.NamedParameters.Select(p => p.Name), Is.EqualTo(model.NamedParameters.Select(p => p.Name)));
        LongformerInputs inputs = LongformerInputs.Pack([TinyModels.Document(20, 1)]);
        Assert.That(loaded.Forward(inputs).Logits.ToArray<float>(), Is.EqualTo(model.Forward(inputs).Logits.ToArray<float>()));
    }

    [Test]
    public void A_lightning_module_around_the_bare_model_has_its_head_beside_it()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        using LongformerForQuestionAnswering model = TinyModels.Load(LongformerForQuestionAnswering.Load);
        Write(folder, model, n => n.Replace("longformer.", "model.", StringComparison.Ordinal),
            ("model.embeddings.position_ids", Tensor.Arange(130).View(1, 130)));
        using PretrainedModel loaded = PretrainedModel.Load(folder.Path);
        Assert.That(loaded.NamedParameters.Select(p => p.Name), Is.EqualTo(model.NamedParameters.Select(p => p.Name)));
        // The weights alone may be what is given, with a name of their own.
        File.Move(folder["model.safetensors"], folder["epoch=3.ckpt"]);
        using PretrainedModel named = PretrainedModel.Load(folder["epoch=3.ckpt"]);
        Assert.That(named.Architecture, Is.EqualTo("LongformerForQuestionAnswering"));
        Assert.That(() => PretrainedModel.Load(folder.Path), Throws.TypeOf<CheckpointException>().With.Message.Contains("epoch=3.ckpt"));
    }

    [Test]
    public void Other_names_are_checked_as_strictly_as_hugging_faces()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        using LongformerForMaskedLM model = TinyModels.Load(LongformerForMaskedLM.Load);
        Write(folder, model, n => n == "longformer.encoder.layer.1.output.dense.bias" ? "model.roberta.encoder.layer.1.output.dense.bais"
            : "model." + n.Replace("longformer.", "roberta.", StringComparison.Ordinal), ("model.roberta.extra", Tensor.Ones([2])));
        CheckpointException error = Assert.Throws<CheckpointException>(() => LongformerForMaskedLM.Load(folder.Path))!;
        Assert.That(error.Problems.Select(p => (p.Kind, p.Name)), Is.EquivalentTo(new[]
        {
            (CheckpointProblemKind.Missing, "longformer.encoder.layer.1.output.dense.bias"),
            (CheckpointProblemKind.Unexpected, "longformer.encoder.layer.1.output.dense.bais"),
            (CheckpointProblemKind.Unexpected, "longformer.extra"),
        }));
    }

    [TestCase("")]
    [TestCase("model.")]
    public void An_led_of_allenai_loads_directly_and_gives_the_expected_outputs(string wrapper)
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        string source = Repository.Golden("conversion", "bart_to_led");
        using (SafetensorsFile file = SafetensorsFile.Open(Path.Combine(source, "allenai.safetensors")))
            SafetensorsWriter.Write(folder["model.safetensors"], file.Entries.Keys.ToDictionary(n => wrapper + n, file.Get));
        File.Copy(Path.Combine(source, "allenai.config.json"), folder["config.json"]);
        Golden golden = Golden.Open("conversion", "bart_to_led");
        using PretrainedModel model = PretrainedModel.Load(folder.Path);
        IReadOnlyDictionary<string, Tensor> outputs = model.Run(golden.Inputs());
        foreach ((string name, Tensor tensor) in golden.Expected())
            golden.AssertMatches(name, outputs[name], tensor);
    }

    [TestCase("pytorch_model.bin")]
    [TestCase("pytorch_model_legacy.bin")]
    public void A_torch_file_under_allenais_names_loads_directly_and_gives_the_expected_outputs(string file)
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        File.Copy(Repository.Golden("conversion", "torch_checkpoint", file), folder["pytorch_model.bin"]);
        File.Copy(Repository.Golden("conversion", "roberta_to_longformer", "config.json"), folder["config.json"]);
        Golden golden = Golden.Open("conversion", "roberta_to_longformer");
        using PretrainedModel model = PretrainedModel.Load(folder.Path);
        IReadOnlyDictionary<string, Tensor> outputs = model.Run(golden.Inputs());
        foreach ((string name, Tensor tensor) in golden.Expected())
            golden.AssertMatches(name, outputs[name], tensor);
    }

    private static string OldNorm(string name) => !name.Contains("LayerNorm.", StringComparison.Ordinal) ? name
        : name.Replace("LayerNorm.weight", "LayerNorm.gamma", StringComparison.Ordinal)
        .Replace("LayerNorm.bias", "LayerNorm.beta", StringComparison.Ordinal);

    private static void Write(TestFolder folder, PretrainedModel model, Func<string, string> rename, params (string Name, Tensor Tensor)[] more)
    {
        Dictionary<string, Tensor> tensors = model.NamedParameters.ToDictionary(p => rename(p.Name), p => p.Tensor);
        foreach ((string name, Tensor tensor) in more)
            tensors[name] = tensor;
        SafetensorsWriter.Write(folder["model.safetensors"], tensors);
        File.WriteAllText(folder["config.json"], (TinyModels.Configuration with { Architectures = [model.Architecture] }).ToJson());
    }
}
