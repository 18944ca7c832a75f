namespace LongformerInterop.Torch.Tests;

/// <summary>Lifetimes: scopes, keeping, disposing, the finalizer. The live count of references is the witness.</summary>
[TestFixture]
[NonParallelizable]
public class ScopeTests
{
    [Test]
    public void A_scope_disposes_what_was_made_in_it()
    {
        long before = TorchRuntime.LiveTensorCount;
        using (new TensorScope())
        {
            Tensor x = Tensor.Ones([4]);
            _ = (x + x) * 2 - x.Exp();
            Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before + 5));
        }
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void A_kept_tensor_moves_out_by_one_scope()
    {
        long before = TorchRuntime.LiveTensorCount;
        Tensor inner, outer;
        using (TensorScope first = new())
        {
            using (TensorScope second = new())
            {
                inner = second.Keep(Tensor.Ones([1]));
                outer = Tensor.Ones([1]).MoveToOuterScope().MoveToOuterScope();
                Assert.That(second.Outer, Is.SameAs(first));
            }
            Assert.That(inner.IsDisposed, Is.False);
        }
        Assert.That(inner.IsDisposed);
        Assert.That(outer.IsDisposed, Is.False);
        outer.Dispose();
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void Keep_takes_a_tensor_out_of_every_scope()
    {
        Tensor kept;
        using (new TensorScope())
        using (new TensorScope())
            kept = Tensor.Ones([1]).Keep();
        Assert.That(kept.IsDisposed, Is.False);
        kept.Dispose();
    }

    [Test]
    public void A_scope_keeps_only_what_is_its_own()
    {
        using TensorScope outer = new();
        Tensor x = Tensor.Ones([1]);
        using (TensorScope inner = new())
        {
            Assert.That(inner.Keep(x), Is.SameAs(x));
            (Tensor a, Tensor b) = inner.Keep(x + 1, x + 2);
            inner.Keep([a, b]);
        }
        Assert.That(x.IsDisposed, Is.False);
        outer.Dispose();
        Assert.That(x.IsDisposed);
    }

    [Test]
    public void A_scope_ends_although_an_exception_flies()
    {
        long before = TorchRuntime.LiveTensorCount;
        Assert.That(() =>
        {
            using TensorScope scope = new();
            Tensor x = Tensor.Ones([2, 3]);
            return scope.Keep(x.MatMul(x));
        }, Throws.TypeOf<TorchException>());
        Assert.That(TensorScope.Current, Is.Null);
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void Scopes_must_end_in_order()
    {
        TensorScope outer = new(), inner = new();
        Assert.That(outer.Dispose, Throws.InvalidOperationException.With.Message.Contains("still open"));
        inner.Dispose();
        outer.Dispose();
        outer.Dispose();
    }

    [Test]
    public void A_scope_ends_on_its_own_thread()
    {
        using TensorScope scope = new();
        Exception? thrown = null;
        Thread thread = new(() =>
        {
            try
            {
                scope.Dispose();
            }
            catch (InvalidOperationException e)
            {
                thrown = e;
            }
        });
        thread.Start();
        thread.Join();
        Assert.That(thrown?.Message, Does.Contain("thread"));
    }

    [Test]
    public void A_disposed_tensor_says_so_wherever_it_is_used()
    {
        using TensorScope scope = new();
        Tensor x = Tensor.Ones([1]), y = Tensor.Ones([1]);
        x.Dispose();
        x.Dispose();
        Assert.That(() => y * x, Throws.TypeOf<ObjectDisposedException>().With.Message.Contains("aten::mul.Tensor").And.Message.Contains("number 2"));
        Assert.That(() => Tensor.Cat([y, x]), Throws.TypeOf<ObjectDisposedException>().With.Message.Contains("aten::cat"));
        Assert.That(() => x.Shape, Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => x.Keep(), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => y + x, Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => x.Narrow(0, 0, 1), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => x.AsSpan<float>().Length, Throws.TypeOf<ObjectDisposedException>());
        Assert.That(x.ToString(), Is.EqualTo("disposed tensor"));
    }

    [Test]
    public void A_tensor_disposed_by_many_threads_is_released_once()
    {
        long before = TorchRuntime.LiveTensorCount;
        for (int round = 0; round < 200; round++)
        {
            Tensor x = Tensor.Ones([1]);
            Parallel.For(0, 4, _ => x.Dispose());
        }
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void A_forgotten_tensor_is_released_by_its_finalizer()
    {
        TensorTests.Collect();
        long before = TorchRuntime.LiveTensorCount;
        Forget();
        Assert.That(TorchRuntime.LiveTensorCount, Is.GreaterThan(before));
        TensorTests.Collect();
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static void Forget()
        {
            for (int i = 0; i < 10; i++)
                _ = Tensor.Ones([10]);
        }
    }

    [Test]
    public void Big_forgotten_tensors_make_the_collector_look()
    {
        TensorTests.Collect();
        int collections = GC.CollectionCount(2);
        for (int i = 0; i < 60; i++)
            _ = Tensor.Empty([10 << 20]); // 60 x 40 MiB, never touched, never disposed
        Assert.That(GC.CollectionCount(2), Is.GreaterThan(collections));
        TensorTests.Collect();
        Assert.That(Interop.NativeMemoryWatch.Owned, Is.LessThan(1L << 30));
    }

    [Test]
    public void Properties_of_tensors_make_no_tensors()
    {
        long before = TorchRuntime.LiveTensorCount;
        using Tensor x = Tensor.Ones([2, 2]);
        _ = (x.Shape, x.Strides, x.DType, x.Device, x.Rank, x.ElementCount, x.IsContiguous, x.ToString());
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before + 1));
    }
}
