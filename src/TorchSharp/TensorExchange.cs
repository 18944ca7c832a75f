using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp;

/// <summary>
/// Tensors between this project and TorchSharp, without a copy: both look at the same memory, and writing to one is seen in the other. Each has a
/// reference of its own: dispose both, in any order; the memory lives until the last is gone. libtorch's record of a tensor for
/// differentiation does not cross: gradients go through <see cref="BandedAttention"/> and the modules.
/// </summary>
public static class TensorExchange
{
    /// <summary>A TorchSharp tensor over the memory of one of this project's. It joins TorchSharp's current dispose scope.</summary>
    /// <param name="tensor">Any shape, dtype and device; it stays the caller's.</param>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    /// <exception cref="TorchException">The two do not share one libtorch.</exception>
    public static TorchTensor ToTorchSharp(this Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        OneLibtorch.Ensure();
        return TorchTensor.UnsafeCreateTensor(tensor.NewHandle());
    }

    /// <summary>A tensor of this project's over the memory of a TorchSharp tensor. It joins the current <see cref="TensorScope"/>.</summary>
    /// <param name="tensor">Dense, of any shape and dtype, on a CPU or a CUDA device; it stays the caller's.</param>
    /// <exception cref="InputException">The tensor is disposed, or on another device.</exception>
    /// <exception cref="TorchException">It is not of the dense layout, or the two do not share one libtorch.</exception>
    public static Tensor ToLongformer(this TorchTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return Borrow(tensor, "tensor");
    }

    /// <summary>The same for an argument of this name.</summary>
    internal static Tensor Borrow(TorchTensor tensor, string name)
    {
        OneLibtorch.Ensure();
        if (tensor.IsInvalid)
            throw new InputException(name, "a tensor that is alive", "one that is disposed");
        if (tensor.device_type is not (global::TorchSharp.DeviceType.CPU or global::TorchSharp.DeviceType.CUDA))
            throw new InputException(name, "a tensor on a CPU or a CUDA device", $"one on {tensor.device}");
        Tensor result = Tensor.FromHandle(tensor.Handle, own: false);
        GC.KeepAlive(tensor);
        return result;
    }
}
