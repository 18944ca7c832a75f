namespace LongformerInterop.Torch.Tests;

/// <summary>A test inside a scope: every tensor that it makes on its thread is disposed at its end, which a second look confirms.</summary>
[NonParallelizable]
public abstract class TensorTest
{
    private TensorScope? scope;
    private long before;

    [SetUp]
    public void OpenScope()
    {
        before = TorchRuntime.LiveTensorCount;
        scope = new TensorScope();
    }

    [TearDown]
    public void CloseScope()
    {
        scope!.Dispose();
        Assert.That(TensorScope.Current, Is.Null, "a test left a scope open");
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before), "a test left tensors behind");
    }
}
