using LongformerInterop.Tokenizers.Text;

namespace LongformerInterop.Tokenizers.WordPiece;

/// <summary>Cuts one normalized word into the longest tokens from the left; a word that cannot be cut is one unknown token.</summary>
internal sealed class WordPieceModel
{
    /// <summary>Longest word, in code points, that BERT looks at.</summary>
    public const int DefaultMaxWordLength = 100;

    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _starts, _continuations;
    private readonly int _longestStart, _longestContinuation;
    private readonly int _unknownId;
    private readonly int _maxWordLength;

    public WordPieceModel(Dictionary<string, int> ids, string prefix, int unknownId, int maxWordLength)
    {
        Prefix = prefix;
        _unknownId = unknownId;
        _maxWordLength = maxWordLength;
        Dictionary<string, int> continuations = new(StringComparer.Ordinal);
        foreach ((string token, int id) in ids)
        {
            if (token.StartsWith(prefix, StringComparison.Ordinal))
                continuations[token[prefix.Length..]] = id;
        }
        _starts = new Dictionary<string, int>(ids, StringComparer.Ordinal).GetAlternateLookup<ReadOnlySpan<char>>();
        _continuations = continuations.GetAlternateLookup<ReadOnlySpan<char>>();
        _longestStart = ids.Keys.Max(t => t.Length);
        _longestContinuation = continuations.Count == 0 ? 0 : continuations.Keys.Max(t => t.Length);
    }

    /// <summary>The mark of a token inside a word: <c>##</c>.</summary>
    public string Prefix { get; }

    /// <summary>Appends the tokens of a word.</summary>
    /// <param name="word">The word, normalized.</param>
    /// <param name="starts">Per unit of the word where its character starts in the given text.</param>
    /// <param name="ends">Per unit of the word where its character ends in the given text.</param>
    /// <param name="offset">Added to all of these.</param>
    /// <param name="output">The tokens.</param>
    public void Append(ReadOnlySpan<char> word, ReadOnlySpan<int> starts, ReadOnlySpan<int> ends, int offset, TokenBuffer output)
    {
        int before = output.Count;
        if (!IsTooLong(word))
        {
            int at = 0;
            while (at < word.Length && TryLongest(word[at..], at > 0, out int id, out int length))
            {
                output.Add(id, offset + starts[at], offset + ends[at + length - 1]);
                at += length;
            }

            if (at == word.Length)
                return;
        }

        output.RemoveFrom(before);
        if (_unknownId < 0)
        {
            throw new TokenizerException(
                $"text: expected only words that the vocabulary can spell, there being no unknown token in it, given '{word}'");
        }

        output.Add(_unknownId, offset + starts[0], offset + ends[^1]);
    }

    private bool TryLongest(ReadOnlySpan<char> rest, bool inside, out int id, out int length)
    {
        Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> tokens = inside ? _continuations : _starts;
        for (length = Math.Min(rest.Length, inside ? _longestContinuation : _longestStart); length > 0; length--)
        {
            // Half a surrogate pair is no character.
            if (length < rest.Length && char.IsHighSurrogate(rest[length - 1]))
                continue;
            if (tokens.TryGetValue(rest[..length], out id))
                return true;
        }

        id = 0;
        return false;
    }

    private bool IsTooLong(ReadOnlySpan<char> word)
    {
        if (word.Length <= _maxWordLength)
            return false;
        int count = 0;
        foreach (char c in word)
        {
            if (!char.IsLowSurrogate(c) && ++count > _maxWordLength)
                return true;
        }
        return false;
    }
}
