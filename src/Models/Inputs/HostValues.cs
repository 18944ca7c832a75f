using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>Values of small tensors on the host.</summary>
internal static class HostValues
{
    /// <summary>The integers of a tensor, row-major.</summary>
    public static long[] ToInt64(Tensor tensor)
    {
        long[] values = new long[tensor.ElementCount];
        Read(tensor, values);
        return values;
    }

    /// <summary>The integers of a tensor, row-major, written to where they are wanted.</summary>
    public static void Read(Tensor tensor, Span<long> destination)
    {
        using TensorScope scope = new();
        Tensor near = tensor.To(Device.Cpu).Contiguous();
        if (near.DType == DType.Int32)
        {
            ReadOnlySpan<int> values = near.AsSpan<int>();
            for (int i = 0; i < values.Length; i++)
                destination[i] = values[i];
        }
        else
        {
            near.To(DType.Int64).AsSpan<long>().CopyTo(destination);
        }
        GC.KeepAlive(near);
    }

    /// <summary>The values of a tensor, row-major.</summary>
    public static double[] ToDouble(Tensor tensor)
    {
        using TensorScope scope = new();
        return tensor.To(Device.Cpu).To(DType.Float64).Contiguous().ToArray<double>();
    }
}
