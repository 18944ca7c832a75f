using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tests;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Tests;

/// <summary><c>longformer info</c> on checkpoints of every origin.</summary>
[TestFixture]
[Parallelizable(ParallelScope.None)]
public class InfoTests
{
    private TestFolder _folder = null!;

    private static string Goldens => Repository.Golden("conversion");

    [SetUp]
    public void MakeFolder() => _folder = new TestFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void An_led_tells_both_sides_and_that_it_summarizes()
    {
        LedConfiguration tiny = new()
        {
            VocabSize = 1300, DModel = 16, EncoderLayers = 2, DecoderLayers = 1, EncoderAttentionHeads = 2, DecoderAttentionHeads = 2,
            EncoderFfnDim = 24,
            DecoderFfnDim = 24, MaxEncoderPositionEmbeddings = 64, MaxDecoderPositionEmbeddings = 20, AttentionWindow = [8, 16],
        };
        RandomCheckpoint.Write(_folder.Path, tiny, seed: 1);
        foreach (string file in new[] { "vocab.json", "merges.txt" })
            File.Copy(Path.Combine(TinyCheckpoints.TokenizerFolder, file), _folder[file]);
        JsonElement json = Longformer.Succeeds("info", _folder.Path, "--json").Json;
        Assert.That(json.GetProperty("architecture").GetString(), Is.EqualTo("LEDForConditionalGeneration"));
        Assert.That(Texts(json, "names"), Has.Some.Contains("LED under HF's names"));
        Assert.That(Texts(json, "tasks"), Is.EqualTo(new[] { "summarize" }));
        Assert.That(json.GetProperty("windows").EnumerateArray().Select(w => w.GetInt32()), Is.EqualTo(new[] { 8, 16 }));
        Assert.That((json.GetProperty("max_tokens").GetInt32(), json.GetProperty("max_output_tokens").GetInt32(),
            json.GetProperty("decoder_layers").GetInt32()),
            Is.EqualTo((64, 20, 1)));
        Assert.That(json.GetProperty("parameters").GetInt64(),
            Is.EqualTo(Architecture.Find("LEDForConditionalGeneration", ModelFamily.Led)!.Parameters(tiny)
                .Sum(p => p.Shape.Aggregate(1L, (a, b) => a * b))));
        Assert.That(json.GetProperty("tokenizer").GetString(), Does.Contain("1261"));
    }

    [Test]
    public void Whose_names_a_checkpoint_has_is_told_and_it_serves_its_tasks()
    {
        Copy("bart_to_led/allenai.safetensors", "model.safetensors");
        Copy("bart_to_led/allenai.config.json", "config.json");
        JsonElement led = Longformer.Succeeds("info", _folder.Path, "--json").Json;
        Assert.That(Texts(led, "names"), Has.Some.Contains("BART that it was converted from").And.Some.Contains("two unused rows"));
        Assert.That(led.GetProperty("windows").EnumerateArray().Select(w => w.GetInt32()), Is.EqualTo(new[] { 16, 16 }));
        Assert.That(Texts(led, "tasks"), Is.EqualTo(new[] { "summarize" }));
        Assert.That(led.GetProperty("tokenizer").GetString(), Does.StartWith("missing"));

        File.Delete(_folder["model.safetensors"]);
        Copy("torch_checkpoint/pytorch_model_legacy.bin", "pytorch_model.bin");
        Copy("roberta_to_longformer/config.json", "config.json");
        JsonElement longformer = Longformer.Succeeds("info", _folder.Path, "--json").Json;
        Assert.That(Texts(longformer, "names"), Has.Some.Contains("roberta that it was converted from").And.Some.Contains("position_ids"));
        Assert.That(Texts(longformer, "files"), Is.EqualTo(new[] { "pytorch_model.bin" }));
        Assert.That(Texts(longformer, "tasks"), Does.Contain("fill-mask"));
        // The file alone, under any name.
        File.Move(_folder["pytorch_model.bin"], _folder["longformer.pt"]);
        Assert.That(Longformer.Succeeds("info", _folder["longformer.pt"]).Output, Does.Contain("fill-mask"));
    }

    [Test]
    public void A_short_model_tells_what_it_can_become()
    {
        Copy("roberta_to_longformer/before.safetensors", "model.safetensors");
        Copy("roberta_to_longformer/before.config.json", "config.json");
        JsonElement roberta = Longformer.Succeeds("info", _folder.Path, "--json").Json;
        Assert.That(roberta.GetProperty("becomes").GetString(), Does.Contain("LongformerForMaskedLM, 4,096 tokens").And.Contain("--to longformer"));
        Assert.That(Texts(roberta, "tasks"), Is.Empty);
        Copy("bart_to_led/before.safetensors", "model.safetensors");
        Copy("bart_to_led/before.config.json", "config.json");
        Assert.That(Longformer.Succeeds("info", _folder.Path, "--json").Json.GetProperty("becomes").GetString(),
            Does.Contain("LEDForConditionalGeneration, 768 tokens"));
    }

    [Test]
    public void Everything_that_is_wrong_stands_in_one_list()
    {
        using TensorScope scope = new();
        SafetensorsWriter.Write(_folder["model.safetensors"], new Dictionary<string, Tensor>
        {
            ["model.roberta.embeddings.word_embeddings.weight"] = Tensor.From<float>([1, float.NaN, 2, 3], 2, 2),
            ["model.roberta.stray"] = Tensor.Ones([1]),
        });
        string[] without = Problems();
        Assert.That(without, Has.Some.Contains("no config.json").And.Some.Contains("NaN"));
        File.WriteAllText(_folder["config.json"],
            (TinyCheckpoints.Configuration(Tokenizers.Tokenizer.Load(TinyCheckpoints.TokenizerFolder)) with
        {
            Architectures = ["LongformerModel"],
        }).ToJson());
        File.WriteAllText(_folder["modules.json"], "{}");
        string[] with = Problems();
        Assert.That(with, Has.Some.Contains("NaN").And.Some.Contains("modules.json").And.Some.Contains("stray: unexpected")
            .And.Some.Contains("missing"));
        Assert.That(with.Length, Is.GreaterThan(20));
        File.WriteAllText(_folder["config.json"], "{");
        Assert.That(Problems(), Has.Some.Contains("config.json is not valid JSON").And.Some.Contains("NaN"));
        File.Delete(_folder["model.safetensors"]);
        Assert.That(Problems(), Has.Some.Contains("no weights").And.Some.Contains("config.json"));
    }

    private string[] Problems()
    {
        Longformer.Result result = Longformer.Run("info", _folder.Path, "--json");
        Assert.That(result.Status, Is.EqualTo(1), result.Output);
        Assert.That(result.Error.Split('\n'), Has.Length.EqualTo(2), result.Error);
        return [.. Texts(result.Json, "problems")];
    }

    private static IEnumerable<string> Texts(JsonElement json, string name) => json.GetProperty(name).EnumerateArray().Select(t => t.GetString()!);

    private void Copy(string golden, string name) => File.Copy(Path.Combine(Goldens, golden), _folder[name], overwrite: true);
}
