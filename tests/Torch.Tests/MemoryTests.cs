namespace LongformerInterop.Torch.Tests;

/// <summary>The cache of big blocks behind the tensors (native/torch/memory.cpp).</summary>
[TestFixture]
public class MemoryTests : TensorTest
{
    private const long Big = 3 << 20; // elements: 12 MiB of float

    [Test]
    public void A_big_block_is_used_again_on_whatever_thread()
    {
        nint first = Address(Big);
        Assert.That(Address(Big), Is.EqualTo(first));
        nint other = 0;
        Thread thread = new(() => other = Address(Big - 1000));
        thread.Start();
        thread.Join();
        Assert.That(other, Is.EqualTo(first), "a little smaller");
        Assert.That(Address(Big / 2), Is.Not.EqualTo(first), "half as large: the block would be wasted on it");
    }

    [Test]
    public void Blocks_in_use_do_not_overlap()
    {
        Tensor[] tensors = [.. Enumerable.Range(0, 20).Select(i => Tensor.Full([(1 << 18) + i * 5000], i))];
        for (int i = 0; i < tensors.Length; i += 2)
            tensors[i].Dispose();
        for (int i = 0; i < tensors.Length; i += 2)
            tensors[i] = Tensor.Full([(1 << 18) + i * 4000], i);
        for (int i = 0; i < tensors.Length; i++)
        {
            Assert.That(tensors[i].Min().Item<float>(), Is.EqualTo(i));
            Assert.That(tensors[i].Max().Item<float>(), Is.EqualTo(i));
        }
    }

    [Test]
    public void Threads_share_the_cache_without_harm()
    {
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, id =>
        {
            for (int i = 0; i < 20; i++)
            {
                using TensorScope scope = new();
                Tensor x = Tensor.Full([(1 << 18) + i * 30000], id);
                Assert.That((x.Min().Item<float>(), x.Max().Item<float>()), Is.EqualTo(((float)id, (float)id)));
            }
        });
    }

    [Test]
    public void Unused_blocks_are_kept_up_to_a_gibibyte()
    {
        using (new TensorScope())
        {
            for (int i = 0; i < 5; i++)
                _ = Tensor.Empty([64 << 20]); // 5 x 256 MiB at once, not touched
        }
        nint[] addresses = new nint[5];
        using (new TensorScope())
        {
            for (int i = 0; i < 5; i++)
                addresses[i] = Tensor.Empty([64 << 20]).DataPointer;
        }
        Assert.That(addresses, Is.Unique);
        Assert.That(() => Tensor.Empty([1L << 42]), Throws.TypeOf<TorchException>(), "16 TiB: refused also after giving the cache back");
        Assert.That(Address(Big), Is.Not.Zero);
    }

    private static nint Address(long elements)
    {
        using Tensor x = Tensor.Empty([elements]);
        return x.DataPointer;
    }
}
