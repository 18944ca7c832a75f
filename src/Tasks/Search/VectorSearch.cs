using System.Numerics;
using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Search;

/// <summary>Exact search: the product of one vector with every row of a table, in blocks, on all cores.</summary>
internal static class VectorSearch
{
    private const int RowsPerBlock = 4096;

    /// <summary>The products of a vector [C] with all rows of a table [P, C], [P]. Reads the table once, in place.</summary>
    public static float[] Scores(Tensor table, float[] vector, CancellationToken cancellation = default)
    {
        (long rows, int width) = (table.Size(0), (int)table.Size(1));
        float[] scores = new float[rows];
        Parallel.For(0, (rows + RowsPerBlock - 1) / RowsPerBlock, new ParallelOptions
        {
            CancellationToken = cancellation, MaxDegreeOfParallelism = Math.Max(1, TorchRuntime.ThreadCount),
        }, block =>
        {
            using TensorScope scope = new();
            long first = block * RowsPerBlock;
            ReadOnlySpan<float> values = table.Narrow(0, first, Math.Min(RowsPerBlock, rows - first)).AsSpan<float>();
            Span<float> target = scores.AsSpan((int)first, values.Length / width);
            for (int r = 0; r < target.Length; r++)
                target[r] = Dot(values.Slice(r * width, width), vector);
        });
        return scores;
    }

    /// <summary>The product of two vectors, summed in four lanes of the widest registers.</summary>
    public static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        ReadOnlySpan<Vector<float>> x = MemoryMarshal.Cast<float, Vector<float>>(a), y = MemoryMarshal.Cast<float, Vector<float>>(b);
        Vector<float> s0 = default, s1 = default, s2 = default, s3 = default;
        int i = 0;
        for (; i + 3 < x.Length; i += 4)
        {
            s0 += x[i] * y[i];
            s1 += x[i + 1] * y[i + 1];
            s2 += x[i + 2] * y[i + 2];
            s3 += x[i + 3] * y[i + 3];
        }
        for (; i < x.Length; i++)
            s0 += x[i] * y[i];
        float sum = Vector.Sum(s0 + s1 + s2 + s3);
        for (int rest = x.Length * Vector<float>.Count; rest < a.Length; rest++)
            sum += a[rest] * b[rest];
        return sum;
    }

    /// <summary>The places of the best scores, the best first; of equal ones the first. Scores that are no numbers count as the worst.</summary>
    public static int[] Best(ReadOnlySpan<float> scores, int most)
    {
        // The worst of those kept is in front, to be replaced.
        PriorityQueue<int, (float Score, int Later)> kept = new();
        for (int i = 0; i < scores.Length; i++)
        {
            float score = float.IsNaN(scores[i]) ? float.NegativeInfinity : scores[i];
            if (kept.Count < most)
                kept.Enqueue(i, (score, -i));
            else if (kept.TryPeek(out _, out (float Score, int Later) worst) && score > worst.Score)
                kept.DequeueEnqueue(i, (score, -i));
        }
        int[] best = new int[kept.Count];
        for (int i = best.Length - 1; i >= 0; i--)
            best[i] = kept.Dequeue();
        return best;
    }
}
