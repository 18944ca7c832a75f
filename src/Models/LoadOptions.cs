using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>How to load a model.</summary>
public sealed record LoadOptions
{
    /// <summary>Where the weights live and the work is done.</summary>
    public Device Device { get; init; } = Device.Cpu;

    /// <summary>
    /// Floating dtype of the weights; null: as stored (Float16 becomes Float32 on the CPU, which computes in no half precision). Weights on the CPU that keep their dtype are used where they lie in the
    /// mapped file, without a copy.
    /// </summary>
    public DType? DType { get; init; }

    /// <summary>Which of the three implementations computes the window attention.</summary>
    public AttentionImplementation Attention { get; init; } = AttentionImplementation.Fused;

    /// <summary>Whether the parameters are to be trained: they are then copied out of the file and require gradients.</summary>
    public bool Trainable { get; init; }
}
