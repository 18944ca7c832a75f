#:project ../../src/Torch/LongformerInterop.Torch.csproj
#:property ManagePackageVersionsCentrally=true
using System.Diagnostics;
using LongformerInterop.Torch;

// Measures a call over one token from C#: the least over many rounds, in microseconds.
using TensorScope all = new();
Random random = new(0);
Tensor x = Tensor.Randn([1, 8], random), weight = Tensor.Randn([8], random), bias = Tensor.Randn([8], random), output = Tensor.Empty([1, 8]);
Tensor query = Tensor.Randn([1, 1, 1, 8], random);
BandedAttentionOptions options = new() { WindowLeft = 1, WindowRight = 1 };

Say("add_layer_norm into a given tensor", () => LongformerOps.AddLayerNormInto(output, x, null, weight, bias, 1e-5));
Say("add_layer_norm into a new tensor", () => LongformerOps.AddLayerNorm(x, null, weight, bias, 1e-5).Dispose());
Say("banded_attention into new tensors", () =>
{
    (Tensor o, Tensor l) = LongformerOps.BandedAttention(query, query, query, options);
    o.Dispose();
    l.Dispose();
});

static void Say(string what, Action call)
{
    double best = double.MaxValue;
    for (int round = 0; round < 100; round++)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < 1000; i++) call();
        best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalMicroseconds / 1000);
    }
    Console.WriteLine($"C#: {what}: {best:F2} us");
}
