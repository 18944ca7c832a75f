using Microsoft.Extensions.Logging;

namespace LongformerInterop.Tasks;

/// <summary>The options of every task. The options records of the tasks extend it.</summary>
public record TaskOptions
{
    /// <summary>
    /// Cut an input at the checkpoint's last position. Without it a longer input is refused, with both numbers named
    /// (question answering reads a longer document in overlapping windows instead).
    /// </summary>
    public bool Truncate { get; init; }

    /// <summary>Which tokens are global.</summary>
    public GlobalTokens Global { get; init; } = GlobalTokens.TaskDefault;

    /// <summary>
    /// How many tokens go through the model at once. Inputs of unequal length are packed one after the other without
    /// padding; an input is never split, so one input longer than this makes its own batch.
    /// </summary>
    public int TokensPerBatch { get; init; } = 8192;

    /// <summary>Receives a warning for every input that <see cref="Truncate"/> cut, and a debug line per batch.</summary>
    public ILogger? Logger { get; init; }
}

/// <summary>How far a task is with its inputs.</summary>
/// <param name="Done">Inputs finished.</param>
/// <param name="Total">Inputs in all.</param>
/// <param name="Tokens">Tokens that went through the model so far.</param>
public readonly record struct TaskProgress(int Done, int Total, long Tokens);
