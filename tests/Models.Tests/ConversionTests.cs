using System.Text.Json.Nodes;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Conversion;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

public class ConversionTests
{
    private static readonly string[] Projections = ["query", "key", "value"];

    private static string Case => Repository.Golden("conversion", "roberta_to_longformer");

    [Test]
    public void A_roberta_becomes_the_longformer_of_the_reference_to_the_bit()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        ConversionResult result = CheckpointConverter.Convert(Path.Combine(Case, "before.safetensors"), folder["long"], new ConversionOptions
        {
            Positions = 192,
            Window = [16],
            ConfigurationFile = Path.Combine(Case, "before.config.json"),
        });
        Assert.That(File.ReadAllBytes(folder["long/model.safetensors"]), Is.EqualTo(File.ReadAllBytes(Path.Combine(Case, "model.safetensors"))));
        Assert.That((result.Architecture, result.Positions), Is.EqualTo(("LongformerForMaskedLM", 192)));
        LongformerConfiguration made = LongformerConfiguration.Load(folder["long"]), expected = LongformerConfiguration.Load(Case);
        Assert.That(made.ToJson(), Is.EqualTo(expected.ToJson()));

        using LongformerForMaskedLM model = LongformerForMaskedLM.Load(folder["long"]);
        Golden golden = Golden.Open("conversion", "roberta_to_longformer");
        golden.AssertMatches("logits", model.Forward(LongformerInputs.FromNames(golden.Inputs())).Logits, golden.Expected()["logits"]);
    }

    [Test]
    public void Names_of_the_procedure_become_hugging_faces()
    {
        using TestFolder folder = new();
        CheckpointConverter.Convert(Path.Combine(Case, "after.safetensors"), folder["renamed"],
            new ConversionOptions { ConfigurationFile = Path.Combine(Case, "config.json") });
        Assert.That(File.ReadAllBytes(folder["renamed/model.safetensors"]), Is.EqualTo(File.ReadAllBytes(Path.Combine(Case, "model.safetensors"))));
    }

    [Test]
    public void Windows_of_allenai_count_one_side()
    {
        using TestFolder folder = new();
        string configuration = File.ReadAllText(Path.Combine(Case, "config.json")).Replace("\"longformer\"", "\"roberta\"", StringComparison.Ordinal)
            .Replace("\"attention_probs", "\"attention_mode\": \"tvm\", \"attention_dilation\": [1, 1], \"autoregressive\": false, \"attention_probs",
                StringComparison.Ordinal);
        File.WriteAllText(folder["config.json"], configuration);
        File.Copy(Path.Combine(Case, "after.safetensors"), folder["model.safetensors"]);
        foreach (ConversionTarget target in (ConversionTarget[])[ConversionTarget.Longformer, ConversionTarget.Safetensors])
        {
            CheckpointConverter.Convert(folder.Path, folder[target.ToString()], new ConversionOptions { To = target });
            LongformerConfiguration made = LongformerConfiguration.Load(folder[target.ToString()]);
            Assert.That(made.AttentionWindow, Is.EqualTo(new[] { 32, 32 }));
            Assert.That(made.OneSidedWindows, Is.False);
            PretrainedModel.Load(folder[target.ToString()]).Dispose();
        }
        File.WriteAllText(folder["config.json"], configuration.Replace("[1, 1]", "[1, 2]", StringComparison.Ordinal));
        Assert.That(() => CheckpointConverter.Convert(folder.Path, folder["dilated"]),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("dilated"));
    }

    [TestCase(null, 100, 40)]
    [TestCase(16, 100, 16)]
    [TestCase(7, 30, 7)]
    [TestCase(null, 12, 40)]
    public void The_positions_of_bert_begin_behind_the_padding_row(int? basePositions, int positions, int step)
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        Dictionary<string, Tensor> before = ConversionSources.Write(folder.Path, "bert", "Model");
        CheckpointConverter.Convert(folder.Path, folder["long"],
            new ConversionOptions { Positions = positions, Window = [8, 16], BasePositions = basePositions });
        using Checkpoint made = Checkpoint.Open(folder["long"]);
        Tensor table = made.Get("embeddings.position_embeddings.weight"),
            old = before["bert.embeddings.position_embeddings.weight".Replace("bert.", "", StringComparison.Ordinal)];
        Assert.That(table.Shape, Is.EqualTo(new long[] { positions + 1, 32 }));
        Assert.That(ConversionSources.Rows(table, 0, 1), Is.All.Zero);
        for (int p = 0; p < positions; p++)
            Assert.That(ConversionSources.Rows(table, p + 1, 1), Is.EqualTo(ConversionSources.Rows(old, p % step, 1)), $"position {p}");
        foreach (string projection in Projections)
        {
            foreach (string part in (string[])["weight", "bias"])
            {
                float[] local = before[$"encoder.layer.1.attention.self.{projection}.{part}"].ToArray<float>();
                Assert.That(made.Get($"encoder.layer.1.attention.self.{projection}_global.{part}").ToArray<float>(), Is.EqualTo(local));
                Assert.That(made.Get($"encoder.layer.1.attention.self.{projection}.{part}").ToArray<float>(), Is.EqualTo(local));
            }
        }
        LongformerConfiguration configuration = LongformerConfiguration.Load(folder["long"]);
        Assert.That((configuration.MaxTokens, configuration.PadTokenId, configuration.SepTokenId), Is.EqualTo((positions, 0, 102)));
        Assert.That(configuration.AttentionWindow, Is.EqualTo(new[] { 8, 16 }));
        LongformerModel.Load(folder["long"]).Dispose();
    }

    [Test]
    public void Every_head_is_kept_and_loads_as_its_class([Values("roberta", "bert")] string family,
        [Values("Model", "ForMaskedLM", "ForSequenceClassification", "ForQuestionAnswering", "ForTokenClassification",
            "ForMultipleChoice")] string head)
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        Dictionary<string, Tensor> before = ConversionSources.Write(folder.Path, family, head);
        ConversionResult result = CheckpointConverter.Convert(folder.Path, folder["long"], new ConversionOptions { Positions = 64, Window = [8] });
        Assert.That(result.Architecture, Is.EqualTo("Longformer" + head));
        using PretrainedModel model = PretrainedModel.Load(folder["long"]);
        Assert.That(model.Architecture, Is.EqualTo("Longformer" + head));
        // Everything that the class has, and nothing else: what HF calls no missing and no unexpected keys.
        using Checkpoint made = Checkpoint.Open(folder["long"]);
        Assert.That(made.Names, Is.EquivalentTo(
            TinyModels.Parameters(LongformerConfiguration.Load(folder["long"]), "Longformer" + head).Select(p => p.Name)));
        (string Made, string Source)? headTensor = (head, family) switch
        {
            ("ForMaskedLM", "bert") => ("lm_head.layer_norm.weight", "cls.predictions.transform.LayerNorm.weight"),
            ("ForMaskedLM", _) => ("lm_head.layer_norm.weight", "lm_head.layer_norm.weight"),
            ("ForSequenceClassification", "bert") => ("classifier.dense.weight", "bert.pooler.dense.weight"),
            ("ForSequenceClassification", _) => ("classifier.dense.weight", "classifier.dense.weight"),
            ("ForQuestionAnswering", _) => ("qa_outputs.weight", "qa_outputs.weight"),
            ("ForTokenClassification" or "ForMultipleChoice", _) => ("classifier.weight", "classifier.weight"),
            _ => null,
        };
        if (headTensor is { } pair)
            Assert.That(made.Get(pair.Made).ToArray<float>(), Is.EqualTo(before[pair.Source].ToArray<float>()));
    }

    [Test]
    public void A_longformer_becomes_longer_and_keeps_everything_else()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        RandomCheckpoint.Write(folder["a"], TinyModels.Configuration, 5, nameof(LongformerForMaskedLM));
        int old = TinyModels.Configuration.MaxTokens;
        CheckpointConverter.Convert(folder["a"], folder["b"], new ConversionOptions { Positions = 131072 });
        LongformerConfiguration made = LongformerConfiguration.Load(folder["b"]);
        Assert.That(made.MaxTokens, Is.EqualTo(131072));
        Assert.That(made with { MaxPositionEmbeddings = 0 }, Is.EqualTo(TinyModels.Configuration with
        {
            MaxPositionEmbeddings = 0, Architectures = made.Architectures, AttentionWindow = made.AttentionWindow, Id2Label = made.Id2Label,
            AttentionDilation = made.AttentionDilation, Coreference = made.Coreference,
        }));
        Assert.That(made.AttentionWindow, Is.EqualTo(TinyModels.Configuration.AttentionWindow));
        using Checkpoint a = Checkpoint.Open(folder["a"]), b = Checkpoint.Open(folder["b"]);
        Assert.That(b.Names, Is.EquivalentTo(a.Names));
        const string table = "longformer.embeddings.position_embeddings.weight";
        foreach (string name in a.Names.Where(n => n != table))
            Assert.That(b.Get(name).ToArray<float>(), Is.EqualTo(a.Get(name).ToArray<float>()), name);
        Assert.That(ConversionSources.Rows(b.Get(table), 0, old + 2), Is.EqualTo(ConversionSources.Rows(a.Get(table), 0, old + 2)));
        long last = 131072 / old * old;
        Assert.That(ConversionSources.Rows(b.Get(table), last + 2, 131072 - last),
            Is.EqualTo(ConversionSources.Rows(a.Get(table), 2, 131072 - last)));
        // A document of the old length gets the old values.
        LongformerInputs inputs = LongformerInputs.Pack([TinyModels.Document(20, 1)]);
        using LongformerForMaskedLM before = LongformerForMaskedLM.Load(folder["a"]), after = LongformerForMaskedLM.Load(folder["b"]);
        Assert.That(after.Forward(inputs).Logits.ToArray<float>(), Is.EqualTo(before.Forward(inputs).Logits.ToArray<float>()));
    }

    [Test]
    public void Wrapping_prefixes_tied_duplicates_and_a_missing_bias_do_no_harm()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        ConversionSources.Write(folder.Path, "roberta", "ForMaskedLM", tensors =>
        {
            tensors["lm_head.decoder.weight"] = tensors["roberta.embeddings.word_embeddings.weight"];
            tensors["lm_head.decoder.bias"] = tensors["lm_head.bias"];
            tensors.Remove("lm_head.bias");
            tensors["roberta.embeddings.position_ids"] = Tensor.Arange(42).View(1, 42);
            foreach ((string name, Tensor tensor) in tensors.ToArray())
            {
                tensors.Remove(name);
                tensors["model." + name] = tensor;
            }
        });
        ConversionResult result = CheckpointConverter.Convert(folder.Path, folder["long"], new ConversionOptions { Window = [8] });
        Assert.That(result.Positions, Is.EqualTo(4096));
        Assert.That(result.Notes, Has.One.Contains("pooler.dense.weight"));
        Assert.That(result.Notes, Has.None.Contains("differs"));
        LongformerForMaskedLM.Load(folder["long"]).Dispose();
    }

    [Test]
    public void A_decoder_that_the_configuration_ties_falsely_is_told()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        ConversionSources.Write(folder.Path, "roberta", "ForMaskedLM",
            t => t["lm_head.decoder.weight"] = t["roberta.embeddings.word_embeddings.weight"] + 1);
        Assert.That(CheckpointConverter.Convert(folder.Path, folder["tied"]).Notes, Has.One.Contains("lm_head.decoder.weight differs"));
        ConversionSources.Write(folder.Path, "roberta", "ForMaskedLM",
            t => t["lm_head.decoder.weight"] = t["roberta.embeddings.word_embeddings.weight"] + 1,
            c => c["tie_word_embeddings"] = false);
        CheckpointConverter.Convert(folder.Path, folder["untied"]);
        using Checkpoint made = Checkpoint.Open(folder["untied"]);
        Assert.That(made.Names, Does.Contain("lm_head.decoder.weight").And.Contain("lm_head.decoder.bias").And.Contain("lm_head.bias"));
    }

    [Test]
    public void What_cannot_be_converted_is_refused_and_nothing_is_left()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        Directory.CreateDirectory(folder["in"]);
        void Refused(string message, ConversionOptions? options = null, Action<Dictionary<string, Tensor>>? change = null,
            Action<JsonObject>? configure = null,
            string head = "ForMaskedLM")
        {
            ConversionSources.Write(folder["in"], "roberta", head, change, configure);
            Assert.That(() => CheckpointConverter.Convert(folder["in"], folder["out"], options),
                Throws.TypeOf<CheckpointException>().With.Message.Contains(message));
            Assert.That(Directory.GetFileSystemEntries(folder.Path), Is.EqualTo(new[] { folder["in"] }));
        }

        Refused("it has 40", new ConversionOptions { BasePositions = 41 });
        Refused("must be even", new ConversionOptions { Window = [7] });
        Refused("3 values for 2 layers", new ConversionOptions { Window = [8, 8, 8] });
        Refused("relative_key", configure: c => c["position_embedding_type"] = "relative_key");
        Refused("decoder", configure: c => c["is_decoder"] = true);
        Refused("architectures must name the class of", configure: c => c.Remove("architectures"), head: "ForTokenClassification");
        Refused("roberta.encoder.layer.1.output.dense.bias".Replace("roberta", "longformer", StringComparison.Ordinal),
            change: t => t.Remove("roberta.encoder.layer.1.output.dense.bias"));
        Refused("expected [120, 32], found [100, 32]", change: t => t["roberta.embeddings.word_embeddings.weight"] = Tensor.Zeros([100, 32]));
        Refused("vocab_size must be", configure: c => c["vocab_size"] = "many");
        Assert.That(() => CheckpointConverter.Convert(folder["in"], folder["out"], new ConversionOptions { Positions = 0 }),
            Throws.TypeOf<ArgumentOutOfRangeException>());
        File.Delete(folder["in/config.json"]);
        Assert.That(() => CheckpointConverter.Convert(folder["in"], folder["out"]),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("no config.json"));
    }
}
