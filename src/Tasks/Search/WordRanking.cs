using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Search;

/// <summary>
/// BM25 (Robertson and Zaragoza, 2009) of the words of a question in whole documents: of every word, once each time it is in the question,
/// <c>ln(1 + (N - n + 0.5) / (n + 0.5)) * f * (k + 1) / (f + k * (1 - b + b * length / mean length))</c> with k = 1.2 and b = 0.75, n the
/// documents of N that have it and f how often this one does. Of passages: the same with the documents' weights of words and the passages' own
/// lengths.
/// </summary>
internal sealed class WordRanking
{
    private const double K = 1.2, B = 0.75;

    /// <param name="index">The index.</param>
    /// <param name="question">The question.</param>
    public WordRanking(IndexFile index, string question)
    {
        (Documents, Passages) = (new float[index.DocumentCount], new float[index.PassageCount]);
        long[] lengths = new long[index.DocumentCount];
        for (int p = 0; p < index.PassageCount; p++)
            lengths[index.Passages[3 * p]] += index.PassageWords[p];
        double meanDocument = Math.Max(1, lengths.Average()), meanPassage = Math.Max(1, index.PassageWords.Average(w => (double)w));
        foreach (IGrouping<string, string> word in Words.Of(question).Select(w => w.Word).GroupBy(w => w, StringComparer.Ordinal))
        {
            (long from, long to) = index.Find(word.Key);
            if (from == to)
                continue;
            using TensorScope scope = new();
            ReadOnlySpan<int> postings = MemoryMarshal.Cast<byte, int>(index.Postings.Narrow(0, from, to - from).AsBytes());
            int count = 0;
            long last = -1;
            for (int i = 0; i < postings.Length; i += 2)
            {
                if ((uint)postings[i] >= (uint)index.PassageCount || (i > 0 && postings[i] <= postings[i - 2]) || postings[i + 1] < 1)
                    throw index.Malformed($"postings[{from + (i / 2)}]: passage {postings[i]}, {postings[i + 1]} times");
                long document = index.Passages[3 * postings[i]];
                count += document != last ? 1 : 0;
                last = document;
            }
            double weight = word.Count() * Math.Log(1 + ((index.DocumentCount - count + 0.5) / (count + 0.5)));
            for (int i = 0; i < postings.Length;)
            {
                long document = index.Passages[3 * postings[i]], times = 0;
                for (; i < postings.Length && index.Passages[3 * postings[i]] == document; i += 2)
                {
                    times += postings[i + 1];
                    Passages[postings[i]] += (float)(weight * Saturated(postings[i + 1], index.PassageWords[postings[i]], meanPassage));
                }
                Documents[document] += (float)(weight * Saturated(times, lengths[document], meanDocument));
            }
        }
    }

    /// <summary>[D], 0 where no word is.</summary>
    public float[] Documents { get; }

    /// <summary>[P], to choose among the passages of a document.</summary>
    public float[] Passages { get; }

    private static double Saturated(double times, double length, double mean) => times * (K + 1) / (times + (K * (1 - B + (B * length / mean))));
}
