using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Recipes;

/// <summary>A tokenizer with the room that a model has; counts what was cut.</summary>
/// <param name="tokenizer">The tokenizer.</param>
/// <param name="maxTokens">The most tokens of an example, special ones included.</param>
/// <param name="vocabSize">The model's vocabulary.</param>
public sealed class ExampleText(Tokenizer tokenizer, int maxTokens, int vocabSize)
{
    private readonly HashSet<int> _special = [.. new[]
    {
        tokenizer.SpecialTokens.Begin, tokenizer.SpecialTokens.End, tokenizer.SpecialTokens.Separator, tokenizer.SpecialTokens.Classifier,
        tokenizer.SpecialTokens.Padding, tokenizer.SpecialTokens.Mask, tokenizer.SpecialTokens.Unknown,
    }.OfType<int>()];

    /// <summary>The tokenizer.</summary>
    public Tokenizer Tokenizer { get; } = tokenizer;

    /// <summary>The most tokens of an example, special ones included.</summary>
    public int MaxTokens { get; } = maxTokens;

    /// <summary>The model's vocabulary.</summary>
    public int VocabSize { get; } = vocabSize;

    /// <summary>How many texts were cut so far.</summary>
    public long CutCount { get; private set; }

    /// <summary>Whether a token has a role instead of being text.</summary>
    public bool IsSpecial(int id) => _special.Contains(id);

    /// <summary>One text, or a pair, cut to the room.</summary>
    /// <param name="text">The text.</param>
    /// <param name="pair">A second text, or null.</param>
    /// <param name="source">For a message.</param>
    /// <param name="strategy">Which of the two is cut.</param>
    /// <param name="limit">Another room than <see cref="MaxTokens"/>.</param>
    /// <param name="mayBeEmpty">Whether a text without a token is taken.</param>
    /// <exception cref="InputException">There is no token in it but special ones.</exception>
    public Encoding Cut(string text, string? pair, string source, TruncationStrategy strategy = TruncationStrategy.LongestFirst, int? limit = null,
        bool mayBeEmpty = false)
    {
        int room = limit ?? MaxTokens;
        Encoding encoding;
        try
        {
            encoding = Tokenizer.Encode(text, pair, new EncodeOptions { MaxLength = room, Truncation = strategy });
        }
        catch (TokenizerException e)
        {
            throw new InputException($"{source}: does not fit into {room} tokens: {e.Message}", e);
        }
        if (!mayBeEmpty || encoding.Count > Tokenizer.AddedTokenCount(pair is not null))
            Check(encoding, source);
        if (encoding.Overflowing.Count > 0)
            CutCount++;
        return encoding;
    }

    /// <summary>A text, or a pair of which the second is long, in windows of the room.</summary>
    /// <param name="text">The text.</param>
    /// <param name="pair">The second text, or null.</param>
    /// <param name="stride">How many tokens two windows share.</param>
    /// <param name="source">For a message.</param>
    /// <exception cref="InputException">There is no token in it but special ones, or the first text leaves no room.</exception>
    public IEnumerable<Encoding> Windows(string text, string? pair, int stride, string source)
    {
        Encoding whole = Tokenizer.Encode(text, pair);
        Check(whole, source);
        if (whole.Count <= MaxTokens)
            return [whole];
        try
        {
            Encoding first = Tokenizer.Encode(text, pair, new EncodeOptions
            {
                MaxLength = MaxTokens, Stride = stride, Truncation = pair is null ? TruncationStrategy.OnlyFirst : TruncationStrategy.OnlySecond,
            });
            return [first, .. first.Overflowing];
        }
        catch (TokenizerException e)
        {
            throw new InputException($"{source}: {whole.Count} tokens do not fit into windows of {MaxTokens} that share {stride}: {e.Message}", e);
        }
    }

    private void Check(Encoding encoding, string source)
    {
        ReadOnlySpan<int> sequences = encoding.SequenceIds.Span, ids = encoding.Ids.Span;
        for (int i = 0; i < ids.Length; i++)
        {
            if (ids[i] >= VocabSize)
            {
                throw new InputException($"{source}: token {ids[i]} (\"{Tokenizer.IdToToken(ids[i])}\") is beyond the model's vocabulary of "
                    + $"{VocabSize}: the tokenizer is another model's");
            }
            if (sequences[i] >= 0 && !IsSpecial(ids[i]))
                return;
        }
        throw new InputException($"{source}: expected a text with at least one token, given none");
    }
}
