namespace LongformerInterop.Torch.Tests;

/// <summary>The typed wrappers: each argument lands where its name says.</summary>
[TestFixture]
public class WrapperTests : TensorTest
{
    private static readonly float[] Four = [1, 2, 3, 4];

    [Test]
    public void Tensors_are_made()
    {
        Is32(Tensor.Zeros([2]), 0, 0);
        Is32(Tensor.Ones([2]), 1, 1);
        Is32(Tensor.Full([2], 2.5), 2.5f, 2.5f);
        Is64(Tensor.Full([2], 7, DType.Int64), 7, 7);
        Is64(Tensor.Arange(3), 0, 1, 2);
        Is64(Tensor.Arange(2, 5), 2, 3, 4);
        Is64(Tensor.Arange(5, 2));
        Tensor x = Tensor.From(Four);
        Is32(x.ZerosLike(), 0, 0, 0, 0);
        Is64(x.OnesLike(DType.Int64), 1, 1, 1, 1);
        Assert.That(x.EmptyLike().Shape, Is.EqualTo(x.Shape));
        Is32(Tensor.Cat([x, x], 0), 1, 2, 3, 4, 1, 2, 3, 4);
        Assert.That(Tensor.Stack([x, x], 1).Shape, Is.EqualTo(new long[] { 4, 2 }));
    }

    [Test]
    public void Random_numbers_depend_on_the_generator_alone()
    {
        Tensor uniform = Tensor.Rand([4000], new Random(5)), normal = Tensor.Randn([4001], new Random(5));
        Assert.That(uniform.EqualTo(Tensor.Rand([4000], new Random(5))) && !uniform.EqualTo(Tensor.Rand([4000], new Random(6))));
        Assert.That(normal.EqualTo(Tensor.Randn([4001], new Random(5))) && !normal.EqualTo(Tensor.Randn([4001], new Random(6))));
        Assert.That(uniform.ToArray<float>(), Has.All.InRange(0f, 1f));
        Assert.That(uniform.Mean().Item<float>(), Is.EqualTo(0.5).Within(0.03));
        Assert.That(normal.Mean().Item<float>(), Is.EqualTo(0).Within(0.06));
        Assert.That(normal.Pow(2).Mean().Item<float>(), Is.EqualTo(1).Within(0.1));
    }

    [Test]
    public void Arithmetic_is_done()
    {
        Tensor x = Tensor.From(Four, 2, 2), y = Tensor.From([10f, 20f]);
        Is32(x + y, 11, 22, 13, 24);
        Is32(x - y, -9, -18, -7, -16);
        Is32(x * y, 10, 40, 30, 80);
        Is32(y / x, 10, 10, 10f / 3, 5);
        Is32(x + 1, 2, 3, 4, 5);
        Is32(x - 1, 0, 1, 2, 3);
        Is32(x - 0.5, 0.5f, 1.5f, 2.5f, 3.5f);
        Is32(x * 2, 2, 4, 6, 8);
        Is32(x * 0.5, 0.5f, 1, 1.5f, 2);
        Is32(x / 2, 0.5f, 1, 1.5f, 2);
        Is32(-x, -1, -2, -3, -4);
        Is32((-x).Abs(), Four);
        Is32(x.Add(y, 0.5), 6, 12, 8, 14);
        Is32(x.Add(y).Sub(y), Four);
        Is32(Tensor.From([7L, -7]) + 0.5, 7.5f, -6.5f);
        Is32((x - 2).Sign(), -1, 0, 1, 1);
        Is32(x.Log().Exp(), Four);
        Is32(x.Sqrt().Pow(2), Four);
        Is32(x.Pow(3), 1, 8, 27, 64);
        Is32(x.Clamp(2, 3), 2, 2, 3, 3);
        Is32(x.Clamp(maximum: 2), 1, 2, 2, 2);
        Is32(x.Clamp(), Four);
        Is32((x - 2).Relu(), 0, 0, 1, 2);
        Is32(x.ZerosLike().Sigmoid(), 0.5f, 0.5f, 0.5f, 0.5f);
        Is32(x.ZerosLike().Tanh(), 0, 0, 0, 0);
        Is32(x.ZerosLike().Softmax(-1), 0.5f, 0.5f, 0.5f, 0.5f);
        Is32(x.Softmax(1).Log() - x.LogSoftmax(1), 0, 0, 0, 0);
        Assert.That(x.To(DType.BFloat16).Softmax(-1, DType.Float32).DType, Is.EqualTo(DType.Float32));
        Is32(Tensor.From([1f]).Gelu(), 0.84134475f);
        Is32(Tensor.From([1f]).Gelu(tanh: true), 0.84119199f);
        Is32(x.MatMul(x), 7, 10, 15, 22);
    }

    [Test]
    public void Arithmetic_is_done_in_place()
    {
        Tensor x = Tensor.From(Four, 2, 2), y = Tensor.From([10f, 20f]), z = x.Clone();
        Is32(z.AddInPlace(y).AddInPlace(y, -0.5).AddInPlace(1).SubInPlace(Tensor.Ones([1])), 6, 12, 8, 14);
        Is32(z.CopyInPlace(x).MulInPlace(y).MulInPlace(2), 20, 80, 60, 160);
        Is32(z.CopyInPlace(y), 10, 20, 10, 20);
        z.Transpose(0, 1).AddInPlace(Tensor.From([1f, 2f]), 10);
        Is32(z, 20, 30, 30, 40);
        z.Narrow(1, 1, 1).AddInPlace(Tensor.From([1f, 2f], 2, 1));
        Is32(z, 20, 31, 30, 42);
        Is32(z.FillInPlace(3), 3, 3, 3, 3);
        Is32(z.ZeroInPlace(), 0, 0, 0, 0);
        Assert.That(Tensor.Ones([2], DType.BFloat16).AddInPlace(Tensor.Ones([2], DType.BFloat16), 0.5).To(DType.Float64).ToArray<double>(),
            Is.EqualTo(new[] { 1.5, 1.5 }));
    }

    [Test]
    public void Shapes_are_changed()
    {
        Tensor x = Tensor.Arange(6).To(DType.Float32);
        Assert.That(x.View(2, -1).Shape, Is.EqualTo(new long[] { 2, 3 }));
        Tensor m = x.Reshape(2, 3);
        Is32(m.Transpose(0, 1), 0, 3, 1, 4, 2, 5);
        Is32(m.Permute(1, 0).Contiguous(), 0, 3, 1, 4, 2, 5);
        Assert.That(m.Unsqueeze(1).Shape, Is.EqualTo(new long[] { 2, 1, 3 }));
        Assert.That(m.Unsqueeze(0).Expand(4, -1, -1).Shape, Is.EqualTo(new long[] { 4, 2, 3 }));
        Assert.That(x.Unflatten(0, 3, 2).Shape, Is.EqualTo(new long[] { 3, 2 }));
        Is32(x.Slice(0, 0, 2).Pad([1, 2], 9), 9, 0, 1, 9, 9);
        Assert.That(x.Split(4).Select(t => t.ElementCount), Is.EqualTo(new[] { 4L, 2 }));
        Assert.That(m.Chunk(3, 1), Has.Length.EqualTo(3));
        Is32(x.AsStrided([2, 2], [1, 1], 1), 1, 2, 2, 3);
        Is32(x.Unfold(0, 2, 2), 0, 1, 2, 3, 4, 5);
        Is64(x.To(DType.Int64), 0, 1, 2, 3, 4, 5);
        Assert.That(x.To(Device.Cpu, DType.Float16).DType, Is.EqualTo(DType.Float16));
        Assert.That(x.To(Device.Cpu).DataPointer, Is.EqualTo(x.DataPointer));
        Assert.That(x.ViewAs(DType.Int32).ToArray<int>()[1], Is.EqualTo(BitConverter.SingleToInt32Bits(1)));
        Assert.That(x.Alias().DataPointer, Is.EqualTo(x.DataPointer));
        Assert.That(x.Clone().DataPointer, Is.Not.EqualTo(x.DataPointer));
    }

    [Test]
    public void Reductions_are_done()
    {
        Tensor x = Tensor.From(Four, 2, 2);
        Is32(x.Sum(), 10);
        Is32(x.Sum(0), 4, 6);
        Assert.That(x.Sum([0, 1], keep: true).Shape, Is.EqualTo(new long[] { 1, 1 }));
        Is32(x.Mean(), 2.5f);
        Is32(x.Mean(1), 1.5f, 3.5f);
        Is32(x.Mean([0, 1]), 2.5f);
        Assert.That(Tensor.Arange(3).Mean(0, dtype: DType.Float64).Item<double>(), Is.EqualTo(1));
        Is32(x.Max(), 4);
        Is32(x.Min(), 1);
    }

    [Test]
    public void Comparisons_are_done()
    {
        Tensor x = Tensor.From([1f, 2f, 3f]), two = Tensor.From([2f]);
        IsBool(x.Eq(2), false, true, false);
        IsBool(x.Eq(two), false, true, false);
        IsBool(x.Lt(2), true, false, false);
        IsBool(x.Lt(two), true, false, false);
        IsBool(x.Gt(2), false, false, true);
        IsBool(x.Gt(two), false, false, true);
        IsBool(x.Gt(1).And(x.Lt(3)), false, true, false);
        IsBool(x.Lt(2).Or(x.Gt(2)), true, false, true);
        IsBool(x.Lt(3).Not(), false, false, true);
        Tensor odd = Tensor.From([float.NaN, float.PositiveInfinity, 0f]);
        IsBool(x.IsIn(Tensor.From([3f, 1f])), true, false, true);
        Assert.That(x.EqualTo(x.Clone()) && !x.EqualTo(two) && !odd.EqualTo(odd));
    }

    [Test]
    public void Parts_are_read_and_written()
    {
        Tensor x = Tensor.Arange(6).To(DType.Float32).View(2, 3);
        Tensor pick = Tensor.From([2L, 0]);
        Is32(x.Slice(1, 1), 1, 2, 4, 5);
        Is32(x.Slice(1, 0, 3, 2), 0, 2, 3, 5);
        Is32(x.Slice(1, -1, 100), 2, 5);
        Is32(x.Select(0, -1), 3, 4, 5);
        Is32(x.Narrow(1, 1, 1), 1, 4);
        Is32(x.IndexSelect(1, pick), 2, 0, 5, 3);
        Tensor columns = Tensor.From([10f, 20f, 30f, 40f], 2, 2);
        Is32(x.IndexCopy(1, pick, columns), 20, 1, 10, 40, 4, 30);
        Tensor rows = Tensor.From([1f, 2f, 3f, 4f, 5f, 6f, 7f, 8f, 9f], 3, 3);
        Is32(x.Clone().IndexAddInPlace(0, Tensor.From([1L, 0, 1]), rows), 4, 6, 8, 11, 14, 17);
        Is32(x.IndexFill(1, pick, 9), 9, 1, 9, 9, 4, 9);
        Is32(x.Clone().IndexCopyInPlace(1, pick, columns), 20, 1, 10, 40, 4, 30);
        Is32(x.Clone().IndexAddInPlace(1, pick, columns), 20, 1, 12, 43, 4, 35);
        Is32(x.MaskedFill(x.Gt(3), -1), 0, 1, 2, 3, -1, -1);
        Is32(x.Clone().MaskedFillInPlace(x.Gt(3), -1), 0, 1, 2, 3, -1, -1);
        Is32(Tensor.Where(x.Gt(3), x, -x), 0, -1, -2, -3, 4, 5);
        Is32(Tensor.Where(x.Gt(3), x, 0.0), 0, 0, 0, 0, 4, 5);
    }

    [Test]
    public void Rows_that_are_added_to_the_same_place_add_up_in_the_same_order_in_each_run()
    {
        const int rows = 20_000, width = 32;
        Random random = new(5);
        Tensor added = Tensor.From([.. Enumerable.Range(0, rows * width).Select(_ => random.NextSingle() - 0.5f)], rows, width);
        Tensor index = Tensor.From([.. Enumerable.Range(0, rows).Select(_ => (long)random.Next(3))]);
        float[] Sums() => Tensor.Zeros([3, width], DType.Float32, Device.Cpu).IndexAddInPlace(0, index, added).ToArray<float>();
        float[] first = Sums();
        for (int i = 0; i < 20; i++)
            Assert.That(Sums(), Is.EqualTo(first));
    }

    [Test]
    public void Views_are_what_copies_are()
    {
        Tensor x = Tensor.Arange(120).View(2, 3, 4, 5);
        foreach (Tensor t in (Tensor[])[x, x.Transpose(1, 2), x.Permute(3, 1, 0, 2), x.Slice(3, 1, 4, 2), x.Narrow(1, 1, 2), x.Narrow(2, 0, 0),
            x.Select(2, 3)])
        {
            long[] values = t.ToArray<long>();
            Assert.That(t.Clone().ToArray<long>(), Is.EqualTo(values));
            Assert.That(t.Reshape(-1, Math.Max(1, t.Size(-1))).ToArray<long>(), Is.EqualTo(values));
        }
        Assert.That(x.Transpose(1, 2).Reshape(24, 5).DataPointer, Is.Not.EqualTo(x.DataPointer), "a copy");
        Assert.That(x.Transpose(0, 1).Reshape(3, 2, 20).DataPointer, Is.EqualTo(x.DataPointer), "a view");
        Assert.That(Tensor.From(5L).View(1, 1).Expand(2, 3).ToArray<long>(), Has.All.EqualTo(5));
        Assert.That(Tensor.Zeros([0, 3]).View(3, 0).Shape, Is.EqualTo(new long[] { 3, 0 }));
    }

    private static void Is32(Tensor actual, params float[] expected)
    {
        Assert.That(actual.DType, Is.EqualTo(DType.Float32));
        Assert.That(actual.ToArray<float>(), Is.EqualTo(expected).Within(1e-5));
    }

    private static void Is64(Tensor actual, params long[] expected) => Assert.That(actual.ToArray<long>(), Is.EqualTo(expected));

    private static void IsBool(Tensor actual, params bool[] expected) => Assert.That(actual.ToArray<bool>(), Is.EqualTo(expected));
}
