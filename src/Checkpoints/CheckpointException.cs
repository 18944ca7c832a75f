using System.Globalization;
using System.Text;
using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>A fault of one tensor of a checkpoint.</summary>
public enum CheckpointProblemKind
{
    /// <summary>The model needs the tensor and no file holds it.</summary>
    Missing,

    /// <summary>A file holds the tensor and the model has no place for it.</summary>
    Unexpected,

    /// <summary>The tensor is there with another shape than the model's.</summary>
    Shape,

    /// <summary>The tensor cannot be used: a dtype unknown to the libtorch at hand, a damaged or contradictory entry.</summary>
    Unusable,
}

/// <summary>One tensor that does not fit, with the file where it is (or was looked for).</summary>
/// <param name="Kind">Missing, unexpected, of another shape, or unusable.</param>
/// <param name="Name">The tensor's name as the model asks for it.</param>
/// <param name="Detail">Expected and found, in words.</param>
/// <param name="File">The file concerned.</param>
public sealed record CheckpointProblem(CheckpointProblemKind Kind, string Name, string Detail, string File);

/// <summary>A checkpoint that cannot be read or written: the message names the file, what was expected and what was found.</summary>
public sealed class CheckpointException : LongformerException
{
    /// <summary>A failure described by <paramref name="message"/>.</summary>
    public CheckpointException(string message)
        : base(message)
    {
    }

    /// <summary>A failure described by <paramref name="message"/> and caused by <paramref name="inner"/>.</summary>
    public CheckpointException(string message, Exception inner)
        : base(message, inner)
    {
    }

    /// <summary>A failure with every tensor that does not fit: the message lists them all, grouped by kind.</summary>
    /// <param name="summary">The first words of the message: the model and its file.</param>
    /// <param name="problems">All problems; the message lists each on its own line.</param>
    public CheckpointException(string summary, IReadOnlyList<CheckpointProblem> problems)
        : base(Describe(summary, problems)) => Problems = problems;

    /// <summary>Every tensor that does not fit; empty where the failure is of another sort.</summary>
    public IReadOnlyList<CheckpointProblem> Problems { get; } = [];

    private static string Describe(string summary, IReadOnlyList<CheckpointProblem> problems)
    {
        ArgumentNullException.ThrowIfNull(problems);
        (CheckpointProblemKind Kind, string Word)[] words =
        [
            (CheckpointProblemKind.Missing, "missing"), (CheckpointProblemKind.Unexpected, "unexpected"),
            (CheckpointProblemKind.Shape, "of another shape"), (CheckpointProblemKind.Unusable, "unusable"),
        ];
        IEnumerable<string> counts = words
            .Select(w => (w.Word, Count: problems.Count(p => p.Kind == w.Kind)))
            .Where(w => w.Count > 0)
            .Select(w => string.Create(CultureInfo.InvariantCulture, $"{w.Count} {w.Word}"));
        StringBuilder text = new($"{summary}: {string.Join(", ", counts)}");
        foreach ((CheckpointProblemKind kind, string word) in words)
        {
            foreach (CheckpointProblem problem in problems.Where(p => p.Kind == kind))
            {
                text.Append("\n  ").Append(word).Append(": ").Append(problem.Name);
                if (problem.Detail.Length > 0)
                    text.Append(' ').Append(problem.Detail);
                text.Append(" (").Append(problem.File).Append(')');
            }
        }
        return text.ToString();
    }
}
