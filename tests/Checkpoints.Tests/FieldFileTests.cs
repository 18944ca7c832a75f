using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints.Tests;

/// <summary>Files as training scripts, browsers and clones leave them. The .bin files are torch's own (Fixtures/make_field_files.py).</summary>
[TestFixture]
public class FieldFileTests
{
    private const string Words = "longformer.embeddings.word_embeddings.weight";
    private const string Global = "longformer.encoder.layer.0.attention.self.query_global.weight";

    private TestFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TestFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("attributes")]
    [TestCase("sparse")]
    [TestCase("deepspeed")]
    [TestCase("fsdp")]
    [TestCase("compiled")]
    [TestCase("lightning")]
    [TestCase("nested")]
    public void A_state_dict_as_a_training_script_leaves_it(string name)
    {
        using TensorScope scope = new();
        using Checkpoint files = Checkpoint.Open(Path.Combine(TestContext.CurrentContext.TestDirectory, "Fixtures", "field", $"{name}.bin"));
        NameMap map = NameMap.Recognize(files);
        using Checkpoint checkpoint = files.Rename(map);
        Assert.Multiple(() =>
        {
            Assert.That(map.Family, Is.EqualTo(CheckpointFamily.Longformer));
            Assert.That(checkpoint.Names, Is.EquivalentTo(new[] { Words, Global }));
            Assert.That(checkpoint.Get(Words).ToArray<float>(), Is.EqualTo(Enumerable.Range(0, 12).Select(i => (float)i)));
            Assert.That(checkpoint.Get(Global).ToArray<float>(), Is.EqualTo(new[] { 0.5f, -1, 2 }));
        });
    }

    [Test]
    public void A_name_with_and_without_a_wrapper_keeps_both()
    {
        using TensorScope scope = new();
        SafetensorsWriter.Write(_folder["model.safetensors"], new Dictionary<string, Tensor>
        {
            ["a.weight"] = Tensor.From<float>([1], 1), ["module.a.weight"] = Tensor.From<float>([2], 1),
        });
        using Checkpoint files = Checkpoint.Open(_folder.Path);
        Assert.That(NameMap.Recognize(files).Entries.Keys, Is.EquivalentTo(new[] { "a.weight", "module.a.weight" }));
    }

    [TestCase("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 597257159\n", "a Git LFS pointer", "git lfs pull")]
    [TestCase("<!DOCTYPE html>\n<html><body>Repository not found</body></html>", "a web page", "raw content")]
    [TestCase("\n <html>", "a web page", "raw content")]
    [TestCase("", "the file is empty", "broken off")]
    public void Something_else_in_place_of_weights(string content, params string[] parts)
    {
        CheckpointException error = Assert.Throws<CheckpointException>(() => Checkpoint.Open(_folder.Write("model.safetensors", content)))!;
        foreach (string part in parts.Append("model.safetensors"))
            Assert.That(error.Message, Does.Contain(part));
    }

    [Test]
    public void A_hub_id_is_told_from_a_path()
    {
        Assert.That(() => Checkpoint.Open("allenai/longformer-base-4096"), Throws.TypeOf<CheckpointException>()
            .With.Message.Contains("looks like a repository on the HF hub")
            .And.Message.Contains("hf download allenai/longformer-base-4096"));
        Assert.That(Checkpoint.Hint("./allenai/longformer"), Is.Null);
        Assert.That(Checkpoint.Hint("/no/such"), Is.Null);
    }

    [Test]
    public void A_cache_of_downloads_says_which_folder_to_give()
    {
        string repository = Path.Combine(_folder.Path, "models--allenai--longformer-base-4096"),
            version = Path.Combine(repository, "snapshots", "301e6a4");
        Directory.CreateDirectory(version);
        Directory.CreateDirectory(Path.Combine(repository, "refs"));
        File.WriteAllText(Path.Combine(repository, "refs", "main"), "301e6a4");
        Assert.Multiple(() =>
        {
            Assert.That(() => Checkpoint.Open(repository),
                Throws.TypeOf<CheckpointException>().With.Message.Contains($"give the version itself, {version}"));
            Assert.That(() => Checkpoint.Open(Path.Combine(repository, "snapshots")),
                Throws.TypeOf<CheckpointException>().With.Message.Contains(version));
            Assert.That(() => Checkpoint.Open(_folder.Path), Throws.TypeOf<CheckpointException>().With.Message.Contains("below snapshots"));
        });
    }

    [Test]
    public void The_configuration_beside_the_weights_may_have_a_mark_and_numbers_that_json_lacks()
    {
        using TensorScope scope = new();
        SafetensorsWriter.Write(_folder["model.safetensors"], new Dictionary<string, Tensor> { [Words] = Tensor.From<float>([1, 2], 1, 2) });
        _folder.Write("config.json", "\uFEFF{\"model_type\": \"bert\", \"loss\": NaN, \"best\": -Infinity}");
        using Checkpoint files = Checkpoint.Open(_folder.Path);
        Assert.That(() => NameMap.RecognizeIn(files), Throws.Nothing);
    }

    [Test]
    public void Json_that_python_reads_is_read()
    {
        using System.Text.Json.JsonDocument json =
            JsonText.Parse("\uFEFF{\"a\": NaN, \"b\": [Infinity, -Infinity, \"NaN \\\" Infinity\"]} \n"u8.ToArray());
        Assert.That(json.RootElement.ToString(), Does.Contain("\"NaN\"").And.Contains("\"-Infinity\"").And.Contains("NaN \\\" Infinity"));
        byte[] wide = [.. System.Text.Encoding.Unicode.GetPreamble(), .. System.Text.Encoding.Unicode.GetBytes("{\"é\": 1}")];
        using System.Text.Json.JsonDocument utf16 = JsonText.Parse(wide);
        Assert.That(utf16.RootElement.GetProperty("é").GetInt32(), Is.EqualTo(1));
    }
}
