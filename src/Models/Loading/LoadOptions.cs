using LongformerInterop.Torch;
using Microsoft.Extensions.Logging;

namespace LongformerInterop.Models;

/// <summary>How to load a model.</summary>
public sealed record LoadOptions
{
    /// <summary>Where the weights live and the work is done.</summary>
    public Device Device { get; init; } = Device.Cpu;

    /// <summary>
    /// Floating dtype of the weights; null: as stored (Float16 becomes Float32 on the CPU, which computes in no half precision). Weights on the CPU
    /// that keep their dtype are used in place in the mapped file, without a copy. Int8: the weights of the layers' products have eight bits, the
    /// rest Float32; only on the CPU, and not trained. A checkpoint of eight bits is dequantized by any other.
    /// </summary>
    public DType? DType { get; init; }

    /// <summary>Which of the three implementations computes the window attention.</summary>
    public AttentionImplementation Attention { get; init; } = AttentionImplementation.Fused;

    /// <summary>
    /// Whether the weights of matrix products are laid out again for the CPU's units when they are first used, which takes part of a second
    /// once and makes every product about twice as fast. The packed form lives in this process's memory; the pages of the mapped file
    /// that it replaces leave it. Off, all weights are used in place in the file and processes share them. Trainable models and
    /// other devices never pack.
    /// </summary>
    public bool PackWeights { get; init; } = true;

    /// <summary>
    /// Whether a GPU may compute Float32 matrix products in TF32; null leaves it as it is. It is set when the model is loaded, and for
    /// the whole process, as libtorch has it: <see cref="TorchRuntime.AllowTF32"/>.
    /// </summary>
    public bool? TF32 { get; init; }

    /// <summary>Whether the parameters are to be trained: they are then copied out of the file, and gradients are to be had of them.</summary>
    public bool Trainable { get; init; }

    /// <summary>For the folder of a LoRA adapter of PEFT: its base; null: where the adapter says, or a folder of that name beside it.</summary>
    public string? BaseFolder { get; init; }

    /// <summary>Gets a warning for tensors that the model has no place for (<see cref="PretrainedModel.UnusedTensors"/>).</summary>
    public ILogger? Logger { get; init; }

    /// <summary>Refuses what cannot be, before any weight is touched, and sets what belongs to the process.</summary>
    /// <exception cref="InputException">The dtype is none that models have.</exception>
    /// <exception cref="DeviceException">There is no such device.</exception>
    internal void Prepare()
    {
        if (DType is DType dtype and not (Torch.DType.Float32 or Torch.DType.BFloat16 or Torch.DType.Float16 or Torch.DType.Float64
            or Torch.DType.Int8))
        {
            throw new InputException("DType", "Float32, BFloat16, Float16, Float64 or Int8", $"{dtype}");
        }
        if (DType == Torch.DType.Int8 && Trainable)
            throw Int8IsNotTrained();
        if (DType == Torch.DType.Int8 && Device != Device.Cpu)
            throw new InputException("DType", $"Float32, BFloat16 or Float16 on {Device}, since Int8 is computed on the CPU", "Int8");
        TorchRuntime.RequireDevice(Device);
        if (TF32 is { } allowed)
            TorchRuntime.AllowTF32 = allowed;
    }

    internal static InputException Int8IsNotTrained() =>
        new("DType", "Float32 or BFloat16 to train in (a checkpoint of eight bits is then dequantized)", "Int8");
}
