using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>The values of tensors as bytes.</summary>
internal static class TensorBytes
{
    private const int ChunkBytes = 1 << 20;
    private const long BlockBytes = 16 << 20;

    /// <summary>Writes the elements in row-major order, from any device and of any strides, with at most a block's copy in memory.</summary>
    internal static void Write(Tensor tensor, Stream target)
    {
        if (tensor.ElementCount == 0)
            return;
        if (tensor.IsContiguous && tensor.Device == Device.Cpu)
        {
            WriteContiguous(tensor, target);
            return;
        }
        long[] shape = tensor.Shape;
        if (shape.Length == 0)
        {
            WriteBlock(tensor, target);
            return;
        }
        long rows = Math.Max(1, BlockBytes / Math.Max(1, tensor.ByteCount / shape[0]));
        for (long first = 0; first < shape[0]; first += rows)
        {
            using TensorScope scope = new();
            WriteBlock(tensor.Narrow(0, first, Math.Min(rows, shape[0] - first)), target);
        }
    }

    /// <summary>A tensor of zeros in float32 that takes the memory of one element in any shape.</summary>
    internal static Tensor ExpandedZero(ReadOnlySpan<long> shape)
    {
        using TensorScope scope = new();
        long[] ones = new long[shape.Length];
        Array.Fill(ones, 1);
        return scope.Keep(Tensor.Zeros(ones).Expand(shape));
    }

    private static void WriteBlock(Tensor block, Stream target)
    {
        using TensorScope scope = new();
        WriteContiguous(block.To(Device.Cpu).Contiguous(), target);
    }

    private static unsafe void WriteContiguous(Tensor tensor, Stream target)
    {
        byte* data = (byte*)tensor.DataPointer;
        long bytes = tensor.ByteCount;
        for (long done = 0; done < bytes; done += ChunkBytes)
            target.Write(new ReadOnlySpan<byte>(data + done, (int)Math.Min(ChunkBytes, bytes - done)));
        GC.KeepAlive(tensor);
    }
}
