using LongformerInterop.Tokenizers.Normalizers;
using LongformerInterop.Tokenizers.Text;
using LongformerInterop.Tokenizers.Unicode;
using LongformerInterop.Tokenizers.WordPiece;

namespace LongformerInterop.Tokenizers.ByteLevelBpe;

/// <summary>Byte-level BPE as GPT-2 defined it and RoBERTa, BART, Longformer and LED use it.</summary>
internal sealed class ByteLevelBpeTokenizer : Tokenizer
{
    private const byte SlowCount = byte.MaxValue;

    private readonly BpeParts _bpe;
    private readonly Pool<BpeWorkspace> _workspaces;
    private readonly Pool<AlignedText> _normalizedTexts = new(static () => new AlignedText());
    private readonly byte[] _tokenBytes;
    private readonly int[] _tokenByteStarts;
    private readonly byte[] _leadingSpaces, _trailingSpaces;

    public ByteLevelBpeTokenizer(TokenizerParts parts, BpeParts bpe)
        : base(parts, bpe.Normalizer is { } normalizer ? normalizer.Normalize : null)
    {
        _bpe = bpe;
        _workspaces = new Pool<BpeWorkspace>(() => new BpeWorkspace(bpe));
        int size = parts.Vocabulary.Size;
        (_tokenBytes, _tokenByteStarts) = CollectBytes(size);
        _leadingSpaces = new byte[size];
        _trailingSpaces = new byte[size];
        for (int id = 0; id < size; id++)
        {
            string token = parts.Vocabulary.TokenOf(id) ?? "";
            _leadingSpaces[id] = (byte)Math.Min(CountLeading(token), SlowCount);
            _trailingSpaces[id] = (byte)Math.Min(CountTrailing(token), SlowCount);
        }

        // The string of an added token is what it swallowed in the text, so its spaces are counted there.
        foreach (AddedToken added in parts.Vocabulary.Added)
            _leadingSpaces[added.Id] = _trailingSpaces[added.Id] = SlowCount;
    }

    /// <inheritdoc/>
    public override string Kind => "byte-level BPE";

    /// <inheritdoc/>
    public override bool MarksContinuations => false;

    /// <inheritdoc/>
    public override string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false, bool cleanUp = true)
    {
        CheckIds(ids);
        if (_bpe.JoinsWithSpaces)
            return string.Join(' ', ids.ToArray().Select(id => DecodedTokenOf(id, skipSpecialTokens)).OfType<string>());
        int length = 0;
        foreach (int id in ids)
            length = checked(length + BytesOf(id).Length);
        byte[] bytes = new byte[length];
        int at = 0;
        foreach (int id in ids)
        {
            if (skipSpecialTokens && DecodedTokenOf(id, skipSpecialTokens) is null)
                continue;
            ReadOnlySpan<byte> own = BytesOf(id);
            own.CopyTo(bytes.AsSpan(at));
            at += own.Length;
        }

        return System.Text.Encoding.UTF8.GetString(bytes, 0, at);
    }

    /// <inheritdoc/>
    public override ReadOnlyMemory<byte> TokenBytes(int id) =>
        id >= 0 && id < _tokenByteStarts.Length - 1 ? _tokenBytes.AsMemory(_tokenByteStarts[id].._tokenByteStarts[id + 1]) : default;

    /// <inheritdoc/>
    private protected override void Tokenize(string text, EncodeOptions options, TokenBuffer output)
    {
        BpeWorkspace workspace = _workspaces.Rent();
        bool prefix = options.AddPrefixSpace ?? _bpe.AddPrefixSpace, keepSpecial = options.SplitSpecialTokens == true;
        void Plain(int start, int end) => TokenizePlain(text, start, end, prefix, workspace, output);

        RawTokens.Split(text, 0, text.Length, keepSpecial, output,
            _bpe.Normalizer is not null ? (start, end) =>
                TokenizeNormalized(text.AsSpan(start, end - start), start, keepSpecial, prefix, workspace, output)
            : NormalizedTokens.IsEmpty ? Plain
            : (start, end) => NormalizedTokens.Split(text, start, end, keepSpecial, output, Plain));
        workspace.Trim();
        _workspaces.Return(workspace);
    }

    /// <summary>Normalizes a stretch, cuts what that gives, and finds the ranges of its tokens in the given text.</summary>
    private void TokenizeNormalized(
        ReadOnlySpan<char> text, int offset, bool keepSpecial, bool prefix, BpeWorkspace workspace, TokenBuffer output)
    {
        AlignedText aligned = _normalizedTexts.Rent();
        _bpe.Normalizer!.Normalize(text, aligned);
        string normal = aligned.Characters.ToString();
        int before = output.Count;
        NormalizedTokens.Split(
            normal, 0, normal.Length, keepSpecial, output, (start, end) => TokenizePlain(normal, start, end, prefix, workspace, output));
        foreach (ref TextRange range in output.RangesFrom(before, output.Count - before))
        {
            int last = Math.Max(range.End - 1, range.Start);
            range = new TextRange(offset + aligned.Starts[range.Start], offset + aligned.Ends[last]);
        }

        aligned.Trim();
        _normalizedTexts.Return(aligned);
    }

    /// <inheritdoc/>
    private protected override void TrimOffsets(string text, EncodeOptions options, ReadOnlySpan<int> ids, Span<TextRange> ranges)
    {
        if (!_bpe.TrimOffsets)
            return;
        bool keepsPrefix = options.AddPrefixSpace ?? _bpe.TrimKeepsPrefixSpace;
        for (int i = 0; i < ids.Length; i++)
        {
            int leading = _leadingSpaces[ids[i]], trailing = _trailingSpaces[ids[i]];
            if (leading + trailing > 0)
                ranges[i] = Trim(text, ids[i], ranges[i], leading, trailing, keepsPrefix && (i == 0 || ranges[i].Start == 0));
        }
    }

    private void TokenizePlain(string text, int start, int end, bool prefix, BpeWorkspace workspace, TokenBuffer output)
    {
        ReadOnlySpan<char> visible = text.AsSpan(0, end);
        int at = start;
        if (prefix && visible[start] != ' ')
        {
            UnicodeTables.CodePointAt(visible, start, out int firstUnits);
            at = _bpe.UsesPattern ? at + Gpt2Splitter.FirstPieceEndAfterSpace(visible[start..]) : end;
            workspace.AppendAfterSpace(visible, start, at, firstUnits, output);
        }

        while (at < end)
        {
            int next = _bpe.UsesPattern ? Gpt2Splitter.PieceEnd(visible, at) : end;
            workspace.Append(visible, at, next, output);
            at = next;
        }
    }

    /// <summary>
    /// Leaves the spaces of a token out of its range, as the reference does after truncation: a token of only spaces gets an empty range, and
    /// the one space of a first token stays where it was added in front of the text.
    /// </summary>
    private TextRange Trim(string text, int id, TextRange range, int leading, int trailing, bool first)
    {
        if (leading == SlowCount || trailing == SlowCount)
        {
            // An added token is what it swallowed; in normalized text that may be a space which was none before.
            bool added = Vocabulary.IsAdded(id);
            ReadOnlySpan<char> token = added ? text.AsSpan(range.Start, range.Length) : Vocabulary.TokenOf(id) ?? "";
            leading = CountLeading(token, added ? _bpe.Normalizer : null);
            trailing = CountTrailing(token, added ? _bpe.Normalizer : null);
        }

        int start = range.Start, end = range.End;
        if (!(first && leading == 1))
        {
            for (; leading > 0 && start < end; leading--)
                start += char.IsHighSurrogate(text[start]) && start + 1 < end ? 2 : 1;
        }
        if (end >= trailing)
        {
            for (; trailing > 0 && end > start; trailing--)
                end -= char.IsLowSurrogate(text[end - 1]) && end - 2 >= start ? 2 : 1;
        }
        return new TextRange(start, end);
    }

    private static int CountLeading(ReadOnlySpan<char> token, TextNormalizer? normalizer = null)
    {
        int count = 0;
        while (count < token.Length && IsSpace(token[count], normalizer))
            count++;
        return count;
    }

    private static int CountTrailing(ReadOnlySpan<char> token, TextNormalizer? normalizer = null)
    {
        int count = 0;
        while (count < token.Length && IsSpace(token[^(count + 1)], normalizer))
            count++;
        return count;
    }

    private static bool IsSpace(char c, TextNormalizer? normalizer) =>
        c == ByteAlphabet.Space || char.IsWhiteSpace(c) || (normalizer is not null && c >= 0x80 && normalizer.Normalize(c.ToString()) == " ");

    private ReadOnlySpan<byte> BytesOf(int id) => TokenBytes(id).Span;

    /// <summary>Returns the bytes of each token; for a token with a character outside the byte alphabet they are its own UTF-8.</summary>
    private (byte[] Bytes, int[] Starts) CollectBytes(int size)
    {
        MemoryStream bytes = new();
        int[] starts = new int[size + 1];
        for (int id = 0; id < size; id++)
        {
            string token = DecodedTokenOf(id, skipSpecialTokens: false) ?? "";
            if (token.All(c => ByteAlphabet.ByteOf(c) >= 0))
            {
                foreach (char c in token)
                    bytes.WriteByte((byte)ByteAlphabet.ByteOf(c));
            }
            else
            {
                bytes.Write(System.Text.Encoding.UTF8.GetBytes(token));
            }
            starts[id + 1] = checked((int)bytes.Length);
        }

        return (bytes.ToArray(), starts);
    }
}

/// <summary>The parts that only byte-level BPE has.</summary>
/// <param name="Model">The merges.</param>
internal sealed record BpeParts(BpeModel Model)
{
    /// <summary>Token of a byte that the vocabulary lacks; -1: such a byte gives no token, as in the reference.</summary>
    public int UnknownId { get; init; } = -1;

    /// <summary>Whether such bytes in a row are one token.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>Where a whole piece that the vocabulary has is one token without any merges (<c>ignore_merges</c>); null: it is
    /// not.</summary>
    public Dictionary<string, int>? WholeWords { get; init; }

    /// <summary>Applied to text first; null: nothing.</summary>
    public TextNormalizer? Normalizer { get; init; }

    /// <summary>Whether text is cut into words by GPT-2's pattern before the merges.</summary>
    public bool UsesPattern { get; init; } = true;

    /// <summary>Whether a text is read as if it began with a space.</summary>
    public bool AddPrefixSpace { get; init; }

    /// <summary>Whether decoding writes the tokens as they are with spaces between, because there is no decoder.</summary>
    public bool JoinsWithSpaces { get; init; }

    /// <summary>Whether spaces are left out of offsets.</summary>
    public bool TrimOffsets { get; init; }

    /// <summary>Whether trimming spares the one space of a first token (the post-processor's add_prefix_space).</summary>
    public bool TrimKeepsPrefixSpace { get; init; }
}
