using System.Reflection;
using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch.Tests;

/// <summary>Calls through libtorch's dispatcher: every kind of argument and result that the interface carries.</summary>
[TestFixture]
public class AtenOperatorTests : TensorTest
{
    [Test]
    public void Numbers_do_not_widen_the_dtype_that_they_meet()
    {
        foreach (DType type in (DType[])[DType.Float16, DType.BFloat16, DType.Float32, DType.Float64])
        {
            Assert.That((Tensor.Ones([2], type) * 0.5).DType, Is.EqualTo(type));
            Assert.That((Tensor.Ones([], type) * 0.5).DType, Is.EqualTo(type));
            Assert.That((Tensor.Ones([2], type) + 0.5).DType, Is.EqualTo(type));
            Assert.That((Tensor.Ones([], type) + 0.5).DType, Is.EqualTo(type));
            Assert.That(Tensor.Ones([], type).Clamp(0.5, 2).DType, Is.EqualTo(type));
            Assert.That((Tensor.Ones([], type) * 2).DType, Is.EqualTo(type));
        }
        Assert.That((Tensor.Ones([2], DType.Int64) * 0.5).DType, Is.EqualTo(DType.Float32));
        Assert.That((Tensor.Ones([2], DType.Int32) * 2).DType, Is.EqualTo(DType.Int32));
        Assert.That((Tensor.Ones([2], DType.Int64) + 2).DType, Is.EqualTo(DType.Int64));
        Assert.That((Tensor.Ones([2], DType.Int32) + 2).DType, Is.EqualTo(DType.Int32));
    }

    [Test]
    public void A_number_keeps_its_precision_beside_a_narrow_tensor() =>
        Assert.That((Tensor.Ones([2], DType.Float64) * 0.1).ToArray<double>(), Is.EqualTo(new[] { 0.1, 0.1 }));

    [Test]
    public void Integers_are_exact_to_the_last_bit()
    {
        Tensor big = Tensor.From([long.MaxValue - 1, -5]);
        Assert.That((big + 1).ToArray<long>(), Is.EqualTo(new[] { long.MaxValue, -4 }));
        Assert.That((big - Tensor.From([3L])).ToArray<long>(), Is.EqualTo(new[] { long.MaxValue - 4, -8 }));
        Assert.That(big.Clone().AddInPlace(Tensor.From([1L, 1L]), -1).ToArray<long>(), Is.EqualTo(new[] { long.MaxValue - 2, -6 }));
        Assert.That(big.Eq(-5).ToArray<bool>(), Is.EqualTo(new[] { false, true }));
        Assert.That((Tensor.From([true, false]) + Tensor.From([2L])).ToArray<long>(), Is.EqualTo(new[] { 3L, 2 }));
    }

    [Test]
    public void Optional_arguments_are_there_or_not()
    {
        Tensor x = Tensor.From([1f, 2f, 3f, 4f], 2, 2);
        Assert.That(x.Sum(0, dtype: DType.Float64).DType, Is.EqualTo(DType.Float64));
        Assert.That(x.Sum(0).DType, Is.EqualTo(DType.Float32));
    }

    [Test]
    public void What_is_added_at_an_index_has_its_shape()
    {
        Tensor x = Tensor.Zeros([2, 3], DType.Int64);
        Assert.That(x.IndexAddInPlace(1, Tensor.From([2L, 0]), Tensor.From([1L, 2, 3, 4], 2, 2)).ToArray<long>(),
            Is.EqualTo(new[] { 2L, 0, 1, 4, 0, 3 }));
        Assert.That(() => x.IndexAddInPlace(1, Tensor.From([2L]), Tensor.From([1L, 2, 3, 4], 2, 2)),
            Throws.TypeOf<InputException>().With.Message.Contains("[2, 1]"));
        Assert.That(() => x.IndexAddInPlace(1, Tensor.From([3L, 0]), Tensor.From([1L, 2, 3, 4], 2, 2)), Throws.InstanceOf<Exception>());
    }

    [Test]
    public void A_missing_tensor_is_refused_before_libtorch_sees_it()
    {
        Tensor x = Tensor.Ones([2]);
        Assert.That(() => x.MatMul(null!), Throws.TypeOf<ArgumentNullException>().With.Message.Contains("aten::matmul: argument number 2"));
        Assert.That(() => Tensor.Cat([x, null!]), Throws.TypeOf<ArgumentNullException>().With.Message.Contains("aten::cat"));
        Assert.That(() => x + null!, Throws.TypeOf<ArgumentNullException>());
        Assert.That(() => null! * x, Throws.TypeOf<ArgumentNullException>());
    }

    [Test]
    public void Every_wrapper_is_called_in_some_test()
    {
        string[] declared = [.. from type in (Type[])[typeof(Tensor), typeof(Functional)]
                                from field in type.GetFields(BindingFlags.Static | BindingFlags.NonPublic)
                                where field.FieldType == typeof(AtenOperator)
                                select ((AtenOperator)field.GetValue(null)!).Name];
        using (OperatorProfile profile = OperatorProfile.Start())
        {
            WrapperTests wrappers = new();
            foreach (MethodInfo test in typeof(WrapperTests).GetMethods().Where(m => m.GetCustomAttribute<TestAttribute>() is not null))
                test.Invoke(wrappers, null);
            FunctionalTests functions = new();
            foreach (MethodInfo test in typeof(FunctionalTests).GetMethods().Where(m => m.GetCustomAttribute<TestAttribute>() is not null))
                test.Invoke(functions, null);
            Assert.That(declared.Except(profile.Costs.Select(c => c.Operator)), Is.Empty);
        }
    }

    [Test]
    public void A_profile_tells_products_with_different_weights_apart()
    {
        using OperatorProfile profile = OperatorProfile.Start();
        Tensor x = Randn(2, 3);
        _ = x.MatMul(Randn(3, 4));
        _ = x.MatMul(Randn(3, 5));
        _ = x.MatMul(Randn(3, 5));
        Assert.That(profile.Costs.Where(c => c.Operator == "aten::matmul").Select(c => (c.Weight![1], c.Calls)),
            Is.EquivalentTo(new[] { (4L, 1), (5L, 2) }));
    }
}
