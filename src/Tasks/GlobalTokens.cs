using System.Globalization;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>
/// Which tokens of an input attend to every token and are attended by every token (the paper's global attention,
/// Longformer section 3.1). Immutable.
/// </summary>
public sealed class GlobalTokens
{
    private enum Kind
    {
        Task,
        None,
        First,
        Explicit,
    }

    private readonly Kind _kind;
    private readonly int[] _positions;

    private GlobalTokens(Kind kind, int[] positions) => (_kind, _positions) = (kind, positions);

    /// <summary>The task's own choice: the question for question answering, the first token for classification, none for masked LM.</summary>
    public static GlobalTokens TaskDefault { get; } = new(Kind.Task, []);

    /// <summary>No token is global.</summary>
    public static GlobalTokens None { get; } = new(Kind.None, []);

    /// <summary>The first token only.</summary>
    public static GlobalTokens First { get; } = new(Kind.First, [0]);

    /// <summary>The tokens at these positions of every input, counted from 0, special tokens included.</summary>
    /// <exception cref="InputException">A position is negative.</exception>
    public static GlobalTokens At(params ReadOnlySpan<int> positions)
    {
        foreach (int position in positions)
            if (position < 0)
                throw new InputException("global positions", "positions from 0 on", $"{position}");
        int[] sorted = positions.ToArray();
        Array.Sort(sorted);
        return new GlobalTokens(Kind.Explicit, [.. sorted.Distinct()]);
    }

    /// <summary>Reads <c>none</c>, <c>first</c> or positions separated by commas, as the command line's <c>--global</c> takes them.</summary>
    /// <exception cref="InputException">The text is none of these.</exception>
    public static GlobalTokens Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == "none")
            return None;
        if (text == "first")
            return First;
        string[] parts = text.Split(',', StringSplitOptions.TrimEntries);
        int[] positions = new int[parts.Length];
        for (int i = 0; i < parts.Length; i++)
            if (!int.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out positions[i]))
                throw new InputException("global positions", "none, first or positions such as 0,5,17", $"\"{text}\"");
        return At(positions);
    }

    /// <summary>The positions for one input of <paramref name="length"/> tokens, ascending and distinct.</summary>
    /// <param name="length">Number of tokens of the input.</param>
    /// <param name="taskDefault">The task's own positions, ascending.</param>
    /// <param name="input">Name of the input for the message.</param>
    /// <exception cref="InputException">An explicit position is at or past the end of the input.</exception>
    internal int[] Resolve(int length, int[] taskDefault, ArgumentName input) => _kind switch
    {
        Kind.Task => taskDefault,
        Kind.Explicit when _positions.Length > 0 && _positions[^1] >= length => throw new InputException(
            input, $"global positions within its {length} tokens (0..{length - 1})", $"{_positions[^1]}"),
        _ => _positions,
    };
}
