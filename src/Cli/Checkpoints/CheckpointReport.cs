namespace LongformerInterop.Cli.Checkpoints;

/// <summary>What <c>longformer info</c> tells of a checkpoint.</summary>
internal sealed class CheckpointReport
{
    /// <summary>Facts in the order of printing: a name as in JSON, and a string, long, double, bool or list of longs or strings.</summary>
    internal List<(string Name, object Value)> Facts { get; } = [];

    /// <summary>The verbs that the checkpoint serves.</summary>
    internal List<string> Tasks { get; } = [];

    /// <summary>Everything that is wrong, one line each.</summary>
    internal List<string> Problems { get; } = [];
}
