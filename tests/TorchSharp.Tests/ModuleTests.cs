using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Models.Tests;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp.Tests;

public class ModuleTests
{
    private static IEnumerable<string> Classes => Architecture.All.Select(a => a.Name);

    [TestCaseSource(nameof(Classes))]
    public void Every_class_has_a_module_that_computes_as_the_model(string name)
    {
        using TensorScope scope = new();
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using TestFolder folder = Torches.Checkpoint(name);
        using PretrainedModel model = PretrainedModel.Load(folder.Path);
        using PretrainedModule module = PretrainedModule.Load(folder.Path);
        Assert.That(ModuleClasses.All, Contains.Key(name));
        Assert.That(module.GetType(), Is.Not.EqualTo(typeof(PretrainedModule)));
        Assert.That(module.state_dict().Keys, Is.EquivalentTo(model.NamedParameters.Select(p => p.Name)));
        module.eval();
        Dictionary<string, TorchTensor> inputs = new() { ["input_ids"] = Torches.Ids() };
        if (name.EndsWith("MultipleChoice", StringComparison.Ordinal))
        {
            inputs["input_ids"] = Torches.Ids(4).view(2, 2, 20);
            inputs["global_attention_mask"] = torch.zeros_like(inputs["input_ids"]);
        }

        if (name.EndsWith("SpanClassification", StringComparison.Ordinal))
        {
            inputs["entity_start_positions"] = torch.tensor(new long[] { 1, 2 }, [2, 1]);
            inputs["entity_end_positions"] = torch.tensor(new long[] { 3, 4 }, [2, 1]);
        }

        if (name.EndsWith("HotpotQA", StringComparison.Ordinal))
        {
            inputs["paragraph_positions"] = torch.tensor(new long[] { 2, 9, 25 });
            inputs["sentence_positions"] = torch.tensor(new long[] { 8, 15, 30, 39 });
        }

        if (name.EndsWith("Coreference", StringComparison.Ordinal))
        {
            inputs["sentence_map"] = torch.tensor([.. Enumerable.Range(0, 40).Select(t => (long)(t / 5))], [2, 20]);
            inputs["speaker_ids"] = torch.ones(2, 20, dtype: torch.ScalarType.Int64);
            inputs["genre"] = torch.tensor(new long[] { 1 });
            inputs["mention_starts"] = torch.tensor(new long[] { 1, 11, 31 });
            inputs["mention_ends"] = torch.tensor(new long[] { 2, 11, 32 });
            inputs["mention_clusters"] = torch.tensor(new long[] { 0, 0, 0 });
        }

        if (name.EndsWith("CandidateScoring", StringComparison.Ordinal))
            inputs["entity_start_positions"] = torch.tensor(new long[] { 1, 2, 3, 4 }, [2, 2]);
        if (name.EndsWith("QuestionAnswering", StringComparison.Ordinal))
            inputs["global_attention_mask"] = torch.zeros_like(inputs["input_ids"]);
        IReadOnlyDictionary<string, Tensor> expected = model.Run(inputs.ToDictionary(i => i.Key, i => i.Value.ToLongformer()));
        foreach (bool gradients in new[] { true, false })
        {
            using IDisposable mode = torch.set_grad_enabled(gradients);
            ModuleOutputs outputs = module.call(ModuleInputs.FromNames(inputs));
            Assert.That(outputs.All.Keys, Is.EqualTo(expected.Keys));
            foreach ((string output, Tensor tensor) in expected)
            {
                Torches.AssertClose(outputs[output], tensor.ToTorchSharp(), 2e-5, $"{name}: {output}");
                // Which spans are kept is a choice, which has no gradient.
                Assert.That(outputs[output].requires_grad, Is.EqualTo(gradients && tensor.DType != DType.Int64), output);
            }
        }
    }

    [Test]
    public void Typed_loading_gives_the_body_of_any_checkpoint_and_refuses_another_head()
    {
        using TestFolder folder = Torches.Checkpoint("LongformerForQuestionAnswering");
        using LongformerModule body = LongformerModule.Load(folder.Path);
        Assert.That(body.named_parameters().First().name, Is.EqualTo("embeddings.word_embeddings.weight"));
        Assert.That(() => LongformerForMaskedLMModule.Load(folder.Path), Throws.TypeOf<CheckpointException>());
        Assert.That(() => PretrainedModule.Load("/nowhere"), Throws.TypeOf<CheckpointException>().With.Message.Contains("/nowhere"));
    }

    [Test]
    public void Conversion_to_another_dtype_holds_for_results_and_gradients()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module();
        module.eval();
        TorchTensor before = module.forward(Torches.Ids()).LastHiddenState;
        module.to(torch.ScalarType.Float64);
        Assert.That(module.parameters().Select(p => p.dtype), Is.All.EqualTo(torch.ScalarType.Float64));
        TorchTensor after = module.forward(Torches.Ids()).LastHiddenState;
        Assert.That(after.dtype, Is.EqualTo(torch.ScalarType.Float64));
        Torches.AssertClose(after, before, 1e-5, "in float64");
        after.sum().RunBackward();
        Assert.That(module.get_parameter("embeddings.LayerNorm.weight")!.grad!.dtype, Is.EqualTo(torch.ScalarType.Float64));
        module.to(torch.ScalarType.BFloat16);
        using (torch.no_grad())
            Torches.AssertClose(module.forward(Torches.Ids()).LastHiddenState, before, 0.1, "in bfloat16");
    }

    [Test]
    public void Writing_to_a_parameter_is_seen_by_the_packed_form()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module(),
            other = Torches.Module(configuration: TinyModels.Configuration with { HiddenDropoutProb = 0 });
        module.eval();
        TorchTensor ids = Torches.Ids();
        TorchTensor Run() => module.forward(ids).LastHiddenState;
        using IDisposable off = torch.no_grad();
        TorchTensor before = Run();
        torch.nn.Module part = module;
        module.get_parameter("encoder.layer.1.attention.self.query.weight")!.mul_(3);
        TorchTensor packed = Run();
        Assert.That((packed - before).abs().max().item<float>(), Is.GreaterThan(1e-3));
        using (torch.enable_grad())
            Torches.AssertClose(packed, Run(), 2e-5, "packed as plain");
        module.load_state_dict(other.state_dict());
        Torches.AssertClose(Run(), before, 2e-5, "the first weights again");
        using (torch.inference_mode())
            Torches.AssertClose(Run(), before, 2e-5, "in inference mode");
    }

    [Test]
    public void Save_and_load_of_TorchSharp_and_of_a_folder_give_the_same_module()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using TestFolder folder = Torches.Checkpoint("LongformerForSequenceClassification"), output = new();
        using PretrainedModule module = PretrainedModule.Load(folder.Path);
        module.eval();
        using (torch.no_grad())
        {
            foreach (global::TorchSharp.Modules.Parameter parameter in module.parameters())
                parameter.mul_(1.1);
        }
        TorchTensor expected = module.forward(Torches.Ids()).Logits;
        module.save(output["module.dat"]);
        using PretrainedModule second = PretrainedModule.Load(folder.Path);
        second.load(output["module.dat"]);
        second.eval();
        Torches.AssertClose(second.forward(Torches.Ids()).Logits, expected, 1e-6, "load");
        File.WriteAllText(folder["vocab.json"], "{}");
        module.SaveFolder(output["saved"]);
        Assert.That(File.ReadAllText(Path.Combine(output["saved"], "vocab.json")), Is.EqualTo("{}"));
        using PretrainedModule third = PretrainedModule.Load(output["saved"]);
        third.eval();
        Torches.AssertClose(third.forward(Torches.Ids()).Logits, expected, 1e-6, "a folder");
    }

    [Test]
    public void A_module_of_ones_own_is_saved_only_as_a_class_whose_parameters_it_has()
    {
        using TestFolder output = new();
        using PretrainedModule module = Torches.Module();
        Assert.That(() => CheckpointFolder.Save(module, module.Configuration, "LongformerForMaskedLM", output["a"]),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("missing: lm_head.dense.weight"));
        Assert.That(() => CheckpointFolder.Save(module, module.Configuration, "Bert", output["b"]),
            Throws.TypeOf<InputException>().With.Message.StartsWith("architecture"));
        using global::TorchSharp.Modules.Linear linear = torch.nn.Linear(2, 2);
        Assert.That(() => CheckpointFolder.Save(linear, module.Configuration, "LongformerModel", output["c"]),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("unexpected: weight [2, 2]"));
        Assert.That(Directory.EnumerateFileSystemEntries(output.Path), Is.Empty);
    }

    [Test]
    public void Wrong_inputs_are_one_exception_that_names_them()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module();
        TorchTensor ids = Torches.Ids(), gone = Torches.Ids();
        gone.Dispose();
        void Refuses(string start, TorchTensor given, TorchTensor? mask = null) =>
            Assert.That(() => module.forward(given, mask), Throws.TypeOf<InputException>().With.Message.StartsWith(start));

        Refuses("input_ids: expected a tensor that is alive", gone);
        Refuses("attention_mask: expected a tensor that is alive", ids, gone);
        Refuses("attention_mask: expected shape [2, 20]", ids, torch.ones([2, 19]));
        Refuses("input_ids", torch.ones([2, 20]));
        Refuses("input_ids[0, 0]", ids + 90);
        Refuses("input_ids", ids.view(-1));
        Assert.That(() => module.call(new ModuleInputs()), Throws.TypeOf<InputException>());
        Assert.That(() => module.call(new ModuleInputs { InputIds = ids, DecoderInputIds = ids }),
            Throws.TypeOf<InputException>().With.Message.StartsWith("decoder_input_ids"));
        Assert.That(() => ModuleInputs.FromNames([new("ids", ids)]), Throws.TypeOf<InputException>().With.Message.StartsWith("ids"));
        Assert.That(() => module.forward(ids).Logits, Throws.TypeOf<KeyNotFoundException>().With.Message.Contains("last_hidden_state"));
    }

    [Test]
    public void Parameters_that_are_gone_or_of_two_dtypes_are_named()
    {
        using PretrainedModule module = Torches.Module();
        using TorchTensor ids = Torches.Ids();
        (_, torch.nn.Module part) = module.named_modules().First(m => m.name == "encoder.layer.2");
        part.to(torch.ScalarType.Float64);
        Assert.That(() => module.forward(ids), Throws.TypeOf<InputException>().With.Message.StartsWith("encoder.layer.2.")
            .And.Message.Contains("Float64"));
        part.to(torch.ScalarType.Float32);
        module.forward(ids).Dispose();
        module.get_parameter("encoder.layer.2.output.dense.bias")!.Dispose();
        Assert.That(() => module.forward(ids), Throws.TypeOf<InputException>()
            .With.Message.StartsWith("encoder.layer.2.output.dense.bias: expected a parameter that is alive"));
    }

    [Test]
    public void A_disposed_module_refuses_and_its_results_stay()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        PretrainedModule module = Torches.Module();
        TorchTensor result = module.forward(Torches.Ids()).LastHiddenState;
        module.Dispose();
        Assert.That(result.sum().item<float>(), Is.Not.NaN);
        Assert.That(() => module.forward(Torches.Ids()), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => module.SaveFolder("x"), Throws.TypeOf<ObjectDisposedException>());
        module.Dispose();
    }

    [Test]
    public void Loaded_inside_a_scope_the_parameters_outlive_it()
    {
        PretrainedModule module;
        using (new TensorScope())
        using (torch.NewDisposeScope())
            module = Torches.Module();
        using (module)
            module.forward(Torches.Ids()).Dispose();
    }

    [Test]
    public void Several_threads_run_one_module()
    {
        using PretrainedModule module = Torches.Module();
        module.eval();
        using TorchTensor ids = Torches.Ids();
        float[] expected = Torches.Values(module.forward(ids).LastHiddenState);
        Parallel.For(0, 16, _ =>
        {
            using DisposeScope scope = torch.NewDisposeScope();
            using IDisposable off = torch.no_grad();
            Assert.That(Torches.Values(module.forward(ids).LastHiddenState), Is.EqualTo(expected).Within(2e-5));
        });
    }
}
