using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints.Tests;

[TestFixture]
public class WeightsTests
{
    private TestFolder _folder = null!;
    private TensorScope _scope = null!;

    [SetUp]
    public void SetUp()
    {
        _folder = new TestFolder();
        _scope = new TensorScope();
    }

    [TearDown]
    public void TearDown()
    {
        _scope.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void Tensors_come_by_path_and_nothing_is_left_over()
    {
        using Checkpoint checkpoint = Write(("encoder.layer.0.dense.weight", [2, 3]), ("encoder.layer.0.dense.bias", [2]), ("head.weight", [1]));
        Weights weights = new(checkpoint);
        Weights layer = weights / "encoder" / "layer.0";
        Assert.That(layer.Path, Is.EqualTo("encoder.layer.0"));
        Assert.That(layer.Get("dense.weight", 2, 3).Shape, Is.EqualTo(new long[] { 2, 3 }));
        Assert.That((layer / "dense").Get("bias", -1).Shape, Is.EqualTo(new long[] { 2 }), "any size");
        Assert.That(weights.TryGet("head.weight", 1), Is.Not.Null);
        Assert.That(weights.TryGet("head.bias", 1), Is.Null);
        weights.Finish();
    }

    [Test]
    public void Has_knows_tensors_and_paths()
    {
        using Checkpoint checkpoint = Write(("pooler.dense.weight", [1]));
        Weights weights = new(checkpoint);
        Assert.Multiple(() =>
        {
            Assert.That(weights.Has("pooler.dense.weight"), Is.True);
            Assert.That(weights.Has("pooler"), Is.True);
            Assert.That((weights / "pooler").Has("dense"), Is.True);
            Assert.That(weights.Has("pool"), Is.False);
            Assert.That(weights.Has("pooler.dense.weight.x"), Is.False);
            Assert.That((weights / "pooler").Names, Is.EqualTo(new[] { "dense.weight" }));
            Assert.That(weights.Names, Is.EqualTo(new[] { "pooler.dense.weight" }));
        });
    }

    [Test]
    public void One_exception_lists_all_that_is_missing_unexpected_and_of_another_shape()
    {
        using Checkpoint checkpoint = Write(("a", [2]), ("b", [3, 4]), ("extra.one", [1]), ("extra.two", []), ("ids", [1, 5]));
        Weights weights = new(checkpoint, "LongformerModel");
        Assert.That(weights.Get("a", 2).ElementCount, Is.EqualTo(2));
        Assert.That(weights.Get("b", 4, 3).Shape, Is.EqualTo(new long[] { 4, 3 }), "a placeholder of the wanted shape");
        Tensor huge = (weights / "deep").Get("weight", 1L << 30, 1L << 20);
        Assert.That(huge.Strides, Is.EqualTo(new long[] { 0, 0 }), "a placeholder that takes no memory");
        weights.Get("a", 2, 1);
        weights.Get("missing", -1, 7);
        weights.Get("missing", -1, 7);
        CheckpointException error = Assert.Throws<CheckpointException>(() => weights.Finish("ids"))!;
        string file = _folder["model.safetensors"];
        Assert.That(error.Message, Is.EqualTo($"""
            LongformerModel cannot be loaded from {file}: 2 missing, 2 unexpected, 2 of another shape
              missing: deep.weight [1073741824, 1048576] ({file})
              missing: missing [any, 7] ({file})
              unexpected: extra.one [1] ({file})
              unexpected: extra.two [] ({file})
              of another shape: b expected [4, 3], found [3, 4] ({file})
              of another shape: a expected [2, 1], found [2] ({file})
            """));
        Assert.That(error.Problems, Has.Count.EqualTo(6));
        Assert.That(error.Problems, Has.Member(new CheckpointProblem(CheckpointProblemKind.Missing, "deep.weight", "[1073741824, 1048576]", file)));
    }

    [Test]
    public void Problems_name_the_shard_that_holds_the_tensor()
    {
        ShardedWriter.Write(_folder.Path, [TensorSource.From("a", Tensor.From<float>([1])), TensorSource.From("b", Tensor.From<float>([1]))],
            shardBytes: 4);
        using Checkpoint checkpoint = Checkpoint.Open(_folder.Path);
        Weights weights = new(checkpoint);
        weights.Get("a", 2);
        CheckpointException error = Assert.Throws<CheckpointException>(() => weights.Finish())!;
        Assert.That(error.Problems.Select(p => Path.GetFileName(p.File)),
            Is.EquivalentTo(new[] { "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors" }));
    }

    [Test]
    public void Ignored_patterns_are_full_names_with_stars()
    {
        using Checkpoint checkpoint = Write(("x.embeddings.position_ids", [1]), ("lm_head.dense.weight", [1]), ("lm_head.bias", [1]));
        Assert.That(new Weights(checkpoint).Finish("*.position_ids", "lm_head.*"), Is.Empty);
        Assert.That(new Weights(checkpoint).Finish("position_ids", "*.dense", "lm_head.bia"), Has.Count.EqualTo(3));
    }

    [TestCase("abc", "abc", true)]
    [TestCase("abc", "ab", false)]
    [TestCase("abc", "*", true)]
    [TestCase("", "*", true)]
    [TestCase("", "", true)]
    [TestCase("abc", "a*c", true)]
    [TestCase("abc", "a*b", false)]
    [TestCase("aXbXc", "a*b*c", true)]
    [TestCase("ab", "a*b*b", false)]
    [TestCase("abab", "*ab", true)]
    [TestCase("aa", "a*a*a", false)]
    public void A_star_stands_for_any_characters(string name, string pattern, bool matches) =>
        Assert.That(Weights.Matches(name, pattern), Is.EqualTo(matches));

    [Test]
    public void Tied_names_are_one_tensor_whichever_of_them_the_file_holds()
    {
        using (Checkpoint checkpoint = Write(("lm_head.decoder.weight", [4, 2])))
        {
            Weights weights = new(checkpoint);
            weights.Tie("longformer.embeddings.word_embeddings.weight", "lm_head.decoder.weight");
            Assert.That(weights.Has("longformer.embeddings.word_embeddings.weight"), Is.True);
            Assert.That((weights / "longformer").Get("embeddings.word_embeddings.weight", 4, 2).Shape, Is.EqualTo(new long[] { 4, 2 }));
            weights.Finish();
        }
        using (Checkpoint both = Write(("a", [4, 2]), ("b", [4, 2]), ("c", [4, 3])))
        {
            Weights weights = new(both);
            weights.Tie("a", "b");
            weights.Get("a", 4, 2);
            Assert.That(() => weights.Finish("c"), Throws.Nothing, "the copy is not unexpected");
            weights.Tie("a", "c");
            weights.Get("a", 4, 2);
            Assert.That(() => weights.Finish(), Throws.TypeOf<CheckpointException>()
                .With.Message.Contains("c expected [4, 2] as a, to which it is tied, found [4, 3]"));
        }
    }

    [Test]
    public void A_dtype_that_libtorch_lacks_is_one_of_the_problems()
    {
        using Checkpoint checkpoint =
            Checkpoint.Open(_folder.WriteSafetensors("f.safetensors", """{"w":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}""", [0]));
        Weights weights = new(checkpoint);
        weights.Get("w", 2);
        Assert.That(() => weights.Finish(), Throws.TypeOf<CheckpointException>().With.Message.Contains("1 unusable")
            .And.Message.Contains("has dtype F4"));
    }

    private Checkpoint Write(params (string Name, long[] Shape)[] tensors)
    {
        SafetensorsWriter.Write(_folder["model.safetensors"], tensors.ToDictionary(t => t.Name, t => Tensor.Zeros(t.Shape)));
        return Checkpoint.Open(_folder.Path);
    }
}
