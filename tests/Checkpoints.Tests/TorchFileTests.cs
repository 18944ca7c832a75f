using System.IO.Compression;
using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints.Tests;

[TestFixture]
public class TorchFileTests
{
    private static readonly byte[] SixFloats = [.. Enumerable.Range(1, 6).SelectMany(i => BitConverter.GetBytes((float)i))];

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

    [TestCase("pytorch_model.bin", 59)]
    [TestCase("pytorch_model_legacy.bin", 59)]
    public void Both_formats_give_the_tensors_of_the_parity_set_bit_by_bit(string name, int count)
    {
        using Checkpoint checkpoint = Checkpoint.Open(Repository.Golden($"conversion/torch_checkpoint/{name}"));
        using SafetensorsFile expected = SafetensorsFile.Open(Repository.Golden("conversion/torch_checkpoint/expected.safetensors"));
        Assert.That(checkpoint.Names, Is.EquivalentTo(expected.Entries.Keys).And.Count.EqualTo(count));
        foreach (string tensor in checkpoint.Names)
            AssertSame(checkpoint.Get(tensor), expected.Get(tensor), tensor);
    }

    [Test]
    public void Half_precision_comes_as_it_is_stored()
    {
        using Checkpoint checkpoint = Checkpoint.Open(Repository.Golden("conversion/torch_checkpoint/pytorch_model_fp16.bin"));
        using SafetensorsFile expected = SafetensorsFile.Open(Repository.Golden("conversion/torch_checkpoint/expected.safetensors"));
        Assert.That(checkpoint.Names, Has.Count.EqualTo(22).And.All.Contains("layer.0."));
        foreach (string tensor in checkpoint.Names)
            AssertSame(checkpoint.Get(tensor), expected.Get(tensor).To(DType.Float16), tensor);
    }

    [TestCase("pytorch_model.bin")]
    [TestCase("pytorch_model_legacy.bin")]
    public void A_torch_file_streams_into_safetensors(string name)
    {
        using Checkpoint checkpoint = Checkpoint.Open(Repository.Golden($"conversion/torch_checkpoint/{name}"));
        using SafetensorsFile expected = SafetensorsFile.Open(Repository.Golden("conversion/torch_checkpoint/expected.safetensors"));
        SafetensorsWriter.Write(_folder["model.safetensors"], checkpoint.Names.Select(n => TensorSource.From(n, checkpoint, n)));
        using SafetensorsFile written = SafetensorsFile.Open(_folder["model.safetensors"]);
        foreach (string tensor in expected.Entries.Keys)
            AssertSame(written.Get(tensor), expected.Get(tensor), tensor);
    }

    [TestCase("zip.bin")]
    [TestCase("legacy.bin")]
    [TestCase("protocol4.bin")]
    [TestCase("training.ckpt")]
    public void Files_of_torch_itself_are_read_bit_by_bit(string name)
    {
        // Made by Fixtures/make_torch_files.py: modules, parameters, views, every dtype, a training script's classes.
        using Checkpoint checkpoint = Checkpoint.Open(Fixture(name));
        using SafetensorsFile expected = SafetensorsFile.Open(Fixture("expected.safetensors"));
        Assert.That(checkpoint.Names, Is.EquivalentTo(expected.Entries.Keys));
        SafetensorsWriter.Write(_folder["streamed"], checkpoint.Names.Select(n => TensorSource.From(n, checkpoint, n)));
        using SafetensorsFile streamed = SafetensorsFile.Open(_folder["streamed"]);
        foreach (string tensor in checkpoint.Names)
        {
            AssertSame(checkpoint.Get(tensor), expected.Get(tensor), tensor);
            AssertSame(streamed.Get(tensor), expected.Get(tensor), tensor);
        }
        Assert.That(File.ReadAllBytes(_folder["streamed"]), Is.EqualTo(File.ReadAllBytes(Fixture("expected.safetensors"))),
            "the safetensors library writes the same file");
    }

    [Test]
    public void Tensors_of_one_storage_share_its_bytes()
    {
        byte[] pickle = TwoEntries("a", new PickleBuilder().Tensor("FloatStorage", "0", 6, 0, [2, 3], [3, 1]),
            "b", new PickleBuilder().Tensor("FloatStorage", "0", 6, 2, [4], [1]));
        // torch aligns the data; here an entry in front does it.
        byte[] file = Enumerable.Range(0, 4).Select(
            pad => PickleBuilder.ZipOf([("archive/pad", new byte[pad]), ("archive/data.pkl", pickle), ("archive/data/0", SixFloats)]))
            .First(f => f.AsSpan().IndexOf(SixFloats) % 4 == 0);
        using Checkpoint checkpoint = Open(file);
        Tensor a = checkpoint.Get("a"), b = checkpoint.Get("b");
        Assert.That((long)b.DataPointer - a.DataPointer, Is.EqualTo(8));
        Assert.That(b.ToArray<float>(), Is.EqualTo(new float[] { 3, 4, 5, 6 }));
        Assert.That(checkpoint.Entry("a").SharesBytesWith(checkpoint.Entry("b")), Is.False, "overlapping, but not tied");
    }

    [Test]
    public void Tied_tensors_of_a_torch_file_are_told_by_their_bytes()
    {
        PickleBuilder Same() => new PickleBuilder().Tensor("FloatStorage", "0", 6, 0, [2, 3], [3, 1]);
        using Checkpoint checkpoint = Open(PickleBuilder.Zip(TwoEntries("a", Same(), "b", Same()), ("0", SixFloats)));
        Assert.That(checkpoint.Entry("a").SharesBytesWith(checkpoint.Entry("b")), Is.True);
    }

    [TestCase(false)]
    [TestCase(true)]
    public void Strided_views_are_views_and_are_written_row_by_row(bool legacy)
    {
        byte[] pickle = TwoEntries("transposed", new PickleBuilder().Tensor("FloatStorage", "0", 6, 0, [3, 2], [1, 3]),
            "expanded", new PickleBuilder().Tensor("FloatStorage", "0", 6, 4, [3, 2], [0, 1]));
        using Checkpoint checkpoint = Open(legacy ? PickleBuilder.Legacy(pickle, ("0", 6, SixFloats)) : PickleBuilder.Zip(pickle, ("0", SixFloats)));
        Assert.That(checkpoint.Get("transposed").Contiguous().ToArray<float>(), Is.EqualTo(new float[] { 1, 4, 2, 5, 3, 6 }));
        Assert.That(checkpoint.Get("expanded").Contiguous().ToArray<float>(), Is.EqualTo(new float[] { 5, 6, 5, 6, 5, 6 }));
        SafetensorsWriter.Write(_folder["f"], checkpoint.Names.Select(n => TensorSource.From(n, checkpoint, n)));
        using SafetensorsFile written = SafetensorsFile.Open(_folder["f"]);
        Assert.That(written.Get("transposed").ToArray<float>(), Is.EqualTo(new float[] { 1, 4, 2, 5, 3, 6 }));
        Assert.That(written.Get("expanded").ToArray<float>(), Is.EqualTo(new float[] { 5, 6, 5, 6, 5, 6 }));
    }

    [Test]
    public void Views_of_storages_of_the_oldest_torch_are_found()
    {
        byte[] pickle = PickleBuilder.Dict("v", p => p.Global("torch._utils", "_rebuild_tensor").Op('(')
            .Op('(').Text("storage").Global("torch", "FloatStorage").Text("root").Text("cpu").Number(6)
            .Op('(').Text("view").Number(2).Number(3).Op('t').Op('t').Op('Q')
            .Number(1).Tuple(2).Tuple(1).Op('t').Op('R')).ToArray();
        using Checkpoint checkpoint = Open(PickleBuilder.Legacy(pickle, ("root", 6, SixFloats)));
        Assert.That(checkpoint.Get("v").ToArray<float>(), Is.EqualTo(new float[] { 4, 5 }));
    }

    [Test]
    public void Parameters_untyped_storages_and_dtypes_by_name_are_known()
    {
        PickleBuilder parameter = new PickleBuilder().Global("torch._utils", "_rebuild_parameter").Op('(')
            .Raw(Strip(new PickleBuilder().Tensor("BFloat16Storage", "0", 12, 0, [12], [1]))).Raw(0x88).Global("collections", "OrderedDict").Op(')')
            .Op('R').Op('t').Op('R');
        PickleBuilder untyped = new PickleBuilder().Global("torch._utils", "_rebuild_tensor_v3").Op('(')
            .Storage("UntypedStorage", "0", 24, "torch.storage")
            .Number(1).Tuple(2).Tuple(1).Raw(0x89).Global("collections", "OrderedDict").Op(')').Op('R').Global("torch", "float32").Op('t').Op('R');
        using Checkpoint checkpoint = Open(PickleBuilder.Zip(TwoEntries("p", parameter, "u", untyped), ("0", SixFloats)));
        Assert.That(checkpoint.Get("p").DType, Is.EqualTo(DType.BFloat16));
        Assert.That(checkpoint.Get("u").ToArray<float>(), Is.EqualTo(new float[] { 2, 3 }));
    }

    [TestCase("state_dict")]
    [TestCase("model_state_dict")]
    [TestCase("model")]
    public void A_training_checkpoint_gives_its_state_dict_and_its_classes_stay_inert(string key)
    {
        byte[] inner = PickleBuilder.Dict("w", p => p.Tensor("FloatStorage", "0", 6, 0, [6], [1])).ToArray();
        byte[] pickle = new PickleBuilder().Op('}').Op('(')
            .Text("epoch").Number(3)
            .Text(key).Raw(inner.AsSpan(2, inner.Length - 3))
            // argparse.Namespace(lr=0.1), a subclass of dict with items, an enum: what hyper-parameters hold.
            .Text("hyper_parameters").Global("argparse", "Namespace").Op(')').Raw(0x81).Op('}').Text("lr").Number(1).Op('s').Op('b')
            .Text("defaults").Global("pytorch_lightning.utilities.parsing", "AttributeDict").Op(')').Op('R').Op('(').Text("a").Number(1).Op('u')
            .Text("callbacks").Global("__builtin__", "getattr").Op('(').Global("mine", "Color").Text("RED").Op('t').Op('R')
            .Op('u').Stop().ToArray();
        using Checkpoint checkpoint = Open(PickleBuilder.Zip(pickle, ("0", SixFloats)));
        Assert.That(checkpoint.Names, Is.EqualTo(new[] { "w" }));
        Assert.That(checkpoint.Get("w").ToArray<float>(), Is.EqualTo(new float[] { 1, 2, 3, 4, 5, 6 }));
    }

    [Test]
    public void Plain_values_among_the_tensors_are_no_tensors()
    {
        byte[] pickle = TwoEntries("version", new PickleBuilder().Number(2), "w", new PickleBuilder().Tensor("FloatStorage", "0", 6, 0, [6], [1]));
        using Checkpoint checkpoint = Open(PickleBuilder.Zip(pickle, ("0", SixFloats)));
        Assert.That(checkpoint.Names, Is.EqualTo(new[] { "w" }));
    }

    [Test]
    public void Shards_of_torch_files_open_by_their_index()
    {
        _folder.Write("pytorch_model-00001-of-00002.bin",
            PickleBuilder.Zip(PickleBuilder.Dict("a", p => p.Tensor("FloatStorage", "0", 6, 0, [6], [1])).ToArray(), ("0", SixFloats)));
        _folder.Write("pytorch_model-00002-of-00002.bin",
            PickleBuilder.Legacy(PickleBuilder.Dict("b", p => p.Tensor("FloatStorage", "0", 6, 1, [5], [1])).ToArray(), ("0", 6, SixFloats)));
        _folder.Write("pytorch_model.bin.index.json",
            """{"weight_map":{"a":"pytorch_model-00001-of-00002.bin","b":"pytorch_model-00002-of-00002.bin"}}""");
        using Checkpoint checkpoint = Checkpoint.Open(_folder.Path);
        Assert.That(checkpoint.Get("a").ToArray<float>(), Has.Length.EqualTo(6));
        Assert.That(checkpoint.Get("b").ToArray<float>(), Has.Length.EqualTo(5));
    }

    [TestCase(7, new long[] { 6 }, new long[] { 1 }, "reaches beyond its storage")]
    [TestCase(0, new long[] { 7 }, new long[] { 1 }, "reaches beyond its storage")]
    [TestCase(0, new long[] { 2, 3 }, new long[] { 4, 1 }, "reaches beyond its storage")]
    [TestCase(long.MaxValue, new long[] { 1 }, new long[] { 1 }, "reaches beyond its storage")]
    [TestCase(-1, new long[] { 1 }, new long[] { 1 }, "impossible offset -1")]
    [TestCase(0, new long[] { -1 }, new long[] { 1 }, "impossible offset")]
    [TestCase(5, new long[] { 6 }, new long[] { -1 }, "impossible offset")]
    [TestCase(0, new long[] { 2, 3 }, new long[] { 1 }, "impossible offset")]
    [TestCase(0, new long[] { 1L << 40, 1L << 40 }, new long[] { 0, 0 }, "more elements than memory can address")]
    [TestCase(0, new long[] { 2 }, new long[] { long.MaxValue }, "more elements than memory can address")]
    [TestCase(0, new long[] { 0, 1L << 40, 1L << 40 }, new long[] { 1, 1, 1 }, "more elements than memory can address")]
    [TestCase(0, new long[] { 1L << 40 }, new long[] { 0 }, "repeats its values beyond the size of the file")]
    public void Tensors_that_do_not_lie_in_their_storage_are_refused(long offset, long[] shape, long[] strides, string message)
    {
        byte[] pickle = PickleBuilder.Dict("w", p => p.Tensor("FloatStorage", "0", 6, offset, shape, strides)).ToArray();
        Assert.That(() => Open(PickleBuilder.Zip(pickle, ("0", SixFloats))), Throws.TypeOf<CheckpointException>().With.Message.Contains(message));
        Assert.That(() => Open(PickleBuilder.Legacy(pickle, ("0", 6, SixFloats))),
            Throws.TypeOf<CheckpointException>().With.Message.Contains(message));
    }

    [Test]
    public void Storages_that_are_not_as_described_are_refused()
    {
        byte[] pickle = PickleBuilder.Dict("w", p => p.Tensor("FloatStorage", "0", 6, 0, [6], [1])).ToArray();
        Refused(PickleBuilder.Zip(pickle), "the archive has no data '0'");
        Refused(PickleBuilder.Zip(pickle, ("0", SixFloats[..20])), "its storage should have 24 bytes, the file has 20");
        Refused(PickleBuilder.Legacy(pickle), "the file has no data '0'");
        Refused(PickleBuilder.Legacy(pickle, ("0", 5, SixFloats)), "should have 6 elements, the file says 5");
        Refused(PickleBuilder.Legacy(pickle, ("0", 6, SixFloats[..20])), "cut off inside the data '0'");
        Refused(PickleBuilder.Legacy(pickle, ("1", 6, SixFloats)), "a storage without a tensor");
        Refused(PickleBuilder.Legacy(PickleBuilder.Dict("w", p => p.Tensor("FloatStorage", "0", -6, 0, [6], [1])).ToArray(), ("0", -6, SixFloats)),
            "negative length");
        Refused(PickleBuilder.Zip(PickleBuilder.Dict("w", p => p.Tensor("QInt8Storage", "0", 6, 0, [6], [1])).ToArray(), ("0", SixFloats)),
            "holds no tensors at its top level, only 'w'");
    }

    [Test]
    public void Archives_that_are_not_torchs_are_refused()
    {
        byte[] pickle = PickleBuilder.Dict("w", p => p.Tensor("FloatStorage", "0", 6, 0, [6], [1])).ToArray();
        Refused(PickleBuilder.ZipOf([("readme.txt", [1])]), "it has no data.pkl");
        Refused(PickleBuilder.ZipOf([("a/data.pkl", pickle), ("b/data.pkl", pickle)]), "it has more than one data.pkl");
        Refused(PickleBuilder.ZipOf([("a/data.pkl", new byte[100_000])], CompressionLevel.Optimal), "'a/data.pkl' is compressed");
        Refused(PickleBuilder.ZipOf([("a/data.pkl", pickle), ("a/constants.pkl", [1])]), "a TorchScript program");
        Refused(PickleBuilder.ZipOf([("a/data.pkl", pickle), ("a/code/m.py", [1])]), "a TorchScript program");
        Refused(PickleBuilder.ZipOf([("a/data.pkl", pickle), ("a/byteorder", "big"u8.ToArray())]), "'big'-endian");
        Refused(PickleBuilder.ZipOf([("a/data.pkl", pickle), ("a/data.pkl", pickle)]), "'a/data.pkl' occurs twice");
        byte[] whole = PickleBuilder.Zip(pickle, ("0", SixFloats));
        Refused(whole[..^30], "it has no directory");
        Refused(Patch(whole, "PK\x01\x02"u8, 8, 1), "is encrypted");
        Refused(Patch(whole, "PK\x01\x02"u8, 42, 200), "is not where the directory says");
        Refused(Patch(whole, "PK\x03\x04"u8, 30, (byte)'X'), "is not where the directory says");
        Refused(Patch(whole, "PK\x05\x06"u8, 19, 200), "its directory would be outside the file");
        Refused(Patch(whole, "PK\x05\x06"u8, 10, 200), "its directory is damaged");
    }

    [Test]
    public void Other_pickles_are_told_apart_from_files_of_torch()
    {
        Refused([.. new PickleBuilder().Text("just a pickle").Stop().ToArray()], "a pickle, but not a file of torch.save");
        Refused([.. new PickleBuilder().Big(System.Numerics.BigInteger.Parse("119547037146038801333356")).Stop().ToArray(),
            .. new PickleBuilder().Number(7).Stop().ToArray()], "unknown version");
        Refused(PickleBuilder.Zip(new PickleBuilder().Number(1).Stop().ToArray()), "holds a number, not a state dict");
        Refused(PickleBuilder.Zip(new PickleBuilder().Op('}').Stop().ToArray()), "the state dict is empty");
        Refused(PickleBuilder.Zip(PickleBuilder.Dict("vocabulary", p => p.Op(']')).ToArray()),
            "holds no tensors at its top level, only 'vocabulary'");
    }

    [Test]
    public void Mutated_files_of_both_formats_give_tensors_or_a_message()
    {
        byte[] pickle = TwoEntries("a", new PickleBuilder().Tensor("FloatStorage", "0", 6, 0, [2, 3], [3, 1]), "b",
            new PickleBuilder().Tensor("LongStorage", "1", 3, 1, [2], [1]));
        byte[][] valid = [PickleBuilder.Zip(pickle, ("0", SixFloats), ("1", SixFloats)),
            PickleBuilder.Legacy(pickle, ("0", 6, SixFloats), ("1", 3, SixFloats))];
        Random random = new(99);
        int opened = 0;
        for (int round = 0; round < 1500; round++)
        {
            byte[] mutated = [.. valid[round % 2]];
            for (int n = random.Next(1, 4); n > 0; n--)
                mutated[random.Next(mutated.Length)] = (byte)random.Next(256);
            if (random.Next(4) == 0)
                mutated = mutated[..random.Next(mutated.Length)];
            try
            {
                using Checkpoint checkpoint = Open(mutated);
                opened++;
                foreach (string name in checkpoint.Names.Where(n => checkpoint.Entry(n).Type.ToDType() is not null))
                {
                    using Tensor tensor = checkpoint.Get(name);
                    Assert.That(tensor.Contiguous().AsBytes().Length, Is.LessThanOrEqualTo(mutated.Length));
                }
            }
            catch (CheckpointException)
            {
            }
        }
        Assert.That(opened, Is.InRange(15, 1200));
    }

    private static void AssertSame(Tensor actual, Tensor expected, string name)
    {
        Assert.That((actual.DType, actual.Shape), Is.EqualTo((expected.DType, expected.Shape)), name);
        Assert.That(actual.Contiguous().AsBytes().SequenceEqual(expected.AsBytes()), Is.True, name);
    }

    private static string Fixture(string name) => Path.Combine(TestContext.CurrentContext.TestDirectory, "Fixtures", name);

    private static byte[] Strip(PickleBuilder builder) => builder.ToArray()[2..];

    private static byte[] TwoEntries(string first, PickleBuilder a, string second, PickleBuilder b) =>
        new PickleBuilder().Op('}').Op('(').Text(first).Raw(Strip(a)).Text(second).Raw(Strip(b)).Op('u').Stop().ToArray();

    private static byte[] Patch(byte[] bytes, ReadOnlySpan<byte> record, int offset, byte value)
    {
        byte[] patched = [.. bytes];
        patched[bytes.AsSpan().IndexOf(record) + offset] = value;
        return patched;
    }

    private void Refused(byte[] file, string message) =>
        Assert.That(() => Open(file), Throws.TypeOf<CheckpointException>().With.Message.Contains(message));

    private Checkpoint Open(byte[] file) => Checkpoint.Open(_folder.Write("f.bin", file));
}
