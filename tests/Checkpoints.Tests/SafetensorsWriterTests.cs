using System.Buffers.Binary;
using System.Text;
using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints.Tests;

[TestFixture]
public class SafetensorsWriterTests
{
    private TestFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TestFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void The_layout_is_the_safetensors_librarys()
    {
        using TensorScope scope = new();
        SafetensorsWriter.Write(_folder["f"], new Dictionary<string, Tensor>
        {
            ["z"] = Tensor.From<float>([1, 2]),
            ["b"] = Tensor.From<byte>([7]),
            ["a"] = Tensor.From<float>([3]),
            ["n"] = Tensor.From<long>([5]),
        }, new Dictionary<string, string> { ["format"] = "pt", ["b"] = "xé\u0001\"/\n" });
        byte[] file = File.ReadAllBytes(_folder["f"]);
        int length = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        // The bytes that safetensors 0.8.0 writes for the same tensors and metadata.
        const string expected =
            """{"__metadata__":{"b":"xé\u0001\"/\n","format":"pt"},"n":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"a":"""
            + """{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"z":{"dtype":"F32","shape":[2],"data_offsets":[12,20]},"b":"""
            + """{"dtype":"U8","shape":[1],"data_offsets":[20,21]}}""";
        Assert.Multiple(() =>
        {
            Assert.That(length % 8, Is.Zero);
            Assert.That(Encoding.UTF8.GetString(file, 8, length).TrimEnd(' '), Is.EqualTo(expected));
            Assert.That(file[(8 + length)..], Is.EqualTo((byte[])[5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 64, 0, 0, 128, 63, 0, 0, 0, 64, 7]));
        });
    }

    [Test]
    public void Metadata_are_those_that_hf_asks_for_by_default()
    {
        SafetensorsWriter.Write(_folder["f"], new Dictionary<string, Tensor>());
        using SafetensorsFile file = SafetensorsFile.Open(_folder["f"]);
        Assert.That(file.Metadata, Is.EqualTo(new Dictionary<string, string> { ["format"] = "pt" }));
    }

    [Test]
    public void What_is_written_is_read_again_bit_by_bit([Values(1, 2, 3, 4, 5)] int seed)
    {
        using TensorScope scope = new();
        Random random = new(seed);
        DType[] types = [DType.Float64, DType.Float32, DType.Float16, DType.BFloat16, DType.Int64, DType.Int32, DType.Int16, DType.Int8,
            DType.UInt8, DType.Bool];
        Dictionary<string, Tensor> tensors = [];
        for (int i = random.Next(1, 20); i >= 0; i--)
        {
            long[] shape = [.. Enumerable.Range(0, random.Next(4)).Select(_ => (long)random.Next(5))];
            float[] values = [.. Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(_ => random.Next(-100, 100) / 4f)];
            Tensor tensor = (shape.Length == 0 ? Tensor.From(values[0]) : Tensor.From<float>(values, shape)).To(types[random.Next(types.Length)]);
            tensors[$"{"àz𝄞\uffe0"[random.Next(2)]}.{random.Next()}.{i}"] = shape.Length >= 2 && random.Next(2) == 0
                ? tensor.Transpose(0, 1)
                : tensor;
        }
        SafetensorsWriter.Write(_folder["f"], tensors);
        using SafetensorsFile file = SafetensorsFile.Open(_folder["f"]);
        Assert.That(file.Entries.Keys, Is.EquivalentTo(tensors.Keys));
        foreach ((string name, Tensor tensor) in tensors)
        {
            Tensor read = file.Get(name);
            Assert.That((read.DType, read.Shape), Is.EqualTo((tensor.DType, tensor.Shape)));
            Assert.That(read.AsBytes().ToArray(), Is.EqualTo(tensor.Contiguous().AsBytes().ToArray()));
        }
    }

    [Test]
    public void Large_strided_tensors_are_written_in_blocks()
    {
        using TensorScope scope = new();
        Tensor wide = Tensor.Arange(3000 * 2000).To(DType.Float32).Reshape(3000, 2000).Transpose(0, 1);
        SafetensorsWriter.Write(_folder["f"], new Dictionary<string, Tensor> { ["t"] = wide });
        using SafetensorsFile file = SafetensorsFile.Open(_folder["f"]);
        Assert.That(file.Get("t").AsBytes().SequenceEqual(wide.Contiguous().AsBytes()), Is.True);
    }

    [Test]
    public void Large_tensors_are_copied_from_file_to_file()
    {
        using TensorScope scope = new();
        Tensor large = Tensor.Arange(700_001).To(DType.Int32);
        SafetensorsWriter.Write(_folder["a"], new Dictionary<string, Tensor> { ["x"] = large, ["s"] = Tensor.From((byte)3), ["y"] = large + 1 });
        using Checkpoint checkpoint = Checkpoint.Open(_folder["a"]);
        SafetensorsWriter.Write(_folder["b"], checkpoint.Names.Select(n => TensorSource.From(n, checkpoint, n)));
        Assert.That(File.ReadAllBytes(_folder["b"]).AsSpan().SequenceEqual(File.ReadAllBytes(_folder["a"])), Is.True);
        // Where the kernel cannot (here: a stream of another kind), the bytes go through this process.
        SafetensorsWriter.Write(_folder["c"], checkpoint.Names.Select(n => TensorSource.From(n, checkpoint, n)), null,
            path => new FullDisk(path, long.MaxValue));
        Assert.That(File.ReadAllBytes(_folder["c"]).AsSpan().SequenceEqual(File.ReadAllBytes(_folder["a"])), Is.True);
    }

    [Test]
    public void Deferred_tensors_are_made_in_turn_and_disposed()
    {
        long live = TorchRuntime.LiveTensorCount;
        TensorSource Make(string name, float value) => TensorSource.Deferred(name, DType.Float32, [2], () =>
        {
            Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(live), "one at a time");
            return Tensor.From<float>([value, value]);
        });
        SafetensorsWriter.Write(_folder["f"], [Make("b", 2), Make("a", 1)]);
        using (SafetensorsFile file = SafetensorsFile.Open(_folder["f"]))
        {
            using Tensor a = file.Get("a");
            Assert.That(a.ToArray<float>(), Is.EqualTo(new float[] { 1, 1 }));
        }
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(live));
    }

    [Test]
    public void A_deferred_tensor_that_breaks_its_promise_leaves_no_file()
    {
        Assert.That(() => SafetensorsWriter.Write(_folder["f"], [TensorSource.Deferred("a", DType.Float32, [3], () => Tensor.From<float>([1, 2]))]),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("announced as Float32 [3], made as Float32 [2]"));
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void Names_that_the_format_cannot_hold_are_refused()
    {
        using Tensor t = Tensor.From<float>([1]);
        Assert.That(() => SafetensorsWriter.Write(_folder["f"], new Dictionary<string, Tensor> { ["__metadata__"] = t }),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("__metadata__"));
        Assert.That(() => SafetensorsWriter.Write(_folder["f"], new Dictionary<string, Tensor> { ["a\ud800"] = t }),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("surrogate"));
        Assert.That(() => SafetensorsWriter.Write(_folder["f"], [TensorSource.From("a", t), TensorSource.From("a", t)]),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("'a' was given twice"));
        Assert.That(() => SafetensorsWriter.Write(_folder["f"], new Dictionary<string, Tensor>(),
            new Dictionary<string, string> { ["k"] = "\udc00" }), Throws.TypeOf<CheckpointException>().With.Message.Contains("the metadata k"));
        using Tensor complex = t.To(DType.Complex128);
        Assert.That(() => TensorSource.From("a", complex), Throws.TypeOf<CheckpointException>().With.Message.Contains("no dtype Complex128"));
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void A_disk_that_fills_up_leaves_the_old_file([Values(0, 10, 200, 3000)] int capacity)
    {
        using Tensor t = Tensor.From<float>(new float[1000]);
        _folder.Write("f", "the old file");
        Assert.That(() => SafetensorsWriter.Write(_folder["f"], [TensorSource.From("t", t)], null, path => new FullDisk(path, capacity)),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("cannot be written: No space left on device")
                .And.Message.Contains("Nothing was changed"));
        Assert.That(File.ReadAllText(_folder["f"]), Is.EqualTo("the old file"));
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path).Count(), Is.EqualTo(1), "no part file is left");
    }

    [Test]
    public void A_folder_that_does_not_exist_is_named()
    {
        Assert.That(() => SafetensorsWriter.Write(_folder["no/such/folder/f"], new Dictionary<string, Tensor>()),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("no/such/folder/f: cannot be written"));
    }

    [Test]
    public void An_existing_file_is_replaced_while_its_readers_keep_the_old_one()
    {
        using Tensor one = Tensor.From<float>([1]), two = Tensor.From<float>([2]);
        SafetensorsWriter.Write(_folder["f"], [TensorSource.From("t", one)]);
        using SafetensorsFile old = SafetensorsFile.Open(_folder["f"]);
        using Tensor held = old.Get("t");
        SafetensorsWriter.Write(_folder["f"], [TensorSource.From("t", two)]);
        using SafetensorsFile now = SafetensorsFile.Open(_folder["f"]);
        using Tensor fresh = now.Get("t");
        Assert.That((held.Item<float>(), fresh.Item<float>()), Is.EqualTo((1f, 2f)));
    }

    [Test]
    public void Weights_above_a_size_are_split_and_found_again()
    {
        using TensorScope scope = new();
        TensorSource[] tensors = [.. Enumerable.Range(0, 7).Select(i => TensorSource.From($"t{i}", Tensor.From<float>([i, i + 0.5f])))];
        IReadOnlyList<string> files = ShardedWriter.Write(_folder.Path, tensors, shardBytes: 16);
        Assert.That(files, Is.EqualTo(new[] { "model.safetensors.index.json" }
            .Concat(Enumerable.Range(1, 4).Select(i => $"model-{i:D5}-of-00004.safetensors"))));
        using Checkpoint checkpoint = Checkpoint.Open(_folder.Path);
        Assert.That(checkpoint.Names, Is.EquivalentTo(tensors.Select(t => t.Name)));
        Assert.That(checkpoint.Get("t5").ToArray<float>(), Is.EqualTo(new[] { 5, 5.5f }));
        Assert.That(checkpoint.FileOf("t6"), Is.EqualTo(_folder["model-00004-of-00004.safetensors"]));
        Assert.That(File.ReadAllText(_folder[files[0]]),
            Does.Contain("\"total_size\": 56").And.Contain("\"t0\": \"model-00001-of-00004.safetensors\""));
    }

    [Test]
    public void Weights_below_the_size_are_one_file_and_a_large_tensor_gets_its_own()
    {
        using Tensor small = Tensor.From<float>([1]), large = Tensor.From<float>(new float[100]);
        Assert.That(ShardedWriter.Write(_folder.Path, [TensorSource.From("s", small)]), Is.EqualTo(new[] { "model.safetensors" }));
        Assert.That(ShardedWriter.Write(_folder.Path, [TensorSource.From("s", small), TensorSource.From("l", large), TensorSource.From("m", small)],
            shardBytes: 10), Has.Count.EqualTo(4));
    }

    /// <summary>A file on a disk with room for so many bytes.</summary>
    private sealed class FullDisk(string path, long capacity) : FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 0)
    {
        private long _left = capacity;

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (buffer.Length > _left)
                throw new IOException("No space left on device");
            _left -= buffer.Length;
            base.Write(buffer);
        }
    }
}
