using System.Text;
using LongformerInterop.Tokenizers.Text;
using LongformerInterop.Tokenizers.Unicode;
using LongformerInterop.Tokenizers.Vocabularies;

namespace LongformerInterop.Tokenizers.WordPiece;

/// <summary>BERT's tokenizer: normalization, words and punctuation apart, WordPiece.</summary>
internal sealed class WordPieceTokenizer : Tokenizer
{
    private readonly WordPieceModel _model;
    private readonly BertNormalizer _normalizer;
    private readonly bool _cleanUp;
    private readonly Dictionary<int, string> _normalizedContents;
    private readonly Pool<Workspace> _workspaces = new(static () => new Workspace());

    public WordPieceTokenizer(TokenizerParts parts, WordPieceModel model, BertNormalizer normalizer, bool cleanUp)
        : base(parts, normalizer.Normalize)
    {
        _model = model;
        _normalizer = normalizer;
        _cleanUp = cleanUp;

        // The reference decodes a token that is looked for in normalized text to its normalized form.
        _normalizedContents = AddedTokens.Where(t => t.Normalized).ToDictionary(t => t.Id, t => normalizer.Normalize(t.Content));
    }

    /// <inheritdoc/>
    public override string Kind => "WordPiece";

    /// <inheritdoc/>
    public override string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false, bool cleanUp = true)
    {
        CheckIds(ids);
        StringBuilder text = new();
        bool first = true;
        foreach (int id in ids)
        {
            if (skipSpecialTokens && IsSpecial(id))
                continue;
            string token = _normalizedContents.TryGetValue(id, out string? normalized) ? normalized : Vocabulary.TokenOf(id);
            if (!first)
                token = token.StartsWith(_model.Prefix, StringComparison.Ordinal) ? token[_model.Prefix.Length..] : " " + token;
            first = false;
            text.Append(cleanUp && _cleanUp ? CleanUp(token) : token);
        }

        return text.ToString();
    }

    /// <inheritdoc/>
    private protected override void Tokenize(string text, EncodeOptions options, TokenBuffer output)
    {
        Workspace workspace = _workspaces.Rent();
        RawTokens.Split(text, 0, text.Length, options.SplitSpecialTokens, output, NormalizedTokens.IsEmpty
            ? (start, end) => TokenizePlain(text.AsSpan(0, end), start, workspace, output)
            : (start, end) => TokenizeNormalized(text.AsSpan(start, end - start), start, options, workspace, output));
        workspace.Text.Trim();
        _workspaces.Return(workspace);
    }

    /// <summary>
    /// Cuts the given text where normalization cannot reach across: at white space, ASCII punctuation and Chinese characters. What lies between
    /// is normalized and cut only when it is not remembered.
    /// </summary>
    private void TokenizePlain(ReadOnlySpan<char> text, int start, Workspace workspace, TokenBuffer output)
    {
        int at = start;
        while (at < text.Length)
        {
            char c = text[at];
            if (c is ' ' or '\n' or '\t' or '\r')
            {
                at++;
                continue;
            }

            int end = at;
            do
            {
                int units = StandsAlone(text, end, out bool alone);
                if (alone)
                {
                    if (end == at)
                        end += units;
                    break;
                }

                end += units;
            }
            while (end < text.Length && text[end] is not (' ' or '\n' or '\t' or '\r'));
            AppendChunk(text[at..end], at, workspace, output);
            at = end;
        }
    }

    private int StandsAlone(ReadOnlySpan<char> text, int position, out bool alone)
    {
        int c = UnicodeTables.CodePointAt(text, position, out int units);
        CharFlags flags = UnicodeTables.FlagsOf(c);
        alone = c < 0x80 ? (flags & CharFlags.Punctuation) != 0 : _normalizer.ChineseCharacters && (flags & CharFlags.Chinese) != 0;
        return units;
    }

    private void AppendChunk(ReadOnlySpan<char> chunk, int offset, Workspace workspace, TokenBuffer output)
    {
        bool remember = chunk.Length <= WordCache.MaxWordLength && !output.MarksPieces; // the cache does not know words
        uint hash = remember ? WordCache.Hash(chunk) : 0;
        if (remember && workspace.Cache.TryAppend(chunk, hash, offset, output))
            return;
        int before = output.Count;
        _normalizer.Normalize(chunk, workspace.Text);
        AppendWords(workspace.Text, 0, workspace.Text.Characters.Length, offset, output);
        if (remember)
        {
            int added = output.Count - before;
            workspace.Cache.Remember(chunk, hash, offset, output.IdsFrom(before, added), output.RangesFrom(before, added));
        }
    }

    /// <summary>The slow way, for the rare tokenizer with added tokens that are looked for in normalized text.</summary>
    private void TokenizeNormalized(ReadOnlySpan<char> text, int offset, EncodeOptions options, Workspace workspace, TokenBuffer output)
    {
        AlignedText normal = workspace.Text;
        _normalizer.Normalize(text, normal);
        int at = 0;
        while (NormalizedTokens.TryFind(normal.Characters, at, options.SplitSpecialTokens, out AddedTokenMatch match))
        {
            AppendWords(normal, at, match.Start, offset, output);
            output.MarkPiece(isAddedToken: true);
            output.Add(match.Id, offset + normal.Starts[match.Start], offset + normal.Ends[match.End - 1]);
            at = match.End;
        }

        AppendWords(normal, at, normal.Characters.Length, offset, output);
    }

    /// <summary>Words between white space; every punctuation character is a word.</summary>
    private void AppendWords(AlignedText normal, int start, int end, int offset, TokenBuffer output)
    {
        ReadOnlySpan<char> text = normal.Characters[..end];
        int word = start;
        for (int at = start; at < end;)
        {
            CharFlags flags = UnicodeTables.FlagsOf(UnicodeTables.CodePointAt(text, at, out int units));
            if ((flags & (CharFlags.Space | CharFlags.Punctuation)) != 0)
            {
                AppendWord(normal, word, at, offset, output);
                if ((flags & CharFlags.Space) == 0)
                    AppendWord(normal, at, at + units, offset, output);
                word = at + units;
            }

            at += units;
        }

        AppendWord(normal, word, end, offset, output);
    }

    private void AppendWord(AlignedText normal, int start, int end, int offset, TokenBuffer output)
    {
        if (end == start)
            return;
        output.MarkPiece(isAddedToken: false);
        _model.Append(normal.Characters[start..end], normal.Starts[start..end], normal.Ends[start..end], offset, output);
    }

    /// <summary>The reference's clean-up, token by token, in its order.</summary>
    private static string CleanUp(string token) => !token.Contains(' ')
        ? token
        : token.Replace(" .", ".", StringComparison.Ordinal)
            .Replace(" ?", "?", StringComparison.Ordinal)
            .Replace(" !", "!", StringComparison.Ordinal)
            .Replace(" ,", ",", StringComparison.Ordinal)
            .Replace(" ' ", "'", StringComparison.Ordinal)
            .Replace(" n't", "n't", StringComparison.Ordinal)
            .Replace(" 'm", "'m", StringComparison.Ordinal)
            .Replace(" do not", " don't", StringComparison.Ordinal)
            .Replace(" 's", "'s", StringComparison.Ordinal)
            .Replace(" 've", "'ve", StringComparison.Ordinal)
            .Replace(" 're", "'re", StringComparison.Ordinal);

    private sealed class Workspace
    {
        public WordCache Cache { get; } = new();

        public AlignedText Text { get; } = new();
    }
}
