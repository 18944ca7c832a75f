using System.Buffers;
using LongformerInterop.Tokenizers.Unicode;

namespace LongformerInterop.Tokenizers.Text;

/// <summary>An added token found in a text: its range includes the white space that it strips.</summary>
internal readonly record struct AddedTokenMatch(int Id, int Start, int End);

/// <summary>Finds added tokens in a text: leftmost first, the longest of those that begin together (as HF's Aho-Corasick search).</summary>
internal sealed class AddedTokenSplitter
{
    private readonly SearchValues<string>? _contents;
    private readonly AddedToken[] _byLength;

    /// <param name="tokens">The tokens; <see cref="AddedToken.Content"/> is what is looked for.</param>
    public AddedTokenSplitter(IEnumerable<AddedToken> tokens)
    {
        _byLength = [.. tokens.OrderByDescending(t => t.Content.Length)];
        if (_byLength.Length > 0)
            _contents = SearchValues.Create([.. _byLength.Select(t => t.Content)], StringComparison.Ordinal);
    }

    public bool IsEmpty => _contents is null;

    /// <summary>The next token at or after a position; false if there is none.</summary>
    /// <param name="text">The text; its ends count as no word characters.</param>
    /// <param name="from">Where the token before ended, with the white space that it took.</param>
    /// <param name="search">
    /// Where to look from: behind the string of the token before, not behind the white space that it took, which may belong to this token too.
    /// </param>
    /// <param name="keepSpecial">Whether special tokens are passed over.</param>
    /// <param name="match">The token.</param>
    public bool TryFind(ReadOnlySpan<char> text, int from, ref int search, bool keepSpecial, out AddedTokenMatch match)
    {
        match = default;
        if (_contents is null)
            return false;
        for (int at = search; at < text.Length;)
        {
            int found = text[at..].IndexOfAny(_contents);
            if (found < 0)
                return false;
            at += found;
            AddedToken token = LongestAt(text[at..]);
            int start = at, end = at + token.Content.Length;
            at = search = end;
            if (keepSpecial && token.Special)
                continue;
            if (token.SingleWord && (IsWordBefore(text, start) || IsWordAt(text, end)))
                continue;
            if (token.LeftStrip)
            {
                while (start > from && char.IsWhiteSpace(text[start - 1]))
                    start--;
                start = Math.Max(start, from);
            }
            if (token.RightStrip)
            {
                while (end < text.Length && char.IsWhiteSpace(text[end]))
                    end++;
            }
            match = new AddedTokenMatch(token.Id, start, end);
            return true;
        }

        return false;
    }

    /// <summary>Appends the added tokens of a stretch of text and hands out what is between them, in order.</summary>
    /// <param name="text">The whole text.</param>
    /// <param name="start">Start of the stretch; nothing before it is looked at.</param>
    /// <param name="end">End of the stretch; nothing behind it is looked at.</param>
    /// <param name="keepSpecial">Whether special tokens are passed over.</param>
    /// <param name="output">The tokens.</param>
    /// <param name="plain">Takes start and end of what is no added token.</param>
    public void Split(string text, int start, int end, bool keepSpecial, TokenBuffer output, Action<int, int> plain)
    {
        ReadOnlySpan<char> part = text.AsSpan(start, end - start);
        int at = 0, search = 0;
        while (TryFind(part, at, ref search, keepSpecial, out AddedTokenMatch match))
        {
            if (match.Start > at)
                plain(start + at, start + match.Start);
            output.MarkPiece(isAddedToken: true);
            output.Add(match.Id, start + match.Start, start + match.End);
            at = match.End;
        }

        if (at < part.Length)
            plain(start + at, end);
    }

    private AddedToken LongestAt(ReadOnlySpan<char> text)
    {
        foreach (AddedToken token in _byLength)
        {
            if (text.StartsWith(token.Content, StringComparison.Ordinal))
                return token;
        }
        throw new InvalidOperationException("the search reported an added token that is not there");
    }

    private static bool IsWordAt(ReadOnlySpan<char> text, int position) =>
        position < text.Length && (UnicodeTables.FlagsOf(UnicodeTables.CodePointAt(text, position, out _)) & CharFlags.Word) != 0;

    private static bool IsWordBefore(ReadOnlySpan<char> text, int position)
    {
        if (position == 0)
            return false;
        bool pair = position > 1 && char.IsLowSurrogate(text[position - 1]) && char.IsHighSurrogate(text[position - 2]);
        return IsWordAt(text, position - (pair ? 2 : 1));
    }
}
