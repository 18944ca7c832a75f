using LongformerInterop.Torch;
using LongformerInterop.Torch.Interop;

namespace LongformerInterop.TorchSharp.Tests;

public class TensorExchangeTests
{
    [Test]
    public void Both_look_at_the_same_memory()
    {
        using Tensor ours = Tensor.From<float>([1, 2, 3, 4, 5, 6], 2, 3);
        using TorchTensor theirs = ours.ToTorchSharp();
        Assert.That(theirs.shape, Is.EqualTo(new long[] { 2, 3 }));
        theirs[1, 2] = torch.tensor(60f);
        Assert.That(ours.ToArray<float>(), Is.EqualTo(new float[] { 1, 2, 3, 4, 5, 60 }));
        using Tensor back = theirs.ToLongformer();
        Assert.That(back.DataPointer, Is.EqualTo(ours.DataPointer));
    }

    [Test]
    public void Strides_and_offsets_cross()
    {
        using TorchTensor theirs = torch.arange(24, dtype: torch.ScalarType.Int64).view(2, 3, 4).transpose(0, 2).narrow(0, 1, 2);
        using Tensor ours = theirs.ToLongformer();
        Assert.That((ours.Shape, ours.Strides), Is.EqualTo((theirs.shape, theirs.stride())));
        Assert.That(ours.Contiguous().ToArray<long>(), Is.EqualTo(theirs.contiguous().data<long>().ToArray()));
    }

    [TestCase(DType.Float32, torch.ScalarType.Float32)]
    [TestCase(DType.Float64, torch.ScalarType.Float64)]
    [TestCase(DType.BFloat16, torch.ScalarType.BFloat16)]
    [TestCase(DType.Float16, torch.ScalarType.Float16)]
    [TestCase(DType.Int64, torch.ScalarType.Int64)]
    [TestCase(DType.Int32, torch.ScalarType.Int32)]
    [TestCase(DType.Bool, torch.ScalarType.Bool)]
    [TestCase(DType.UInt8, torch.ScalarType.Byte)]
    public void Dtypes_are_the_same(DType dtype, torch.ScalarType expected)
    {
        using Tensor ours = Tensor.Zeros([3], dtype);
        using TorchTensor theirs = ours.ToTorchSharp();
        using Tensor back = theirs.ToLongformer();
        Assert.That((theirs.dtype, back.DType), Is.EqualTo((expected, dtype)));
    }

    [Test]
    public void Either_may_go_first()
    {
        Tensor ours = Tensor.From<float>([1, 2, 3]);
        TorchTensor theirs = ours.ToTorchSharp();
        ours.Dispose();
        Assert.That(Torches.Values(theirs), Is.EqualTo(new float[] { 1, 2, 3 }));
        Tensor again = theirs.ToLongformer();
        theirs.Dispose();
        Assert.That(again.ToArray<float>(), Is.EqualTo(new float[] { 1, 2, 3 }));
        again.Dispose();
    }

    [Test]
    public void What_crosses_requires_no_gradient()
    {
        using TorchTensor leaf = torch.ones(3, requires_grad: true);
        using Tensor ours = leaf.ToLongformer();
        using TorchTensor back = ours.ToTorchSharp();
        Assert.That(back.requires_grad, Is.False);
    }

    [Test]
    public void Disposed_tensors_are_refused()
    {
        TorchTensor theirs = torch.ones(3);
        theirs.Dispose();
        Assert.That(() => theirs.ToLongformer(),
            Throws.TypeOf<InputException>().With.Message.EqualTo("tensor: expected a tensor that is alive, given one that is disposed"));
        Tensor ours = Tensor.Zeros([3]);
        ours.Dispose();
        Assert.That(() => ours.ToTorchSharp(), Throws.TypeOf<ObjectDisposedException>());
        using TorchTensor sparse = torch.sparse_coo_tensor(torch.tensor(new long[,] { { 0, 1 } }), torch.ones(2), [3]);
        Assert.That(() => sparse.ToLongformer(), Throws.TypeOf<TorchException>().With.Message.Contains("dense layout"));
    }

    [Test]
    public void Scopes_of_both_end_what_crossed()
    {
        using (new TensorScope())
        using (torch.NewDisposeScope())
            Tensor.Zeros([3]).ToTorchSharp().ToLongformer();
        (long ours, long theirs) = (TorchRuntime.LiveTensorCount, TorchTensor.TotalCount);
        for (int i = 0; i < 100; i++)
        {
            using TensorScope scope = new();
            using DisposeScope disposeScope = torch.NewDisposeScope();
            Tensor.Zeros([3]).ToTorchSharp().ToLongformer();
        }
        Assert.That((TorchRuntime.LiveTensorCount, TorchTensor.TotalCount), Is.EqualTo((ours, theirs)));
    }

    [Test]
    public void The_process_has_one_libtorch()
    {
        using Tensor ours = Tensor.Zeros([3]);
        using TorchTensor theirs = ours.ToTorchSharp();
        Assert.That(LoadedLibraries.Paths().Count(p => Path.GetFileName(p) == LibtorchLocator.CpuName), Is.EqualTo(1));
        Assert.That(TorchRuntime.Version, Does.StartWith("2.10"));
    }

    [Test]
    public void Another_version_than_TorchSharps_is_refused()
    {
        Assert.That(OneLibtorch.Wanted, Is.EqualTo(torch.__version__), "known without loading TorchSharp's native library");
        Assert.That(() => OneLibtorch.Require(new Version(2, 14, 1), "/somewhere/libtorch_cpu.so", "2.10.0.0"),
            Throws.TypeOf<TorchException>().With.Message.StartsWith(
                "libtorch: TorchSharp needs 2.10, and this process has loaded 2.14.1 from /somewhere/libtorch_cpu.so"));
        Assert.That(() => OneLibtorch.Require(new Version(2, 10, 3), "", "2.10.0.0"), Throws.Nothing);
    }
}
