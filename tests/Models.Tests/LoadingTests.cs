using LongformerInterop.Checkpoints;
using LongformerInterop.Checkpoints.Tests;
using LongformerInterop.Torch;
using Microsoft.Extensions.Logging;

namespace LongformerInterop.Models.Tests;

public class LoadingTests
{
    // From the same definition in another language.
    private static readonly float[] ExpectedRandomValues = [-0.39634576439857483f, 0.014747381210327148f, 0.5123822689056396f, 0.10692842304706573f];

    private static IEnumerable<string> Longformers => Architecture.Of(ModelFamily.Longformer).Select(a => a.Name);

    [Test]
    public void Every_random_checkpoint_loads_as_the_class_it_names([ValueSource(nameof(Longformers))] string architecture)
    {
        using TestFolder folder = new();
        IReadOnlyList<ParameterShape> written = RandomCheckpoint.Write(folder.Path, TinyModels.Configuration, 3, architecture);
        using PretrainedModel model = PretrainedModel.Load(folder.Path);
        Assert.That(model.Architecture, Is.EqualTo(architecture));
        Assert.That(model.NamedParameters.Select(p => p.Name), Is.EqualTo(written.Select(p => p.Name)));
    }

    [Test]
    public void A_random_checkpoint_depends_only_on_its_seed()
    {
        float[] values = RandomCheckpoint.Values(new ParameterShape("encoder.layer.0.attention.self.query.weight", [16, 16]), 5);
        Assert.That(values.Take(4), Is.EqualTo(ExpectedRandomValues));
        Assert.That(RandomCheckpoint.Values(new ParameterShape("encoder.layer.0.attention.self.query.weight", [16, 16]), 6), Is.Not.EqualTo(values));
        Assert.That(values.Average(), Is.EqualTo(0).Within(0.1));
        Assert.That(Math.Sqrt(values.Average(v => (double)v * v)), Is.EqualTo(1.5 / 4).Within(0.05));
    }

    // from_pretrained warns of unexpected keys and loads.
    [Test]
    public void A_tensor_too_many_is_named_and_loads()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        RandomCheckpoint.Write(folder.Path, TinyModels.Configuration, 3, nameof(LongformerForMaskedLM));
        string file = Path.Combine(folder.Path, "model.safetensors");
        Dictionary<string, Tensor> tensors = [];
        using (SafetensorsFile given = SafetensorsFile.Open(file))
        {
            foreach (string name in given.Entries.Keys)
                tensors[name] = given.Get(name).Clone();
        }
        tensors["qa_outputs.weight"] = Tensor.Ones([2, 3]);
        SafetensorsWriter.Write(file, tensors);
        Lines log = new();
        using LongformerForMaskedLM model = LongformerForMaskedLM.Load(folder.Path, new LoadOptions { Logger = log });
        Assert.That(model.UnusedTensors, Has.Count.EqualTo(1).And.Some.Contains("qa_outputs.weight"));
        Assert.That(log.Warnings,
            Is.EqualTo(new[] { $"{folder.Path}: 1 tensors have no place in LongformerForMaskedLM and are not used: {model.UnusedTensors[0]}" }));
    }

    private sealed class Lines : ILogger
    {
        public List<string> Warnings { get; } = [];

        public bool IsEnabled(LogLevel logLevel) => true;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            Assert.That(logLevel, Is.EqualTo(LogLevel.Warning));
            Warnings.Add(formatter(state, exception));
        }
    }

    [Test]
    public void A_saved_model_gives_the_same_values()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        LongformerInputs inputs = LongformerInputs.Pack([TinyModels.Document(20, 1)]);
        using LongformerForMaskedLM model = TinyModels.Load(LongformerForMaskedLM.Load);
        model.Save(folder.Path);
        using LongformerForMaskedLM again = LongformerForMaskedLM.Load(folder.Path);
        Assert.That(again.Forward(inputs).Logits.ToArray<float>(), Is.EqualTo(model.Forward(inputs).Logits.ToArray<float>()));
    }

    [Test]
    public void The_body_of_a_head_checkpoint_loads_as_the_bare_model()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        RandomCheckpoint.Write(folder.Path, TinyModels.Configuration, 3, nameof(LongformerForMaskedLM));
        using LongformerModel bare = LongformerModel.Load(folder.Path);
        using LongformerForMaskedLM full = LongformerForMaskedLM.Load(folder.Path);
        LongformerInputs inputs = LongformerInputs.Pack([TinyModels.Document(20, 1)]) with { OutputHiddenStates = true };
        BaseModelOutputs outputs = bare.Forward(inputs);
        Assert.That(outputs.PoolerOutput, Is.Null);
        Assert.That(outputs.LastHiddenState.ToArray<float>(), Is.EqualTo(full.Forward(inputs).HiddenStates![^1].ToArray<float>()));
    }

    [Test]
    public void Names_of_allenai_with_buffers_and_tied_duplicates_load_too()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        using LongformerForMaskedLM model = TinyModels.Load(LongformerForMaskedLM.Load);
        Dictionary<string, Tensor> tensors = model.NamedParameters.ToDictionary(
            p => p.Name.Replace("longformer.", "roberta.", StringComparison.Ordinal), p => p.Tensor);
        tensors["lm_head.decoder.weight"] = tensors["roberta.embeddings.word_embeddings.weight"];
        tensors["lm_head.decoder.bias"] = tensors["lm_head.bias"];
        tensors["roberta.embeddings.position_ids"] = Tensor.Arange(130).View(1, 130);
        SafetensorsWriter.Write(folder["model.safetensors"], tensors);
        File.WriteAllText(folder["config.json"], model.Configuration.ToJson().Replace("\"longformer\"", "\"roberta\"", StringComparison.Ordinal)
            .Replace("LongformerModel", "RobertaForMaskedLM", StringComparison.Ordinal));
        using PretrainedModel roberta = PretrainedModel.Load(folder.Path);
        Assert.That(roberta.NamedParameters.Select(p => p.Name), Is.EqualTo(model.NamedParameters.Select(p => p.Name)));
        LongformerInputs inputs = LongformerInputs.Pack([TinyModels.Document(20, 1)]);
        Assert.That(((LongformerForMaskedLM)roberta).Forward(inputs).Logits.ToArray<float>(),
            Is.EqualTo(model.Forward(inputs).Logits.ToArray<float>()));
    }

    [Test]
    public void The_classes_that_read_the_pooler_are_found_by_their_parameters() =>
        Assert.That(
            Architecture.All.Where(a => a.HasPooler).Select(a => a.Name), Is.EqualTo(new[] { "LongformerModel", "LongformerForMultipleChoice" }));

    [Test]
    public void Weights_are_used_where_they_lie_in_the_file()
    {
        using TestFolder folder = new();
        RandomCheckpoint.Write(folder.Path, TinyModels.Configuration, 3);
        using Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        using LongformerModel mapped = LongformerModel.Load(folder.Path);
        using LongformerModel trained = LongformerModel.Load(folder.Path, new LoadOptions { Trainable = true });
        Assert.That(mapped.NamedParameters.All(p => Mapping.Holds(p.Tensor.DataPointer, folder.Path)), Is.True);
        Assert.That(trained.NamedParameters.Any(p => Mapping.Holds(p.Tensor.DataPointer, folder.Path)), Is.False);
    }

    [Test]
    public void Another_dtype_is_converted_once_at_loading()
    {
        using TensorScope scope = new();
        using LongformerModel single = TinyModels.Load(LongformerModel.Load);
        using LongformerModel doubles = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { DType = DType.Float64 });
        using LongformerModel half = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { DType = DType.BFloat16 });
        LongformerInputs inputs = LongformerInputs.Pack([TinyModels.Document(50, 1)], [[1, .. new byte[49]]]);
        Tensor expected = doubles.Forward(inputs).LastHiddenState;
        Assert.That(expected.DType, Is.EqualTo(DType.Float64));
        Assert.That(Golden.MaxDifference(single.Forward(inputs).LastHiddenState, expected.To(DType.Float32)), Is.LessThan(2e-5));
        Tensor rounded = half.Forward(inputs).LastHiddenState;
        Assert.That(rounded.DType, Is.EqualTo(DType.BFloat16));
        Assert.That(Golden.MaxDifference(rounded.To(DType.Float32), expected.To(DType.Float32)), Is.LessThan(0.3));
    }
}
