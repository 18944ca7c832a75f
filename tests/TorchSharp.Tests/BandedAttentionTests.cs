using System.Text.Json;
using LongformerInterop.Models.Tests;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp.Tests;

public class BandedAttentionTests
{
    [TestCase("attention_window")]
    [TestCase("attention_dilated")]
    [TestCase("attention_causal_dilated")]
    public void Outputs_and_gradients_are_the_references(string name)
    {
        using TensorScope scope = new();
        using DisposeScope disposeScope = torch.NewDisposeScope();
        Golden golden = Golden.Open("gradients", name);
        Dictionary<string, Tensor> inputs = golden.Inputs(), expected = golden.Expected();
        using JsonDocument configuration = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(golden.Folder, "config.json")));
        JsonElement c = configuration.RootElement;
        long[] dilation = [.. c.GetProperty("dilation").EnumerateArray().Select(d => d.GetInt64())];
        BandedAttentionOptions options = new()
        {
            WindowLeft = c.GetProperty("left").GetInt64(),
            WindowRight = c.GetProperty("right").GetInt64(),
            Dilation = dilation,
            Mask = (inputs["mask"].ToTorchSharp() >= 0).ToLongformer(),
        };
        TorchTensor[] leaves = [.. new[] { "q", "k", "v" }.Select(n => inputs[n].ToTorchSharp().clone().requires_grad_())];
        TorchTensor output = BandedAttention.Apply(leaves[0], leaves[1], leaves[2], options);
        golden.AssertMatches("out", output.ToLongformer(), expected["out"]);
        (output * inputs["grad_out"].ToTorchSharp()).sum().RunBackward();
        foreach ((string leaf, TorchTensor tensor) in new[] { "q", "k", "v" }.Zip(leaves))
            golden.AssertMatches($"grad_{leaf}", tensor.grad!.ToLongformer(), expected[$"grad_{leaf}"]);
    }

    [Test]
    public void Gradients_are_finite_differences_with_global_tokens_padding_and_frozen_keys()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using TensorScope scope = new();
        torch.random.manual_seed(3);
        BandedAttentionOptions options = new()
        {
            WindowLeft = 2,
            WindowRight = 1,
            Mask = torch.tensor(new long[] { 1, 1, 1, 1, 1, 0 }, [1, 6]).ToLongformer(),
            GlobalIndex = torch.tensor(new long[] { 0 }, [1, 1]).ToLongformer(),
        };
        TorchTensor Random(bool leaf) => torch.randn([1, 6, 2, 4], dtype: torch.ScalarType.Float64, requires_grad: leaf);
        TorchTensor query = Random(true), key = Random(false), value = Random(true), weights = Random(false);
        TorchTensor Loss() => (BandedAttention.Apply(query, key, value, options) * weights).sum();
        Loss().RunBackward();
        Assert.That(key.grad, Is.Null);
        foreach (TorchTensor leaf in new[] { query, value })
        {
            using IDisposable off = torch.no_grad();
            double[] gradient = leaf.grad!.data<double>().ToArray();
            TorchTensor flat = leaf.view(-1);
            for (int i = 0; i < gradient.Length; i += 5)
            {
                double before = flat[i].item<double>();
                flat[i] = torch.tensor(before + 1e-6);
                double up = Loss().item<double>();
                flat[i] = torch.tensor(before - 1e-6);
                double down = Loss().item<double>();
                flat[i] = torch.tensor(before);
                Assert.That(gradient[i], Is.EqualTo((up - down) / 2e-6).Within(1e-7));
            }
        }
    }

    [Test]
    public void Without_gradients_nothing_is_recorded_and_a_call_may_be_differentiated_twice()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        TorchTensor x = torch.randn([1, 8, 1, 4], requires_grad: true);
        BandedAttentionOptions options = new() { WindowLeft = 2, WindowRight = 2 };
        using (torch.no_grad())
            Assert.That(BandedAttention.Apply(x, x, x, options).requires_grad, Is.False);
        TorchTensor loss = BandedAttention.Apply(x, x, x, options).sum();
        loss.backward(retain_graph: true);
        TorchTensor once = x.grad!.clone();
        loss.backward();
        Torches.AssertClose(x.grad!, once * 2, 1e-6, "twice");
    }

    [Test]
    public void Wrong_tensors_are_one_exception_that_names_them()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        BandedAttentionOptions options = new() { WindowLeft = 2, WindowRight = 2 };
        TorchTensor good = torch.randn([1, 8, 2, 4], requires_grad: true), gone = torch.randn([1, 8, 2, 4]);
        gone.Dispose();
        Assert.That(() => BandedAttention.Apply(good, gone, good, options),
            Throws.TypeOf<InputException>().With.Message.StartsWith("key: expected a tensor that is alive"));
        Assert.That(() => BandedAttention.Apply(good, torch.randn([1, 7, 2, 4]), good, options),
            Throws.TypeOf<InputException>().With.Message.Contains("key"));
        Assert.That(() => BandedAttention.Apply(good, good.to(torch.ScalarType.Float64), good, options),
            Throws.TypeOf<InputException>().With.Message.Contains("key"));
        Assert.That(() => BandedAttention.Apply(torch.ones([8, 4]), good, good, options),
            Throws.TypeOf<InputException>().With.Message.Contains("query"));
        Assert.That(() => BandedAttention.Apply(good, good, good, options with { WindowLeft = -1 }),
            Throws.TypeOf<InputException>().With.Message.Contains("window"));
    }

    [Test]
    public void A_tensor_that_is_changed_before_the_backward_pass_is_an_exception_and_no_end_of_the_process()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        TorchTensor x = torch.randn([1, 8, 2, 4], requires_grad: true), key = torch.randn([1, 8, 2, 4]);
        TorchTensor output = BandedAttention.Apply(x, key, x, new BandedAttentionOptions { WindowLeft = 2, WindowRight = 2 });
        key.add_(1);
        Assert.That(() => output.sum().RunBackward(), Throws.Exception.With.Message.Contains("modified by an inplace operation"));
        Assert.That(() => output.sum().backward(), Throws.TypeOf<System.Runtime.InteropServices.ExternalException>());
    }
}
