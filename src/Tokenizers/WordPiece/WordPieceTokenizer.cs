using System.Text;
using LongformerInterop.Tokenizers.Normalizers;
using LongformerInterop.Tokenizers.Text;
using LongformerInterop.Tokenizers.Unicode;

namespace LongformerInterop.Tokenizers.WordPiece;

/// <summary>BERT's tokenizer: normalization, words and punctuation apart, WordPiece.</summary>
internal sealed class WordPieceTokenizer : Tokenizer
{
    private readonly WordPieceModel _model;
    private readonly BertNormalizer _normalizer;
    private readonly WordPieceParts _parts;
    private readonly Pool<Workspace> _workspaces = new(static () => new Workspace());

    public WordPieceTokenizer(TokenizerParts parts, WordPieceModel model, WordPieceParts wordPiece)
        : base(parts, wordPiece.General is { } general ? general.Normalize : wordPiece.Bert.Normalize)
    {
        _model = model;
        _normalizer = wordPiece.Bert;
        _parts = wordPiece;
    }

    /// <inheritdoc/>
    public override string Kind => "WordPiece";

    /// <inheritdoc/>
    public override bool MarksContinuations => true;

    /// <inheritdoc/>
    public override string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false, bool cleanUp = true)
    {
        CheckIds(ids);
        StringBuilder text = new();
        bool first = true;
        foreach (int id in ids)
        {
            if (DecodedTokenOf(id, skipSpecialTokens) is not { } token)
                continue;
            if (!first)
            {
                token = !_parts.JoinsWithSpaces && token.StartsWith(_model.Prefix, StringComparison.Ordinal)
                    ? token[_model.Prefix.Length..]
                    : " " + token;
            }

            first = false;
            text.Append(cleanUp && _parts.CleansUp && !_parts.JoinsWithSpaces ? CleanUp(token, isDecoder: true) : token);
        }

        return cleanUp && CleansUpText ? CleanUp(text.ToString(), isDecoder: false) : text.ToString();
    }

    /// <inheritdoc/>
    public override ReadOnlyMemory<byte> TokenBytes(int id) => DecodedTokenOf(id, skipSpecialTokens: false) is { } token
        ? System.Text.Encoding.UTF8.GetBytes(token.StartsWith(_model.Prefix, StringComparison.Ordinal) ? token[_model.Prefix.Length..] : " " + token)
        : default;

    /// <inheritdoc/>
    private protected override void Tokenize(string text, EncodeOptions options, TokenBuffer output)
    {
        Workspace workspace = _workspaces.Rent();
        RawTokens.Split(text, 0, text.Length, options.SplitSpecialTokens == true, output, NormalizedTokens.IsEmpty && _parts.General is null
            ? (start, end) => TokenizePlain(text.AsSpan(0, end), start, workspace, output)
            : (start, end) => TokenizeNormalized(text.AsSpan(start, end - start), start, options, workspace, output));
        workspace.Text.Trim();
        _workspaces.Return(workspace);
    }

    /// <summary>
    /// Cuts the given text where normalization cannot reach across: at white space, ASCII punctuation and Chinese characters. The text between
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

    /// <summary>The slow way, for tokenizers with added tokens that are looked for in normalized text, or with a normalizer other than
    /// BERT's.</summary>
    private void TokenizeNormalized(ReadOnlySpan<char> text, int offset, EncodeOptions options, Workspace workspace, TokenBuffer output)
    {
        AlignedText normal = workspace.Text;
        if (_parts.General is { } general)
            general.Normalize(text, normal);
        else
            _normalizer.Normalize(text, normal);
        int at = 0, search = 0;
        while (NormalizedTokens.TryFind(normal.Characters, at, ref search, options.SplitSpecialTokens == true, out AddedTokenMatch match))
        {
            if (match.Start > at)
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

    /// <summary>The reference's clean-up in its order: of its decoder, token by token, and of the whole text.</summary>
    private static string CleanUp(string text, bool isDecoder)
    {
        if (!text.Contains(' '))
            return text;
        text = text.Replace(" .", ".", StringComparison.Ordinal)
            .Replace(" ?", "?", StringComparison.Ordinal)
            .Replace(" !", "!", StringComparison.Ordinal)
            .Replace(" ,", ",", StringComparison.Ordinal)
            .Replace(" ' ", "'", StringComparison.Ordinal)
            .Replace(" n't", "n't", StringComparison.Ordinal)
            .Replace(" 'm", "'m", StringComparison.Ordinal);
        if (isDecoder)
            text = text.Replace(" do not", " don't", StringComparison.Ordinal);
        return text.Replace(" 's", "'s", StringComparison.Ordinal)
            .Replace(" 've", "'ve", StringComparison.Ordinal)
            .Replace(" 're", "'re", StringComparison.Ordinal);
    }

    private sealed class Workspace
    {
        public WordCache Cache { get; } = new();

        public AlignedText Text { get; } = new();
    }
}

/// <summary>The parts that only WordPiece has.</summary>
/// <param name="Bert">BERT's normalization.</param>
internal sealed record WordPieceParts(BertNormalizer Bert)
{
    /// <summary>A normalizer of another kind, in place of BERT's; null: BERT's.</summary>
    public TextNormalizer? General { get; init; }

    /// <summary>Whether decoding takes out the spaces that it put before punctuation and contractions.</summary>
    public bool CleansUp { get; init; } = true;

    /// <summary>Whether decoding writes the tokens as they are with spaces between, because there is no decoder.</summary>
    public bool JoinsWithSpaces { get; init; }
}
