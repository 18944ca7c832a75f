namespace LongformerInterop.Torch.Tests;

/// <summary>Differentiation against gradients worked out by hand, and the modes.</summary>
[TestFixture]
public class AutogradTests : TensorTest
{
    [Test]
    public void The_gradient_of_a_polynomial_is_its_derivative()
    {
        Tensor x = Tensor.From([1.0, 2.0, 3.0]).WithGrad();
        (x.Pow(3) + 2.0 * x).Sum().Backward();
        Assert.That(x.Grad!.ToArray<double>(), Is.EqualTo(new[] { 5.0, 14.0, 29.0 }));
    }

    [Test]
    public void The_gradients_of_a_linear_layer_are_the_textbook_ones()
    {
        Tensor x = Tensor.From([1.0, 2.0, 3.0, 4.0], 2, 2).WithGrad(), w = Tensor.From([5.0, 6.0, 7.0, 8.0], 2, 2).WithGrad();
        Tensor b = Tensor.From([0.5, -0.5]).WithGrad();
        Tensor g = Tensor.From([1.0, 0.0, 2.0, -1.0], 2, 2);
        Functional.Linear(x, w, b).Backward(g);
        Assert.That(x.Grad!.EqualTo(g.MatMul(w)));
        Assert.That(w.Grad!.EqualTo(g.Transpose(0, 1).MatMul(x)));
        Assert.That(b.Grad!.ToArray<double>(), Is.EqualTo(new[] { 3.0, -1.0 }));
    }

    [Test]
    public void Gradients_add_up_until_they_are_cleared()
    {
        Tensor x = Tensor.From(3.0).WithGrad();
        Assert.That(x.Grad, Is.Null);
        x.Mul(x).Backward();
        x.Mul(x).Backward();
        Assert.That(x.Grad!.Item<double>(), Is.EqualTo(12));
        x.Grad = null;
        Assert.That(x.Grad, Is.Null);
        x.Grad = Tensor.From(1.0);
        Assert.That(x.Grad!.Item<double>(), Is.EqualTo(1));
        Assert.That(() => x.Grad = Tensor.Ones([2], DType.Float64), Throws.TypeOf<InputException>().With.Message.Contains("shape"));
    }

    [Test]
    public void A_recording_serves_once_unless_it_is_retained()
    {
        Tensor x = Tensor.From(3.0).WithGrad();
        Tensor y = x * x;
        y.Backward(retainGraph: true);
        y.Backward();
        Assert.That(x.Grad!.Item<double>(), Is.EqualTo(12));
        Assert.That(() => y.Backward(), Throws.TypeOf<TorchException>());
    }

    [Test]
    public void Gradients_of_chosen_inputs_leave_the_others_alone()
    {
        Tensor x = Tensor.From(3.0).WithGrad(), y = Tensor.From(5.0).WithGrad(), z = Tensor.From(1.0).WithGrad();
        Tensor product = x * x * y;
        Tensor?[] gradients = product.Gradients([x, y], retainGraph: true);
        Assert.That(gradients.Select(g => g!.Item<double>()), Is.EqualTo(new[] { 30.0, 9.0 }));
        Assert.That(x.Grad, Is.Null);
        Assert.That(product.Gradients([z, y], allowUnused: true)[0], Is.Null);
        Assert.That(() => (x * y).Gradients([z]), Throws.TypeOf<TorchException>());
    }

    [Test]
    public void Second_derivatives_come_from_a_recorded_pass()
    {
        Tensor x = Tensor.From(2.0).WithGrad();
        Tensor first = x.Pow(4).Gradients([x], createGraph: true)[0]!;
        Tensor second = first.Gradients([x])[0]!;
        Assert.That((first.Item<double>(), second.Item<double>()), Is.EqualTo((32.0, 48.0)));
    }

    [Test]
    public void A_detached_tensor_passes_no_gradient()
    {
        Tensor x = Tensor.From(2.0).WithGrad();
        Tensor y = x * x.Detach();
        y.Backward();
        Assert.That(x.Grad!.Item<double>(), Is.EqualTo(2));
        Assert.That((x.IsLeaf, y.IsLeaf, y.RequiresGrad), Is.EqualTo((true, false, true)));
        Assert.That(y.Grad, Is.Null);
    }

    [Test]
    public void Backward_without_a_recording_or_a_gradient_is_refused()
    {
        Assert.That(() => Tensor.Ones([1]).Backward(), Throws.TypeOf<TorchException>().With.Message.Contains("grad"));
        Assert.That(() => Tensor.Ones([2]).WithGrad().Mul(2).Backward(), Throws.TypeOf<TorchException>().With.Message.Contains("scalar"));
        Assert.That(() => Tensor.Ones([2], DType.Int64).WithGrad(), Throws.TypeOf<TorchException>());
    }

    [Test]
    public void The_embedding_row_of_the_padding_gets_no_gradient()
    {
        Tensor table = Tensor.Ones([3, 2]).WithGrad();
        Functional.Embedding(Tensor.From([0L, 1, 1]), table, paddingIndex: 1).Sum().Backward();
        Assert.That(table.Grad!.ToArray<float>(), Is.EqualTo(new float[] { 1, 1, 0, 0, 0, 0 }));
    }

    [Test]
    public void Modes_nest_and_end()
    {
        Assert.That((TorchRuntime.IsGradEnabled, TorchRuntime.IsInferenceMode), Is.EqualTo((true, false)));
        Tensor x = Tensor.Ones([1]).WithGrad();
        using (TorchRuntime.NoGrad())
        {
            Assert.That((x * 2).RequiresGrad, Is.False);
            using (TorchRuntime.EnableGrad()) Assert.That((x * 2).RequiresGrad);
            Assert.That(TorchRuntime.IsGradEnabled, Is.False);
        }
        using (TorchRuntime.InferenceMode())
        {
            Assert.That((TorchRuntime.IsGradEnabled, TorchRuntime.IsInferenceMode), Is.EqualTo((false, true)));
            Assert.That((x * 2).IsInference);
        }
        Assert.That((TorchRuntime.IsGradEnabled, TorchRuntime.IsInferenceMode), Is.EqualTo((true, false)));
        Assert.That((x * 2).RequiresGrad);
    }

    [Test]
    public void A_mode_may_be_ended_twice_and_only_on_its_thread()
    {
        IDisposable mode = TorchRuntime.NoGrad();
        Exception? thrown = null;
        Thread thread = new(() =>
        {
            try
            {
                mode.Dispose();
            }
            catch (InvalidOperationException e)
            {
                thrown = e;
            }
        });
        thread.Start();
        thread.Join();
        Assert.That(thrown?.Message, Does.Contain("thread"));
        mode.Dispose();
        mode.Dispose();
        Assert.That(TorchRuntime.IsGradEnabled);
    }
}
