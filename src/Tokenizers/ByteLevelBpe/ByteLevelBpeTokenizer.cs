using System.Text;
using LongformerInterop.Tokenizers.Text;
using LongformerInterop.Tokenizers.Unicode;
using LongformerInterop.Tokenizers.Vocabularies;

namespace LongformerInterop.Tokenizers.ByteLevelBpe;

/// <summary>Byte-level BPE as GPT-2 defined it and RoBERTa, BART, Longformer and LED use it.</summary>
internal sealed class ByteLevelBpeTokenizer : Tokenizer
{
    private const byte SlowCount = byte.MaxValue;

    private readonly bool _trimOffsets;
    private readonly bool _addPrefixSpace;
    private readonly bool _trimKeepsPrefixSpace;
    private readonly Pool<BpeWorkspace> _workspaces;
    private readonly byte[] _tokenBytes;
    private readonly int[] _tokenByteStarts;
    private readonly byte[] _leadingSpaces, _trailingSpaces;

    public ByteLevelBpeTokenizer(TokenizerParts parts, BpeParts bpe)
        : base(parts)
    {
        _addPrefixSpace = bpe.AddPrefixSpace;
        _trimOffsets = bpe.TrimOffsets;
        _trimKeepsPrefixSpace = bpe.TrimKeepsPrefixSpace;
        _workspaces = new Pool<BpeWorkspace>(() => new BpeWorkspace(bpe.Model, bpe.UnknownId));
        (_tokenBytes, _tokenByteStarts) = CollectBytes(parts.Vocabulary);
        _leadingSpaces = new byte[parts.Vocabulary.Count];
        _trailingSpaces = new byte[parts.Vocabulary.Count];
        for (int id = 0; id < parts.Vocabulary.Count; id++)
        {
            string token = parts.Vocabulary.TokenOf(id);
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
    public override string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false, bool cleanUp = true)
    {
        CheckIds(ids);
        int length = 0;
        foreach (int id in ids)
            length = checked(length + _tokenByteStarts[id + 1] - _tokenByteStarts[id]);
        byte[] bytes = new byte[length];
        int at = 0;
        foreach (int id in ids)
        {
            if (skipSpecialTokens && IsSpecial(id))
                continue;
            ReadOnlySpan<byte> own = _tokenBytes.AsSpan(_tokenByteStarts[id].._tokenByteStarts[id + 1]);
            own.CopyTo(bytes.AsSpan(at));
            at += own.Length;
        }

        return System.Text.Encoding.UTF8.GetString(bytes, 0, at);
    }

    /// <inheritdoc/>
    private protected override void Tokenize(string text, EncodeOptions options, TokenBuffer output)
    {
        BpeWorkspace workspace = _workspaces.Rent();
        bool prefix = options.AddPrefixSpace ?? _addPrefixSpace;
        void Plain(int start, int end) => TokenizePlain(text, start, end, prefix, workspace, output);

        // Nothing is normalized in byte-level BPE; tokens marked so are merely looked for after the others.
        RawTokens.Split(text, 0, text.Length, options.SplitSpecialTokens, output, NormalizedTokens.IsEmpty
            ? Plain
            : (start, end) => NormalizedTokens.Split(text, start, end, options.SplitSpecialTokens, output, Plain));
        workspace.Trim();
        _workspaces.Return(workspace);
    }

    /// <inheritdoc/>
    private protected override void TrimOffsets(string text, EncodeOptions options, ReadOnlySpan<int> ids, Span<TextRange> ranges)
    {
        if (!_trimOffsets)
            return;
        bool keepsPrefix = options.AddPrefixSpace ?? _trimKeepsPrefixSpace;
        for (int i = 0; i < ids.Length; i++)
        {
            int leading = _leadingSpaces[ids[i]], trailing = _trailingSpaces[ids[i]];
            if (leading + trailing > 0)
                ranges[i] = Trim(text, ids[i], ranges[i], leading, trailing, keepsPrefix && (i == 0 || ranges[i].Start == 0));
        }
    }

    private static void TokenizePlain(string text, int start, int end, bool prefix, BpeWorkspace workspace, TokenBuffer output)
    {
        ReadOnlySpan<char> visible = text.AsSpan(0, end);
        int at = start;
        if (prefix && visible[start] != ' ')
        {
            UnicodeTables.CodePointAt(visible, start, out int firstUnits);
            at += Gpt2Splitter.FirstPieceEndAfterSpace(visible[start..]);
            workspace.AppendAfterSpace(visible, start, at, firstUnits, output);
        }

        while (at < end)
        {
            int next = Gpt2Splitter.PieceEnd(visible, at);
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
            bool added = Vocabulary.IsAdded(id);
            ReadOnlySpan<char> token = added ? text.AsSpan(range.Start, range.Length) : Vocabulary.TokenOf(id);
            leading = CountLeading(token);
            trailing = CountTrailing(token);
        }

        int start = range.Start, end = range.End;
        if (!(first && leading == 1))
            for (; leading > 0 && start < end; leading--)
                start += char.IsHighSurrogate(text[start]) && start + 1 < end ? 2 : 1;
        if (end >= trailing)
            for (; trailing > 0 && end > start; trailing--)
                end -= char.IsLowSurrogate(text[end - 1]) && end - 2 >= start ? 2 : 1;
        return new TextRange(start, end);
    }

    private static int CountLeading(ReadOnlySpan<char> token)
    {
        int count = 0;
        while (count < token.Length && IsSpace(token[count]))
            count++;
        return count;
    }

    private static int CountTrailing(ReadOnlySpan<char> token)
    {
        int count = 0;
        while (count < token.Length && IsSpace(token[^(count + 1)]))
            count++;
        return count;
    }

    private static bool IsSpace(char c) => c == ByteAlphabet.Space || char.IsWhiteSpace(c);

    /// <summary>The bytes that each token stands for; a token with a character outside the byte alphabet stands for its own UTF-8.</summary>
    private static (byte[] Bytes, int[] Starts) CollectBytes(Vocabulary vocabulary)
    {
        MemoryStream bytes = new();
        int[] starts = new int[vocabulary.Count + 1];
        for (int id = 0; id < vocabulary.Count; id++)
        {
            string token = vocabulary.TokenOf(id);
            if (token.All(c => ByteAlphabet.ByteOf(c) >= 0))
                foreach (char c in token)
                    bytes.WriteByte((byte)ByteAlphabet.ByteOf(c));
            else
                bytes.Write(System.Text.Encoding.UTF8.GetBytes(token));
            starts[id + 1] = checked((int)bytes.Length);
        }

        return (bytes.ToArray(), starts);
    }
}

/// <summary>What byte-level BPE needs besides what every tokenizer has.</summary>
/// <param name="Model">The merges.</param>
/// <param name="UnknownId">Token of a byte that the vocabulary lacks; -1: none.</param>
/// <param name="AddPrefixSpace">Whether a text is read as if it began with a space.</param>
/// <param name="TrimOffsets">Whether spaces are left out of offsets.</param>
/// <param name="TrimKeepsPrefixSpace">Whether trimming spares the one space of a first token (the post-processor's add_prefix_space).</param>
internal sealed record BpeParts(BpeModel Model, int UnknownId, bool AddPrefixSpace, bool TrimOffsets, bool TrimKeepsPrefixSpace);
