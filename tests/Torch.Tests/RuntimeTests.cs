namespace LongformerInterop.Torch.Tests;

/// <summary>The library as a whole.</summary>
[TestFixture]
public class RuntimeTests : TensorTest
{
    [Test]
    public void The_loaded_libtorch_tells_its_version_and_its_file()
    {
        Assert.That(Version.Parse(TorchRuntime.Version), Is.GreaterThanOrEqualTo(Interop.LibtorchLocator.Oldest));
        Assert.That(TorchRuntime.LibraryPath, Does.Contain("torch_cpu").And.Exist);
    }

    [Test]
    public void The_threads_are_those_of_the_machine()
    {
        Assume.That(Environment.GetEnvironmentVariable("OMP_NUM_THREADS"), Is.Null.Or.Empty);
        Assert.That(TorchRuntime.ThreadCount, Is.EqualTo(Environment.ProcessorCount));
        Assert.That(() => TorchRuntime.ThreadCount = 0, Throws.TypeOf<InputException>().With.Message.Contains("at least 1"));
    }

    [Test]
    public void Devices_are_counted()
    {
        Assert.That(TorchRuntime.DeviceCount(DeviceType.Cpu), Is.EqualTo(1));
        Assert.That(TorchRuntime.DeviceCount((DeviceType)(-1)), Is.Zero);
        Assert.That(TorchRuntime.DeviceCount((DeviceType)500), Is.Zero);
        Assert.That(TorchRuntime.CudaAvailable, Is.EqualTo(TorchRuntime.DeviceCount(DeviceType.Cuda) > 0));
    }

    [Test]
    public void A_call_allocates_nothing_but_the_tensor()
    {
        Tensor x = Tensor.Ones([4]), y = Tensor.Ones([4]);
        for (int i = 0; i < 100; i++)
            x.MulInPlace(y).View(2, 2).Dispose();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            x.MulInPlace(y);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero, "in place");
        before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            x.View(2, 2).Dispose();
        Assert.That((GC.GetAllocatedBytesForCurrentThread() - before) / 100, Is.LessThanOrEqualTo(112),
            "a view: 80 bytes, and its share of the scope's list");
    }

    [Test]
    public void Many_calls_leave_no_handles_behind()
    {
        Tensor x = Randn(8, 8), y = Tensor.Zeros([8, 2]), index = Tensor.From([1L, 0]);
        long least = long.MaxValue;
        int threads = TorchRuntime.ThreadCount;
        TorchRuntime.ThreadCount = 1; // on a busy machine, threads that wait for each other take their time
        for (int round = 0; round < 8 || (round < 40 && least >= 32_000); round++)
        {
            long before = NativeHeap.Used();
            for (int i = 0; i < 2000; i++)
                Work();
            least = Math.Min(least, NativeHeap.Used() - before);
        }
        TorchRuntime.ThreadCount = threads;
        // The runtime allocates too, as it compiles: so the best round counts: a leak would show in each, with 64 KB for one handle.
        Assert.That(least, Is.LessThan(32_000), "14,000 calls in a round, 1e5 in all, with tensors, lists and optional values");

        void Work()
        {
            using TensorScope scope = new();
            _ = (x * 2.0).Sum(0, keep: true, DType.Float64);
            _ = Tensor.Cat([x, x.Gelu()]);
            _ = y.IndexAddInPlace(1, index, x.Narrow(1, 2, 2));
            _ = x.MatMul(x.Transpose(0, 1)).Softmax(-1);
        }
    }

    [Test]
    public void Refused_calls_leave_no_handles_behind()
    {
        Tensor x = Tensor.Ones([2, 3]);
        long least = long.MaxValue;
        for (int round = 0; round < 5; round++)
        {
            long before = NativeHeap.Used();
            for (int i = 0; i < 400; i++)
                Assert.That(() => x.MatMul(x), Throws.TypeOf<TorchException>());
            least = Math.Min(least, NativeHeap.Used() - before);
        }
        // .NET itself takes a little now and then for exceptions; a leaked handle with its arguments would be more in so many calls.
        Assert.That(least, Is.LessThan(160_000), "bytes of 400 refused calls");
    }
}
