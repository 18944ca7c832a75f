namespace LongformerInterop.Tasks.Answering;

/// <summary>A run of tokens and the sum of its start and end logits.</summary>
/// <param name="Start">First token.</param>
/// <param name="End">Last token, inclusive.</param>
/// <param name="Logit">Start logit of the first plus end logit of the last token.</param>
internal readonly record struct TokenSpan(int Start, int End, double Logit);

/// <summary>N-best search over the start and end logits of an extractive question answering head.</summary>
internal static class SpanSearch
{
    /// <summary>
    /// The best spans, best first; of equal ones the earlier, then the shorter. Takes O(T * maxTokens) time.
    /// </summary>
    /// <param name="start">Start logits [T].</param>
    /// <param name="end">End logits [T].</param>
    /// <param name="allowed">[T], which tokens a span may begin or end with (those of the document that cover text).</param>
    /// <param name="count">How many spans at most.</param>
    /// <param name="maxTokens">Longest span in tokens.</param>
    internal static List<TokenSpan> Best(
        ReadOnlySpan<float> start, ReadOnlySpan<float> end, ReadOnlySpan<bool> allowed, int count, int maxTokens)
    {
        List<TokenSpan> result = [];
        if (count <= 0 || maxTokens <= 0)
            return result;
        PriorityQueue<TokenSpan, TokenSpan> heap = new(WorstFirst.Instance);
        double threshold = double.NegativeInfinity;
        for (int s = 0; s < start.Length; s++)
        {
            if (!allowed[s] || float.IsNaN(start[s]))
                continue;
            int last = (int)Math.Min(start.Length - 1L, s + (long)maxTokens - 1);
            for (int e = s; e <= last; e++)
            {
                double logit = (double)start[s] + end[e];
                if (!allowed[e] || double.IsNaN(logit) || (heap.Count == count && logit <= threshold))
                    continue;
                TokenSpan span = new(s, e, logit);
                if (heap.Count < count)
                    heap.Enqueue(span, span);
                else
                    heap.EnqueueDequeue(span, span);
                threshold = heap.Peek().Logit;
            }
        }
        while (heap.Count > 0)
            result.Add(heap.Dequeue());
        result.Reverse();
        return result;
    }

    private sealed class WorstFirst : IComparer<TokenSpan>
    {
        internal static readonly WorstFirst Instance = new();

        public int Compare(TokenSpan x, TokenSpan y)
        {
            if (x.Logit != y.Logit)
                return x.Logit.CompareTo(y.Logit);
            return x.Start != y.Start ? y.Start.CompareTo(x.Start) : y.End.CompareTo(x.End);
        }
    }
}
