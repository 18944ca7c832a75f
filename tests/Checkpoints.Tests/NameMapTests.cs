using System.Text.Json;
using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints.Tests;

[TestFixture]
public class NameMapTests
{
    private const string Roberta = "conversion/roberta_to_longformer/";
    private const string Bart = "conversion/bart_to_led/";

    [Test]
    public void Allenais_longformer_gets_hfs_names_as_the_reference_maps_them()
    {
        NameMap map = Recognize(Roberta + "after.safetensors", null);
        // The reference case is of the masked language model, which leaves the pooler out; the file has one.
        Dictionary<string, string> expected = Reference(Roberta)
            .Where(n => !n.Key.StartsWith("roberta.pooler.", StringComparison.Ordinal) && n.Value is not null)
            .ToDictionary(n => n.Value!, n => n.Key);
        expected["longformer.pooler.dense.weight"] = "roberta.pooler.dense.weight";
        expected["longformer.pooler.dense.bias"] = "roberta.pooler.dense.bias";
        Assert.Multiple(() =>
        {
            Assert.That(map.Family, Is.EqualTo(CheckpointFamily.Longformer));
            Assert.That(map.Entries.ToDictionary(e => e.Key, e => e.Value.Source), Is.EqualTo(expected));
            Assert.That(map.Dropped.Select(d => d.Source), Is.EqualTo(new[] { "roberta.embeddings.position_ids" }));
            Assert.That(map.Findings[0], Is.EqualTo("Longformer under the names of the roberta that it was converted from (allenai)"));
            Assert.That(map.IsIdentity, Is.False);
        });
    }

    [Test]
    public void Allenais_led_gets_hfs_names_and_loses_the_two_unused_rows_of_positions()
    {
        NameMap map = Recognize(Bart + "allenai.safetensors", File.ReadAllText(Repository.Golden(Bart + "allenai.config.json")));
        Dictionary<string, NameMapEntry> expected = Reference(Bart).Where(n => n.Key != "(tied)").ToDictionary(n => n.Value!.Split(' ')[0],
            n => new NameMapEntry(n.Key, n.Value!.EndsWith("(rows 2..)", StringComparison.Ordinal) ? 2 : 0));
        Assert.That(map.Family, Is.EqualTo(CheckpointFamily.Led));
        Assert.That(map.Entries, Is.EqualTo(expected));
        Assert.That(map.Findings, Is.EqualTo(new[]
        {
            "LED under the names of the BART that it was converted from (allenai)", "position tables begin with BART's two unused rows: left out",
        }));
    }

    [TestCase(Roberta, "after.safetensors", "before.config.json")]
    [TestCase(Bart, "allenai.safetensors", "allenai.config.json")]
    public void Renamed_tensors_have_the_values_of_the_reference_conversion(string folder, string file, string configuration)
    {
        using TensorScope scope = new();
        using Checkpoint original = Checkpoint.Open(Repository.Golden(folder + file));
        using Checkpoint renamed = original.Rename(NameMap.Recognize(original, File.ReadAllText(Repository.Golden(folder + configuration))));
        using TestFolder written = new();
        SafetensorsWriter.Write(written["f"], renamed.Names.Select(n => TensorSource.From(n, renamed, n)));
        using SafetensorsFile rewritten = SafetensorsFile.Open(written["f"]);
        foreach (string reference in new[] { "model.safetensors", "full.safetensors" })
        {
            using SafetensorsFile expected = SafetensorsFile.Open(Repository.Golden(folder + reference));
            foreach (string name in expected.Entries.Keys.Where(n => !n.EndsWith("position_ids", StringComparison.Ordinal) && n != "lm_head.weight"))
            {
                byte[] wanted = expected.Get(name).AsBytes().ToArray();
                Assert.That(renamed.Get(name).Shape, Is.EqualTo(expected.Get(name).Shape), name);
                Assert.That(renamed.Get(name).AsBytes().SequenceEqual(wanted), Is.True, name);
                Assert.That(rewritten.Get(name).AsBytes().SequenceEqual(wanted), Is.True, name);
            }
        }
    }

    [TestCase(Roberta + "model.safetensors", CheckpointFamily.Longformer, "Longformer under HF's names")]
    [TestCase(Bart + "model.safetensors", CheckpointFamily.Led, "LED under HF's names")]
    [TestCase(Bart + "before.safetensors", CheckpointFamily.Bart, "Bart under HF's names")]
    public void Hfs_own_names_stay_as_they_are(string file, CheckpointFamily family, string finding)
    {
        NameMap map = Recognize(file, null);
        Assert.That(map.Family, Is.EqualTo(family));
        Assert.That(map.IsIdentity, Is.True);
        Assert.That(map.Findings, Is.EqualTo(new[] { finding }));
    }

    [Test]
    public void Roberta_is_recognised_and_its_buffer_left_out()
    {
        NameMap map = Recognize(Roberta + "before.safetensors", null);
        Assert.That(map.Family, Is.EqualTo(CheckpointFamily.Roberta));
        Assert.That(map.Entries.Keys, Has.None.EndsWith("position_ids"));
    }

    [TestCase("model.")]
    [TestCase("module.")]
    [TestCase("model.model.")]
    [TestCase("0.auto_model.")]
    public void Prefixes_of_wrapping_modules_are_left_out(string wrapper)
    {
        foreach (string inner in new[] { "longformer.", "roberta.", "" })
        {
            NameMap map = Map(Longformer(wrapper + inner).Append(wrapper + "lm_head.bias").Append("qa_outputs.weight"));
            Assert.That(map.Family, Is.EqualTo(CheckpointFamily.Longformer));
            Assert.That(map.Entries.Keys, Is.EquivalentTo(Longformer("longformer.").Append("lm_head.bias").Append("qa_outputs.weight")));
            Assert.That(map.Findings, Has.One.Contains($"inside a module that calls it '{wrapper.TrimEnd('.')}'"));
        }
    }

    [Test]
    public void Sequence_models_inside_a_lightning_module_are_found()
    {
        Assert.That(Map(Led("model.model.").Append("model.final_logits_bias")).Entries.Keys,
            Is.EquivalentTo(Led("led.").Append("final_logits_bias")));
        NameMap hf = Map(Led("model.led.").Append("model.lm_head.weight"));
        Assert.That(hf.Entries.Keys, Is.EquivalentTo(Led("led.").Append("lm_head.weight")));
        Assert.That(hf.Entries.Values.Select(e => e.SkipRows), Is.All.Zero, "HF's tables have no unused rows");
    }

    [Test]
    public void The_configuration_decides_whether_a_bare_led_in_a_module_is_allenais()
    {
        Assert.That(Map(Led("model.")).Entries["led.encoder.embed_positions.weight"].SkipRows, Is.EqualTo(2));
        Assert.That(Map(Led("model."), """{"model_type":"led"}""").Entries["led.encoder.embed_positions.weight"].SkipRows, Is.Zero);
        Assert.That(() => Map(Led("model."), """{"model_type":"bart","max_encoder_position_embeddings":7}"""),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("the configuration says 7 positions"));
    }

    [Test]
    public void Bare_models_keep_their_bare_names()
    {
        NameMap longformer = Map(Longformer("")), led = Map(Led(""));
        Assert.That((longformer.Family, longformer.IsIdentity), Is.EqualTo((CheckpointFamily.Longformer, true)));
        Assert.That((led.Family, led.IsIdentity), Is.EqualTo((CheckpointFamily.Led, true)));
    }

    [Test]
    public void Old_names_of_layer_norms_become_todays()
    {
        NameMap map = Map(["bert.embeddings.word_embeddings.weight", "bert.embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.beta"]);
        Assert.That(map.Family, Is.EqualTo(CheckpointFamily.Bert));
        Assert.That(map.Entries["bert.embeddings.LayerNorm.weight"].Source, Is.EqualTo("bert.embeddings.LayerNorm.gamma"));
        Assert.That(map.Entries["bert.embeddings.LayerNorm.bias"].Source, Is.EqualTo("bert.embeddings.LayerNorm.beta"));
        Assert.That(map.Findings, Has.One.Contains("2 LayerNorm tensors have the old names"));
    }

    [Test]
    public void A_bare_encoder_is_told_by_its_configuration_or_its_segments()
    {
        string[] names = ["embeddings.word_embeddings.weight", "embeddings.token_type_embeddings.weight"];
        Assert.That(Map(names, """{"model_type":"bert"}""").Family, Is.EqualTo(CheckpointFamily.Bert));
        Assert.That(Map(names, """{"model_type":"roberta"}""").Family, Is.EqualTo(CheckpointFamily.Roberta));
        Assert.That(Map(names, null, rows: 2).Family, Is.EqualTo(CheckpointFamily.Bert));
        Assert.That(Map(names, null, rows: 1).Family, Is.EqualTo(CheckpointFamily.Roberta));
    }

    [Test]
    public void Mbart_has_a_norm_behind_its_layers() =>
        Assert.That(Map(["model.encoder.layers.0.self_attn.k_proj.weight", "model.encoder.layer_norm.weight"]).Family,
            Is.EqualTo(CheckpointFamily.MBart));

    [Test]
    public void Other_architectures_stay_unknown_and_unchanged()
    {
        NameMap map = Map(["transformer.h.0.attn.c_attn.weight"]);
        Assert.That((map.Family, map.IsIdentity), Is.EqualTo((CheckpointFamily.Unknown, true)));
        Assert.That(Map(Longformer("a.").Concat(Longformer("b."))).Findings, Has.One.Contains("several models"));
    }

    [Test]
    public void Two_tensors_that_would_get_one_name_are_refused() =>
        Assert.That(() => Map(["bert.embeddings.word_embeddings.weight", "bert.x.LayerNorm.gamma", "bert.x.LayerNorm.weight"]),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("would both be bert.x.LayerNorm.weight"));

    [TestCase("[]", "not a JSON object")]
    [TestCase("{", "not valid JSON")]
    public void A_wrong_configuration_is_named(string json, string message) =>
        Assert.That(() => Map(Longformer(""), json), Throws.TypeOf<CheckpointException>().With.Message.Contains(message));

    private static IEnumerable<string> Longformer(string prefix) =>
        new[] { "embeddings.word_embeddings.weight", "encoder.layer.0.attention.self.query_global.weight", "pooler.dense.bias" }
            .Select(n => prefix + n);

    private static IEnumerable<string> Led(string prefix) =>
        new[] { "shared.weight", "encoder.embed_positions.weight", "encoder.layers.0.self_attn.longformer_self_attn.query.weight" }
            .Select(n => prefix + n);

    private static NameMap Map(IEnumerable<string> names, string? configuration = null, long rows = 4) =>
        NameMap.Recognize([.. names.Select(n => new TensorEntry(n, StoredType.F32, [rows, 2], 0, "f"))], configuration, "f");

    private static NameMap Recognize(string golden, string? configuration)
    {
        using Checkpoint checkpoint = Checkpoint.Open(Repository.Golden(golden));
        return NameMap.Recognize(checkpoint, configuration);
    }

    private static Dictionary<string, string?> Reference(string folder) =>
        JsonSerializer.Deserialize<Dictionary<string, string?>>(File.ReadAllText(Repository.Golden(folder + "name_map.json")))!;
}
