using System.Runtime.ExceptionServices;
using LongformerInterop.Tokenizers.Text;
using LongformerInterop.Tokenizers.Vocabularies;

namespace LongformerInterop.Tokenizers;

/// <summary>
/// Cuts text into the tokens of a checkpoint and puts tokens back together; equal to HF's <c>tokenizers</c>. Immutable: one instance serves any
/// number of threads. Half a surrogate pair in a text is read as U+FFFD.
/// </summary>
/// <example><code>
/// Tokenizer tokenizer = Tokenizer.Load("longformer-base-4096");
/// Encoding encoding = tokenizer.Encode("What is a Longformer?", "A Transformer.");
/// string text = tokenizer.Decode(encoding.Ids.Span, skipSpecialTokens: true);
/// </code></example>
public abstract class Tokenizer
{
    // Below this many characters, starting threads costs more than it saves.
    private const int ParallelCharacters = 1 << 15;

    private readonly Dictionary<int, string> _normalizedContents = [];
    private readonly TokenizerDefaults _defaults;

    private protected Tokenizer(TokenizerParts parts, Func<string, string>? normalize = null)
    {
        Vocabulary = parts.Vocabulary;
        Frame = parts.Frame;
        SpecialTokens = parts.SpecialTokens;
        _defaults = parts.Defaults;
        RawTokens = new AddedTokenSplitter(Vocabulary.Added.Where(t => !t.Normalized));
        AddedToken[] normalized = [.. Vocabulary.Added.Where(t => t.Normalized)];
        if (normalize is not null)
        {
            normalized = Array.ConvertAll(normalized, t => t with { Content = normalize(t.Content) });
            _normalizedContents = Vocabulary.Added.Where(t => Vocabulary.OnceNormalized.Contains(t.Id))
                .ToDictionary(t => t.Id, t => normalize(t.Content));
        }

        NormalizedTokens = new AddedTokenSplitter(normalized.Where(t => t.Content.Length > 0));
    }

    /// <summary>Its kind, for people: "byte-level BPE" or "WordPiece".</summary>
    public abstract string Kind { get; }

    /// <summary>Whether a token says that it is the rest of a word, as WordPiece's <c>##</c> does.</summary>
    public abstract bool MarksContinuations { get; }

    /// <summary>One more than the highest id, added tokens included: the rows that an embedding table needs. Ids below it may be unused.</summary>
    public int VocabularySize => Vocabulary.Size;

    /// <summary>Ids of the tokens with a role.</summary>
    public SpecialTokenIds SpecialTokens { get; }

    /// <summary>Largest number of tokens that the tokenizer's configuration names (<c>model_max_length</c>); null if it names none.</summary>
    public int? ModelMaxLength => _defaults.ModelMaxLength;

    /// <summary>Where truncation cuts unless a call says otherwise (<c>truncation_side</c>).</summary>
    public Side TruncationSide => _defaults.TruncationSide;

    /// <summary>The side of the padding unless a call says otherwise (<c>padding_side</c>).</summary>
    public Side PaddingSide => _defaults.PaddingSide;

    /// <summary>Whether special tokens written in a text are plain text unless a call says otherwise (<c>split_special_tokens</c>).</summary>
    public bool SplitSpecialTokens => _defaults.SplitSpecialTokens;

    /// <summary>Whether decoding takes out the spaces before punctuation of a whole text (<c>clean_up_tokenization_spaces</c>).</summary>
    private protected bool CleansUpText => _defaults.CleanUp;

    /// <summary>The tokens that are found in a text before it is cut into pieces, by id.</summary>
    public IReadOnlyList<AddedToken> AddedTokens => Vocabulary.Added;

    private protected Vocabulary Vocabulary { get; }

    private protected AddedTokenSplitter RawTokens { get; }

    private protected AddedTokenSplitter NormalizedTokens { get; }

    private SpecialTokenFrame Frame { get; }

    /// <summary>
    /// Loads the tokenizer of a checkpoint folder: <c>tokenizer.json</c> if there is one, else <c>vocab.json</c> and <c>merges.txt</c> (byte-level
    /// BPE), else <c>vocab.txt</c> (WordPiece), with <c>tokenizer_config.json</c>, <c>special_tokens_map.json</c> and <c>added_tokens.json</c> where
    /// present. tokenizer_config.json overrules tokenizer.json as its <c>tokenizer_class</c> does in HF's transformers. Of the truncation and padding
    /// that a tokenizer.json may carry only the sides are taken over: the rest is a caller's choice.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="options">Choices that overrule the files.</param>
    /// <exception cref="TokenizerException">A file is missing, damaged or of an unsupported kind.</exception>
    public static Tokenizer Load(string folder, TokenizerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return TokenizerLoader.Load(folder, options ?? new TokenizerOptions());
    }

    /// <summary>Cuts a text, or a pair of texts, into tokens.</summary>
    /// <param name="text">The text; may be empty.</param>
    /// <param name="pair">A second text (for instance the document behind a question); null: none.</param>
    /// <param name="options">Special tokens, truncation, padding.</param>
    /// <exception cref="TokenizerException">The texts cannot be truncated as asked, or padding is asked of a tokenizer without a padding
    /// token.</exception>
    public Encoding Encode(string text, string? pair = null, EncodeOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        options = WithDefaults(options);
        Encoding encoding = EncodeUnpadded(text, pair, options);
        return options.Padding is null ? encoding : encoding.Pad(PaddedLength(options.Padding, encoding.Count), SideOf(options.Padding), PaddingId());
    }

    /// <summary>Cuts many texts, or pairs of texts, into tokens, on all cores if they are long; the same as one after the other.</summary>
    /// <param name="texts">The texts [N].</param>
    /// <param name="pairs">The second texts [N]; null: none.</param>
    /// <param name="options">Special tokens, truncation, padding (by default to the longest of the batch).</param>
    /// <exception cref="TokenizerException">As <see cref="Encode"/>; or the two lists differ in length.</exception>
    public IReadOnlyList<Encoding> EncodeBatch(IReadOnlyList<string> texts, IReadOnlyList<string>? pairs = null, EncodeOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(texts);
        options = WithDefaults(options);
        if (pairs is not null && pairs.Count != texts.Count)
            throw new TokenizerInputException($"pairs: expected {texts.Count} second texts, one for each text, given {pairs.Count}");
        for (int i = 0; i < texts.Count; i++)
        {
            if (texts[i] is null || pairs is { } p && p[i] is null)
                throw new ArgumentNullException(texts[i] is null ? nameof(texts) : nameof(pairs), $"text {i} of the batch is null");
        }

        Encoding[] encodings = new Encoding[texts.Count];
        void EncodeOne(int i) => encodings[i] = EncodeUnpadded(texts[i], pairs?[i], options);
        if (texts.Count < 2 || texts.Sum(t => (long)t.Length) + (pairs?.Sum(t => (long)t.Length) ?? 0) < ParallelCharacters)
        {
            for (int i = 0; i < encodings.Length; i++)
                EncodeOne(i);
        }
        else
        {
            try
            {
                Parallel.For(0, encodings.Length, EncodeOne);
            }
            catch (AggregateException e)
            {
                ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
            }
        }

        if (options.Padding is null || encodings.Length == 0)
            return encodings;
        int length = PaddedLength(options.Padding, encodings.Max(e => e.Count));
        int padId = PaddingId();
        return Array.ConvertAll(encodings, e => e.Pad(length, SideOf(options.Padding), padId));
    }

    /// <summary>Puts tokens back together.</summary>
    /// <param name="ids">Token ids. Unused ids, and ids beyond the vocabulary, such as those of a padded embedding table, give nothing.</param>
    /// <param name="skipSpecialTokens">Whether special tokens are left out.</param>
    /// <param name="cleanUp">
    /// WordPiece: whether the spaces that it put before punctuation and contractions are taken out again (as HF's WordPiece decoder does by default).
    /// Byte-level BPE puts none and gives back the text's own bytes; bytes that are not UTF-8 become U+FFFD.
    /// </param>
    /// <exception cref="TokenizerInputException">An id is negative.</exception>
    public abstract string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false, bool cleanUp = true);

    /// <summary>The id of a token, or null if the vocabulary lacks it. Tokens of byte-level BPE are written in GPT-2's byte alphabet.</summary>
    /// <param name="token">The token.</param>
    public int? TokenToId(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        return Vocabulary.IdOf(token);
    }

    /// <summary>The token of an id, or null if the id is unused or outside the vocabulary.</summary>
    /// <param name="id">The id.</param>
    public string? IdToToken(int id) => Vocabulary.TokenOf(id);

    /// <summary>
    /// The bytes of UTF-8 that a token gives in the middle of a decoded text: of WordPiece a word with the space before it, or the rest of one. A
    /// token of byte-level BPE may give part of a character. Nothing for an unused id.
    /// </summary>
    /// <param name="id">The id.</param>
    public abstract ReadOnlyMemory<byte> TokenBytes(int id);

    /// <summary>Whether <see cref="Decode"/> leaves the token out on request; false for ids outside the vocabulary.</summary>
    /// <param name="id">The id.</param>
    public bool IsSpecial(int id) => Vocabulary.IsSpecial(id);

    /// <summary>Number of special tokens that are put around one text, or around a pair.</summary>
    /// <param name="pair">Whether there are two texts.</param>
    public int AddedTokenCount(bool pair) => Frame.AddedCount(pair);

    /// <summary>Appends the tokens of a whole text, offsets not yet trimmed.</summary>
    private protected abstract void Tokenize(string text, EncodeOptions options, TokenBuffer output);

    /// <summary>Last touch to the offsets of one text's tokens, after truncation.</summary>
    private protected virtual void TrimOffsets(string text, EncodeOptions options, ReadOnlySpan<int> ids, Span<TextRange> ranges)
    {
    }

    private protected static void CheckIds(ReadOnlySpan<int> ids)
    {
        for (int i = 0; i < ids.Length; i++)
        {
            if (ids[i] < 0)
                throw new TokenizerInputException($"ids[{i}]: expected an id of 0 or more, given {ids[i]}");
        }
    }

    /// <summary>
    /// The token of an id as it is decoded, one that is looked for in normalized text in its normalized form; null for an unused id, and for a
    /// special token where those are skipped.
    /// </summary>
    private protected string? DecodedTokenOf(int id, bool skipSpecialTokens)
    {
        string? token = _normalizedContents.TryGetValue(id, out string? normalized) ? normalized : Vocabulary.TokenOf(id);
        return token is null || (skipSpecialTokens && Vocabulary.IsSpecial(token)) ? null : token;
    }

    private EncodeOptions WithDefaults(EncodeOptions? options)
    {
        options ??= EncodeOptions.Default;
        return options.TruncationSide is not null && options.SplitSpecialTokens is not null
            ? options
            : options with { TruncationSide = options.TruncationSide ?? TruncationSide,
                SplitSpecialTokens = options.SplitSpecialTokens ?? SplitSpecialTokens };
    }

    private Side SideOf(PaddingOptions padding) => padding.Side ?? PaddingSide;

    private Encoding EncodeUnpadded(string text, string? pair, EncodeOptions options)
    {
        int? limit = options.Truncation == TruncationStrategy.DoNotTruncate ? null : options.MaxLength;
        FramePart[] parts = pair is null ? Frame.Single : Frame.Pair;
        if (!options.AddSpecialTokens)
            parts = [.. parts.Where(p => p.Sequence >= 0)];
        int special = parts.Sum(p => p.Ids.Length);
        if (limit is { } max && (max < special || options.Stride < 0))
        {
            throw new TokenizerInputException(max < special
                ? $"MaxLength: expected at least {special}, the special tokens alone, given {max}"
                : $"Stride: expected 0 or more, given {options.Stride}");
        }

        // Texts go straight to where they end up, between the special tokens: a long one is never copied.
        int characters = checked(text.Length + (pair?.Length ?? 0));
        TokenBuffer buffer = new((characters / 4) + Math.Min(characters, 64) + special);
        TokenRun[] runs = new TokenRun[parts.Length];
        Span<(int Start, int Count)> places = stackalloc (int, int)[2];
        for (int p = 0; p < parts.Length; p++)
        {
            FramePart part = parts[p];
            int start = buffer.Count;
            runs[p] = new TokenRun(start, part.Sequence, part.TypeId, part.Sequence < 0, Attended: true);
            foreach (int id in part.Ids)
                buffer.Add(id, 0, 0);
            if (part.Sequence < 0)
                continue;
            bool limited = limit is not null && options.Overflow == OverflowExtent.UpToLimit
                           && (options.Truncation != TruncationStrategy.OnlySecond || part.Sequence == 1);
            if (limited)
                buffer.StartMarking();
            Tokenize(part.Sequence == 0 ? text : pair!, options, buffer);
            if (limited)
                buffer.KeepPieces(limit!.Value, options.TruncationSide!.Value);
            places[part.Sequence] = (start, buffer.Count - start);
        }

        if (limit is null || buffer.Count <= limit)
        {
            for (int sequence = 0; sequence < (pair is null ? 1 : 2); sequence++)
            {
                (int start, int count) = places[sequence];
                TrimOffsets(sequence == 0 ? text : pair!, options, buffer.IdsFrom(start, count), buffer.RangesFrom(start, count));
            }

            return new Encoding(buffer.Ids, buffer.Ranges, runs, text, pair, []);
        }

        return Truncate(text, pair, options, limit.Value - special, parts, buffer, places);
    }

    private Encoding Truncate(
        string text, string? pair, EncodeOptions options, int room, FramePart[] parts, TokenBuffer buffer, Span<(int Start, int Count)> places)
    {
        (int first, int second) = Truncation.Lengths(places[0].Count, pair is null ? null : places[1].Count, room, options.Truncation);
        List<Range> firstParts = Truncation.Parts(places[0].Count, first, options.Stride, options.TruncationSide!.Value);
        List<Range> secondParts = pair is null ? [0..0] : Truncation.Parts(places[1].Count, second, options.Stride, options.TruncationSide!.Value);
        (int firstStart, int secondStart) = (places[0].Start, places[1].Start);

        // Every part of one text with every part of the other, the rest of the first text before the rest of the second (HF's order).
        List<Encoding> overflowing = [];
        for (int f = 1; f < firstParts.Count; f++)
        {
            for (int s = 0; s < secondParts.Count; s++)
                overflowing.Add(Assemble(firstParts[f], secondParts[s], []));
        }
        for (int s = 1; s < secondParts.Count; s++)
            overflowing.Add(Assemble(firstParts[0], secondParts[s], []));
        return Assemble(firstParts[0], secondParts[0], overflowing);

        Encoding Assemble(Range firstPart, Range secondPart, IReadOnlyList<Encoding> rest)
        {
            TokenBuffer result = new(parts.Sum(p => p.Sequence switch { 0 => Length(firstPart), 1 => Length(secondPart), _ => p.Ids.Length }));
            TokenRun[] runs = new TokenRun[parts.Length];
            for (int p = 0; p < parts.Length; p++)
            {
                FramePart part = parts[p];
                int start = result.Count;
                runs[p] = new TokenRun(start, part.Sequence, part.TypeId, part.Sequence < 0, Attended: true);
                foreach (int id in part.Ids)
                    result.Add(id, 0, 0);
                if (part.Sequence < 0)
                    continue;
                Range range = part.Sequence == 0 ? firstPart : secondPart;
                int from = (part.Sequence == 0 ? firstStart : secondStart) + range.Start.Value;
                result.AddRange(buffer.IdsFrom(from, Length(range)), buffer.RangesFrom(from, Length(range)));
                TrimOffsets(
                    part.Sequence == 0 ? text : pair!, options, result.IdsFrom(start, Length(range)), result.RangesFrom(start, Length(range)));
            }

            return new Encoding(result.Ids, result.Ranges, runs, text, pair, rest);
        }
    }

    private static int Length(Range range) => range.End.Value - range.Start.Value;

    private static int PaddedLength(PaddingOptions padding, int longest)
    {
        int length = padding.Length ?? longest;
        return padding.MultipleOf is > 0 and { } multiple ? checked((length + multiple - 1) / multiple * multiple) : length;
    }

    private int PaddingId() =>
        SpecialTokens.Padding ?? throw new TokenizerInputException("Padding: expected a tokenizer with a padding token, given one without");
}

/// <summary>The parts of every tokenizer.</summary>
/// <param name="Vocabulary">Tokens and added tokens.</param>
/// <param name="Frame">Special tokens around texts.</param>
/// <param name="SpecialTokens">Roles.</param>
/// <param name="Defaults">As configured.</param>
internal sealed record TokenizerParts(Vocabulary Vocabulary, SpecialTokenFrame Frame, SpecialTokenIds SpecialTokens, TokenizerDefaults Defaults);
