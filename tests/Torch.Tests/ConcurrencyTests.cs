using System.Collections.Concurrent;

namespace LongformerInterop.Torch.Tests;

/// <summary>Eight threads at once: each has its own errors and scopes; tensors may be shared for reading.</summary>
[TestFixture]
[NonParallelizable]
public class ConcurrencyTests
{
    private const int Threads = 8, Rounds = 200;

    [Test]
    public void Threads_compute_at_once_and_leave_nothing()
    {
        long before = TorchRuntime.LiveTensorCount;
        using (new TensorScope())
        {
            Tensor shared = Tensor.Arange(64).To(DType.Float32).View(8, 8);
            OnThreads(id =>
            {
                for (int i = 0; i < Rounds; i++)
                {
                    using TensorScope scope = new();
                    Tensor result = (shared + (double)id).MatMul(shared.Transpose(0, 1)).Sum();
                    double columns = Enumerable.Range(0, 64).GroupBy(n => n % 8).Sum(g => g.Sum(n => (double)n + id) * g.Sum());
                    Assert.That(result.Item<float>(), Is.EqualTo(columns).Within(1e-3).Percent);
                }
            });
        }
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    [Platform(Exclude = "Win", Reason = "Wine 10 ends a .NET process in which several threads catch libtorch's exceptions at once")]
    public void Each_thread_reads_its_own_error() => OnThreads(id =>
    {
        using TensorScope scope = new();
        Tensor x = Tensor.Ones([id + 2]);
        for (int i = 0; i < Rounds / 10; i++)
        {
            TorchException? e = Assert.Throws<TorchException>(() => x.Softmax(7 + id));
            Assert.That(e!.Message, Does.StartWith($"aten::softmax.int(Float32[{id + 2}], {7 + id}, none): "));
        }
    });

    [Test]
    public void Each_thread_has_its_own_scopes()
    {
        using TensorScope scope = new();
        Tensor x = Tensor.Ones([1]);
        int joined = scope.Count;
        OnThreads(id =>
        {
            Assert.That(TensorScope.Current, Is.Null);
            using TensorScope own = new();
            for (int i = 0; i < Rounds; i++)
                Assert.That((x * (double)id).Item<float>(), Is.EqualTo(id));
            Assert.That(own.Count, Is.EqualTo(Rounds));
        });
        Assert.That(scope.Count, Is.EqualTo(joined));
    }

    [Test]
    public void Every_thread_computes_with_the_wanted_thread_count()
    {
        int before = TorchRuntime.ThreadCount;
        try
        {
            TorchRuntime.ThreadCount = 3;
            OnThreads(_ => Assert.That(TorchRuntime.ThreadCount, Is.EqualTo(3)));
            TorchRuntime.ThreadCount = 1;
            OnThreads(_ => Assert.That(TorchRuntime.ThreadCount, Is.EqualTo(1)));
        }
        finally
        {
            TorchRuntime.ThreadCount = before;
        }
    }

    [Test]
    public void Finalizers_run_while_threads_compute()
    {
        TensorTests.Collect();
        long before = TorchRuntime.LiveTensorCount;
        OnThreads(id =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                _ = Tensor.Ones([16]) + id; // forgotten on purpose
                if (i % 50 == 0)
                    GC.Collect(0);
            }
        });
        TensorTests.Collect();
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    private static void OnThreads(Action<int> body)
    {
        ConcurrentQueue<Exception> errors = new();
        using Barrier start = new(Threads);
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(id => new Thread(() =>
        {
            start.SignalAndWait();
            try
            {
                using (new NUnit.Framework.Internal.TestExecutionContext.IsolatedContext())
                    body(id);
            }
            catch (Exception e)
            {
                errors.Enqueue(e);
            }
        }))];
        foreach (Thread t in threads)
            t.Start();
        foreach (Thread t in threads)
            t.Join();
        Assert.That(errors, Is.Empty);
    }
}
