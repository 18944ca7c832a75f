namespace LongformerInterop.Torch.Tests;

/// <summary>Bad calls give one clear message each: operator, argument, expected, given.</summary>
[TestFixture]
public class ErrorTests : TensorTest
{
    [Test]
    public void A_wrong_shape_is_told_with_the_shapes() =>
        Assert.That(() => Tensor.Ones([2, 3]).MatMul(Tensor.Ones([4, 5])), Throws.TypeOf<TorchException>()
            .With.Message.Contains("aten::matmul(Float[2, 3], Float[4, 5]): ").And.Message.Contains("2x3 and 4x5"));

    [Test]
    public void A_message_has_no_native_stack_trace() =>
        Assert.That(() => Tensor.Ones([2]).View(3), Throws.TypeOf<TorchException>().With.Message.Not.Contains("frame #"));

    [Test]
    public void Too_many_arguments_are_refused() =>
        Assert.That(() => Operator.Find("aten::relu").Call(Tensor.Ones([1]), 1), Throws.TypeOf<InputException>()
            .With.Message.Contains("aten::relu: takes 1 arguments, given 2"));

    [Test]
    public void Too_few_arguments_are_refused() =>
        Assert.That(() => Operator.Find("aten::mm").Call(Tensor.Ones([1, 1])), Throws.TypeOf<InputException>()
            .With.Message.Contains("aten::mm: argument 'mat2' (number 2, Tensor) is missing"));

    [Test]
    public void No_arguments_are_refused_where_some_are_needed() =>
        Assert.That(() => Operator.Find("aten::relu").Call(), Throws.TypeOf<InputException>().With.Message.Contains("'self'"));

    [Test]
    public void Each_wrong_kind_of_argument_is_told_with_the_expected_one()
    {
        Tensor x = Tensor.Ones([2, 3]);
        Refused("aten::relu", "", "'self' (number 1): expected Tensor, given int 3", 3);
        Refused("aten::relu", "", "expected Tensor, given none", Argument.None);
        Refused("aten::softmax", "int", "'dim' (number 2): expected int, given float 1.5", x, 1.5);
        Refused("aten::softmax", "int", "'dim' (number 2): expected int, given bool true", x, true);
        Refused("aten::dropout", "", "'p' (number 2): expected float, given string \"half\"", x, "half", true);
        Refused("aten::dropout", "", "'train' (number 3): expected bool, given int 1", x, 0.5, 1);
        Refused("aten::mul", "Scalar", "'other' (number 2): expected Scalar, given Float[2, 3]", x, x);
        Refused("aten::permute", "", "'dims' (number 2): expected int[], given list of 2 floats", x, new[] { 0.0, 1.0 });
        Refused("aten::permute", "", "'dims' (number 2): expected int[], given int 1", x, 1);
        Refused("aten::gelu", "", "given [1, 2]", x, new long[] { 1, 2 });
        Refused("aten::cat", "", "expected Tensor[], given Float[2, 3]", x);
        Refused("aten::to", "dtype_layout", "'device' (number 4): expected Device?, given string \"cpu\"", x, DType.Float32, Argument.None, "cpu");

        static void Refused(string name, string overload, string message, params Argument[] arguments) =>
            Assert.That(() => Operator.Find(name, overload).CallAll(arguments), Throws.TypeOf<InputException>().With.Message.Contains(message));
    }

    [Test]
    public void A_wrong_dtype_is_told_by_libtorch() =>
        Assert.That(() => Functional.Embedding(Tensor.Ones([2]), Tensor.Ones([4, 4])), Throws.TypeOf<TorchException>()
            .With.Message.Contains("aten::embedding(").And.Message.Contains("Float"));

    [Test]
    public void A_dtype_that_libtorch_lacks_is_refused() =>
        Assert.That(() => Tensor.Zeros([1], (DType)120), Throws.TypeOf<InputException>().With.Message.Contains("no dtype with the number 120"));

    [Test]
    public void An_index_outside_a_table_is_told() =>
        Assert.That(() => Functional.Embedding(Tensor.From([5L]), Tensor.Ones([4, 4])), Throws.TypeOf<TorchException>()
            .With.Message.Contains("out of range"));

    [Test]
    public void A_device_that_is_not_there_gives_one_clear_message()
    {
        Assume.That(TorchRuntime.CudaAvailable, Is.False);
        Tensor x = Tensor.Ones([1]);
        string expected = "device \"cuda\" is not available";
        Assert.That(() => x.To(Device.Cuda()), Throws.TypeOf<DeviceException>().With.Message.Contains(expected));
        Assert.That(() => Tensor.Zeros([1], device: Device.Cuda(1)), Throws.TypeOf<DeviceException>().With.Message.Contains(expected));
        Assert.That(() => TorchRuntime.RequireDevice(Device.Parse("cuda:0")), Throws.TypeOf<DeviceException>().With.Message.Contains(expected));
        Assert.That(() => Tensor.View(x.DataPointer, [1], DType.Float32, device: Device.Cuda()), Throws.TypeOf<DeviceException>());
        Assert.That(() => TorchRuntime.RequireDevice(Device.Cpu), Throws.Nothing);
    }

    [Test]
    public void An_absurd_allocation_is_an_exception()
    {
        Assert.That(() => Tensor.Empty([1L << 60]), Throws.TypeOf<TorchException>().With.Message.Contains("aten::empty.memory_format([1152921504606846976]"));
        Assert.That(() => Tensor.Zeros([1L << 40, 1L << 40]), Throws.TypeOf<TorchException>());
        Assert.That(() => Tensor.Empty([-1]), Throws.TypeOf<TorchException>().With.Message.Contains("negative"));
        Assert.That(Tensor.Ones([2]).Sum().Item<float>(), Is.EqualTo(2), "the library works on");
    }

    [Test]
    public void A_refused_call_leaves_no_tensor_behind()
    {
        Tensor x = Tensor.Ones([2, 3]);
        long before = TorchRuntime.LiveTensorCount;
        for (int i = 0; i < 100; i++) Assert.That(() => x.MatMul(x), Throws.TypeOf<TorchException>());
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void Malformed_names_of_devices_are_refused([Values("", "CPU", "cuda:", "cuda:-1", "cuda:x", "cuda:999", "tpu", " cpu", "cuda: 1")] string text) =>
        Assert.That(() => Device.Parse(text), Throws.TypeOf<InputException>().With.Message.Contains($"\"{text}\""));

    [Test]
    public void Devices_are_read_as_they_are_written([Values("cpu", "cuda:0", "cuda:3", "meta")] string text) =>
        Assert.That(Device.Parse(text).ToString(), Is.EqualTo(text));

    [Test]
    public void A_library_is_loaded_by_an_absolute_path_that_exists()
    {
        Assert.That(() => TorchRuntime.LoadLibrary("libanything.so"), Throws.TypeOf<InputException>().With.Message.Contains("absolute"));
        Assert.That(() => TorchRuntime.LoadLibrary("/nowhere/libanything.so"), Throws.TypeOf<TorchException>().With.Message.Contains("not found"));
    }

    [Test]
    public void A_second_copy_of_a_loaded_library_is_refused()
    {
        string loaded = Interop.NativeLibraries.Locate("longformer_shim");
        TorchRuntime.LoadLibrary(loaded);
        string folder = Directory.CreateTempSubdirectory("longformer").FullName;
        try
        {
            string copy = Path.Combine(folder, Path.GetFileName(loaded));
            File.Copy(loaded, copy);
            Assert.That(() => TorchRuntime.LoadLibrary(copy), Throws.TypeOf<InputException>().With.Message.Contains("is loaded already"));
            string notALibrary = Path.Combine(folder, "libtext.so");
            File.WriteAllText(notALibrary, "text");
            Assert.That(() => TorchRuntime.LoadLibrary(notALibrary), Throws.TypeOf<TorchException>().With.Message.Contains("libtext.so"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Test]
    public void A_missing_native_library_is_told_with_the_places_searched()
    {
        string folder = Directory.CreateTempSubdirectory("longformer").FullName;
        try
        {
            Assert.That(() => Interop.NativeLibraries.Locate("longformer_shim", folder, AppContext.BaseDirectory),
                Throws.TypeOf<TorchException>().With.Message.Contains(folder).And.Message.Contains("LONGFORMER_NATIVE_DIR"));
            Assert.That(() => Interop.NativeLibraries.Locate("longformer_shim", null, folder),
                Throws.TypeOf<TorchException>().With.Message.Contains("liblongformer_shim.so not found"));
            string library = Path.Combine(folder, "liblongformer_shim.so");
            File.WriteAllText(library, "");
            Assert.That(Interop.NativeLibraries.Locate("longformer_shim", null, folder), Is.EqualTo(library));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
