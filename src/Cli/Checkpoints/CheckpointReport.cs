using LongformerInterop.Checkpoints;

namespace LongformerInterop.Cli.Checkpoints;

/// <summary>The report of <c>longformer info</c> on a checkpoint.</summary>
internal sealed class CheckpointReport
{
    private readonly List<(string Name, object Value)> _facts = [];

    /// <summary>Facts in the order of printing: a name as in JSON, and a string, long, double, bool or list of longs or strings.</summary>
    internal IReadOnlyList<(string Name, object Value)> Facts => _facts;

    /// <summary>The verbs that the checkpoint serves.</summary>
    internal List<string> Tasks { get; } = [];

    /// <summary>Everything that is wrong, one line each.</summary>
    internal List<string> Problems { get; } = [];

    /// <summary>States a fact, or states it better than before.</summary>
    internal void Set(string name, object value)
    {
        int at = _facts.FindIndex(f => f.Name == name);
        if (at < 0)
            _facts.Add((name, value));
        else
            _facts[at] = (name, value);
    }

    internal bool Has(string name) => _facts.Any(f => f.Name == name);

    /// <summary>The problems that an exception names, each once.</summary>
    internal void Add(Exception exception)
    {
        IEnumerable<string> problems = exception is CheckpointException { Problems: { Count: > 0 } tensors }
            ? tensors.Select(p => $"{p.Name}: {Word(p.Kind)}{(p.Detail.Length > 0 ? $" {p.Detail}" : "")} ({p.File})")
            : [CommandFailure.Describe(exception)];
        Problems.AddRange(problems.Where(p => !Problems.Contains(p)));
    }

    private static string Word(CheckpointProblemKind kind) => kind switch
    {
        CheckpointProblemKind.Missing => "missing",
        CheckpointProblemKind.Unexpected => "unexpected",
        CheckpointProblemKind.Shape => "of another shape",
        _ => "unusable",
    };
}
