using System.Text;

namespace LongformerInterop.Training.Metrics;

/// <summary>The four ROUGE scores of a text.</summary>
/// <param name="Rouge1">Words.</param>
/// <param name="Rouge2">Pairs of words.</param>
/// <param name="RougeL">Longest common subsequence of the whole texts.</param>
/// <param name="RougeLsum">The same by sentences, which are lines.</param>
public sealed record RougeScores(PrecisionRecall Rouge1, PrecisionRecall Rouge2, PrecisionRecall RougeL, PrecisionRecall RougeLsum);

/// <summary>ROUGE as Google's rouge_score computes it, with Porter's stemmer (NLTK's) or without.</summary>
public static class RougeScorer
{
    private const int ShortestStemmed = 4;

    /// <summary>Scores of one text.</summary>
    /// <param name="reference">The right text.</param>
    /// <param name="candidate">The generated text.</param>
    /// <param name="stem">Whether words of more than three characters are stemmed.</param>
    public static RougeScores Score(string reference, string candidate, bool stem = false)
    {
        ArgumentNullException.ThrowIfNull(reference);
        ArgumentNullException.ThrowIfNull(candidate);
        string[] wanted = Words(reference, stem), given = Words(candidate, stem);
        return new RougeScores(NGrams(wanted, given, 1), NGrams(wanted, given, 2), Subsequence(wanted, given),
            BySentences(Sentences(reference, stem), Sentences(candidate, stem)));
    }

    private static string[] Words(string text, bool stem)
    {
        List<string> words = [];
        StringBuilder word = new();
        foreach (char c in PythonText.Lower(text).Append(' '))
        {
            if (c is (>= 'a' and <= 'z') or (>= '0' and <= '9'))
            {
                word.Append(c);
                continue;
            }
            if (word.Length == 0)
                continue;
            string whole = word.ToString();
            words.Add(stem && whole.Length >= ShortestStemmed ? PorterStemmer.Stem(whole) : whole);
            word.Clear();
        }
        return [.. words];
    }

    private static string[][] Sentences(string text, bool stem) => [.. text.Split('\n').Where(s => s.Length > 0).Select(s => Words(s, stem))];

    private static PrecisionRecall NGrams(string[] wanted, string[] given, int n)
    {
        Dictionary<string, int> left = Grams(wanted, n).CountBy(g => g).ToDictionary();
        int hits = 0, total = 0;
        foreach (string gram in Grams(given, n))
        {
            total++;
            if (left.GetValueOrDefault(gram) == 0)
                continue;
            left[gram]--;
            hits++;
        }
        return PrecisionRecall.Of(hits, total, Math.Max(0, wanted.Length - n + 1));
    }

    private static IEnumerable<string> Grams(string[] words, int n)
    {
        for (int i = 0; i + n <= words.Length; i++)
            yield return string.Join(' ', words[i..(i + n)]);
    }

    private static PrecisionRecall Subsequence(string[] wanted, string[] given) =>
        wanted.Length == 0 || given.Length == 0 ? default : PrecisionRecall.Of(Table(wanted, given)[wanted.Length, given.Length], given.Length,
            wanted.Length);

    /// <summary>Every sentence of the reference against all of the candidate; no word counts more often than it is in either text.</summary>
    private static PrecisionRecall BySentences(string[][] wanted, string[][] given)
    {
        int gold = wanted.Sum(s => s.Length), predicted = given.Sum(s => s.Length);
        if (gold == 0 || predicted == 0)
            return default;
        Dictionary<string, int> leftWanted = wanted.SelectMany(s => s).CountBy(w => w).ToDictionary();
        Dictionary<string, int> leftGiven = given.SelectMany(s => s).CountBy(w => w).ToDictionary();
        int hits = 0;
        foreach (string[] sentence in wanted)
        {
            SortedSet<int> union = [];
            foreach (string[] other in given)
                union.UnionWith(Common(sentence, other));
            foreach (string word in union.Select(i => sentence[i]))
            {
                if (leftGiven.GetValueOrDefault(word) == 0 || leftWanted.GetValueOrDefault(word) == 0)
                    continue;
                leftGiven[word]--;
                leftWanted[word]--;
                hits++;
            }
        }
        return PrecisionRecall.Of(hits, predicted, gold);
    }

    /// <summary>Places in the reference of one longest common subsequence, the same one that rouge_score finds.</summary>
    private static IEnumerable<int> Common(string[] wanted, string[] given)
    {
        int[,] table = Table(wanted, given);
        (int i, int j) = (wanted.Length, given.Length);
        while (i > 0 && j > 0)
        {
            if (wanted[i - 1] == given[j - 1])
            {
                yield return i - 1;
                (i, j) = (i - 1, j - 1);
            }
            else if (table[i, j - 1] > table[i - 1, j])
            {
                j--;
            }
            else
            {
                i--;
            }
        }
    }

    private static int[,] Table(string[] wanted, string[] given)
    {
        int[,] table = new int[wanted.Length + 1, given.Length + 1];
        for (int i = 1; i <= wanted.Length; i++)
        {
            for (int j = 1; j <= given.Length; j++)
                table[i, j] = wanted[i - 1] == given[j - 1] ? table[i - 1, j - 1] + 1 : Math.Max(table[i - 1, j], table[i, j - 1]);
        }
        return table;
    }
}
