using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity;

/// <summary>How a run of the cases is set up.</summary>
/// <param name="Implementations">The attention implementations to run, in order.</param>
/// <param name="Device">Where.</param>
internal sealed record ParitySettings(IReadOnlyList<AttentionImplementation> Implementations, Device Device);

/// <summary>Computes the cases of one group. A group is a file of the folder Groups and a line in <see cref="ParityRunner.Groups"/>.</summary>
internal abstract class ParityGroup
{
    /// <summary>The value of "group" in case.json.</summary>
    internal abstract string Name { get; }

    /// <summary>Why a case of this group cannot be run yet, or null.</summary>
    internal virtual string? SkipReason(ParityCase parityCase) => null;

    /// <summary>Whether the attention implementation matters, so that each is to run.</summary>
    internal virtual bool DependsOnImplementation(ParityCase parityCase) => true;

    /// <summary>The file with the expected tensors, or null where the group brings its own rows.</summary>
    internal virtual string? ExpectedFile => "expected.safetensors";

    /// <summary>Computes the case and compares. Tensors join the scope that the runner opened.</summary>
    internal abstract void Run(ParityCase parityCase, AttentionImplementation implementation, Device device, ParityReport report);
}
