namespace LongformerInterop.Torch.Tests;

/// <summary>Any operator by name: lookup, coercion of arguments, defaults, results of every kind.</summary>
[TestFixture]
public class OperatorTests : TensorTest
{
    [Test]
    public void An_operator_is_found_by_name_and_overload()
    {
        Operator add = Operator.Find("aten::add", "Tensor");
        Assert.That(add.Name, Is.EqualTo("aten::add.Tensor"));
        Assert.That(add.Schema, Does.StartWith("aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> "));
    }

    [Test]
    public void An_unknown_operator_is_named() =>
        Assert.That(() => Operator.Find("aten::no_such_thing"),
            Throws.TypeOf<TorchException>().With.Message.Contains("no operator \"aten::no_such_thing\""));

    [Test]
    public void An_unknown_overload_lists_the_ones_that_exist() =>
        Assert.That(() => Operator.Find("aten::add", "Quaternion"), Throws.TypeOf<TorchException>()
            .With.Message.Contains("has no overload \"Quaternion\"").And.Message.Contains("\"Tensor\"").And.Message.Contains("\"Scalar\""));

    [Test]
    public void Existence_can_be_asked()
    {
        Assert.That(Operator.Exists("aten::add", "Tensor"));
        Assert.That(Operator.Exists("aten::add", "Quaternion"), Is.False);
        Assert.That(Operator.Exists("nowhere::add"), Is.False);
    }

    [Test]
    public void Missing_trailing_arguments_take_the_defaults_and_so_does_a_default_in_the_middle()
    {
        Operator add = Operator.Find("aten::add", "Tensor");
        Tensor x = Tensor.From([1f, 2f]), y = Tensor.From([10f, 20f]);
        Assert.That(add.Call(x, y).ToArray<float>(), Is.EqualTo(new[] { 11f, 22f }));
        Assert.That(add.Call(x, y, 2).ToArray<float>(), Is.EqualTo(new[] { 21f, 42f }));
        Tensor target = Tensor.Zeros([2]);
        Operator.Find("aten::add", "out").Run(x, y, Argument.Default, target);
        Assert.That(target.ToArray<float>(), Is.EqualTo(new[] { 11f, 22f }));
    }

    [Test]
    public void Out_operators_write_where_told_and_keep_one_reference()
    {
        Tensor x = Tensor.From([1f, 4f, 9f]), target = Tensor.Empty([3]);
        using Tensor same = Operator.Find("aten::sqrt", "out").Call(x, target);
        Assert.That(same.Handle, Is.EqualTo(target.Handle));
        Assert.That(target.ToArray<float>(), Is.EqualTo(new[] { 1f, 2f, 3f }));
    }

    [Test]
    public void An_integer_serves_as_a_float_a_scalar_and_a_list_of_fixed_length()
    {
        Tensor x = Tensor.Ones([1, 1, 4, 4]);
        Assert.That(Operator.Find("aten::dropout").Call(x, 0, true).ToArray<float>(), Has.All.EqualTo(1f));
        Assert.That(Operator.Find("aten::mul", "Scalar").Call(x, 3).ToArray<float>(), Has.All.EqualTo(3f));
        Assert.That(Operator.Find("aten::avg_pool2d").Call(x, 2).Shape, Is.EqualTo(new long[] { 1, 1, 2, 2 }));
        Assert.That(Operator.Find("aten::upsample_nearest2d", "vec").Call(x, Argument.None, new long[] { 2, 2 }).Shape,
            Is.EqualTo(new long[] { 1, 1, 8, 8 }), "a list of integers serves as a list of floats");
    }

    [Test]
    public void Lists_of_tensors_go_in_and_come_out()
    {
        Tensor[] parts = [.. Operator.Find("aten::split", "Tensor").CallList(Tensor.Arange(5), 2)];
        Assert.That(parts.Select(p => p.ElementCount), Is.EqualTo(new[] { 2L, 2, 1 }));
        Assert.That(Tensor.Cat(parts).ToArray<long>(), Is.EqualTo(new[] { 0L, 1, 2, 3, 4 }));
        Assert.That(Operator.Find("aten::broadcast_tensors").CallList(new Tensor[] { Tensor.Ones([3, 1]), Tensor.Ones([2]) }).Select(t => t.Rank),
            Is.EqualTo(new[] { 2, 2 }));
    }

    [Test]
    public void A_list_of_optional_tensors_takes_null_items()
    {
        Tensor x = Tensor.Arange(6).View(2, 3);
        Assert.That(x.Index(null, Tensor.From([2L, 0])).ToArray<long>(), Is.EqualTo(new[] { 2L, 0, 5, 3 }));
    }

    [Test]
    public void A_null_item_where_tensors_are_needed_is_refused() =>
        Assert.That(() => Operator.Find("aten::cat").Call(new Tensor?[] { Tensor.Ones([1]), null }),
            Throws.TypeOf<InputException>().With.Message.Contains("aten::cat: argument 'tensors' (number 1)").And.Message.Contains("item 1 is none"));

    [Test]
    public void Results_of_every_kind_are_read()
    {
        Tensor x = Tensor.From([1f, 2f]);
        Assert.That(Operator.Find("aten::equal").CallAll(x, x)[0].AsBool());
        Assert.That(Operator.Find("aten::size", "int").CallAll(x, 0)[0].AsInt64(), Is.EqualTo(2));
        Assert.That(Operator.Find("aten::item").CallAll(Tensor.From(1.5))[0].AsDouble(), Is.EqualTo(1.5));
        OperatorResult[] sorted = Operator.Find("aten::sort").CallAll(x, 0, true);
        Assert.That(sorted, Has.Length.EqualTo(2));
        Assert.That(sorted[1].AsTensor().ToArray<long>(), Is.EqualTo(new[] { 1L, 0 }));
        Assert.That(() => sorted[1].AsInt64(), Throws.TypeOf<InputException>());
    }

    [Test]
    public void Text_devices_and_dtypes_go_in()
    {
        Tensor x = Tensor.From([-1f, 1f]);
        Tensor exact = x.Gelu(), approximate = x.Gelu(tanh: true);
        Assert.That(exact.ToArray<float>()[1], Is.EqualTo(0.84134475f).Within(1e-6));
        Assert.That(approximate.ToArray<float>()[1], Is.EqualTo(0.84119199f).Within(1e-6));
        Assert.That(Tensor.Zeros([1], DType.Int32, Device.Cpu).DType, Is.EqualTo(DType.Int32));
        Assert.That(Tensor.Zeros([2, 3], device: Device.Meta).Device, Is.EqualTo(Device.Meta));
        Assert.That(Tensor.Einsum("ij,jk->ik", Tensor.Ones([2, 3]), Tensor.Ones([3, 4])).ToArray<float>(), Has.All.EqualTo(3f));
    }

    [Test]
    public void Long_lists_go_in_as_well_as_short_ones()
    {
        long[] sizes = new long[1000];
        Array.Fill(sizes, 1L);
        Assert.That(Tensor.Arange(1000).Split(sizes), Has.Length.EqualTo(1000));
        Assert.That(Operator.Find("aten::split_with_sizes").CallList(Tensor.Arange(1000), sizes), Has.Length.EqualTo(1000));
    }

    [Test]
    public void A_call_for_the_wrong_number_of_results_is_refused()
    {
        Tensor x = Tensor.Ones([2]);
        Assert.That(() => Operator.Find("aten::sort").Call(x), Throws.TypeOf<InputException>().With.Message.Contains("has 2 results"));
        Assert.That(() => Operator.Find("aten::equal").Call(x, x), Throws.TypeOf<InputException>().With.Message.Contains("no tensor"));
    }
}
