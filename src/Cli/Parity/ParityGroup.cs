using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity;

/// <summary>How a run of the cases is set up.</summary>
/// <param name="Implementations">The attention implementations to run, in order.</param>
/// <param name="Device">Where.</param>
/// <param name="DType">The dtype of models; null: as stored.</param>
/// <param name="Repeat">How often a model runs before it is compared: work that comes again may be recorded.</param>
internal sealed record ParitySettings(IReadOnlyList<AttentionImplementation> Implementations, Device Device, DType? DType = null, int Repeat = 1);

/// <summary>How one case is run.</summary>
/// <param name="Load">The options of its model: device, dtype, implementation.</param>
/// <param name="Repeat">How often a model runs before it is compared.</param>
internal sealed record ParityCall(LoadOptions Load, int Repeat)
{
    /// <summary>Where.</summary>
    internal Device Device => Load.Device;

    /// <summary>Which implementation of the attention.</summary>
    internal AttentionImplementation Attention => Load.Attention;
}

/// <summary>Computes the cases of one group. A group is a file of the folder Groups and a line in <see cref="ParityRunner.Groups"/>.</summary>
internal abstract class ParityGroup
{
    /// <summary>The value of "group" in case.json.</summary>
    internal abstract string Name { get; }

    /// <summary>Why a case of this group cannot be run yet, or null.</summary>
    internal virtual string? SkipReason(ParityCase parityCase) => null;

    /// <summary>Whether the attention implementation matters, so that each is to run.</summary>
    internal virtual bool DependsOnImplementation(ParityCase parityCase) => true;

    /// <summary>The file with the expected tensors, or null where the group has its own rows.</summary>
    internal virtual string? ExpectedFile => "expected.safetensors";

    /// <summary>Computes the case and compares. Tensors join the scope that the runner opened.</summary>
    internal abstract void Run(ParityCase parityCase, ParityCall call, ParityReport report);
}
