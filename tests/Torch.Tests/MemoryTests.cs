namespace LongformerInterop.Torch.Tests;

/// <summary>The cache of big blocks behind the tensors (native/torch/memory.cpp).</summary>
[TestFixture]
public class MemoryTests : TensorTest
{
    private const long Big = 3 << 20; // elements: 12 MiB of float

    [Test]
    public void A_big_block_is_used_again_on_whatever_thread()
    {
        TorchRuntime.ReleaseMemory();
        nint first = Address(Big);
        Assert.That(Address(Big), Is.EqualTo(first));
        nint other = 0;
        Thread thread = new(() => other = Address(Big - 1000));
        thread.Start();
        thread.Join();
        Assert.That(other, Is.EqualTo(first), "a little smaller");
        if (OperatingSystem.IsWindows())
            Assert.That(Address(Big / 2), Is.Not.EqualTo(first), "half as large: the block would be wasted on it");
        else
            Assert.That(Address(Big / 2), Is.EqualTo((nint)(first + (Big * 2))), "half as large: the end of the block");
        Assert.That(Address(Big), Is.EqualTo(first), "whole again");
    }

    [Test]
    public void What_is_kept_is_given_back_when_asked_for()
    {
        const long bytes = 512 << 20;
        using (new TensorScope())
            _ = Tensor.Full([bytes / sizeof(float)], 1);
        long kept = Environment.WorkingSet;
        TorchRuntime.ReleaseMemory();
        Assert.That(kept - Environment.WorkingSet, Is.GreaterThan(bytes / 2));
        TorchRuntime.ReleaseMemory();
        Assert.That(Address(Big), Is.Not.Zero);
    }

    [Test]
    public void A_pass_holds_its_memory_and_lets_it_go()
    {
        TorchRuntime.ReleaseMemory();
        using (TorchRuntime.HoldMemoryOfPass())
        using (new TensorScope())
        {
            nint[] first = Addresses(), second = Addresses();
            Assert.That(second, Is.EquivalentTo(first), "1.25 GiB, more than is kept without");
        }
        Assert.That(Address(Big), Is.Not.Zero);

        static nint[] Addresses()
        {
            using TensorScope scope = new();
            return [.. Enumerable.Range(0, 5).Select(_ => Tensor.Empty([64 << 20]).DataPointer)]; // 5 x 256 MiB, not touched
        }
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
