using System.Numerics;
using System.Runtime.InteropServices;

namespace LongformerInterop.Tasks.Generation;

/// <summary>Reductions over one row of scores. Sums are kept in double per block, so that 50,000 terms lose nothing in float.</summary>
internal static class RowMath
{
    private const int Block = 1024;

    /// <summary>The largest score and its first index; -1 where nothing is above minus infinity.</summary>
    public static (int Index, float Value) Best(ReadOnlySpan<float> scores)
    {
        int index = -1;
        float best = float.NegativeInfinity;
        for (int i = 0; i < scores.Length; i++)
        {
            if (scores[i] > best)
                (index, best) = (i, scores[i]);
        }
        return (index, best);
    }

    /// <summary>The largest score.</summary>
    public static float Max(ReadOnlySpan<float> scores)
    {
        float max = float.NegativeInfinity;
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(scores);
        if (vectors.Length > 0)
        {
            Vector<float> all = vectors[0];
            foreach (Vector<float> v in vectors)
                all = Vector.Max(all, v);
            for (int i = 0; i < Vector<float>.Count; i++)
                max = Math.Max(max, all[i]);
        }
        foreach (float v in scores[(vectors.Length * Vector<float>.Count)..])
            max = Math.Max(max, v);
        return max;
    }

    /// <summary>log of the sum of exp(score); minus infinity for a row without any finite score.</summary>
    public static double LogSumExp(ReadOnlySpan<float> scores)
    {
        float max = Max(scores);
        if (!float.IsFinite(max))
            return max;
        double sum = 0;
        for (int start = 0; start < scores.Length; start += Block)
            sum += SumExp(scores.Slice(start, Math.Min(Block, scores.Length - start)), max);
        return max + Math.Log(sum);
    }

    /// <summary>Turns logits into log-probabilities in place: torch.log_softmax.</summary>
    public static void LogSoftmax(Span<float> scores)
    {
        // The maximum is taken off first, so that the difference is rounded once at the scale of the result.
        float max = Max(scores);
        if (!float.IsFinite(max))
            return;
        float rest = (float)(LogSumExp(scores) - max);
        Span<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(scores);
        Vector<float> vmax = new(max);
        Vector<float> vrest = new(rest);
        foreach (ref Vector<float> v in vectors)
            v = v - vmax - vrest;
        foreach (ref float v in scores[(vectors.Length * Vector<float>.Count)..])
            v = v - max - rest;
    }

    private static double SumExp(ReadOnlySpan<float> scores, float max)
    {
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(scores);
        Vector<float> vmax = new(max);
        Vector<float> sum = Vector<float>.Zero;
        foreach (Vector<float> v in vectors)
            sum += Vector.Exp(v - vmax);
        double total = Vector.Sum(sum);
        foreach (float v in scores[(vectors.Length * Vector<float>.Count)..])
            total += MathF.Exp(v - max);
        return total;
    }
}
