namespace LongformerInterop.Models.Coreference;

/// <summary>Which spans and which of their antecedents are looked at more closely: choices, which have no gradient.</summary>
internal static class SpanSelection
{
    private static readonly int[] BucketStarts = [0, 1, 2, 3, 4, 5, 8, 16, 32, 64];

    /// <summary>How many buckets distances fall into.</summary>
    public static int Buckets => BucketStarts.Length;

    /// <summary>The bucket of a distance: 0, 1, 2, 3, 4, 5-7, 8-15, 16-31, 32-63, 64 and more.</summary>
    public static int Bucket(int distance)
    {
        int bucket = BucketStarts.Length - 1;
        while (BucketStarts[bucket] > distance)
            bucket--;
        return bucket;
    }

    /// <summary>The spans with the highest scores, of which no two cross, in the order of the text.</summary>
    /// <param name="candidates">Spans with their scores.</param>
    /// <param name="count">The most that are kept.</param>
    /// <param name="tokens">Tokens of the text.</param>
    public static MentionSpan[] Prune(IEnumerable<(MentionSpan Span, float Score)> candidates, int count, int tokens)
    {
        // Of the kept spans that begin (end) at a token, the farthest end (beginning).
        int[] farthestEnd = new int[tokens], farthestStart = new int[tokens];
        Array.Fill(farthestEnd, -1);
        Array.Fill(farthestStart, int.MaxValue);
        List<MentionSpan> kept = [];
        foreach ((MentionSpan span, _) in candidates.OrderByDescending(c => c.Score).ThenBy(c => c.Span))
        {
            if (kept.Count == count)
                break;
            bool crosses = false;
            for (int t = span.First; t <= span.Last && !crosses; t++)
                crosses = (t > span.First && farthestEnd[t] > span.Last) || (t < span.Last && farthestStart[t] < span.First);
            if (crosses)
                continue;
            kept.Add(span);
            farthestEnd[span.First] = Math.Max(farthestEnd[span.First], span.Last);
            farthestStart[span.Last] = Math.Min(farthestStart[span.Last], span.First);
        }
        return [.. kept.Order()];
    }

    /// <summary>For each span the earlier ones with the highest scores, ascending, filled up with -1.</summary>
    /// <param name="scores">The scores of span i (row) with span j.</param>
    /// <param name="spans">How many spans there are.</param>
    /// <param name="count">The most of each.</param>
    public static int[][] Antecedents(Func<int, int, float> scores, int spans, int count)
    {
        count = Math.Min(count, Math.Max(spans - 1, 0));
        int[][] chosen = new int[spans][];
        PriorityQueue<int, (float Score, int Nearness)> best = new(count + 1);
        for (int i = 0; i < spans; i++)
        {
            best.Clear();
            for (int j = 0; j < i; j++)
            {
                // Of equal ones the nearer.
                if (best.Count < count)
                    best.Enqueue(j, (scores(i, j), j));
                else
                    best.EnqueueDequeue(j, (scores(i, j), j));
            }
            int[] row = [.. best.UnorderedItems.Select(item => item.Element).Order()];
            int found = row.Length;
            Array.Resize(ref row, count);
            row.AsSpan(found).Fill(-1);
            chosen[i] = row;
        }
        return chosen;
    }
}
