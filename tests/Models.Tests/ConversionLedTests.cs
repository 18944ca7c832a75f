using System.Text.Json.Nodes;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Conversion;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

public class ConversionLedTests
{
    private static string Case => Repository.Golden("conversion", "bart_to_led");

    private static ConversionOptions Options =>
        new() { To = ConversionTarget.Led, Positions = 144, Window = [16], ConfigurationFile = Path.Combine(Case, "before.config.json") };

    [Test]
    public void A_bart_becomes_the_led_of_the_reference_to_the_bit()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        ConversionResult result = CheckpointConverter.Convert(Path.Combine(Case, "before.safetensors"), folder["led"], Options);
        Assert.That(File.ReadAllBytes(folder["led/model.safetensors"]), Is.EqualTo(File.ReadAllBytes(Path.Combine(Case, "model.safetensors"))));
        Assert.That((result.Architecture, result.Positions), Is.EqualTo(("LEDForConditionalGeneration", 144)));
        Assert.That(result.Notes, Is.Empty);
        LedConfiguration made = LedConfiguration.Load(folder["led"]), expected = LedConfiguration.Load(Case);
        Assert.That((made with { Id2Label = expected.Id2Label }).ToJson(), Is.EqualTo(expected.ToJson()));

        Golden golden = Golden.Open("conversion", "bart_to_led");
        using PretrainedModel model = PretrainedModel.Load(folder["led"]);
        IReadOnlyDictionary<string, Tensor> outputs = model.Run(golden.Inputs());
        foreach ((string name, Tensor tensor) in golden.Expected())
            golden.AssertMatches(name, outputs[name], tensor);
    }

    [Test]
    public void An_led_of_allenai_gets_hugging_faces_names_windows_and_positions(
        [Values(ConversionTarget.Led, ConversionTarget.Safetensors)] ConversionTarget target)
    {
        using TestFolder folder = new();
        CheckpointConverter.Convert(Path.Combine(Case, "allenai.safetensors"), folder["led"],
            new ConversionOptions { To = target, ConfigurationFile = Path.Combine(Case, "allenai.config.json") });
        Assert.That(File.ReadAllBytes(folder["led/model.safetensors"]), Is.EqualTo(File.ReadAllBytes(Path.Combine(Case, "model.safetensors"))));
        LedConfiguration made = LedConfiguration.Load(folder["led"]);
        Assert.That(made.OneSidedWindows, Is.False);
        Assert.That(made.AttentionWindow, Is.EqualTo(new[] { 16, 16 }));
    }

    [Test]
    public void Sixteen_copies_are_made_unless_told_otherwise_and_an_led_can_become_longer()
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        ConversionResult result =
            CheckpointConverter.Convert(Path.Combine(Case, "before.safetensors"), folder["led"], Options with { Positions = null, Window = null });
        Assert.That(result.Positions, Is.EqualTo(16 * 48));
        Assert.That(LedConfiguration.Load(folder["led"]).AttentionWindow, Is.EqualTo(new[] { 1024, 1024 }));
        CheckpointConverter.Convert(folder["led"], folder["longer"],
            new ConversionOptions { To = ConversionTarget.Led, Positions = 1000, BasePositions = 20 });
        using Checkpoint before = Checkpoint.Open(folder["led"]), after = Checkpoint.Open(folder["longer"]);
        Assert.That(after.Names, Is.EquivalentTo(before.Names));
        const string table = "led.encoder.embed_positions.weight", decoder = "led.decoder.embed_positions.weight";
        for (int p = 0; p < 1000; p += 37)
            Assert.That(ConversionSources.Rows(after.Get(table), p, 1), Is.EqualTo(ConversionSources.Rows(before.Get(table), p % 20, 1)));
        Assert.That(after.Get(decoder).ToArray<float>(), Is.EqualTo(before.Get(decoder).ToArray<float>()));
        Assert.That(LedConfiguration.Load(folder["longer"]).MaxEncoderPositionEmbeddings, Is.EqualTo(1000));
    }

    [Test]
    public void How_a_bart_generates_goes_into_its_own_file()
    {
        using TestFolder folder = new();
        Source(folder, c =>
        {
            c["num_beams"] = 4;
            c["max_length"] = 142;
            c["force_bos_token_to_be_generated"] = true;
            c["num_hidden_layers"] = 2;
            c["task_specific_params"] = new JsonObject { ["summarization"] = new JsonObject { ["min_length"] = 5 } };
        });
        File.WriteAllText(folder["vocab.json"], "{}");
        CheckpointConverter.Convert(folder.Path, folder["led"], new ConversionOptions { To = ConversionTarget.Led, Window = [16] });
        JsonObject generation = (JsonObject)JsonNode.Parse(File.ReadAllText(folder["led/generation_config.json"]))!;
        Assert.That(generation.ToJsonString(),
            Is.EqualTo("""{"bos_token_id":0,"decoder_start_token_id":2,"eos_token_id":2,"forced_bos_token_id":"""
                + """0,"forced_eos_token_id":2,"max_length":142,"num_beams":4,"pad_token_id":1}"""));
        JsonObject configuration = (JsonObject)JsonNode.Parse(File.ReadAllText(folder["led/config.json"]))!;
        Assert.That(configuration.ContainsKey("num_beams") || configuration.ContainsKey("num_hidden_layers")
            || configuration.ContainsKey("max_position_embeddings"), Is.False);
        Assert.That(configuration.ContainsKey("task_specific_params"), Is.True);
        Assert.That(File.ReadAllText(folder["led/tokenizer_config.json"]), Does.Contain("LEDTokenizer").And.Contain("768"));
    }

    [TestCase(true)]
    [TestCase(false)]
    public void A_table_or_bias_that_the_file_lacks_is_made_of_what_it_has(bool tied)
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        Source(folder, c => c["tie_word_embeddings"] = tied, tensors =>
        {
            foreach (string name in (string[])["model.shared.weight", "model.decoder.embed_tokens.weight", "final_logits_bias"])
                tensors.Remove(name);
        });
        CheckpointConverter.Convert(folder.Path, folder["led"], new ConversionOptions { To = ConversionTarget.Led, Window = [16] });
        using Checkpoint made = Checkpoint.Open(folder["led"]), before = Checkpoint.Open(folder.Path);
        Assert.That(made.Get("led.shared.weight").ToArray<float>(), Is.EqualTo(before.Get("model.encoder.embed_tokens.weight").ToArray<float>()));
        Assert.That(made.Get("final_logits_bias").ToArray<float>(), Is.All.Zero);
        Assert.That(made.Contains("lm_head.weight"), Is.EqualTo(!tied));
        PretrainedModel.Load(folder["led"]).Dispose();
    }

    [TestCase("autoregressive", true, "autoregressive")]
    [TestCase("static_position_embeddings", true, "static_position_embeddings")]
    [TestCase("normalize_embedding", false, "normalize_embedding")]
    public void What_no_led_is_cannot_become_one(string flag, bool value, string message)
    {
        using TensorScope scope = new();
        using TestFolder folder = new();
        Source(folder, c => c[flag] = value);
        Assert.That(() => CheckpointConverter.Convert(folder.Path, folder["led"], new ConversionOptions { To = ConversionTarget.Led }),
            Throws.TypeOf<CheckpointException>().With.Message.Contains(message));
        Assert.That(() => CheckpointConverter.Convert(folder.Path, folder["long"]),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("Longformer can be made of"));
        Assert.That(Directory.Exists(folder["led"]) || Directory.Exists(folder["long"]), Is.False);
    }

    private static void Source(TestFolder folder, Action<JsonObject>? configure = null, Action<Dictionary<string, Tensor>>? change = null)
    {
        JsonObject configuration = (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(Case, "before.config.json")))!;
        configure?.Invoke(configuration);
        File.WriteAllText(folder["config.json"], configuration.ToJsonString());
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(Case, "before.safetensors"));
        Dictionary<string, Tensor> tensors = file.Entries.Keys.ToDictionary(n => n, file.Get);
        change?.Invoke(tensors);
        SafetensorsWriter.Write(folder["model.safetensors"], tensors);
    }
}
