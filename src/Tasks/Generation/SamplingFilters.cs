namespace LongformerInterop.Tasks.Generation;

/// <summary>
/// Filters of sampling: all take the probabilities of a row, remove tokens by them, and leave at least <c>keep</c>. Probabilities are float32 and
/// their sums are compared as float32, as in torch, so that a bound that is met exactly counts as met.
/// </summary>
internal abstract class SamplingFilter(int keep) : LogitsProcessor
{
    protected int Keep => keep;

    /// <summary>torch.softmax of a row.</summary>
    protected static float[] Probabilities(ReadOnlySpan<float> scores)
    {
        double normaliser = RowMath.LogSumExp(scores);
        float[] result = new float[scores.Length];
        for (int i = 0; i < result.Length; i++)
            result[i] = (float)Math.Exp(scores[i] - normaliser);
        return result;
    }

    /// <summary>The entropy of a row in nats.</summary>
    protected static float Entropy(ReadOnlySpan<float> scores)
    {
        double normaliser = RowMath.LogSumExp(scores), sum = 0;
        foreach (float score in scores)
        {
            if (float.IsNegativeInfinity(score))
                continue;
            double log = score - normaliser;
            sum -= log * Math.Exp(log);
        }
        return (float)sum;
    }

    /// <summary>Returns the score of the keep-th best token: those below may be removed.</summary>
    protected float KeptScore(ReadOnlySpan<float> scores)
    {
        CandidateSet best = new(Math.Min(keep, scores.Length));
        best.Scan(scores, 0f, 0);
        return best.Threshold;
    }
}

/// <summary>MinPLogitsWarper: only tokens at least this times as probable as the best.</summary>
internal sealed class MinP(double least, int keep) : SamplingFilter(keep)
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        float[] p = Probabilities(scores);
        float limit = (float)least * RowMath.Max(p), kept = KeptScore(scores);
        for (int i = 0; i < p.Length; i++)
        {
            if (p[i] < limit && scores[i] < kept)
                scores[i] = float.NegativeInfinity;
        }
    }
}

/// <summary>EpsilonLogitsWarper: only tokens at least this probable.</summary>
internal sealed class Epsilon(double least, int keep) : SamplingFilter(keep)
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        float[] p = Probabilities(scores);
        float kept = KeptScore(scores);
        for (int i = 0; i < p.Length; i++)
        {
            if (p[i] < (float)least && scores[i] < kept)
                scores[i] = float.NegativeInfinity;
        }
    }
}

/// <summary>EtaLogitsWarper: only tokens at least min(eta, sqrt(eta) exp(-entropy)) probable.</summary>
internal sealed class Eta(double least, int keep) : SamplingFilter(keep)
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        float[] p = Probabilities(scores);
        float limit = Math.Min((float)least, MathF.Sqrt((float)least) * MathF.Exp(-Entropy(scores))), kept = KeptScore(scores);
        for (int i = 0; i < p.Length; i++)
        {
            if (p[i] < limit && scores[i] < kept)
                scores[i] = float.NegativeInfinity;
        }
    }
}

/// <summary>TypicalLogitsWarper: the tokens whose surprise is nearest to the entropy, up to a mass of probability (Meister et al. 2022).</summary>
internal sealed class TypicalP(double mass, int keep) : SamplingFilter(keep)
{
    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        float entropy = Entropy(scores);
        double normaliser = RowMath.LogSumExp(scores);
        float[] distance = new float[scores.Length];
        int[] index = new int[scores.Length];
        for (int i = 0; i < distance.Length; i++)
        {
            distance[i] = MathF.Abs(-(float)(scores[i] - normaliser) - entropy);
            index[i] = i;
        }
        float[] p = Probabilities(scores);
        Array.Sort(distance, index);
        double sum = 0;
        int last = 0;
        while (last < index.Length && (float)(sum += p[index[last]]) < (float)mass)
            last++;
        float limit = distance[Math.Min(last, distance.Length - 1)];
        for (int i = Keep; i < index.Length; i++)
        {
            if (distance[i] > limit)
                scores[index[i]] = float.NegativeInfinity;
        }
    }
}

/// <summary>TopHLogitsWarper: the best tokens, of at most a hundred, until their share of the entropy passes a part of the whole.</summary>
internal sealed class TopH(double share) : SamplingFilter(1)
{
    private const int Considered = 100;

    public override void Apply(ReadOnlySpan<int> ids, Span<float> scores)
    {
        CandidateSet best = new(Math.Min(Considered, scores.Length));
        best.Scan(scores, 0f, 0);
        float[] top = [.. best.Best.ToArray().Select(c => c.Score)];
        int[] tokens = [.. best.Best.ToArray().Select(c => c.Token)];
        float[] p = Probabilities(top);
        float limit = Entropy(top) * (float)share;
        scores.Fill(float.NegativeInfinity);
        double sum = 0;
        for (int i = 0; i < top.Length; i++)
        {
            sum += p[i] > 0 ? -p[i] * MathF.Log(p[i]) : 0;
            if (i == 0 || (float)sum <= limit)
                scores[tokens[i]] = top[i];
        }
    }
}
