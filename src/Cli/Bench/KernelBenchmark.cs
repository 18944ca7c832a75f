using System.Diagnostics;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Bench;

/// <summary>The window attention alone.</summary>
internal sealed record KernelCase(int Tokens, int Batch, int Heads, int HeadSize, int Window, DType DType);

/// <summary>The result of one case.</summary>
/// <param name="Case">The case.</param>
/// <param name="Forward">Seconds of a forward pass.</param>
/// <param name="Backward">Seconds of a backward pass.</param>
/// <param name="Flops">Useful arithmetic of the forward pass: two products for each pair inside the window. The backward pass has five for
/// two.</param>
internal sealed record KernelResult(KernelCase Case, double Forward, double Backward, double Flops)
{
    public double ForwardRate => Flops / Forward;

    public double BackwardRate => 2.5 * Flops / Backward;
}

/// <summary>Times <c>longformer::banded_attention</c> and its backward pass, one global token, by calls behind one another.</summary>
internal static class KernelBenchmark
{
    // Long enough that waiting for the device once does not count.
    private const double LeastSeconds = 0.05;

    public static KernelResult Run(KernelCase c, Device device, AttentionImplementation implementation, int runs)
    {
        using TensorScope scope = new();
        Random numbers = new(0);
        Tensor Random() => Tensor.Randn([c.Batch, c.Tokens, c.Heads, c.HeadSize], numbers, device).To(c.DType);
        (Tensor query, Tensor key, Tensor value, Tensor gradient) = (Random(), Random(), Random(), Random());
        BandedAttentionOptions options = new()
        {
            WindowLeft = c.Window / 2,
            WindowRight = c.Window / 2,
            GlobalIndex = Tensor.Zeros([c.Batch, 1], DType.Int64, device),
            Implementation = implementation,
        };
        (Tensor output, Tensor logSumExp) = LongformerOps.BandedAttention(query, key, value, options);
        double forward = Seconds(device, runs, () =>
        {
            (Tensor o, Tensor l) = LongformerOps.BandedAttention(query, key, value, options);
            o.Dispose();
            l.Dispose();
        });
        double backward = Seconds(device, runs, () =>
        {
            (Tensor q, Tensor k, Tensor v) = LongformerOps.BandedAttentionBackward(gradient, query, key, value, output, logSumExp, options);
            q.Dispose();
            k.Dispose();
            v.Dispose();
        });
        return new KernelResult(c, forward, backward, Flops(c));
    }

    /// <summary>The median over some runs of the time of a call.</summary>
    private static double Seconds(Device device, int runs, Action call)
    {
        double Time(int calls)
        {
            TorchRuntime.Synchronize(device);
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < calls; i++)
                call();
            TorchRuntime.Synchronize(device);
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        Time(1);
        int count = (int)Math.Clamp(Math.Ceiling(LeastSeconds / Math.Max(Time(1), 1e-6)), 1, 1000);
        return Enumerable.Range(0, runs).Select(_ => Time(count) / count).Order().ElementAt(runs / 2);
    }

    private static double Flops(KernelCase c)
    {
        double pairs = 0;
        long side = c.Window / 2;
        for (long i = 0; i < c.Tokens; i++)
            // The global key counts where it is not in the window anyway.
            pairs += 1 + Math.Min(side, i) + Math.Min(side, c.Tokens - 1 - i) + (i > side ? 1 : 0);
        return 4 * pairs * c.HeadSize * c.Heads * c.Batch;
    }
}
