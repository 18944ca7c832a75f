using System.Text;

namespace LongformerInterop.Tasks.Generation;

/// <summary>
/// Orders the results of a search by more than the search knows: a line's log-probability per word, plus a weight times the share of its words that
/// its document has (<see cref="GenerationOptions.Rerank"/>). Among many beams that are nearly as probable a small model's best is often one with a
/// word that it guessed.
/// </summary>
internal static class Reranking
{
    /// <summary>The results, the best first; equal ones stay in their order.</summary>
    /// <param name="candidates">In the order of the search.</param>
    /// <param name="document">What they were made from.</param>
    /// <param name="weight">The weight of the share.</param>
    public static IEnumerable<Summary> Order(IEnumerable<Summary> candidates, string document, double weight)
    {
        HashSet<string> known = [.. Words(document)];
        return candidates.OrderByDescending(c => Score(c, known, weight));
    }

    /// <summary>The words of a text in lower case: runs of letters and digits.</summary>
    internal static IEnumerable<string> Words(string text)
    {
        StringBuilder word = new();
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (Rune.IsLetterOrDigit(rune))
            {
                word.Append(Rune.ToLowerInvariant(rune).ToString());
            }
            else if (word.Length > 0)
            {
                yield return word.ToString();
                word.Clear();
            }
        }
        if (word.Length > 0)
            yield return word.ToString();
    }

    private static double Score(Summary candidate, HashSet<string> known, double weight)
    {
        string[] words = [.. Words(candidate.Text)];
        double count = Math.Max(1, words.Length);
        return (candidate.Sequence.TokenScores.Sum(s => (double)s) / count) + (weight * words.Count(known.Contains) / count);
    }
}
