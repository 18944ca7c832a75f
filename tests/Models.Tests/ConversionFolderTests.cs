using System.Text.Json.Nodes;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Conversion;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>The files of a conversion beside the weights, and its treatment of folders that are there already.</summary>
public class ConversionFolderTests
{
    private TestFolder _folder = null!;
    private TensorScope _scope = null!;

    [SetUp]
    public void MakeSource()
    {
        (_folder, _scope) = (new TestFolder(), new TensorScope());
        Directory.CreateDirectory(_folder["in/1_Pooling"]);
        Directory.CreateDirectory(_folder["in/2_Normalize"]);
        ConversionSources.Write(_folder["in"], "bert", "Model");
        Put("vocab.txt", "[PAD]\n[UNK]\n[CLS]\r\n[SEP]\nword\n");
        Put("tokenizer.json", """{"version": "1.0", "truncation": {"max_length": 128, "x": ["truncation"]},"""
            + """ "padding":{"strategy":{"Fixed":128}}, "model": {"padding": 1}}""");
        Put("tokenizer_config.json", """{"tokenizer_class": "BertTokenizer", "model_max_length": 512, "do_lower_case": true, "name_or_path": "x"}""");
        Put("sentence_bert_config.json", """{"max_seq_length": 256, "do_lower_case": false}""");
        Put("modules.json", "[]");
        Put("1_Pooling/config.json", """{"pooling_mode_mean_tokens": true}""");
        Put("LICENSE", "free");
        Put("training_args.bin", "no part of the model");
    }

    [TearDown]
    public void Clean()
    {
        _scope.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void Files_beside_the_weights_come_along_with_the_new_length()
    {
        ConversionResult result = CheckpointConverter.Convert(_folder["in"], _folder["out"], new ConversionOptions { Positions = 80, Window = [8] });
        Assert.That(Json("tokenizer_config.json").ToJsonString(),
            Is.EqualTo("""{"do_lower_case":true,"model_max_length":80,"tokenizer_class":"BertTokenizer"}"""));
        Assert.That(File.ReadAllText(_folder["out/tokenizer.json"]),
            Is.EqualTo("""{"version": "1.0", "truncation": null, "padding":null, "model": {"padding": 1}}"""));
        Assert.That((int)Json("sentence_bert_config.json")["max_seq_length"]!, Is.EqualTo(80));
        foreach (string name in (string[])["vocab.txt", "modules.json", "1_Pooling/config.json", "LICENSE"])
            Assert.That(File.ReadAllText(_folder["out/" + name]), Is.EqualTo(File.ReadAllText(_folder["in/" + name])), name);
        Assert.That(Directory.Exists(_folder["out/2_Normalize"]), Is.True);
        Assert.That(File.Exists(_folder["out/training_args.bin"]), Is.False);
        Assert.That(result.Files, Is.EquivalentTo(Directory.EnumerateFiles(_folder["out"], "*", SearchOption.AllDirectories)
            .Select(f => Path.GetRelativePath(_folder["out"], f).Replace(Path.DirectorySeparatorChar, '/'))));
        LongformerConfiguration configuration = LongformerConfiguration.Load(_folder["out"]);
        Assert.That((configuration.BosTokenId, configuration.EosTokenId, configuration.SepTokenId), Is.EqualTo((2, 3, 3)));
        Assert.That(result.Notes, Has.None.Contains("[SEP]"));
    }

    [Test]
    public void The_format_alone_changes_nothing_else()
    {
        CheckpointConverter.Convert(_folder["in"], _folder["out"], new ConversionOptions { To = ConversionTarget.Safetensors });
        foreach (string file in Directory.EnumerateFiles(_folder["out"], "*", SearchOption.AllDirectories))
        {
            string name = Path.GetRelativePath(_folder["out"], file);
            if (name == "config.json")
            {
                Assert.That(JsonNode.DeepEquals(JsonNode.Parse(File.ReadAllText(file)), JsonNode.Parse(File.ReadAllText(_folder["in/config.json"]))),
                    Is.True);
            }
            else
            {
                Assert.That(File.ReadAllBytes(file), Is.EqualTo(File.ReadAllBytes(_folder["in/" + name])), name);
            }
        }
    }

    [Test]
    public void Weights_of_torch_keep_their_names_without_a_configuration_and_lose_tied_duplicates()
    {
        string goldens = Repository.Golden("conversion", "torch_checkpoint");
        using Checkpoint expected = Checkpoint.Open(Path.Combine(goldens, "expected.safetensors"));
        string[] tied = [.. expected.Names.Where(n => n.StartsWith("lm_head.decoder.", StringComparison.Ordinal))];
        foreach (string file in (string[])["pytorch_model.bin", "pytorch_model_legacy.bin"])
        {
            CheckpointConverter.Convert(Path.Combine(goldens, file), _folder[file], new ConversionOptions { To = ConversionTarget.Safetensors });
            using Checkpoint made = Checkpoint.Open(_folder[file]);
            Assert.That(made.Names, Is.EquivalentTo(expected.Names.Except(tied)));
            Assert.That(made.Metadata["format"], Is.EqualTo("pt"));
            foreach (string name in made.Names)
                Assert.That(made.Get(name).AsBytes().SequenceEqual(expected.Get(name).AsBytes()), Is.True, name);
        }
    }

    [Test]
    public void A_pooler_that_the_class_does_not_have_stays_behind([Values("bert", "roberta")] string family)
    {
        ConversionSources.Write(_folder["in"], family, "ForMaskedLM");
        ConversionResult result =
            CheckpointConverter.Convert(_folder["in"], _folder["out"], new ConversionOptions { To = ConversionTarget.Safetensors });
        using Checkpoint made = Checkpoint.Open(_folder["out"]), before = Checkpoint.Open(_folder["in"]);
        Assert.That(before.Names.Except(made.Names), Is.EquivalentTo(new[] { $"{family}.pooler.dense.weight", $"{family}.pooler.dense.bias" }));
        Assert.That(result.Notes, Has.One.Contains("has no pooler"));
    }

    [Test]
    public void Weights_are_split_above_a_size_and_their_metadata_kept()
    {
        using (Checkpoint tensors = Checkpoint.Open(_folder["in"]))
        {
            SafetensorsWriter.Write(_folder["copy"], tensors.Names.Select(n => TensorSource.From(n, tensors, n)),
                new Dictionary<string, string> { ["format"] = "pt", ["who"] = "me" });
        }
        File.Move(_folder["copy"], _folder["in/model.safetensors"], overwrite: true);
        ConversionResult result = CheckpointConverter.Convert(_folder["in"], _folder["out"],
            new ConversionOptions { To = ConversionTarget.Safetensors, ShardBytes = 20_000 });
        Assert.That(result.Files.Count(f => f.StartsWith("model-", StringComparison.Ordinal)), Is.GreaterThan(1));
        using Checkpoint made = Checkpoint.Open(_folder["out"]), before = Checkpoint.Open(_folder["in"]);
        Assert.That(made.Names, Is.EquivalentTo(before.Names));
        Assert.That(made.Metadata["who"], Is.EqualTo("me"));
    }

    [Test]
    public void A_checkpoint_is_overwritten_only_when_asked_to_and_only_a_checkpoint()
    {
        ConversionOptions options = new() { Positions = 80, Window = [8] };
        CheckpointConverter.Convert(_folder["in"], _folder["out"], options);
        byte[] before = File.ReadAllBytes(_folder["out/model.safetensors"]);
        Assert.That(() => CheckpointConverter.Convert(_folder["in"], _folder["out"], options with { Positions = 90 }),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("exists already"));
        Assert.That(File.ReadAllBytes(_folder["out/model.safetensors"]), Is.EqualTo(before));

        File.WriteAllText(_folder["out/merges.txt"], "of another tokenizer");
        CheckpointConverter.Convert(_folder["in"], _folder["out"], options with { Positions = 90, Overwrite = true });
        Assert.That(LongformerConfiguration.Load(_folder["out"]).MaxTokens, Is.EqualTo(90));
        Assert.That(File.Exists(_folder["out/merges.txt"]), Is.False);

        File.WriteAllText(_folder["out/thesis.tex"], "years of work");
        Assert.That(() => CheckpointConverter.Convert(_folder["in"], _folder["out"], options with { Overwrite = true }),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("thesis.tex"));
        Assert.That(() => CheckpointConverter.Convert(_folder["in"], _folder["in"], options with { Overwrite = true }),
            Throws.TypeOf<CheckpointException>());
        Assert.That(() => CheckpointConverter.Convert(_folder["in"], _folder.Path, options with { Overwrite = true }),
            Throws.TypeOf<CheckpointException>());
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.EquivalentTo(new[] { _folder["in"], _folder["out"] }));
    }

    [Test]
    public void An_empty_folder_is_taken_and_absent_parents_are_made()
    {
        Directory.CreateDirectory(_folder["empty"]);
        CheckpointConverter.Convert(_folder["in"], _folder["empty"], new ConversionOptions { Window = [8] });
        CheckpointConverter.Convert(_folder["in"], _folder["a/b/c/"], new ConversionOptions { Window = [8] });
        Assert.That(File.Exists(_folder["empty/config.json"]) && File.Exists(_folder["a/b/c/config.json"]), Is.True);
        Assert.That(Directory.GetFileSystemEntries(_folder["a/b"]), Has.Length.EqualTo(1));
    }

    [Test]
    public void A_failure_leaves_what_was_there()
    {
        CheckpointConverter.Convert(_folder["in"], _folder["out"], new ConversionOptions { Window = [8] });
        byte[] before = File.ReadAllBytes(_folder["out/model.safetensors"]);
        // Read only when the new configuration is written already.
        Put("sentence_bert_config.json", "[not an object]");
        Assert.That(() => CheckpointConverter.Convert(_folder["in"], _folder["out"], new ConversionOptions { Window = [8], Overwrite = true }),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("sentence_bert_config.json"));
        Assert.That(File.ReadAllBytes(_folder["out/model.safetensors"]), Is.EqualTo(before));
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.EquivalentTo(new[] { _folder["in"], _folder["out"] }));
    }

    [Test]
    public void A_cancelled_conversion_leaves_nothing()
    {
        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        Assert.That(() => CheckpointConverter.Convert(_folder["in"], _folder["out"], cancellation: cancelled.Token),
            Throws.InstanceOf<OperationCanceledException>());
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.EqualTo(new[] { _folder["in"] }));
    }

    private void Put(string name, string text) => File.WriteAllText(_folder["in/" + name], text);

    private JsonObject Json(string name) => (JsonObject)JsonNode.Parse(File.ReadAllText(_folder["out/" + name]))!;
}
