using LongformerInterop.Models;
using LongformerInterop.Models.Tests;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp.Tests;

/// <summary>The character language model through TorchSharp: its goldens, and what any module can.</summary>
public class CharacterModuleTests
{
    private static IEnumerable<string> Models => Golden.Names("charlm").Where(name => name.StartsWith("model_", StringComparison.Ordinal));

    private static string Folder => Golden.Open("charlm", "model_window_dilated").Folder;

    private static (TorchTensor Ids, TorchTensor Targets) Inputs()
    {
        using TensorScope scope = new();
        Dictionary<string, Tensor> inputs = Golden.Open("charlm", "model_window_dilated").Inputs();
        return (inputs["ids"].ToTorchSharp(), inputs["targets"].ToTorchSharp());
    }

    [TestCaseSource(nameof(Models))]
    public void Outputs_and_gradients_of_every_parameter_are_the_references(string name)
    {
        using TensorScope scope = new();
        using DisposeScope disposeScope = torch.NewDisposeScope();
        Golden golden = Golden.Open("charlm", name);
        (Dictionary<string, Tensor> inputs, Dictionary<string, Tensor> expected) = (golden.Inputs(), golden.Expected());
        (TorchTensor ids, TorchTensor targets) = (inputs["ids"].ToTorchSharp(), inputs["targets"].ToTorchSharp());
        foreach (bool recompute in new[] { false, true })
        {
            using CharacterLanguageModule module = CharacterLanguageModule.Load(golden.Folder);
            module.eval();
            (module.RecomputeLayers, module.OutputHiddenStates) = (recompute, true);
            ModuleOutputs outputs = module.call(ids, targets);
            Dictionary<string, TorchTensor> computed = new() { ["hidden"] = outputs.LastHiddenState, ["loss"] = outputs.Loss!,
                ["bits_per_character"] = outputs.Loss! / Math.Log(2) };
            foreach ((int layer, TorchTensor state) in outputs.HiddenStates.Index())
                computed[$"hidden_states.{layer}"] = state;
            using (torch.no_grad())
                computed["logits"] = module.forward(ids).Logits;
            string[] both = [.. computed.Keys.Intersect(expected.Keys)];
            Assert.That(both, Has.Length.GreaterThanOrEqualTo(2));
            foreach (string output in both)
                golden.AssertMatches(output, computed[output].detach().ToLongformer(), expected[output]);
            Assert.That(outputs.HiddenStates, Has.Count.EqualTo(module.Configuration.Layers + 1));
            // The goldens' gradients are those of the bits per character.
            computed["bits_per_character"].RunBackward();
            string[] gradients = [.. expected.Keys.Where(k => k.StartsWith("grad.", StringComparison.Ordinal))];
            Dictionary<string, TorchTensor> parameters = module.named_parameters().ToDictionary(p => p.name, p => (TorchTensor)p.parameter);
            if (gradients.Length > 0)
                Assert.That(gradients.Select(g => g["grad.".Length..]), Is.EquivalentTo(parameters.Keys));
            foreach (string gradient in gradients)
                golden.AssertMatches(gradient, parameters[gradient["grad.".Length..]].grad!.detach().ToLongformer(), expected[gradient]);
        }
    }

    [Test]
    public void A_head_of_ones_own_on_the_scores_is_differentiated_through_the_model()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using CharacterLanguageModule module = CharacterLanguageModule.Load(Folder);
        module.eval();
        (TorchTensor ids, TorchTensor targets) = Inputs();
        module.call(ids, targets).Loss!.RunBackward();
        Dictionary<string, TorchTensor> given = module.named_parameters().ToDictionary(p => p.name, p => p.parameter.grad!.clone());
        module.zero_grad();
        TorchTensor logits = module.forward(ids).Logits;
        torch.nn.functional.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1)).RunBackward();
        foreach ((string name, global::TorchSharp.Modules.Parameter parameter) in module.named_parameters())
            Torches.AssertClose(parameter.grad!, given[name], 2e-6, name);
    }

    [Test]
    public void It_trains_saves_and_loads_and_its_windows_change()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using TestFolder output = new();
        torch.random.manual_seed(3);
        using CharacterLanguageModule module = CharacterLanguageModule.Load(Folder);
        (TorchTensor ids, TorchTensor targets) = Inputs();
        using torch.optim.Optimizer optimizer = new FusedAdamW(module.parameters(), 3e-3);
        module.train();
        List<float> losses = [];
        for (int step = 0; step < 20; step++)
        {
            using DisposeScope scope = torch.NewDisposeScope();
            if (step == 10)
                module.SetWindows([9, 9, 9], null);
            TorchTensor loss = module.call(ids, targets).Loss!;
            optimizer.zero_grad();
            loss.RunBackward();
            optimizer.step();
            losses.Add(loss.item<float>());
        }

        Assert.That(losses[^1], Is.LessThan(losses[0] / 2));
        module.eval();
        using IDisposable off = torch.no_grad();
        float trained = module.call(ids, targets).Loss!.item<float>();
        new CharacterVocabulary(true, [.. Enumerable.Range(32, module.Configuration.VocabularySize)]).Save(output.Path);
        module.SaveFolder(output["saved"]);
        using CharacterLanguageModule saved = CharacterLanguageModule.Load(output["saved"]);
        saved.eval();
        Assert.That(saved.Configuration.Window, Is.EqualTo(new[] { 9, 9, 9 }));
        Assert.That(saved.call(ids, targets).Loss!.item<float>(), Is.EqualTo(trained).Within(1e-6));
        module.save(output["module.dat"]);
        using CharacterLanguageModule second = CharacterLanguageModule.Load(output["saved"]);
        second.load(output["module.dat"]);
        second.eval();
        Assert.That(second.call(ids, targets).Loss!.item<float>(), Is.EqualTo(trained).Within(1e-6));
        // Packed weights know of other windows, and of another dtype.
        module.SetWindows([2, 2, 2], null);
        float narrow = module.call(ids, targets).Loss!.item<float>();
        Assert.That(narrow, Is.Not.EqualTo(trained).Within(1e-4));
        module.to(torch.ScalarType.Float64);
        Assert.That(module.call(ids, targets).Loss!.item<double>(), Is.EqualTo(narrow).Within(1e-5));
        module.SaveFolder(output["double"]);
        Assert.That(CharacterVocabulary.In(output["double"]), Is.Null, "the golden's folder has none");
    }

    [Test]
    public void A_vocabulary_goes_with_a_saved_folder()
    {
        using TestFolder folder = new();
        using CharacterLanguageModule module = CharacterLanguageModule.Load(Folder);
        module.SaveFolder(folder["first"]);
        new CharacterVocabulary(true, [.. Enumerable.Range(32, module.Configuration.VocabularySize)]).Save(folder["first"]);
        using CharacterLanguageModule second = CharacterLanguageModule.Load(folder["first"]);
        second.SaveFolder(folder["second"]);
        Assert.That(CharacterVocabulary.In(folder["second"])!.Symbols[0], Is.EqualTo(32));
    }

    [Test]
    public void Wrong_inputs_are_one_exception_that_names_them()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        CharacterLanguageModule module = CharacterLanguageModule.Load(Folder);
        (TorchTensor ids, TorchTensor targets) = Inputs();
        TorchTensor gone = ids.clone();
        gone.Dispose();
        void Refuses(string start, TorchTensor first, TorchTensor? second) =>
            Assert.That(() => module.call(first, second), Throws.TypeOf<InputException>().With.Message.StartsWith(start));

        Refuses("ids: expected a tensor that is alive", gone, targets);
        Refuses("targets: expected a tensor that is alive", ids, gone);
        Refuses("ids: expected int64 [B, T]", ids.view(-1), null);
        Refuses("ids: expected int64 [B, T]", ids.to(torch.ScalarType.Float32), null);
        Refuses("ids: expected symbols 0..60", ids + 61, targets);
        Refuses("targets: expected symbols 0..60", ids, targets - 61);
        Refuses("targets: expected shape", ids, targets.narrow(1, 0, 3));
        Assert.That(() => module.SetWindows([1], null), Throws.TypeOf<Checkpoints.CheckpointException>().With.Message.Contains("window"));
        Assert.That(() => CharacterLanguageModule.Load("/nowhere"), Throws.TypeOf<Checkpoints.CheckpointException>());
        module.Dispose();
        Assert.That(() => module.call(ids, null), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => module.SaveFolder("x"), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => module.SetWindows(null, null), Throws.TypeOf<ObjectDisposedException>());
        module.Dispose();
    }
}
