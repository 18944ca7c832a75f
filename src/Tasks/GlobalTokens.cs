using System.Globalization;
using LongformerInterop.Tokenizers;
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
    private readonly string[] _tokens;

    private GlobalTokens(Kind kind, int[] positions, string[]? tokens = null) => (_kind, _positions, _tokens) = (kind, positions, tokens ?? []);

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
        {
            if (position < 0)
                throw new InputException("global positions", "positions from 0 on", $"{position}");
        }
        int[] sorted = positions.ToArray();
        Array.Sort(sorted);
        return new GlobalTokens(Kind.Explicit, [.. sorted.Distinct()]);
    }

    /// <summary>
    /// These positions and every token of one of these texts, such as PRIMERA's <c>&lt;doc-sep&gt;</c> between documents. A text must be one token of
    /// the checkpoint's tokenizer.
    /// </summary>
    /// <param name="tokens">The tokens' texts.</param>
    public GlobalTokens WithTokens(params ReadOnlySpan<string> tokens)
    {
        foreach (string token in tokens)
        {
            if (string.IsNullOrEmpty(token))
                throw new InputException("global tokens", "texts of at least one character", "an empty one");
        }
        return new GlobalTokens(_kind, _positions, [.. _tokens, .. tokens]);
    }

    /// <summary>
    /// Reads <c>none</c>, <c>first</c> or positions separated by commas, as the command line's <c>--global</c> takes them; <c>token:TEXT</c> behind
    /// them, or alone, makes every such token global too.
    /// </summary>
    /// <exception cref="InputException">The text is none of these.</exception>
    public static GlobalTokens Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int by = text.StartsWith("token:", StringComparison.Ordinal) ? 0 : text.IndexOf(",token:", StringComparison.Ordinal) + 1;
        if (by > 0 || text.StartsWith("token:", StringComparison.Ordinal))
        {
            string[] tokens = text[by..].Split(",token:");
            tokens[0] = tokens[0]["token:".Length..];
            return (by == 0 ? TaskDefault : Parse(text[..(by - 1)])).WithTokens(tokens);
        }
        if (text == "none")
            return None;
        if (text == "first")
            return First;
        string[] parts = text.Split(',', StringSplitOptions.TrimEntries);
        int[] positions = new int[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            if (!int.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out positions[i]))
                throw new InputException("global positions", "none, first, positions such as 0,5,17, or token:TEXT", $"\"{text}\"");
        }
        return At(positions);
    }

    /// <summary>The positions for one input, ascending and distinct.</summary>
    /// <param name="encoding">The input.</param>
    /// <param name="tokenizer">The tokenizer that cut it.</param>
    /// <param name="taskDefault">The task's own positions, ascending.</param>
    /// <param name="input">Name of the input for the message.</param>
    /// <exception cref="InputException">An explicit position is at or past the end of the input, or a text is no token.</exception>
    internal int[] Resolve(Encoding encoding, Tokenizer tokenizer, int[] taskDefault, ArgumentName input)
    {
        int[] own = Resolve(encoding.Count, taskDefault, input);
        if (_tokens.Length == 0)
            return own;
        SortedSet<int> all = [.. own];
        HashSet<int> wanted = [.. _tokens.Select(t => IdOf(t, tokenizer))];
        ReadOnlySpan<int> ids = encoding.Ids.Span;
        for (int i = 0; i < ids.Length; i++)
        {
            if (wanted.Contains(ids[i]))
                all.Add(i);
        }
        return [.. all];
    }

    /// <summary>The same without what is global by its text.</summary>
    internal int[] Resolve(int length, int[] taskDefault, ArgumentName input) => _kind switch
    {
        Kind.Task => taskDefault,
        Kind.Explicit when _positions.Length > 0 && _positions[^1] >= length => throw new InputException(
            input, $"global positions within its {length} tokens (0..{length - 1})", $"{_positions[^1]}"),
        _ => _positions,
    };

    private static int IdOf(string token, Tokenizer tokenizer)
    {
        if (tokenizer.TokenToId(token) is { } id)
            return id;
        int[] ids = tokenizer.Encode(token, null, new EncodeOptions { AddSpecialTokens = false }).Ids.ToArray();
        return ids.Length == 1 ? ids[0] : throw new InputException("global tokens", "texts that are one token of the checkpoint's tokenizer",
            $"\"{token}\", which is {ids.Length}");
    }
}
