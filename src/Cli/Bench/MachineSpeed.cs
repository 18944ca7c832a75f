using System.Diagnostics;
using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Bench;

/// <summary>The most that this machine reaches, measured now: every other figure is compared with it.</summary>
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
        (long, long, long)[] products = device == Device.Cpu
            ? [(4096, 768, 3072), (4096, 3072, 768), (2048, 2048, 2048)] : [(8192, 8192, 8192), (32768, 768, 3072)];
        foreach ((long rows, long inputs, long outputs) in products)
        {
            using TensorScope scope = new();
            DType given = dtype == DType.Int8 ? DType.Float32 : dtype;
            Tensor input = Scratch(given, device, rows, inputs), weight = Scratch(dtype, device, outputs, inputs),
                output = Scratch(given, device, rows, outputs);
            Tensor packed = dtype == DType.Int8 ? LongformerOps.Int8Pack(weight) : LongformerOps.LinearPack(weight);
            Tensor? scale = dtype == DType.Int8 ? Scratch(DType.Float32, device, outputs) : null;
            // Into a tensor that exists is what the CPU's kernels do; elsewhere it is a copy more.
            best = Math.Max(best, 2.0 * rows * inputs * outputs / Best(8, device, () =>
            {
                if (scale is not null)
                    LongformerOps.Int8LinearInto(output, input, weight, scale, null, packed);
                else if (device == Device.Cpu)
                    LongformerOps.LinearInto(output, input, weight, null, packed);
                else
                    LongformerOps.Linear(input, weight).Dispose();
            }));
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
        return 2.0 * count * sizeof(float) / Best(6, device, () => to.CopyInPlace(from));
    }

    /// <summary>Seconds of the fastest of some calls, after one that warms up.</summary>
    private static double Best(int runs, Device device, Action work)
    {
        double best = double.MaxValue;
        for (int i = 0; i <= runs; i++)
        {
            long start = Stopwatch.GetTimestamp();
            work();
            TorchRuntime.Synchronize(device);
            if (i > 0)
                best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return best;
    }

    /// <summary>
    /// A tensor on a managed array, whose memory is returned to the system by <see cref="Release"/>: that of libtorch's own tensors would
    /// stay in a cache, and count as resident in what is measured afterwards.
    /// </summary>
    private static Tensor Scratch(DType dtype, Device device, params ReadOnlySpan<long> shape)
    {
        // Random numbers: on a GPU, whose clock heeds the power that is drawn, products of equal ones run faster.
        if (device != Device.Cpu)
            return Tensor.Randn(shape, new Random(0), device).To(dtype);
        long bytes = dtype.ElementSize();
        foreach (long size in shape)
            bytes *= size;
        byte[] memory = GC.AllocateUninitializedArray<byte>(checked((int)bytes), pinned: true);
        // Every page is touched, and no value is a denormal number.
        Array.Fill(memory, (byte)0x3C);
        return Tensor.View(Marshal.UnsafeAddrOfPinnedArrayElement(memory, 0), shape, dtype, keepAlive: memory);
    }

    private static void Release() => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
}
