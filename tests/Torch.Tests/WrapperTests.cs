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
        Is32(Tensor.Linspace(0, 1, 3), 0, 0.5f, 1);
        Is32(Tensor.Eye(2), 1, 0, 0, 1);
        Is64(Tensor.Arange(3), 0, 1, 2);
        Is64(Tensor.Arange(5, 1, -2), 5, 3);
        Assert.That(Tensor.Arange(3, DType.Float32).DType, Is.EqualTo(DType.Float32));
        Is64(Tensor.RandPerm(4).Sort().Values, 0, 1, 2, 3);
        Assert.That(Tensor.RandInt(3, 5, [100]).ToArray<long>(), Has.All.InRange(3, 4));
        Assert.That(Tensor.Rand([100]).ToArray<float>(), Has.All.InRange(0, 1));
        Tensor x = Tensor.From(Four);
        Is32(x.ZerosLike(), 0, 0, 0, 0);
        Is64(x.OnesLike(DType.Int64), 1, 1, 1, 1);
        Is32(x.FullLike(7), 7, 7, 7, 7);
        Assert.That(x.EmptyLike().Shape, Is.EqualTo(x.Shape));
        Assert.That(x.RandnLike().Shape, Is.EqualTo(x.Shape));
        Is32(Tensor.Cat([x, x], 0), 1, 2, 3, 4, 1, 2, 3, 4);
        Assert.That(Tensor.Stack([x, x], 1).Shape, Is.EqualTo(new long[] { 4, 2 }));
        Assert.That(x.NormalInPlace(100, 1).Mean().Item<float>(), Is.EqualTo(100).Within(10));
        Assert.That(x.UniformInPlace(5, 6).ToArray<float>(), Has.All.InRange(5, 6));
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
        Is32(1 + x, 2, 3, 4, 5);
        Is32(x - 1, 0, 1, 2, 3);
        Is32(1 - x, 0, -1, -2, -3);
        Is32(2.0 * x, 2, 4, 6, 8);
        Is32(x * 2, 2, 4, 6, 8);
        Is32(x / 2, 0.5f, 1, 1.5f, 2);
        Is32(-x, -1, -2, -3, -4);
        Is32(x.Negate().Abs(), Four);
        Is32(x.Add(y, 0.5), 6, 12, 8, 14);
        Is32(x.Add(y).Sub(y).Add(1).Sub(1).Mul(y).Div(y).Mul(2).Div(2), Four);
        Is64(Tensor.From([7L, -7]).FloorDivide(2), 3, -4);
        Is64(Tensor.From([7L, -7]).FloorDivide(Tensor.From([2L])), 3, -4);
        Is64(Tensor.From([7L, -7]).Remainder(3), 1, 2);
        Assert.That((Tensor.From([1L]) + 1).DType, Is.EqualTo(DType.Int64));
        Is32(x.Reciprocal(), 1, 0.5f, 1f / 3, 0.25f);
        Is32((x - 2).Sign(), -1, 0, 1, 1);
        Is32(x.Log().Exp(), Four);
        Is32(x.Sqrt().Pow(2), Four);
        Is32(x.Pow(Tensor.From([2f, 0f])), 1, 1, 9, 1);
        Is32(x.Rsqrt(), 1, 0.70710678f, 0.57735027f, 0.5f);
        Is32(x.Sin().Pow(2) + x.Cos().Pow(2), 1, 1, 1, 1);
        Is32((x / 2).Floor(), 0, 1, 1, 2);
        Is32((x / 2).Ceil(), 1, 1, 2, 2);
        Is32((x / 2).Round(), 0, 1, 2, 2);
        Is32(x.Clamp(2, 3), 2, 2, 3, 3);
        Is32(x.Clamp(maximum: 2), 1, 2, 2, 2);
        Is32(x.Maximum(Tensor.From([2.5f])), 2.5f, 2.5f, 3, 4);
        Is32(x.Minimum(Tensor.From([2.5f])), 1, 2, 2.5f, 2.5f);
        Is32((x - 2).Relu(), 0, 0, 1, 2);
        Is32(x.ZerosLike().Sigmoid(), 0.5f, 0.5f, 0.5f, 0.5f);
        Is32(x.ZerosLike().Tanh(), 0, 0, 0, 0);
        Is32(x.ZerosLike().Softmax(-1), 0.5f, 0.5f, 0.5f, 0.5f);
        Is32(x.Softmax(1).Log() - x.LogSoftmax(1), 0, 0, 0, 0);
        Assert.That(x.To(DType.BFloat16).Softmax(-1, DType.Float32).DType, Is.EqualTo(DType.Float32));
        Is32(x.MatMul(x), 7, 10, 15, 22);
        Is32(y.AddMatMul(x, x), 17, 30, 25, 42);
        Tensor z = x.Clone();
        Is32(z.AddInPlace(y).AddInPlace(y, -1).AddInPlace(1).SubInPlace(Tensor.Ones([1])), Four);
        Is32(z.MulInPlace(y).DivInPlace(y).MulInPlace(4).DivInPlace(2), 2, 4, 6, 8);
        Is32(z.CopyInPlace(y), 10, 20, 10, 20);
        Is32(z.FillInPlace(3), 3, 3, 3, 3);
        Is32(z.ZeroInPlace(), 0, 0, 0, 0);
    }

    [Test]
    public void Shapes_are_changed()
    {
        Tensor x = Tensor.Arange(6, DType.Float32);
        Assert.That(x.View(2, -1).Shape, Is.EqualTo(new long[] { 2, 3 }));
        Tensor m = x.Reshape(2, 3);
        Is32(m.Transpose(0, 1), 0, 3, 1, 4, 2, 5);
        Is32(m.Permute(1, 0).Contiguous(), 0, 3, 1, 4, 2, 5);
        Assert.That(m.Unsqueeze(1).Shape, Is.EqualTo(new long[] { 2, 1, 3 }));
        Assert.That(m.Unsqueeze(1).Squeeze(1).Shape, Is.EqualTo(m.Shape));
        Assert.That(m.Unsqueeze(0).Unsqueeze(0).Squeeze().Shape, Is.EqualTo(m.Shape));
        Assert.That(m.Unsqueeze(0).Expand(4, -1, -1).Shape, Is.EqualTo(new long[] { 4, 2, 3 }));
        Assert.That(m.Flatten().Shape, Is.EqualTo(new long[] { 6 }));
        Assert.That(x.Unflatten(0, 3, 2).Shape, Is.EqualTo(new long[] { 3, 2 }));
        Is32(m.Flip(1), 2, 1, 0, 5, 4, 3);
        Is32(x.Roll(1, 0), 5, 0, 1, 2, 3, 4);
        Is32(x.Slice(0, 0, 2).Repeat(2), 0, 1, 0, 1);
        Is32(x.Slice(0, 0, 2).RepeatInterleave(2, 0), 0, 0, 1, 1);
        Is32(x.Slice(0, 0, 2).Pad([1, 2], 9), 9, 0, 1, 9, 9);
        Assert.That(x.Split(4).Select(t => t.ElementCount), Is.EqualTo(new[] { 4L, 2 }));
        Assert.That(x.Split([1, 5]).Select(t => t.ElementCount), Is.EqualTo(new[] { 1L, 5 }));
        Assert.That(m.Chunk(3, 1), Has.Length.EqualTo(3));
        Assert.That(m.Unbind(), Has.Length.EqualTo(2));
        Is32(x.AsStrided([2, 2], [1, 1], 1), 1, 2, 2, 3);
        Is32(x.Unfold(0, 2, 2), 0, 1, 2, 3, 4, 5);
        Is32(m.Triu(1), 0, 1, 2, 0, 0, 5);
        Is32(m.Tril(), 0, 0, 0, 3, 4, 0);
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
        Is32(x.Var(1), 0.5f, 0.5f);
        Is32(x.Var(1, correction: 0), 0.25f, 0.25f);
        Is32(x.Std(), 1.2909944f);
        Is32(x.Max(), 4);
        Is32(x.Min(), 1);
        Is64(x.Max(0).Indices, 1, 1);
        Is32(x.Min(1).Values, 1, 3);
        Is32(x.AMax([1]), 2, 4);
        Is32(x.AMin([0]), 1, 2);
        Is64(x.ArgMax(), 3);
        Is64(x.ArgMax(1), 1, 1);
        Is64(x.ArgMin(0), 0, 0);
        Is32(x.CumSum(1), 1, 3, 3, 7);
        Is32(x.LogSumExp(1) - (x.Exp().Sum(1).Log()), 0, 0);
        Is32(x.Prod(), 24);
        Is32(x.Norm(), 5.477226f);
        Is32(x.Norm(1, 0), 4, 6);
        Is32(x.TopK(1).Values, 2, 4);
        Is32(x.TopK(1, 0, largest: false).Values, 1, 2);
        Is64(x.Sort(1, descending: true).Indices, 1, 0, 1, 0);
        Is64(x.ArgSort(1, descending: true), 1, 0, 1, 0);
        Is64((x - 1).CountNonZero(), 3);
        Is64((x - 1).CountNonZero(1), 1, 2);
        Is64(Tensor.From([0L, 2, 2]).BinCount(4), 1, 0, 2, 0);
        Is64(Tensor.From([0f, 1f, 0f]).Multinomial(1), 1);
        Assert.That(x.Gt(0).All().Item<bool>() && !x.Gt(3).All().Item<bool>() && x.Gt(3).Any().Item<bool>());
        IsBool(x.Gt(3).Any(1), false, true);
        IsBool(x.Gt(1).All(1), false, true);
    }

    [Test]
    public void Comparisons_are_done()
    {
        Tensor x = Tensor.From([1f, 2f, 3f]), two = Tensor.From([2f]);
        IsBool(x.Eq(2), false, true, false);
        IsBool(x.Eq(two), false, true, false);
        IsBool(x.Ne(2), true, false, true);
        IsBool(x.Ne(two), true, false, true);
        IsBool(x.Lt(2), true, false, false);
        IsBool(x.Lt(two), true, false, false);
        IsBool(x.Le(2), true, true, false);
        IsBool(x.Le(two), true, true, false);
        IsBool(x.Gt(2), false, false, true);
        IsBool(x.Gt(two), false, false, true);
        IsBool(x.Ge(2), false, true, true);
        IsBool(x.Ge(two), false, true, true);
        IsBool(x.Gt(1).And(x.Lt(3)), false, true, false);
        IsBool(x.Lt(2).Or(x.Gt(2)), true, false, true);
        IsBool(x.Lt(3).Xor(x.Gt(1)), true, false, true);
        IsBool(x.Lt(3).Not(), false, false, true);
        Tensor odd = Tensor.From([float.NaN, float.PositiveInfinity, 0f]);
        IsBool(odd.IsNan(), true, false, false);
        IsBool(odd.IsInf(), false, true, false);
        IsBool(odd.IsFinite(), false, false, true);
        IsBool(x.IsIn(Tensor.From([3f, 1f])), true, false, true);
        Assert.That(x.EqualTo(x.Clone()) && !x.EqualTo(two) && !odd.EqualTo(odd));
        Assert.That(x.AllClose(x + 1e-7) && !x.AllClose(x + 1e-3) && x.AllClose(x + 1e-3, absolute: 1e-2) && odd.AllClose(odd, equalNan: true));
    }

    [Test]
    public void Parts_are_read_and_written()
    {
        Tensor x = Tensor.Arange(6, DType.Float32).View(2, 3);
        Tensor pick = Tensor.From([2L, 0]);
        Is32(x.Slice(1, 1), 1, 2, 4, 5);
        Is32(x.Slice(1, 0, 3, 2), 0, 2, 3, 5);
        Is32(x.Slice(1, -1, 100), 2, 5);
        Is32(x.Select(0, -1), 3, 4, 5);
        Is32(x.Narrow(1, 1, 1), 1, 4);
        Is32(x.IndexSelect(1, pick), 2, 0, 5, 3);
        Is32(x.Index(Tensor.From([1L]), pick), 5, 3);
        Is32(x.Index(x.Gt(3)), 4, 5);
        Tensor columns = Tensor.From([10f, 20f, 30f, 40f], 2, 2);
        Is32(x.IndexCopy(1, pick, columns), 20, 1, 10, 40, 4, 30);
        Is32(x.IndexAdd(1, pick, columns), 20, 1, 12, 43, 4, 35);
        Is32(x.IndexFill(1, pick, 9), 9, 1, 9, 9, 4, 9);
        Is32(x.IndexPut([null, pick], columns), 20, 1, 10, 40, 4, 30);
        Is32(x.IndexPut([null, pick], columns, accumulate: true), 20, 1, 12, 43, 4, 35);
        Is32(x.Clone().IndexCopyInPlace(1, pick, columns), 20, 1, 10, 40, 4, 30);
        Is32(x.Clone().IndexAddInPlace(1, pick, columns), 20, 1, 12, 43, 4, 35);
        Is32(x.Clone().IndexPutInPlace([null, pick], columns), 20, 1, 10, 40, 4, 30);
        Tensor where = Tensor.From([2L, 0], 2, 1);
        Is32(x.Gather(1, where), 2, 3);
        Is32(x.Scatter(1, where, Tensor.From([7f, 8f], 2, 1)), 0, 1, 7, 8, 4, 5);
        Is32(x.Scatter(1, where, 9), 0, 1, 9, 9, 4, 5);
        Is32(x.ScatterAdd(1, where, Tensor.Ones([2, 1])), 0, 1, 3, 4, 4, 5);
        Is32(x.MaskedFill(x.Gt(3), -1), 0, 1, 2, 3, -1, -1);
        Is32(x.Clone().MaskedFillInPlace(x.Gt(3), -1), 0, 1, 2, 3, -1, -1);
        Is32(x.MaskedSelect(x.Lt(2)), 0, 1);
        Is32(Tensor.Where(x.Gt(3), x, -x), 0, -1, -2, -3, 4, 5);
        Is32(Tensor.Where(x.Gt(3), x, 0.0), 0, 0, 0, 0, 4, 5);
        Is64(x.Gt(3).NonZero(), 1, 1, 1, 2);
        Is32(x.Diagonal(), 0, 4);
    }

    [Test]
    public void Layers_are_computed()
    {
        Tensor x = Tensor.From(Four, 2, 2);
        Is32(Functional.Linear(x, Tensor.From([1f, 0f, 1f, 1f], 2, 2)), 1, 3, 3, 7);
        Is32(Functional.Linear(x, Tensor.From([1f, 1f], 1, 2), Tensor.From([0.5f])), 3.5f, 7.5f);
        Is32(Functional.LayerNorm(x, Tensor.From([2f, 2f]), Tensor.From([1f, 1f]), 0), -1, 3, -1, 3);
        Is32(Functional.LayerNorm(x, Tensor.Ones([2]), null, 0.75), -0.5f, 0.5f, -0.5f, 0.5f);
        Is32(Functional.Embedding(Tensor.From([1L, 0], 1, 2), x), 3, 4, 1, 2);
        Assert.That(Functional.Dropout(x, 0.5, training: false).EqualTo(x));
        Is32(Functional.Gelu(Tensor.From([1f])), 0.84134475f);
        Is32(Functional.Gelu(Tensor.From([1f]), tanh: true), 0.84119199f);
        Is32(Functional.Softmax(x.ZerosLike()), 0.5f, 0.5f, 0.5f, 0.5f);
        Is32(Functional.Normalize(Tensor.From([3f, 4f, 0f, 0f], 2, 2)), 0.6f, 0.8f, 0, 0);
        Is64(Functional.OneHot(Tensor.From([2L]), 3), 0, 0, 1);
    }

    [Test]
    public void Losses_are_computed()
    {
        float ln2 = MathF.Log(2);
        Tensor logits = Tensor.Zeros([3, 2]);
        Is32(Functional.CrossEntropy(logits, Tensor.From([0L, 1, -100])), ln2);
        Is32(Functional.CrossEntropy(logits, Tensor.From([0L, 1, 7]), ignoreIndex: 7, reduction: Reduction.Sum), 2 * ln2);
        Is32(Functional.CrossEntropy(logits, Tensor.From([0L, 1, -100]), reduction: Reduction.None), ln2, ln2, 0);
        Is32(Functional.CrossEntropy(Tensor.From([10f, -10f], 1, 2), Tensor.From([0L]), labelSmoothing: 0.5), 5);
        Assert.That(Functional.CrossEntropy(logits, Tensor.Full([3], -100, DType.Int64)).Item<float>(), Is.NaN);
        Is32(Functional.BinaryCrossEntropyWithLogits(Tensor.Zeros([2]), Tensor.From([0f, 1f])), ln2);
        Is32(Functional.MseLoss(Tensor.From([1f, 3f]), Tensor.From([0f, 0f])), 5);
        Is32(Functional.MseLoss(Tensor.From([1f, 3f]), Tensor.From([0f, 0f]), Reduction.Sum), 10);
    }

    private static void Is32(Tensor actual, params float[] expected)
    {
        Assert.That(actual.DType, Is.EqualTo(DType.Float32));
        Assert.That(actual.ToArray<float>(), Is.EqualTo(expected).Within(1e-5));
    }

    private static void Is64(Tensor actual, params long[] expected) => Assert.That(actual.ToArray<long>(), Is.EqualTo(expected));

    private static void IsBool(Tensor actual, params bool[] expected) => Assert.That(actual.ToArray<bool>(), Is.EqualTo(expected));
}
