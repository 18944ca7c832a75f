namespace LongformerInterop.Torch.Tests;

/// <summary>Properties of a tensor, values in and out, views of caller memory, handles.</summary>
[TestFixture]
public class TensorTests : TensorTest
{
    [Test]
    public void Values_come_back_as_they_went_in()
    {
        Assert.That(Tensor.From([1f, -2f, float.NaN]).ToArray<float>(), Is.EqualTo(new[] { 1f, -2f, float.NaN }));
        Assert.That(Tensor.From([1.5, 2.5], 2, 1).ToArray<double>(), Is.EqualTo(new[] { 1.5, 2.5 }));
        Assert.That(Tensor.From([long.MinValue, long.MaxValue]).ToArray<long>(), Is.EqualTo(new[] { long.MinValue, long.MaxValue }));
        Assert.That(Tensor.From([true, false]).ToArray<bool>(), Is.EqualTo(new[] { true, false }));
        Assert.That(Tensor.From([(Half)0.5f]).Item<Half>(), Is.EqualTo((Half)0.5f));
        Assert.That(Tensor.From(new byte[] { 255 }).Item<byte>(), Is.EqualTo(255));
        Assert.That(Tensor.From(7).Item<int>(), Is.EqualTo(7));
        Assert.That(Tensor.From(ReadOnlySpan<float>.Empty).ElementCount, Is.Zero);
    }

    [Test]
    public void A_tensor_describes_itself()
    {
        Tensor x = Tensor.Zeros([2, 3, 4], DType.Float64);
        Assert.That(x.Rank, Is.EqualTo(3));
        Assert.That(x.Shape, Is.EqualTo(new long[] { 2, 3, 4 }));
        Assert.That(x.Strides, Is.EqualTo(new long[] { 12, 4, 1 }));
        Assert.That((x.Size(0), x.Size(-1)), Is.EqualTo((2L, 4L)));
        Assert.That(x.ElementCount, Is.EqualTo(24));
        Assert.That(x.ByteCount, Is.EqualTo(192));
        Assert.That(x.DType, Is.EqualTo(DType.Float64));
        Assert.That(x.Device, Is.EqualTo(Device.Cpu));
        Assert.That(x.IsContiguous);
        Assert.That(x.Transpose(0, 1).IsContiguous, Is.False);
        Assert.That(x.ToString(), Is.EqualTo("Float64[2, 3, 4] on cpu"));
        Assert.That(() => x.Size(3), Throws.TypeOf<InputException>().With.Message.Contains("-3..2"));
    }

    [TestCase(DType.UInt8, 1)]
    [TestCase(DType.Int8, 1)]
    [TestCase(DType.Int16, 2)]
    [TestCase(DType.Int32, 4)]
    [TestCase(DType.Int64, 8)]
    [TestCase(DType.Float16, 2)]
    [TestCase(DType.Float32, 4)]
    [TestCase(DType.Float64, 8)]
    [TestCase(DType.Complex64, 8)]
    [TestCase(DType.Complex128, 16)]
    [TestCase(DType.Bool, 1)]
    [TestCase(DType.Float8E5M2, 1)]
    [TestCase(DType.Float8E4M3, 1)]
    [TestCase(DType.UInt16, 2)]
    [TestCase(DType.UInt32, 4)]
    [TestCase(DType.UInt64, 8)]
    [TestCase(DType.BFloat16, 2)]
    public void A_dtype_is_the_one_that_libtorch_means(DType dtype, int bytes)
    {
        Tensor x = Tensor.Zeros([3], dtype);
        Assert.That(x.DType, Is.EqualTo(dtype));
        Assert.That(Tensor.View(x.DataPointer, [3], dtype, keepAlive: x).DType, Is.EqualTo(dtype), "in memory of its owner");
        Assert.That(x.ByteCount, Is.EqualTo(3 * bytes));
        Assert.That(dtype.ElementSize(), Is.EqualTo(bytes));
    }

    [Test]
    public void Values_of_strided_tensors_are_read_in_row_major_order() =>
        Assert.That(Tensor.Arange(6).View(2, 3).Transpose(0, 1).ToArray<long>(), Is.EqualTo(new[] { 0L, 3, 1, 4, 2, 5 }));

    [Test]
    public void Spans_need_the_right_dtype_and_no_gaps()
    {
        Tensor x = Tensor.Arange(6).View(2, 3);
        Assert.That(x.AsSpan<long>()[5], Is.EqualTo(5));
        Assert.That(x.AsBytes().Length, Is.EqualTo(48));
        Assert.That(() => x.AsSpan<float>().Length,
            Throws.TypeOf<InputException>().With.Message.Contains("Int64[2, 3]").And.Message.Contains("Float32"));
        Assert.That(() => x.ToArray<int>(), Throws.TypeOf<InputException>());
        Assert.That(() => x.Transpose(0, 1).AsSpan<long>().Length, Throws.TypeOf<InputException>().With.Message.Contains("Contiguous()"));
        Assert.That(() => Tensor.Zeros([2], device: Device.Meta).AsSpan<float>().Length,
            Throws.TypeOf<InputException>().With.Message.Contains("meta"));
        Assert.That(() => x.Item<long>(), Throws.TypeOf<InputException>().With.Message.Contains("one element"));
    }

    [Test]
    public void A_single_value_of_any_real_dtype_is_read_as_a_double()
    {
        Assert.That(Tensor.From(3L).ToDouble(), Is.EqualTo(3));
        Assert.That(Tensor.From(0.25f).To(DType.BFloat16).ToDouble(), Is.EqualTo(0.25));
    }

    [Test]
    public void A_shape_must_have_as_many_elements_as_there_are_values()
    {
        Assert.That(() => Tensor.From([1f, 2f, 3f], 2, 2),
            Throws.TypeOf<InputException>().With.Message.Contains("expected 4").And.Message.Contains("given 3"));
        Assert.That(() => Tensor.From([1f], -1), Throws.TypeOf<InputException>().With.Message.Contains("[-1]"));
        Assert.That(() => Tensor.From([1f], long.MaxValue, 8), Throws.TypeOf<InputException>().With.Message.Contains("64 bits"));
        Assert.That(() => Tensor.View(new float[3], 2, 2), Throws.TypeOf<InputException>());
    }

    [Test]
    public void A_view_of_an_array_shares_its_memory()
    {
        float[] values = [1, 2, 3, 4];
        Tensor view = Tensor.View(values, 2, 2);
        values[3] = 40;
        view.Select(0, 0).FillInPlace(7);
        Assert.That(view.ToArray<float>(), Is.EqualTo(new float[] { 7, 7, 3, 40 }));
        Assert.That(values, Is.EqualTo(new float[] { 7, 7, 3, 40 }));
    }

    [Test]
    public void A_view_may_have_strides()
    {
        float[] values = [1, 2, 3, 4, 5, 6];
        Tensor whole = Tensor.View(values, 2, 3);
        Tensor columns = Tensor.View(whole.DataPointer, [3, 2], DType.Float32, [1, 3], keepAlive: values);
        Assert.That(columns.ToArray<float>(), Is.EqualTo(new float[] { 1, 4, 2, 5, 3, 6 }));
        Tensor placeholder = Tensor.View(whole.DataPointer, [1000, 1000], DType.Float32, [0, 0]);
        Assert.That(placeholder.Sum().Item<float>(), Is.EqualTo(1e6f).Within(1));
    }

    [Test]
    public void Memory_lent_to_a_view_is_returned_once_after_its_last_user()
    {
        Lease lease = new();
        Tensor view = Tensor.View(lease.Address, [4], DType.Float32, keepAlive: lease);
        Tensor part = view.Slice(0, 1, 3);
        view.Dispose();
        Assert.That(lease.Returned, Is.Zero, "a part still views the memory");
        part.Dispose();
        Assert.That(lease.Returned, Is.EqualTo(1));
    }

    [Test]
    public void What_a_view_keeps_alive_is_collected_only_after_it()
    {
        (WeakReference weak, Tensor view) = Make();
        Collect();
        Assert.That(weak.IsAlive);
        view.Dispose();
        Collect();
        Assert.That(weak.IsAlive, Is.False);

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static (WeakReference, Tensor) Make()
        {
            float[] values = GC.AllocateArray<float>(8);
            return (new WeakReference(values), Tensor.View(values));
        }
    }

    [Test]
    public void A_view_that_fails_returns_the_memory()
    {
        Lease lease = new();
        Assert.That(() => Tensor.View(lease.Address, [4], (DType)99, keepAlive: lease), Throws.TypeOf<InputException>().With.Message.Contains("99"));
        Assert.That(() => Tensor.View(lease.Address, [-4], DType.Float32, keepAlive: lease),
            Throws.TypeOf<InputException>().With.Message.Contains("given -4"));
        Assert.That(() => Tensor.View(0, [4], DType.Float32, keepAlive: lease), Throws.TypeOf<InputException>().With.Message.Contains("null"));
        Assert.That(() => Tensor.View(lease.Address, [1L << 40, 1L << 40], DType.Float32, keepAlive: lease), Throws.TypeOf<InputException>());
        Assert.That(() => Tensor.View(lease.Address, [2], DType.Float32, [-1], lease), Throws.TypeOf<InputException>());
        Assert.That(lease.Returned, Is.EqualTo(5));
        Assert.That(() => Tensor.View(lease.Address, [2], DType.Float32, [1, 1], lease),
            Throws.TypeOf<InputException>().With.Message.Contains("strides"));
    }

    [Test]
    public void A_view_without_elements_needs_no_memory()
    {
        Lease lease = new();
        Tensor empty = Tensor.View(0, [0, 5], DType.Int64, keepAlive: lease);
        Assert.That(empty.Shape, Is.EqualTo(new long[] { 0, 5 }));
        empty.Dispose();
        Assert.That(lease.Returned, Is.EqualTo(1));
    }

    [Test]
    public void A_handle_can_be_shared()
    {
        Tensor original = Tensor.From([1f, 2f, 3f, 4f], 2, 2).Transpose(0, 1);
        Tensor shared = Tensor.FromHandle(original.Handle, own: false);
        Assert.That(shared.DataPointer, Is.EqualTo(original.DataPointer));
        Assert.That(shared.Strides, Is.EqualTo(original.Strides));
        original.Dispose();
        Assert.That(shared.ToArray<float>(), Is.EqualTo(new[] { 1f, 3f, 2f, 4f }));
        Tensor given = Tensor.FromHandle(NewHandle(shared), own: true);
        Assert.That(given.ToArray<float>(), Is.EqualTo(new[] { 1f, 3f, 2f, 4f }));
        Assert.That(() => Tensor.FromHandle(0, own: true), Throws.TypeOf<InputException>().With.Message.Contains("zero"));
    }

    private static unsafe nint NewHandle(Tensor tensor)
    {
        nint handle;
        Assert.That(Interop.Libtorch.NewTensorHandle(tensor.Handle, &handle), Is.Zero);
        return handle;
    }

    internal static void Collect()
    {
        for (int i = 0; i < 3; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
    }

    private sealed class Lease : IMemoryLease
    {
        private readonly float[] _memory = GC.AllocateArray<float>(16, pinned: true);
        private int _returned;

        public unsafe nint Address => (nint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref _memory[0]);

        public int Returned => Volatile.Read(ref _returned);

        public void Return() => Interlocked.Increment(ref _returned);
    }
}
