namespace LongformerInterop.Tasks.Generation;

/// <summary>
/// Changes the scores of the next token, given the tokens so far. Scores are raw logits in greedy search and sampling, log-probabilities
/// in beam search (which are not normalised again), as in HF: <c>transformers/generation/logits_process.py</c>.
/// </summary>
internal abstract class LogitsProcessor
{
    /// <summary>Changes scores in place.</summary>
    /// <param name="ids">Decoder tokens so far, prompt and start token included.</param>
    /// <param name="scores">[V] one score per token of the vocabulary.</param>
    public abstract void Apply(ReadOnlySpan<int> ids, Span<float> scores);

    /// <summary>Whether it changes the scores of a beam, or of one of the samples of a document.</summary>
    /// <param name="row">The number of the beam or sample.</param>
    public virtual bool AppliesTo(int row) => true;

    /// <summary>Leaves one set of tokens, at score 0, and nothing else.</summary>
    protected static void Force(ReadOnlySpan<int> tokens, Span<float> scores)
    {
        scores.Fill(float.NegativeInfinity);
        foreach (int token in tokens)
            scores[token] = 0;
    }

    protected static void Forbid(ReadOnlySpan<int> tokens, Span<float> scores)
    {
        foreach (int token in tokens)
            scores[token] = float.NegativeInfinity;
    }
}

/// <summary>RepetitionPenaltyLogitsProcessor: each token that occurred is penalised once, however often it occurred.</summary>
internal sealed class RepetitionPenalty(float penalty) : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        for (int i = 0; i < ids.Length; i++)
        {
            int id = ids[i];
            if (ids[..i].Contains(id))
                continue;
            scores[id] = scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty;
        }
    }
}

/// <summary>NoRepeatNGramLogitsProcessor: the last n - 1 tokens must not be followed by what followed them before.</summary>
internal sealed class NoRepeatNgram(int size) : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        if (ids.Length + 1 < size)
            return;
        ReadOnlySpan<int> tail = ids[(ids.Length + 1 - size)..];
        for (int start = 0; start + size <= ids.Length; start++)
        {
            if (ids.Slice(start, size - 1).SequenceEqual(tail))
                scores[ids[start + size - 1]] = float.NegativeInfinity;
        }
    }
}

/// <summary>
/// NoBadWordsLogitsProcessor: the last token of a sequence is forbidden where the others are before it. Like HF's, it looks at a
/// sequence of n tokens only when n tokens are there, although n - 1 would do.
/// </summary>
internal sealed class BadWords : LogitsProcessor
{
    private readonly int[] _single;
    private readonly int[][] _longer;

    public BadWords(IReadOnlyList<IReadOnlyList<int>> words, int[] endTokens)
    {
        _single = [.. words.Where(w => w.Count == 1 && !endTokens.Contains(w[0])).Select(w => w[0])];
        _longer = [.. words.Where(w => w.Count > 1).Select(w => w.ToArray())];
    }

    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        Forbid(_single, scores);
        foreach (int[] word in _longer)
        {
            if (word.Length <= ids.Length && ids[^(word.Length - 1)..].SequenceEqual(word.AsSpan(0, word.Length - 1)))
                scores[word[^1]] = float.NegativeInfinity;
        }
    }
}

/// <summary>MinLengthLogitsProcessor: no end token while there are fewer tokens than <paramref name="length"/>, the prompt included.</summary>
internal sealed class MinimumLength(int length, int[] endTokens) : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        if (ids.Length < length)
            Forbid(endTokens, scores);
    }
}

/// <summary>ForcedBOSTokenLogitsProcessor: sets the token behind the start token. With a longer prompt it never acts, as in HF.</summary>
internal sealed class ForcedFirst(int token) : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        if (ids.Length == 1)
            Force([token], scores);
    }
}

/// <summary>ForcedEOSTokenLogitsProcessor: sets the last token when the maximum length is reached.</summary>
internal sealed class ForcedLast(int maxLength, int[] tokens) : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        if (ids.Length == maxLength - 1)
            Force(tokens, scores);
    }
}

/// <summary>SuppressTokensLogitsProcessor.</summary>
internal sealed class Suppressed(int[] tokens) : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores) => Forbid(tokens, scores);
}

/// <summary>SuppressTokensAtBeginLogitsProcessor: acts at one length only, that of the first free token.</summary>
internal sealed class BeginSuppressed(int[] tokens, int length) : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        if (ids.Length == length)
            Forbid(tokens, scores);
    }
}

/// <summary>TemperatureLogitsWarper.</summary>
internal sealed class Temperature(float temperature) : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        foreach (ref float score in scores)
            score /= temperature;
    }
}

/// <summary>TopKLogitsWarper: removes tokens that score below the k-th best; equals of the k-th stay.</summary>
internal sealed class TopK(int count) : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        if (count >= scores.Length)
            return;
        CandidateSet best = new(count);
        best.Scan(scores, 0f, 0);
        float least = best.Threshold;
        foreach (ref float score in scores)
        {
            if (score < least)
                score = float.NegativeInfinity;
        }
    }
}

/// <summary>
/// TopPLogitsWarper: from the worst upwards, tokens are removed while their probabilities together are at most 1 - p; the best
/// <paramref name="keep"/> always stay. Compared in float32, as in torch: five scores of 0.2 and p = 0.4 leave two.
/// </summary>
internal sealed class TopP(double p, int keep) : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        // Tokens removed before (-inf, the most of them behind top-k) have no probability: only the others need sorting.
        int count = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            if (!float.IsNegativeInfinity(scores[i]))
                count++;
        }
        if (count <= keep)
            return;
        float[] sorted = new float[count];
        int[] index = new int[count];
        for (int i = 0, n = 0; i < scores.Length; i++)
        {
            if (float.IsNegativeInfinity(scores[i]))
                continue;
            sorted[n] = scores[i];
            index[n++] = i;
        }
        Array.Sort(sorted, index);
        double normaliser = RowMath.LogSumExp(scores), sum = 0;
        for (int i = 0; i < count - keep; i++)
        {
            sum += (float)Math.Exp(sorted[i] - normaliser);
            if ((float)sum > (float)(1 - p))
                break;
            scores[index[i]] = float.NegativeInfinity;
        }
    }
}
