using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints.Tests;

[TestFixture]
public class SafetensorsFileTests
{
    private TestFolder _folder = null!;
    private long _liveBefore;

    [SetUp]
    public void SetUp()
    {
        _liveBefore = TorchRuntime.LiveTensorCount;
        _folder = new TestFolder();
    }

    [TearDown]
    public void TearDown()
    {
        _folder.Dispose();
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(_liveBefore), "tensors left alive");
    }

    [Test]
    public void Every_dtype_of_the_format_is_listed_and_read_where_libtorch_has_it()
    {
        string[] names = ["BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
            "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64"];
        int[] bits = [8, 4, 6, 6, 8, 8, 8, 8, 8, 8, 8, 16, 16, 16, 16, 32, 32, 32, 64, 64, 64, 64];
        Assert.That(names.Select(n => StoredTypes.TryParse(n, out StoredType t) ? (int)t : -1), Is.EqualTo(Enumerable.Range(0, names.Length)));
        for (int i = 0; i < names.Length; i++)
        {
            StoredType type = (StoredType)i;
            byte[] data = new byte[bits[i]];
            if (type != StoredType.Bool)
                Random.Shared.NextBytes(data);
            using SafetensorsFile file = SafetensorsFile.Open(_folder.WriteSafetensors($"{names[i]}.safetensors",
                $$$"""{"t":{"dtype":"{{{names[i]}}}","shape":[2,4],"data_offsets":[0,{{{data.Length}}}]}}""", data));
            Assert.That((file.Entries["t"].Type, file.Entries["t"].ByteCount), Is.EqualTo((type, data.Length)));
            if (type.ToDType() is { } dtype)
            {
                using Tensor tensor = file.Get("t");
                Assert.That((tensor.DType, tensor.AsBytes().ToArray()), Is.EqualTo((dtype, data)), names[i]);
                Assert.That(StoredTypes.FromDType(dtype), Is.EqualTo(type));
            }
            else
            {
                Assert.That(() => file.Get("t"), Throws.TypeOf<CheckpointException>()
                    .With.Message.Contains($"dtype {names[i]}, which libtorch {TorchRuntime.Version} does not have"));
            }
        }
        Assert.That(new[] { StoredType.F64, StoredType.F32, StoredType.F16, StoredType.BF16, StoredType.I64, StoredType.I32, StoredType.I16,
            StoredType.I8, StoredType.U8, StoredType.Bool, StoredType.C64 }.Select(t => t.ToDType()), Has.None.Null, "those of every libtorch");
    }

    [Test]
    public void Tensors_lie_in_the_mapping_and_outlive_the_file()
    {
        float[] values = [1, 2, 3, 4, 5, 6];
        string path = WriteFloats("f.safetensors", values);
        Tensor first, second;
        using (SafetensorsFile file = SafetensorsFile.Open(path))
        {
            first = file.Get("t");
            second = file.Get("t");
            Assert.That(first.DataPointer, Is.EqualTo(second.DataPointer), "no copies");
        }
        GC.Collect();
        GC.WaitForPendingFinalizers();
        using Tensor view = first.Narrow(0, 1, 1);
        first.Dispose();
        second.Dispose();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.That(view.ToArray<float>(), Is.EqualTo(new float[] { 4, 5, 6 }), "a view of a view still holds the mapping");
    }

    [Test]
    public void The_mapping_goes_with_the_last_tensor()
    {
        string path = WriteFloats("gone.safetensors", [1, 2, 3, 4, 5, 6]);
        SafetensorsFile file = SafetensorsFile.Open(path);
        Tensor tensor = file.Get("t");
        nint address = tensor.DataPointer;
        file.Dispose();
        Assert.That(Mapping.Holds(address, path), Is.True);
        tensor.Dispose();
        Assert.That(Mapping.Holds(address, path), Is.False);
    }

    [Test]
    public void Changing_a_tensor_changes_neither_the_file_nor_another_reader()
    {
        string path = WriteFloats("f.safetensors", [1, 2, 3, 4, 5, 6]);
        byte[] before = File.ReadAllBytes(path);
        using SafetensorsFile file = SafetensorsFile.Open(path), other = SafetensorsFile.Open(path);
        using Tensor tensor = file.Get("t"), unchanged = other.Get("t");
        unsafe
        {
            *(float*)tensor.DataPointer = 42;
        }
        Assert.That(tensor.ToArray<float>()[0], Is.EqualTo(42));
        Assert.That(unchanged.ToArray<float>()[0], Is.EqualTo(1));
        Assert.That(File.ReadAllBytes(path), Is.EqualTo(before));
    }

    [Test]
    public void Data_that_do_not_lie_aligned_are_copied_and_right()
    {
        byte[] data = new byte[3 + 8];
        BitConverter.TryWriteBytes(data.AsSpan(3), 1.5f);
        BitConverter.TryWriteBytes(data.AsSpan(7), -2f);
        using SafetensorsFile file = SafetensorsFile.Open(_folder.WriteSafetensors("f.safetensors",
            """{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"t":{"dtype":"F32","shape":[2],"data_offsets":[3,11]}}""", data));
        using Tensor tensor = file.Get("t");
        Assert.That((long)tensor.DataPointer % 4, Is.Zero);
        Assert.That(tensor.ToArray<float>(), Is.EqualTo(new[] { 1.5f, -2f }));
    }

    [Test]
    public void Scalars_and_empty_tensors_keep_their_shapes()
    {
        using SafetensorsFile file = SafetensorsFile.Open(_folder.WriteSafetensors("f.safetensors",
            """{"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"e":{"dtype":"F32","shape":[3,0,2],"data_offsets":[8,8]}}""",
            BitConverter.GetBytes(77L)));
        using Tensor scalar = file.Get("s"), empty = file.Get("e");
        Assert.That((scalar.Rank, scalar.Item<long>()), Is.EqualTo((0, 77L)));
        Assert.That(empty.Shape, Is.EqualTo(new long[] { 3, 0, 2 }));
        Assert.That(empty.ToArray<float>(), Is.Empty);
    }

    [Test]
    public void A_file_without_tensors_opens()
    {
        using SafetensorsFile file = SafetensorsFile.Open(_folder.WriteSafetensors("f.safetensors", "{}", []));
        Assert.That(file.Entries, Is.Empty);
        Assert.That(file.Metadata, Is.Empty);
        Assert.That(() => file.Get("x"), Throws.TypeOf<CheckpointException>().With.Message.EndsWith("no tensor 'x'"));
    }

    [Test]
    public void What_is_no_readable_file_is_refused_by_name()
    {
        Assert.That(() => SafetensorsFile.Open(_folder["absent"]),
            Throws.TypeOf<CheckpointException>().With.Message.EqualTo($"{_folder["absent"]}: no such file"));
        Assert.That(() => SafetensorsFile.Open(_folder.Path), Throws.TypeOf<CheckpointException>().With.Message.EndsWith("a folder, not a file"));
        Assert.That(() => SafetensorsFile.Open(_folder.Write("empty", "")),
            Throws.TypeOf<CheckpointException>().With.Message.EndsWith("the file is empty"));
        Assert.That(() => SafetensorsFile.Open(_folder.Write("short", "abc")),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("it has 3 bytes"));
        Assert.That(() => SafetensorsFile.Open(_folder.Write("text", "This is no model at all.")),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("not a safetensors file"));
    }

    [Test]
    [Platform(Exclude = "Win", Reason = "Windows cuts no file that is mapped")]
    public void A_file_cut_short_behind_our_back_is_noticed_when_the_next_tensor_is_taken()
    {
        string path = WriteFloats("f.safetensors", [1, 2, 3, 4, 5, 6]);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        using (FileStream cut = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            cut.SetLength(cut.Length - 4);
        Assert.That(() => file.Get("t"), Throws.TypeOf<CheckpointException>().With.Message.Contains("became shorter while it was in use"));
    }

    [Test]
    public void A_disposed_file_gives_no_tensors()
    {
        SafetensorsFile file = SafetensorsFile.Open(WriteFloats("f.safetensors", [1, 2, 3, 4, 5, 6]));
        file.Dispose();
        file.Dispose();
        Assert.That(() => file.Get("t"), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Many_threads_read_one_file_at_once()
    {
        using SafetensorsFile file = SafetensorsFile.Open(WriteFloats("f.safetensors", [1, 2, 3, 4, 5, 6]));
        Parallel.For(0, 400, _ =>
        {
            using Tensor tensor = file.Get("t");
            Assert.That(tensor.ToArray<float>(), Is.EqualTo(new float[] { 1, 2, 3, 4, 5, 6 }));
        });
    }

    [Test]
    public void The_parity_sets_own_files_open()
    {
        using SafetensorsFile file = SafetensorsFile.Open(Repository.Golden("conversion/torch_checkpoint/expected.safetensors"));
        using Tensor tensor = file.Get("roberta.embeddings.word_embeddings.weight");
        Assert.That(file.Entries, Has.Count.EqualTo(59));
        Assert.That(tensor.ToArray<float>().Max(Math.Abs), Is.EqualTo(0.706937f).Within(1e-6f));
    }

    private string WriteFloats(string name, float[] values)
    {
        byte[] data = new byte[values.Length * 4];
        Buffer.BlockCopy(values, 0, data, 0, data.Length);
        // Padded so that the data begin at a multiple of eight.
        string header = $$$"""{"t":{"dtype":"F32","shape":[2,{{{values.Length / 2}}}],"data_offsets":[0,{{{data.Length}}}]}}""";
        return _folder.WriteSafetensors(name, header.PadRight((header.Length + 7) / 8 * 8), data);
    }
}
