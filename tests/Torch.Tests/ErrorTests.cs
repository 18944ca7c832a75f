namespace LongformerInterop.Torch.Tests;

/// <summary>Bad calls give one clear message each: operator, argument, expected, given.</summary>
[TestFixture]
public class ErrorTests : TensorTest
{
    [Test]
    public void A_wrong_shape_is_told_with_the_shapes() =>
        Assert.That(() => Tensor.Ones([2, 3]).MatMul(Tensor.Ones([4, 5])), Throws.TypeOf<TorchException>()
            .With.Message.Contains("aten::matmul(Float32[2, 3], Float32[4, 5]): ").And.Message.Contains("2x3 and 4x5"));

    [Test]
    public void A_message_has_no_native_stack_trace() =>
        Assert.That(() => Tensor.Ones([2, 3]).MatMul(Tensor.Ones([4, 5])), Throws.TypeOf<TorchException>()
            .With.Message.Not.Contains("frame #").And.Message.Not.Contains("Exception raised from").And.Message.Not.Contains("\n"));

    [Test]
    public void Each_kind_of_argument_is_told_as_it_was_given()
    {
        Tensor x = Tensor.Ones([2, 3]);
        Assert.That(() => x.Softmax(7, DType.Float64),
            Throws.TypeOf<TorchException>().With.Message.StartsWith("aten::softmax.int(Float32[2, 3], 7, 7): "));
        Assert.That(() => x.Sum([5]), Throws.TypeOf<TorchException>()
            .With.Message.StartsWith("aten::sum.dim_IntList(Float32[2, 3], [5], false, none): "));
        Assert.That(() => Tensor.Cat([x, Tensor.Ones([4])]),
            Throws.TypeOf<TorchException>().With.Message.StartsWith("aten::cat([Float32[2, 3], Float32[4]], 0): "));
        Assert.That(() => x.MaskedFill(Tensor.Ones([5]).Gt(0), 0.5), Throws.TypeOf<TorchException>()
            .With.Message.StartsWith("aten::masked_fill.Tensor(Float32[2, 3], Bool[5], 0.5): "));
        Assert.That(() => Tensor.Ones([2], DType.Int64).Gelu(tanh: true),
            Throws.InstanceOf<LongformerException>().With.Message.Contains("longformer::activation"));
        Assert.That(() => x + Tensor.Ones([4]), Throws.TypeOf<TorchException>()
            .With.Message.StartsWith("aten::sub.Tensor(Float32[2, 3], Float32[4], -1): "));
    }

    [Test]
    public void Impossible_views_are_refused()
    {
        Tensor x = Tensor.Ones([2, 3]);
        Assert.That(() => x.View(4), Throws.TypeOf<InputException>().With.Message.Contains("View([4])").And.Message.Contains("6 elements"));
        Assert.That(() => x.View(-1, -1), Throws.TypeOf<InputException>().With.Message.Contains("at most one of -1"));
        Assert.That(() => x.Reshape(4, -1), Throws.TypeOf<InputException>());
        Assert.That(() => Tensor.Ones([0]).View(0, -1), Throws.TypeOf<InputException>());
        Assert.That(() => x.View(long.MaxValue, long.MaxValue, 4), Throws.TypeOf<InputException>());
        Assert.That(() => x.Transpose(0, 1).View(6), Throws.TypeOf<InputException>().With.Message.Contains("strides"));
        Assert.That(() => x.Permute(0, 0), Throws.TypeOf<InputException>().With.Message.Contains("twice"));
        Assert.That(() => x.Permute(0), Throws.TypeOf<InputException>());
        Assert.That(() => x.Expand(2, 4), Throws.TypeOf<InputException>().With.Message.Contains("dimension 1"));
        Assert.That(() => x.Expand(6), Throws.TypeOf<InputException>());
        Assert.That(() => x.Expand(-1, 2, 3), Throws.TypeOf<InputException>());
        Assert.That(() => x.Narrow(1, 2, 2), Throws.TypeOf<InputException>().With.Message.Contains("leave dimension 1"));
        Assert.That(() => x.Narrow(1, 1, long.MaxValue), Throws.TypeOf<InputException>());
        Assert.That(() => x.Narrow(1, 0, -1), Throws.TypeOf<InputException>());
        Assert.That(() => x.Select(2, 0), Throws.TypeOf<InputException>().With.Message.Contains("-2..1"));
        Assert.That(() => x.Select(1, 3), Throws.TypeOf<InputException>().With.Message.Contains("-3..2"));
        Assert.That(() => x.Slice(0, 0, 1, 0), Throws.TypeOf<InputException>().With.Message.Contains("step"));
        Assert.That(() => x.Unfold(1, 4, 1), Throws.TypeOf<InputException>().With.Message.Contains("0..3"));
        Assert.That(() => x.AsStrided([2, 3], [3, 2]), Throws.TypeOf<InputException>().With.Message.Contains("leaves the storage"));
        Assert.That(() => x.AsStrided([1], [1], -1), Throws.TypeOf<InputException>());
        Assert.That(() => x.AsStrided([2], [-1], 3), Throws.TypeOf<InputException>().With.Message.Contains("negative"));
        Assert.That(() => x.AsStrided([long.MaxValue, 3], [long.MaxValue, 1]), Throws.TypeOf<InputException>());
        Assert.That(() => x.ViewAs(DType.Int64), Throws.TypeOf<TorchException>().With.Message.StartsWith("aten::view.dtype(Float32[2, 3], 4): "));
    }

    [Test]
    public void A_wrong_dtype_is_told_by_libtorch() =>
        Assert.That(() => Functional.Embedding(Tensor.Ones([2]), Tensor.Ones([4, 4])), Throws.TypeOf<TorchException>()
            .With.Message.Contains("aten::embedding(").And.Message.Contains("Float"));

    [Test]
    public void A_dtype_that_libtorch_lacks_is_refused() =>
        Assert.That(() => Tensor.Zeros([1], (DType)120), Throws.TypeOf<InputException>().With.Message.Contains("120"));

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
        Assert.That(() => Tensor.Empty([1L << 60]),
            Throws.InstanceOf<LongformerException>().With.Message.StartsWith("a tensor Float32[1152921504606846976]: ")
            .And.Message.Contains("4611686018427387904 bytes").And.Message.Not.Contains("\n"));
        Assert.That(() => Tensor.Zeros([1L << 40, 1L << 40]), Throws.InstanceOf<LongformerException>());
        Assert.That(() => Tensor.Empty([-1]), Throws.TypeOf<InputException>().With.Message.Contains("-1"));
        Assert.That(Tensor.Ones([2]).Sum().Item<float>(), Is.EqualTo(2), "the library works on");
    }

    [Test]
    public void A_refused_call_leaves_no_tensor_behind()
    {
        Tensor x = Tensor.Ones([2, 3]);
        long before = TorchRuntime.LiveTensorCount;
        for (int i = 0; i < 20; i++)
            Assert.That(() => x.MatMul(x), Throws.TypeOf<TorchException>());
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void Malformed_names_of_devices_are_refused(
        [Values("", "CPU", "cuda:", "cuda:-1", "cuda:x", "cuda:999", "tpu", " cpu", "cuda: 1")] string text) =>
        Assert.That(() => Device.Parse(text), Throws.TypeOf<InputException>().With.Message.Contains($"\"{text}\""));

    [Test]
    public void Devices_are_read_as_they_are_written([Values("cpu", "cuda:0", "cuda:3", "meta")] string text) =>
        Assert.That(Device.Parse(text).ToString(), Is.EqualTo(text));
}
