using System.Diagnostics;
using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Bench;

/// <summary>What this machine reaches at most, measured here and now: the roof that every other figure is compared with.</summary>
/// <param name="MultiplyAdd">GFLOP/s of float32 multiply-adds in registers; 0 on other devices than the CPU.</param>
/// <param name="MatrixProduct">GFLOP/s of the best large matrix product with packed weights in the dtype that is measured.</param>
/// <param name="Copy">GB/s of a copy of a large tensor, bytes read and bytes written together.</param>
internal sealed record MachineSpeed(double MultiplyAdd, double MatrixProduct, double Copy)
{
    /// <summary>The higher of the two arithmetic rates.</summary>
    public double Peak => Math.Max(MultiplyAdd, MatrixProduct);

    public static MachineSpeed Measure(DType dtype, Device device)
    {
        double best = 0;
        foreach ((long rows, long inputs, long outputs) in new[] { (4096L, 768L, 3072L), (4096L, 3072L, 768L), (2048L, 2048L, 2048L) })
        {
            using TensorScope scope = new();
            Tensor input = Scratch(dtype, device, rows, inputs), weight = Scratch(dtype, device, outputs, inputs), output = Scratch(dtype, device, rows, outputs);
            Tensor packed = LongformerOps.LinearPack(weight);
            best = Math.Max(best, 2.0 * rows * inputs * outputs / Best(8, () => LongformerOps.LinearInto(output, input, weight, null, packed), output));
        }
        Release();
        double chains = device == Device.Cpu && dtype == DType.Float32 ? LongformerOps.MultiplyAddPeak() : 0;
        double copy = CopyRate(device) * 1e-9;
        Release();
        return new MachineSpeed(chains, best * 1e-9, copy);
    }

    private static double CopyRate(Device device)
    {
        const long count = 64 << 20;
        using TensorScope scope = new();
        Tensor from = Scratch(DType.Float32, device, count), to = Scratch(DType.Float32, device, count);
        Operator copy = Operator.Find("aten::copy_");
        return 2.0 * count * sizeof(float) / Best(6, () => copy.Run(to, from), to);
    }

    /// <summary>Seconds of the fastest of some calls, after one that warms up.</summary>
    private static double Best(int runs, Action work, Tensor result)
    {
        double best = double.MaxValue;
        for (int i = 0; i <= runs; i++)
        {
            long start = Stopwatch.GetTimestamp();
            work();
            Finish(result);
            if (i > 0) best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return best;
    }

    /// <summary>Waits until a device is done: reading one value of the result does.</summary>
    internal static void Finish(Tensor result)
    {
        if (result.Device == Device.Cpu) return;
        using TensorScope scope = new();
        _ = result.Flatten().Slice(0, 0, 1).To(DType.Float32).To(Device.Cpu).Item<float>();
    }

    /// <summary>
    /// A tensor on a managed array, whose memory goes back to the system with <see cref="Release"/>: that of libtorch's own tensors would
    /// stay in a cache, and count as resident in what is measured afterwards.
    /// </summary>
    private static Tensor Scratch(DType dtype, Device device, params ReadOnlySpan<long> shape)
    {
        if (device != Device.Cpu) return Tensor.Ones(shape, dtype, device);
        long bytes = dtype.ElementSize();
        foreach (long size in shape) bytes *= size;
        byte[] memory = GC.AllocateUninitializedArray<byte>(checked((int)bytes), pinned: true);
        // Every page is touched, and no value is a denormal number.
        Array.Fill(memory, (byte)0x3C);
        return Tensor.View(Marshal.UnsafeAddrOfPinnedArrayElement(memory, 0), shape, dtype, keepAlive: memory);
    }

    private static void Release() => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
}
