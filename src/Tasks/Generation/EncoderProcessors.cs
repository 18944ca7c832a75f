namespace LongformerInterop.Tasks.Generation;

/// <summary>
/// EncoderNoRepeatNGramLogitsProcessor: no n-gram of the document is repeated. Looks at the document's own tokens, special ones included and
/// padding not, so that it gives the same alone and in a batch.
/// </summary>
internal sealed class EncoderNoRepeatNgram : LogitsProcessor
{
    private readonly int _size;
    private readonly Dictionary<int[], List<int>> _followers = new(new SequenceComparer());

    public EncoderNoRepeatNgram(int size, ReadOnlySpan<int> document)
    {
        _size = size;
        for (int start = 0; start + size <= document.Length; start++)
        {
            int[] key = document.Slice(start, size - 1).ToArray();
            if (!_followers.TryGetValue(key, out List<int>? followers))
                _followers[key] = followers = [];
            followers.Add(document[start + size - 1]);
        }
    }

    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        if (ids.Length + 1 < _size)
            return;
        if (_followers.TryGetValue(ids[(ids.Length + 1 - _size)..].ToArray(), out List<int>? followers))
            Forbid(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(followers), scores);
    }

    private sealed class SequenceComparer : IEqualityComparer<int[]>
    {
        public bool Equals(int[]? a, int[]? b) => a.AsSpan().SequenceEqual(b);

        public int GetHashCode(int[] sequence)
        {
            HashCode hash = new();
            foreach (int id in sequence)
                hash.Add(id);
            return hash.ToHashCode();
        }
    }
}

/// <summary>
/// EncoderRepetitionPenaltyLogitsProcessor: tokens of the document are favoured by a penalty above 1, the inverse of the other penalty. HF gives it
/// the documents without their beams, so that of one document only the first beam, or sample, is changed; so here.
/// </summary>
internal sealed class EncoderRepetitionPenalty(double penalty, int[] document) : LogitsProcessor
{
    private readonly int[] _tokens = [.. document.Distinct()];
    private readonly float _inverse = (float)(1 / penalty);

    public override bool AppliesTo(int row) => row == 0;

    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        foreach (int id in _tokens)
            scores[id] = scores[id] < 0 ? scores[id] * _inverse : scores[id] / _inverse;
    }
}

/// <summary>
/// SequenceBiasLogitsProcessor: a bias on the last token of a sequence where the others are before it. As in HF, a sequence of n tokens is seen
/// only when n tokens are there. Of a sequence that is named twice the later bias holds.
/// </summary>
internal sealed class SequenceBiases(IReadOnlyList<SequenceBias> biases) : LogitsProcessor
{
    private readonly SequenceBias[] _biases = [.. biases.GroupBy(b => string.Join(',', b.Tokens)).Select(same => same.Last())];

    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        // All biases of a token are added up before they are added to its score, in float32 as torch adds them.
        Dictionary<int, float> sums = [];
        foreach (SequenceBias bias in _biases)
        {
            int length = bias.Tokens.Count;
            if (length > 1 && (length > ids.Length || !EndsWith(ids, bias.Tokens)))
                continue;
            int last = bias.Tokens[^1];
            sums[last] = sums.GetValueOrDefault(last) + (float)bias.Bias;
        }
        foreach ((int token, float bias) in sums)
            scores[token] += bias;
    }

    private static bool EndsWith(ReadOnlySpan<int> ids, IReadOnlyList<int> sequence)
    {
        ReadOnlySpan<int> tail = ids[^(sequence.Count - 1)..];
        for (int i = 0; i < tail.Length; i++)
        {
            if (tail[i] != sequence[i])
                return false;
        }
        return true;
    }
}

/// <summary>InfNanRemoveLogitsProcessor: NaN becomes 0, infinities the largest numbers.</summary>
internal sealed class RemoveInvalid : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        foreach (ref float score in scores)
            score = float.IsNaN(score) ? 0 : float.IsInfinity(score) ? (score > 0 ? float.MaxValue : float.MinValue) : score;
    }
}

/// <summary>
/// ExponentialDecayLengthPenalty: beyond a length the end tokens grow likelier with every token. An end token that is forbidden stays so (HF's
/// arithmetic gives NaN there).
/// </summary>
internal sealed class ExponentialDecay(int start, double factor, int[] endTokens) : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        if (ids.Length <= start)
            return;
        float rate = (float)(Math.Pow(factor, ids.Length - start) - 1);
        foreach (int end in endTokens)
        {
            if (float.IsFinite(scores[end]))
                scores[end] += MathF.Abs(scores[end]) * rate;
        }
    }
}

/// <summary>LogitNormalization: log-probabilities again, after all that was done to them.</summary>
internal sealed class Renormalize : LogitsProcessor
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores) => RowMath.LogSoftmax(scores);
}
