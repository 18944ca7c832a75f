namespace LongformerInterop.Torch.Tests;

/// <summary>Devices: messages where one is missing, full or of another kind, and calls without effect on the CPU.</summary>
[TestFixture]
public class DeviceTests : TensorTest
{
    [Test]
    public void Where_cuda_is_missing_the_message_says_how_to_get_it()
    {
        Assume.That(TorchRuntime.CudaAvailable, Is.False, "this machine has a GPU");
        DeviceException error = Assert.Throws<DeviceException>(() => TorchRuntime.RequireDevice(Device.Cuda(1)))!;
        // Without CUDA in libtorch: how to build against one that has it. With it: that there is no GPU.
        Assert.That(error.Message, Does.Contain("\"cuda\" is not available").And.Contain(TorchRuntime.Version).And.Match("LIBTORCH=|nvidia-smi"));
        Assert.That(error.IsOutOfMemory, Is.False);
    }

    [TestCase("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.23 GiB is free. Process 7 "
        + "has 77.00 GiB "
        + "memory in use. Of the allocated memory 70.00 GiB is allocated by PyTorch, and 1.00 GiB is reserved by PyTorch but unallocated.",
        "20.00 GiB more needed, 1.23 GiB of 79.10 GiB free")]
    [TestCase("CUDA out of memory. Tried to allocate 512.00 MiB (GPU 0; 7.80 GiB total capacity; 6.10 GiB already allocated; 300.00 MiB "
        + "free; 6.20 GiB "
        + "reserved in total by PyTorch) If reserved memory is >> allocated memory try setting max_split_size_mb",
        "512.00 MiB more needed, 300.00 MiB of 7.80 GiB free")]
    [TestCase("CUDA out of memory. Tried to allocate 2.00 GiB.", "2.00 GiB more needed; smaller")]
    [TestCase("out of memory on the device", "too little memory: out of memory on the device")]
    public void Too_little_memory_is_reported_with_what_was_needed_and_what_is_free(string message, string part) =>
        Assert.That(DeviceMessages.TooLittleMemory(message), Does.StartWith("the device has too little memory").And.Contain(part));

    [TestCase("aten::mm(Half[2, 2], Half[2, 2]): \"addmm_impl_cpu_\" not implemented for 'Half'", "float16 is not supported on the CPU")]
    [TestCase("aten::x(BFloat16[2] on cuda:0): \"x_cuda\" not implemented for 'BFloat16'", "bfloat16 is not supported on the GPU")]
    [TestCase("CUDA error: no kernel image is available for execution on the device", "was not built for a GPU of this kind")]
    public void What_a_device_does_not_compute_is_reported(string message, string part) =>
        Assert.That(DeviceMessages.NotSupported(message), Does.Contain(part).And.Contain(message));

    [TestCase("aten::mm: \"mm\" not implemented for 'Long'")]
    [TestCase("mat1 and mat2 shapes cannot be multiplied")]
    public void Other_errors_stay_libtorchs_own(string message) => Assert.That(DeviceMessages.NotSupported(message), Is.Null);

    [Test]
    public void TF32_is_off_until_someone_asks_for_it()
    {
        Assert.That(TorchRuntime.AllowTF32, Is.False);
        try
        {
            TorchRuntime.AllowTF32 = true;
            Assert.That(TorchRuntime.AllowTF32, Is.True);
        }
        finally
        {
            TorchRuntime.AllowTF32 = false;
        }
    }

    [Test]
    public void The_cpu_has_no_device_memory_and_is_never_waited_for()
    {
        Assert.That(TorchRuntime.DeviceMemory(Device.Cpu), Is.EqualTo((0L, 0L)));
        Assert.That(() => TorchRuntime.Synchronize(Device.Cpu), Throws.Nothing);
    }

    [Test]
    public void Host_memory_for_the_cpu_is_ordinary_and_copied_nowhere()
    {
        Tensor host = Tensor.EmptyHost([2, 3], DType.Int64, Device.Cpu);
        Assert.That(host.Shape, Is.EqualTo((long[])[2, 3]));
        Assert.That(host.ToAsync(Device.Cpu).DataPointer, Is.EqualTo(host.DataPointer));
        Assert.That(host.ToAsync(Device.Meta).Device, Is.EqualTo(Device.Meta));
    }
}
