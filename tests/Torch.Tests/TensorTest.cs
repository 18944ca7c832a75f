namespace LongformerInterop.Torch.Tests;

/// <summary>A test inside a scope: every tensor that it makes on its thread is disposed at its end, which a second look confirms.</summary>
[NonParallelizable]
public abstract class TensorTest
{
    private TensorScope? _scope;
    private long _before;

    /// <summary>The random numbers of a test: the same each time.</summary>
    protected Random Random { get; private set; } = new(0);

    [SetUp]
    public void OpenScope()
    {
        Random = new Random(3);
        _before = TorchRuntime.LiveTensorCount;
        _scope = new TensorScope();
    }

    [TearDown]
    public void CloseScope()
    {
        _scope!.Dispose();
        Assert.That(TensorScope.Current, Is.Null, "a test left a _scope open");
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(_before), "a test left tensors behind");
    }

    protected Tensor Randn(params long[] shape) => Tensor.Randn(shape, Random);

    /// <summary>Asserts |actual - expected| &lt;= absolute + relative * |expected| everywhere, and equal shapes.</summary>
    protected static void IsClose(Tensor actual, Tensor expected, double relative = 1e-5, double absolute = 1e-6)
    {
        Assert.That(actual.Shape, Is.EqualTo(expected.Shape));
        double[] given = actual.To(DType.Float64).ToArray<double>(), wanted = expected.To(DType.Float64).ToArray<double>();
        for (int i = 0; i < given.Length; i++)
            Assert.That(given[i], Is.EqualTo(wanted[i]).Within(absolute + (relative * Math.Abs(wanted[i]))), $"element {i}");
    }
}
