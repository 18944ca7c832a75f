using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints.Tests;

[TestFixture]
public class CheckpointTests
{
    private TestFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TestFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void A_folder_a_file_and_an_index_open_alike()
    {
        Write("model.safetensors", "a", "b");
        WriteShards();
        foreach (string path in new[] { _folder.Path, _folder["model.safetensors"], _folder["model.safetensors.index.json"] })
        {
            using Checkpoint checkpoint = Checkpoint.Open(path);
            using Tensor b = checkpoint.Get("b");
            Assert.That(checkpoint.Names, Is.EquivalentTo(new[] { "a", "b" }));
            Assert.That(checkpoint.Folder, Is.EqualTo(_folder.Path));
            Assert.That(checkpoint.Entry("b").Shape.ToArray(), Is.EqualTo(b.Shape));
            Assert.That(() => checkpoint.Get("c"), Throws.TypeOf<CheckpointException>().With.Message.EqualTo($"{checkpoint.Path}: no tensor 'c'"));
        }
    }

    [Test]
    public void The_single_file_comes_before_the_index_as_in_hf()
    {
        WriteShards();
        Write("model.safetensors", "only");
        using Checkpoint checkpoint = Checkpoint.Open(_folder.Path);
        Assert.That(checkpoint.Names, Is.EqualTo(new[] { "only" }));
    }

    [Test]
    public void A_folder_without_weights_says_what_was_looked_for_and_what_is_there()
    {
        _folder.Write("config.json", "{}");
        _folder.Write("epoch_4.ckpt", "x");
        Assert.That(() => Checkpoint.Open(_folder.Path), Throws.TypeOf<CheckpointException>().With.Message.EqualTo(
            $"{_folder.Path}: no weights: looked for model.safetensors, model.safetensors.index.json, pytorch_model.bin, "
            + "pytorch_model.bin.index.json; "
            + "the folder holds config.json, epoch_4.ckpt; if epoch_4.ckpt is the weights, give its path instead of the folder's"));
    }

    [Test]
    public void A_path_that_does_not_exist_is_named() =>
        Assert.That(() => Checkpoint.Open(_folder["nowhere"]),
            Throws.TypeOf<CheckpointException>().With.Message.EqualTo($"{_folder["nowhere"]}: no such file or folder"));

    [Test]
    public void Missing_shards_are_listed()
    {
        WriteIndex(("a", "one.safetensors"), ("b", "two.safetensors"), ("c", "three.safetensors"));
        Write("two.safetensors", "b");
        Assert.That(() => Checkpoint.Open(_folder.Path),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("2 of 3 shards are missing: one.safetensors, three.safetensors"));
    }

    [Test]
    public void Shards_that_contradict_the_index_are_listed_tensor_by_tensor()
    {
        WriteIndex(("a", "one.safetensors"), ("b", "two.safetensors"), ("gone", "two.safetensors"));
        Write("one.safetensors", "a", "b");
        Write("two.safetensors", "b", "extra");
        CheckpointException error = Assert.Throws<CheckpointException>(() => Checkpoint.Open(_folder.Path).Dispose())!;
        Assert.That(error.Problems.Select(p => (p.Kind, p.Name, p.File)), Is.EquivalentTo(new[]
        {
            (CheckpointProblemKind.Unusable, "b", "one.safetensors"),
            (CheckpointProblemKind.Unusable, "extra", "two.safetensors"),
            (CheckpointProblemKind.Missing, "gone", "two.safetensors"),
        }));
        Assert.That(error.Message, Does.Contain("1 missing, 2 unusable").And.Contain("b the index names two.safetensors"));
    }

    [TestCase("../outside.safetensors")]
    [TestCase("/etc/passwd")]
    [TestCase("sub/one.safetensors")]
    [TestCase(@"..\\outside.safetensors")]
    [TestCase("C:x.safetensors")]
    [TestCase("..")]
    [TestCase("")]
    public void A_shard_outside_of_the_folder_is_refused(string name)
    {
        _folder.Write("model.safetensors.index.json", $$$"""{"weight_map":{"a":"{{{name}}}"}}""");
        Assert.That(() => Checkpoint.Open(_folder.Path),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("only files in the index's folder are allowed"));
    }

    [TestCase("""{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}""", "'a' occurs twice in weight_map")]
    [TestCase("""{"weight_map":{"a":"x.safetensors","\u0061":"x.safetensors"}}""", "'a' occurs twice in weight_map")]
    [TestCase("""{"weight_map":{"a":1}}""", "no file name under 'a'")]
    [TestCase("""{"weight_map":{}}""", "weight_map is empty")]
    [TestCase("""{"weight_map":[]}""", "no object 'weight_map'")]
    [TestCase("""[]""", "no object 'weight_map'")]
    [TestCase("""{"weight_map":""", "not valid JSON")]
    [TestCase("""{"weight_map":{"a":"\ud800"}}""", "not valid JSON")]
    public void A_wrong_index_is_refused_by_its_own_message(string json, string message)
    {
        _folder.Write("model.safetensors.index.json", json);
        Assert.That(() => Checkpoint.Open(_folder.Path), Throws.TypeOf<CheckpointException>().With.Message.Contains(message));
    }

    [Test]
    public void A_tar_archive_is_named_for_what_it_is()
    {
        byte[] tar = new byte[1024];
        "ustar"u8.CopyTo(tar.AsSpan(257));
        Assert.That(() => Checkpoint.Open(_folder.Write("old.bin", tar)), Throws.TypeOf<CheckpointException>().With.Message.Contains("tar archive"));
    }

    private void WriteShards()
    {
        WriteIndex(("a", "model-00001-of-00002.safetensors"), ("b", "model-00002-of-00002.safetensors"));
        Write("model-00001-of-00002.safetensors", "a");
        Write("model-00002-of-00002.safetensors", "b");
    }

    private void WriteIndex(params (string Tensor, string File)[] map) => _folder.Write("model.safetensors.index.json",
        $$$"""{"metadata":{"total_size":8},"weight_map":{{{{string.Join(',', map.Select(m => $"\"{m.Tensor}\":\"{m.File}\""))}}}}}""");

    private void Write(string name, params string[] tensors)
    {
        using TensorScope scope = new();
        SafetensorsWriter.Write(_folder[name], tensors.ToDictionary(t => t, t => Tensor.From<float>([1, 2])));
    }
}
