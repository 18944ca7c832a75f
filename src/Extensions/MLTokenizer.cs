using System.Buffers;
using LongformerInterop.Tokenizers;
using Microsoft.ML.Tokenizers;

namespace LongformerInterop.Extensions;

/// <summary>
/// A checkpoint's tokenizer as <see cref="Microsoft.ML.Tokenizers.Tokenizer"/>, for chunkers and other code that counts and splits with that class.
/// The ids are those of HF's <c>tokenizers</c>, without special tokens around the text unless asked for. Offsets and indices are those of the given
/// text in UTF-16 units: normalized text is never handed out, so that every <c>normalizedText</c> is null. Thread-safe.
/// </summary>
/// <param name="tokenizer">The tokenizer of a checkpoint folder.</param>
/// <param name="addSpecialTokens">Whether the special tokens of the model are put around the text and counted.</param>
public sealed class MLTokenizer(Tokenizers.Tokenizer tokenizer, bool addSpecialTokens = false) : Microsoft.ML.Tokenizers.Tokenizer
{
    private readonly EncodeOptions _options = new() { AddSpecialTokens = addSpecialTokens };

    /// <summary>The tokenizer behind it.</summary>
    public Tokenizers.Tokenizer Inner { get; } = tokenizer ?? throw new ArgumentNullException(nameof(tokenizer));

    /// <summary>Loads the tokenizer of a checkpoint folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="addSpecialTokens">Whether the special tokens of the model are put around the text and counted.</param>
    /// <exception cref="TokenizerException">A file is missing, damaged or of an unsupported kind.</exception>
    public static MLTokenizer Load(string folder, bool addSpecialTokens = false) => new(Tokenizers.Tokenizer.Load(folder), addSpecialTokens);

    /// <inheritdoc/>
    public override string Decode(IEnumerable<int> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        return Inner.Decode([.. ids], skipSpecialTokens: _options.AddSpecialTokens);
    }

    /// <inheritdoc/>
    public override OperationStatus Decode(IEnumerable<int> ids, Span<char> destination, out int idsConsumed, out int charsWritten)
    {
        int[] all = [.. ids ?? throw new ArgumentNullException(nameof(ids))];
        string text = Decode(all);
        idsConsumed = all.Length;
        if (text.Length > destination.Length)
        {
            // The most ids whose text fits. A token never takes text away, but one may end in the middle of a character.
            (int fits, int tooMany) = (0, all.Length);
            while (tooMany - fits > 1)
            {
                int middle = (fits + tooMany) / 2;
                (fits, tooMany) = Decode(all.Take(middle)).Length <= destination.Length ? (middle, tooMany) : (fits, middle);
            }

            while (fits > 0 && !text.StartsWith(Decode(all.Take(fits)), StringComparison.Ordinal))
                fits--;
            (idsConsumed, text) = (fits, Decode(all.Take(fits)));
        }

        text.CopyTo(destination);
        charsWritten = text.Length;
        return idsConsumed == all.Length ? OperationStatus.Done : OperationStatus.DestinationTooSmall;
    }

    /// <inheritdoc/>
    protected override EncodeResults<EncodedToken> EncodeToTokens(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        string whole = text ?? textSpan.ToString();
        Encoding encoding = Encode(whole, settings);
        int count = CountFromStart(encoding, whole, settings.MaxTokenCount, out int consumed);
        ReadOnlySpan<int> ids = encoding.Ids.Span;
        ReadOnlySpan<TextRange> offsets = encoding.Offsets.Span;
        EncodedToken[] tokens = new EncodedToken[count];
        for (int i = 0; i < count; i++)
            tokens[i] = new EncodedToken(ids[i], Inner.IdToToken(ids[i]) ?? "", offsets[i].Start..offsets[i].End);
        return new EncodeResults<EncodedToken> { Tokens = tokens, CharsConsumed = consumed };
    }

    /// <inheritdoc/>
    protected override EncodeResults<int> EncodeToIds(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        string whole = text ?? textSpan.ToString();
        Encoding encoding = Encode(whole, settings);
        int count = CountFromStart(encoding, whole, settings.MaxTokenCount, out int consumed);
        return new EncodeResults<int> { Tokens = encoding.Ids[..count].ToArray(), CharsConsumed = consumed };
    }

    /// <inheritdoc/>
    protected override int CountTokens(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        string whole = text ?? textSpan.ToString();
        return CountFromStart(Encode(whole, settings), whole, settings.MaxTokenCount, out _);
    }

    /// <inheritdoc/>
    protected override int GetIndexByTokenCount(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings, bool fromEnd,
        out string? normalizedText, out int tokenCount)
    {
        normalizedText = null;
        string whole = text ?? textSpan.ToString();
        Encoding encoding = Encode(whole, settings);
        tokenCount = fromEnd
            ? CountFromEnd(encoding, whole, settings.MaxTokenCount, out int index)
            : CountFromStart(encoding, whole, settings.MaxTokenCount, out index);
        return index;
    }

    private Encoding Encode(string text, EncodeSettings settings)
    {
        if (settings.MaxTokenCount <= 0)
            throw new ArgumentOutOfRangeException(nameof(settings), settings.MaxTokenCount, "maxTokenCount: expected at least 1");
        // The two steps are part of what these tokenizers are: without them the ids would mean nothing to the model.
        if (!settings.ConsiderNormalization || !settings.ConsiderPreTokenization)
            throw new ArgumentException("considerNormalization, considerPreTokenization: expected true, given false", nameof(settings));
        return Inner.Encode(text, options: _options);
    }

    /// <summary>The most tokens from the start of which none ends inside a character; the index behind the last of them.</summary>
    private static int CountFromStart(Encoding encoding, string text, int most, out int index)
    {
        ReadOnlySpan<TextRange> offsets = encoding.Offsets.Span;
        int count = Math.Min(most, offsets.Length);
        if (count == offsets.Length)
        {
            index = text.Length;
            return count;
        }

        while (count > 0 && SharesCharacter(offsets[count - 1], offsets[count]))
            count--;
        index = EndBefore(offsets, count);
        return count;
    }

    /// <summary>The same from the end; the index of the first character of the first token, the space before it included.</summary>
    private static int CountFromEnd(Encoding encoding, string text, int most, out int index)
    {
        ReadOnlySpan<TextRange> offsets = encoding.Offsets.Span;
        int first = Math.Max(0, offsets.Length - most);
        if (first == 0)
        {
            index = 0;
            return offsets.Length;
        }

        while (first < offsets.Length && SharesCharacter(offsets[first - 1], offsets[first]))
            first++;
        index = first == offsets.Length ? text.Length : EndBefore(offsets, first);
        return offsets.Length - first;
    }

    /// <summary>Where the text of the first tokens ends. Special tokens and those of spaces alone have no range of their own.</summary>
    private static int EndBefore(ReadOnlySpan<TextRange> offsets, int count)
    {
        int end = 0;
        foreach (TextRange range in offsets[..count])
            end = Math.Max(end, range.End);
        return end;
    }

    // The bytes of one character that are several tokens have one range.
    private static bool SharesCharacter(TextRange left, TextRange right) => left.Length > 0 && right.Length > 0 && right.Start < left.End;
}
