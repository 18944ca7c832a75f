namespace LongformerInterop.Training.CharacterLm;

/// <summary>A part of a text file.</summary>
public enum CharacterPart
{
    /// <summary>What a training learns from.</summary>
    Train,
    /// <summary>What a training is measured on.</summary>
    Dev,
    /// <summary>What is left for the end.</summary>
    Test,
    /// <summary>The whole file.</summary>
    All,
}

/// <summary>How a text file is measured.</summary>
public sealed record CharacterEvaluationOptions
{
    /// <summary>The part of the file.</summary>
    public CharacterPart Part { get; init; } = CharacterPart.Test;

    /// <summary>Lengths of the parts; null: as <see cref="CharacterSpan.Split"/>.</summary>
    public IReadOnlyList<long>? Split { get; init; }

    /// <summary>Characters of a sequence.</summary>
    public int Length { get; init; } = CharacterEvaluation.PaperLength;

    /// <summary>Characters between two sequences, which are those that are counted.</summary>
    public int Step { get; init; } = CharacterEvaluation.PaperStep;

    /// <summary>Whether each character is computed once, with the keys and values of those before it; counts the same characters.</summary>
    public bool OnePass { get; init; }

    /// <summary>With <see cref="OnePass"/>: whether it counts from the first character on.</summary>
    public bool EveryCharacter { get; init; }
}

/// <summary>What a text file was measured at.</summary>
/// <param name="Score">The bits.</param>
/// <param name="EqualsOverlapping">Of a single pass over the characters that overlapping sequences count: whether those would give the same number,
/// which they do unless the layers reach further back than a sequence; null: there is nothing to compare.</param>
public readonly record struct CharacterFileScore(CharacterScore Score, bool? EqualsOverlapping)
{
    /// <summary>The numbers by name: <c>bits_per_character</c>, <c>total_bits</c>, <c>characters</c>, and <c>equals_overlapping</c>, 1 or 0, where
    /// it is known.</summary>
    public IReadOnlyDictionary<string, double> Metrics()
    {
        Dictionary<string, double> metrics = new()
        {
            ["bits_per_character"] = Score.BitsPerCharacter, ["total_bits"] = Score.TotalBits, ["characters"] = Score.Count,
        };
        if (EqualsOverlapping is { } same)
            metrics["equals_overlapping"] = same ? 1 : 0;
        return metrics;
    }
}
