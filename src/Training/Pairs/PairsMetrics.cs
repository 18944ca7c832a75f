using LongformerInterop.Torch;

namespace LongformerInterop.Training.Pairs;

/// <summary>How well queries find their texts.</summary>
internal static class PairsMetrics
{
    private const int QueriesPerBlock = 256;

    /// <summary>
    /// Over all N pairs, with the N texts as candidates: <c>recall_at_1</c>, <c>recall_at_10</c>, <c>recall_at_100</c>, and <c>mrr</c>, the mean
    /// of one over the rank. Of equal scores the right one is ranked last, so that vectors that are all the same find nothing.
    /// </summary>
    /// <param name="queries">[N, D].</param>
    /// <param name="texts">[N, D].</param>
    public static Dictionary<string, double> Of(Tensor queries, Tensor texts)
    {
        int count = (int)queries.Size(0);
        (double first, double ten, double hundred, double reciprocal) = (0, 0, 0, 0);
        for (int from = 0; from < count; from += QueriesPerBlock)
        {
            using TensorScope scope = new();
            int rows = Math.Min(QueriesPerBlock, count - from);
            float[] scores = queries.Narrow(0, from, rows).MatMul(texts.Transpose(0, 1)).ToArray<float>();
            for (int r = 0; r < rows; r++)
            {
                ReadOnlySpan<float> row = scores.AsSpan(r * count, count);
                float right = row[from + r];
                int rank = 0;
                foreach (float score in row)
                    rank += score >= right || float.IsNaN(right) ? 1 : 0;
                first += rank <= 1 ? 1 : 0;
                ten += rank <= 10 ? 1 : 0;
                hundred += rank <= 100 ? 1 : 0;
                reciprocal += 1.0 / rank;
            }
        }
        return new() { ["recall_at_1"] = first / count, ["recall_at_10"] = ten / count, ["recall_at_100"] = hundred / count,
            ["mrr"] = reciprocal / count };
    }
}
