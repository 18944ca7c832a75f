using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>The memory that tensors of mapped files take in this process.</summary>
public static class MappedMemory
{
    /// <summary>
    /// Lets the pages of a tensor leave this process's memory, where it lies in a mapped file and was never changed in place. They
    /// come back, from the file or the system's cache of it, when the tensor is next read: nothing but its speed then changes. Any
    /// other tensor stays as it is.
    /// </summary>
    public static void Leave(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.Device == Device.Cpu && tensor.IsContiguous)
            MappedFile.Leave(tensor.DataPointer, tensor.ByteCount);
        GC.KeepAlive(tensor);
    }
}
