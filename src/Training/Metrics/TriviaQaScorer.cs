namespace LongformerInterop.Training.Metrics;

/// <summary>Exact match and F1 of answers as TriviaQA's official script (triviaqa_evaluation.py) computes them.</summary>
public static class TriviaQaScorer
{
    // Quotation marks that the script takes for punctuation besides ASCII's own.
    private const string FurtherPunctuation = "\u2018\u2019\u00B4`";

    /// <summary>Lower case, spaces for punctuation and underscores, without the words a, an and the, white space collapsed.</summary>
    public static string Normalize(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string spaced = string.Concat(PythonText.Lower(text.Replace('_', ' ')).Select(c =>
            PythonText.IsPunctuation(c) || FurtherPunctuation.Contains(c, StringComparison.Ordinal) ? ' ' : c));
        return string.Join(' ', PythonText.Split(PythonText.WithoutArticles(spaced)));
    }

    /// <summary>Exact match and F1 of one prediction, each the best over the ground truths, so that they may come from different ones.</summary>
    /// <param name="prediction">The answer.</param>
    /// <param name="groundTruths">Normalized or not; none: both are 0.</param>
    /// <returns>Both 0 to 1.</returns>
    public static (double Exact, double F1) Score(string prediction, IEnumerable<string> groundTruths)
    {
        ArgumentNullException.ThrowIfNull(groundTruths);
        string given = Normalize(prediction);
        (double exact, double f1) = (0, 0);
        foreach (string truth in groundTruths.Select(Normalize))
        {
            exact = Math.Max(exact, truth == given ? 1 : 0);
            f1 = Math.Max(f1, F1(given, truth));
        }
        return (exact, f1);
    }

    /// <summary>The scores of a whole set; a question without a prediction counts 0.</summary>
    /// <param name="groundTruths">The ground truths of every question: its normalized aliases and its human answers.</param>
    /// <param name="predictions">The answers given.</param>
    public static TriviaQaScores Score(IReadOnlyDictionary<string, IReadOnlyList<string>> groundTruths,
        IReadOnlyDictionary<string, string> predictions)
    {
        ArgumentNullException.ThrowIfNull(groundTruths);
        ArgumentNullException.ThrowIfNull(predictions);
        (double exact, double f1, int common) = (0, 0, 0);
        foreach ((string id, IReadOnlyList<string> truths) in groundTruths)
        {
            if (!predictions.TryGetValue(id, out string? prediction))
                continue;
            common++;
            (double ownExact, double ownF1) = Score(prediction, truths);
            (exact, f1) = (exact + ownExact, f1 + ownF1);
        }
        int count = groundTruths.Count;
        return new TriviaQaScores(count == 0 ? 0 : 100 * exact / count, count == 0 ? 0 : 100 * f1 / count, common, count);
    }

    // Two empty texts share no word: F1 is 0, though they match exactly.
    private static double F1(string given, string truth)
    {
        string[] words = PythonText.Split(given), wanted = PythonText.Split(truth);
        Dictionary<string, int> left = wanted.CountBy(w => w).ToDictionary();
        int common = 0;
        foreach (string word in words)
        {
            if (left.GetValueOrDefault(word) == 0)
                continue;
            left[word]--;
            common++;
        }
        return PrecisionRecall.Of(common, words.Length, wanted.Length).F1;
    }
}

/// <summary>The scores of a whole set.</summary>
/// <param name="ExactMatch">Percent of all questions.</param>
/// <param name="F1">Percent.</param>
/// <param name="Answered">Questions that have a prediction.</param>
/// <param name="Total">Questions.</param>
public sealed record TriviaQaScores(double ExactMatch, double F1, int Answered, int Total);
