namespace LongformerInterop.Tasks;

/// <summary>Small numeric steps on logits that have left the model, in double precision.</summary>
internal static class Scores
{
    /// <summary>log(sum(exp(x))), -infinity for no values.</summary>
    internal static double LogSumExp(ReadOnlySpan<float> values)
    {
        double max = double.NegativeInfinity;
        foreach (float v in values)
            max = Math.Max(max, v);
        if (double.IsInfinity(max) || double.IsNaN(max))
            return max;
        double sum = 0;
        foreach (float v in values)
            sum += Math.Exp(v - max);
        return max + Math.Log(sum);
    }

    /// <summary>log(exp(a) + exp(b)).</summary>
    internal static double LogAdd(double a, double b)
    {
        if (double.IsNegativeInfinity(a))
            return b;
        if (double.IsNegativeInfinity(b))
            return a;
        double max = Math.Max(a, b);
        return max + Math.Log(Math.Exp(a - max) + Math.Exp(b - max));
    }

    /// <summary>Probabilities over all values.</summary>
    internal static float[] Softmax(ReadOnlySpan<float> logits)
    {
        double normalizer = LogSumExp(logits);
        float[] result = new float[logits.Length];
        for (int i = 0; i < result.Length; i++)
            result[i] = (float)Math.Exp(logits[i] - normalizer);
        return result;
    }

    /// <summary>1 / (1 + exp(-x)).</summary>
    internal static float Sigmoid(float logit) => (float)(1.0 / (1.0 + Math.Exp(-(double)logit)));

    /// <summary>Positions of the largest values, largest first; equal values keep their order. NaN never wins.</summary>
    internal static int[] Top(ReadOnlySpan<float> values, int count)
    {
        if (count <= 0)
            return [];
        PriorityQueue<int, (float Value, int Order)> best = new(ByValueThenOrder.Instance);
        for (int i = 0; i < values.Length; i++)
        {
            if (float.IsNaN(values[i]))
                continue;
            if (best.Count < count)
                best.Enqueue(i, (values[i], -i));
            else
                best.EnqueueDequeue(i, (values[i], -i));
        }
        int[] result = new int[best.Count];
        for (int i = result.Length - 1; i >= 0; i--)
            result[i] = best.Dequeue();
        return result;
    }

    private sealed class ByValueThenOrder : IComparer<(float Value, int Order)>
    {
        internal static readonly ByValueThenOrder Instance = new();

        public int Compare((float Value, int Order) x, (float Value, int Order) y) =>
            x.Value != y.Value ? x.Value.CompareTo(y.Value) : x.Order.CompareTo(y.Order);
    }
}
