using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>The memory that tensors of mapped files take in this process.</summary>
public static class MappedMemory
{
    /// <summary>
    /// Lets the pages of a tensor leave this process's memory, where it is in a mapped file. They come back, from the file or the
    /// system's cache of it, when the tensor is next read: nothing but its speed then changes. Pages that this process changed, and any
    /// other tensor, stay as they are.
    /// </summary>
    public static void Leave(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.Device == Device.Cpu && tensor.IsContiguous)
            MappedFile.Leave(tensor.DataPointer, tensor.ByteCount);
        GC.KeepAlive(tensor);
    }
}
