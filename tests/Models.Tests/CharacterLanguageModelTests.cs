using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>
/// The character language model beside its goldens, which the parity tests run: the state dict of transformer-xl, recomputed layers, dropouts,
/// saving, and wrong inputs.
/// </summary>
public sealed class CharacterLanguageModelTests
{
    private static string Folder => Golden.Open("charlm", "model_window_dilated").Folder;

    private static (Tensor Ids, Tensor Targets) Inputs()
    {
        Dictionary<string, Tensor> inputs = Golden.Open("charlm", "model_window_dilated").Inputs();
        return (inputs["ids"], inputs["targets"]);
    }

    [Test]
    public void The_sum_of_the_losses_is_that_of_each_character([Values] bool trainable)
    {
        using TensorScope scope = new();
        using CharacterLanguageModel model = CharacterLanguageModel.Load(Folder, new LoadOptions { Trainable = trainable });
        (Tensor ids, Tensor targets) = Inputs();
        double sum = model.LossSum(ids, targets).ToDouble(), each = model.NegativeLogLikelihood(ids, targets).Sum().ToDouble();
        Assert.That(sum, Is.EqualTo(each).Within(1e-3));
    }

    [Test]
    public void A_text_scored_in_one_pass_has_the_losses_of_a_whole_sequence()
    {
        using TensorScope scope = new();
        using CharacterLanguageModel model = CharacterLanguageModel.Load(Folder);
        long[] ids = Inputs().Ids.Narrow(0, 0, 1).Contiguous().Reshape(-1).ToArray<long>();
        double[] losses = model.Score([.. ids.Select(id => (int)id)]);
        Tensor expected = model.NegativeLogLikelihood(Tensor.From<long>(ids.AsSpan(..^1), 1, ids.Length - 1),
            Tensor.From<long>(ids.AsSpan(1..), 1, ids.Length - 1));
        Golden.AssertClose(Tensor.From<double>(losses, 1, losses.Length).To(DType.Float32), expected, 1e-5, 1e-5, "losses");
        Assert.That(() => model.Score([1]), Throws.TypeOf<InputException>().With.Message.Contains("at least two symbols"));
    }

    [Test]
    public void Gradients_of_the_mean_need_a_trainable_model()
    {
        using TensorScope scope = new();
        (Tensor ids, Tensor targets) = Inputs();
        using CharacterLanguageModel model = CharacterLanguageModel.Load(Folder);
        Assert.That(() => model.LossAndGradients(ids, targets), Throws.InvalidOperationException);
        Assert.That(model.Run(ids).Keys, Is.EqualTo((string[])["last_hidden_state"]));
        Assert.That(model.Run(ids, targets, true, true).Keys,
            Is.SupersetOf((string[])["last_hidden_state", "logits", "losses", "loss", "hidden_states.0", "hidden_states.3"]));
    }

    [Test]
    public void Recomputed_layers_have_the_same_gradients_bit_for_bit_also_with_dropout()
    {
        string folder = Changed(c => c with { Dropout = 0.2, AttentionDropout = 0.1 });
        using TensorScope scope = new();
        using CharacterLanguageModel model = CharacterLanguageModel.Load(folder, new LoadOptions { Trainable = true });
        (Tensor ids, Tensor targets) = Inputs();
        using GradientSet kept = model.CreateGradients(), again = model.CreateGradients();
        double first = Run(kept, false, 3), second = Run(again, true, 3);
        Assert.That(second, Is.EqualTo(first));
        foreach (NamedParameter p in model.NamedParameters)
            Assert.That(again[p.Tensor]!.ToArray<float>(), Is.EqualTo(kept[p.Tensor]!.ToArray<float>()), p.Name);
        using GradientSet other = model.CreateGradients();
        Assert.That(Run(other, false, 4), Is.Not.EqualTo(first), "another seed drops other elements");

        double Run(GradientSet gradients, bool recompute, long seed)
        {
            using GradientTape tape = new(gradients) { RecomputesLayers = recompute };
            Tensor loss = model.LossSum(ids, targets, seed);
            tape.Backward(loss);
            return loss.ToDouble();
        }
    }

    [Test]
    public void A_batch_of_sequences_gives_what_each_gives_alone()
    {
        using TensorScope scope = new();
        using CharacterLanguageModel model = CharacterLanguageModel.Load(Folder);
        (Tensor ids, _) = Inputs();
        Tensor both = model.Forward(ids);
        for (int i = 0; i < 2; i++)
            Golden.AssertClose(model.Forward(ids.Narrow(0, i, 1)), both.Narrow(0, i, 1), 1e-5, 1e-5, $"sequence {i}");
    }

    [Test]
    public void The_state_dict_of_transformer_xl_loads_with_its_tied_output_and_its_buffer()
    {
        string folder = Changed(c => c);
        using TensorScope scope = new();
        using (SafetensorsFile file = SafetensorsFile.Open(Path.Combine(Folder, "model.safetensors")))
        {
            List<TensorSource> tensors = [.. file.Entries.Keys.Select(name => TensorSource.From(name, file.Get(name)))];
            tensors.Add(TensorSource.From("crit.out_layers.0.weight", file.Get("word_emb.emb_layers.0.weight")));
            SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors);
        }
        using CharacterLanguageModel model = CharacterLanguageModel.Load(folder), original = CharacterLanguageModel.Load(Folder);
        Assert.That(model.UnusedTensors, Is.Empty);
        Assert.That(model.Forward(Inputs().Ids).ToArray<float>(), Is.EqualTo(original.Forward(Inputs().Ids).ToArray<float>()));
    }

    [Test]
    public void Biases_of_each_layer_and_an_output_of_its_own_are_parameters()
    {
        using TensorScope scope = new();
        CharacterLanguageModelConfiguration c = CharacterLanguageModelConfiguration.Load(Folder) with { UntieBiases = true, TieWeights = false };
        string[] names = [.. CharacterLanguageModel.ParametersOf(c).Select(p => p.Name)];
        Assert.That(names, Does.Contain("layers.2.dec_attn.r_w_bias").And.Contain("layers.0.dec_attn.r_r_bias")
            .And.Contain("crit.out_layers.0.weight"));
        Assert.That(names, Does.Not.Contain("r_w_bias"));
    }

    [Test]
    public void The_papers_sizes_are_41_and_102_million_parameters()
    {
        CharacterLanguageModelConfiguration small = new() { VocabularySize = 204 };
        static long Count(CharacterLanguageModelConfiguration c) =>
            CharacterLanguageModel.ParametersOf(c).Sum(p => p.Shape.Aggregate(1L, (a, b) => a * b));
        using TensorScope scope = new();
        Assert.That(Count(small) / 1e6, Is.EqualTo(41.1).Within(0.1));
        Assert.That(Count(small with { Layers = 30 }) / 1e6, Is.EqualTo(102.5).Within(0.1));
    }

    [Test]
    public void A_saved_model_gives_the_same_bits()
    {
        string folder = Path.Combine(TestContext.CurrentContext.WorkDirectory, Path.GetRandomFileName());
        using TensorScope scope = new();
        using (CharacterLanguageModel model = CharacterLanguageModel.Load(Folder, new LoadOptions { Trainable = true }))
        {
            model.SetWindows([5, 6, 7], null);
            model.Save(folder);
        }
        using CharacterLanguageModel saved = CharacterLanguageModel.Load(folder);
        Assert.That(saved.Configuration.Window, Is.EqualTo(new[] { 5, 6, 7 }));
        Assert.That(saved.Configuration.Dilation, Is.Null);
        Assert.That(saved.NamedParameters, Has.Count.EqualTo(37));
        Directory.Delete(folder, recursive: true);
    }

    [TestCase(1)]
    [TestCase(7)]
    [TestCase(40)]
    [TestCase(96)]
    public void A_text_that_is_read_in_pieces_gives_what_the_whole_gives(int piece)
    {
        using TensorScope scope = new();
        foreach (string name in (string[])["model_window_dilated", "model_window", "model_full"])
        {
            string folder = Golden.Open("charlm", name).Folder;
            using CharacterLanguageModel model = CharacterLanguageModel.Load(folder);
            long[] ids = Inputs().Ids.Narrow(0, 1, 1).ToArray<long>();
            Tensor whole = model.Forward(Tensor.From<long>(ids, 1, ids.Length)).Select(0, 0);
            using CharacterContext context = new(model);
            for (int from = 0; from < ids.Length; from += piece)
            {
                int count = Math.Min(piece, ids.Length - from);
                Tensor read = context.Read([.. ids[from..(from + count)].Select(id => (int)id)]);
                Golden.AssertClose(read, whole.Narrow(0, from, count), 2e-5, 1e-5, $"{name}, {piece} at a time, from {from}");
            }
            Assert.That(context.Length, Is.EqualTo(ids.Length));
            // The widest window with its dilation, and no more.
            long widest = Enumerable.Range(0, 3).Max(model.Configuration.ReachOf);
            Assert.That(context.Kept, Is.EqualTo(Math.Min(widest, ids.Length)));
            context.Clear();
            Golden.AssertClose(context.Read([(int)ids[0]]), whole.Narrow(0, 0, 1), 2e-5, 1e-5, "from the beginning");
            Assert.That(() => context.Read([61]), Throws.TypeOf<InputException>().With.Message.Contains("symbols 0..60, given 61"));
            Assert.That(() => context.Read([]), Throws.TypeOf<InputException>());
        }
    }

    [Test]
    public void A_vocabulary_reads_and_writes_texts()
    {
        string folder = Directory.CreateTempSubdirectory("charlm").FullName, path = Path.Combine(folder, "text");
        File.WriteAllText(path, "aé😀b a");
        CharacterVocabulary bytes = CharacterVocabulary.Of(path, isBytes: true), characters = CharacterVocabulary.Of(path, isBytes: false);
        Assert.That((bytes.Count, characters.Count), Is.EqualTo((9, 5)));
        foreach (CharacterVocabulary vocabulary in (CharacterVocabulary[])[bytes, characters])
        {
            vocabulary.Save(folder);
            CharacterVocabulary read = CharacterVocabulary.In(folder)!;
            Assert.That(read.Symbols, Is.EqualTo(vocabulary.Symbols));
            Assert.That(read.Decode(read.Encode("b😀é")), Is.EqualTo("b😀é"));
        }
        Assert.That(() => characters.Encode("abc"), Throws.TypeOf<InputException>().With.Message.Contains("'c' U+0063 at character 2"));
        Assert.That(() => bytes.Encode("a\n"), Throws.TypeOf<InputException>().With.Message.Contains("byte 0x0A at byte 1"));
        Assert.That(CharacterVocabulary.In(Folder), Is.Null);
        File.WriteAllText(Path.Combine(folder, "vocabulary.json"), "{\"unit\": \"word\", \"symbols\": [1]}");
        Assert.That(() => CharacterVocabulary.In(folder), Throws.TypeOf<CheckpointException>().With.Message.Contains("\"word\""));
        File.WriteAllBytes(path, [0xFF, 0x41]);
        Assert.That(() => CharacterVocabulary.Of(path, isBytes: false), Throws.TypeOf<InputException>().With.Message.Contains("UTF-8"));
        File.WriteAllBytes(path, []);
        Assert.That(() => CharacterVocabulary.Of(path, isBytes: true), Throws.TypeOf<InputException>().With.Message.Contains("empty"));
    }

    [Test]
    public void Wrong_inputs_are_told()
    {
        using TensorScope scope = new();
        using CharacterLanguageModel model = CharacterLanguageModel.Load(Folder);
        void Refused(Action call, string words) => Assert.That(() => call(), Throws.TypeOf<InputException>().With.Message.Contains(words));
        Refused(() => model.Forward(Tensor.From<long>([1, 2, 61], 1, 3)), "ids: expected symbols 0..60, given 61");
        Refused(() => model.Forward(Tensor.From<long>([1, 2, 3], 3)), "ids: expected int64 [B, T]");
        Refused(() => model.Forward(Tensor.From<float>([1, 2, 3], 1, 3)), "ids: expected int64 [B, T]");
        Refused(() => model.LossSum(Tensor.From<long>([1, 2], 1, 2), Tensor.From<long>([1], 1, 1)), "targets: expected shape [1, 2]");
        Refused(() => model.NegativeLogLikelihood(Tensor.From<long>([1, 2], 1, 2), Tensor.From<long>([-1, 0], 1, 2)), "targets: expected symbols");
        Assert.That(() => model.SetWindows([1, 2, 3], null), Throws.InvalidOperationException);
    }

    [TestCase("\"n_layer\": 3", "\"n_layer\": 4", "window has 3 values for 4 layers")]
    [TestCase("\"d_model\": 32", "\"d_model\": 33", "d_model must be even")]
    [TestCase("\"n_token\": 61", "\"n_token\": 0", "n_token must be an integer of at least 1")]
    [TestCase("\"d_head\": 8,", "", "d_head is missing")]
    public void A_configuration_that_does_not_fit_is_told(string before, string after, string words)
    {
        string folder = Changed(c => c), path = Path.Combine(folder, "config.json");
        File.WriteAllText(path, File.ReadAllText(Path.Combine(Folder, "config.json")).Replace(before, after, StringComparison.Ordinal));
        Assert.That(() => CharacterLanguageModel.Load(folder), Throws.TypeOf<CheckpointException>().With.Message.Contains(words));
    }

    [Test]
    public void Nothing_is_left_behind()
    {
        long before = TorchRuntime.LiveTensorCount;
        using (TensorScope scope = new())
        {
            (Tensor ids, Tensor targets) = Inputs();
            using CharacterLanguageModel model = CharacterLanguageModel.Load(Folder, new LoadOptions { Trainable = true });
            using GradientSet gradients = model.CreateGradients();
            using GradientTape tape = new(gradients) { RecomputesLayers = true };
            tape.Backward(model.LossSum(ids, targets, 1));
            Assert.That(() => model.Forward(Tensor.From<long>([99], 1, 1)), Throws.TypeOf<InputException>());
        }
        using (CharacterLanguageModel packed = CharacterLanguageModel.Load(Folder))
        using (TensorScope scope = new())
            packed.NegativeLogLikelihood(Inputs().Ids, Inputs().Targets);
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    /// <summary>A folder with the golden model's weights and a changed configuration.</summary>
    private static string Changed(Func<CharacterLanguageModelConfiguration, CharacterLanguageModelConfiguration> change)
    {
        string folder = Directory.CreateTempSubdirectory("charlm").FullName;
        File.Copy(Path.Combine(Folder, "model.safetensors"), Path.Combine(folder, "model.safetensors"));
        File.WriteAllText(Path.Combine(folder, "config.json"), change(CharacterLanguageModelConfiguration.Load(Folder)).ToJson());
        return folder;
    }
}
