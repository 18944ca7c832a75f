namespace LongformerInterop.Training.Metrics;

/// <summary>
/// Exact match and F1 of answers as SQuAD's official script (evaluate-v2.0.py) computes them. Questions without an answer are right where nothing is
/// predicted; SQuAD 1 is the case in which there are none.
/// </summary>
public static class SquadScorer
{
    /// <summary>Lower case, without ASCII punctuation and the words a, an and the, white space collapsed.</summary>
    public static string Normalize(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return string.Join(' ', PythonText.Split(PythonText.WithoutArticles(PythonText.WithoutPunctuation(PythonText.Lower(text)))));
    }

    /// <summary>Exact match and F1 of one prediction, each the best over the gold answers.</summary>
    /// <param name="prediction">The answer; empty: none.</param>
    /// <param name="answers">Gold answers. Those that normalize to nothing are dropped; where none is left, the question has no answer.</param>
    /// <returns>Both 0 to 1.</returns>
    public static (double Exact, double F1) Score(string prediction, IEnumerable<string> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        string given = Normalize(prediction);
        List<string> gold = [.. answers.Select(Normalize).Where(a => a.Length > 0)];
        if (gold.Count == 0)
            gold.Add("");
        return (gold.Max(a => a == given ? 1.0 : 0), gold.Max(a => F1(given, a)));
    }

    /// <summary>The scores of a whole set in percent, also apart for questions with and without an answer.</summary>
    /// <param name="answers">Gold answers of every question.</param>
    /// <param name="predictions">The answers given; a question that is missing here is left out, as the script does with a message.</param>
    /// <param name="noAnswer">How likely each question has no answer; null: unknown, and no best thresholds are sought.</param>
    /// <param name="threshold">Above it the prediction counts as none.</param>
    public static SquadScores Score(IReadOnlyDictionary<string, IReadOnlyList<string>> answers, IReadOnlyDictionary<string, string> predictions,
        IReadOnlyDictionary<string, double>? noAnswer = null, double threshold = 1)
    {
        ArgumentNullException.ThrowIfNull(answers);
        ArgumentNullException.ThrowIfNull(predictions);
        List<Question> scored = [];
        foreach ((string id, IReadOnlyList<string> gold) in answers)
        {
            if (!predictions.TryGetValue(id, out string? prediction))
                continue;
            (double exact, double f1) = Score(prediction, gold);
            scored.Add(new Question(gold.Count > 0, prediction.Length > 0, exact, f1, noAnswer?.GetValueOrDefault(id) ?? 0));
        }
        double At(Question q, double score) => q.NoAnswer > threshold ? (q.HasAnswer ? 0 : 1) : score;
        SquadCounts Counts(Func<Question, bool> of)
        {
            List<Question> some = [.. scored.Where(of)];
            double Percent(Func<Question, double> score) => some.Count == 0 ? 0 : 100 * some.Sum(q => At(q, score(q))) / some.Count;
            return new SquadCounts(Percent(q => q.Exact), Percent(q => q.F1), some.Count);
        }
        return new SquadScores(Counts(_ => true), Counts(q => q.HasAnswer), Counts(q => !q.HasAnswer))
        {
            BestExact = noAnswer is null ? null : Best(scored, q => q.Exact),
            BestF1 = noAnswer is null ? null : Best(scored, q => q.F1),
        };
    }

    private static double F1(string prediction, string gold)
    {
        string[] given = PythonText.Split(prediction), wanted = PythonText.Split(gold);
        if (given.Length == 0 || wanted.Length == 0)
            return given.Length == wanted.Length ? 1 : 0;
        Dictionary<string, int> left = wanted.CountBy(w => w).ToDictionary();
        int common = 0;
        foreach (string word in given)
        {
            if (left.GetValueOrDefault(word) == 0)
                continue;
            left[word]--;
            common++;
        }
        if (common == 0)
            return 0;
        double precision = (double)common / given.Length, recall = (double)common / wanted.Length;
        return 2 * precision * recall / (precision + recall);
    }

    private static SquadThreshold Best(List<Question> scored, Func<Question, double> score)
    {
        double current = scored.Count(q => !q.HasAnswer), best = current, threshold = 0;
        foreach (Question question in scored.OrderBy(q => q.NoAnswer))
        {
            current += question.HasAnswer ? score(question) : question.IsAnswered ? -1 : 0;
            if (current > best)
                (best, threshold) = (current, question.NoAnswer);
        }
        return new SquadThreshold(scored.Count == 0 ? 0 : 100 * best / scored.Count, threshold);
    }

    private sealed record Question(bool HasAnswer, bool IsAnswered, double Exact, double F1, double NoAnswer);
}

/// <summary>Exact match and F1 in percent over some questions.</summary>
/// <param name="Exact">Percent.</param>
/// <param name="F1">Percent.</param>
/// <param name="Total">How many questions.</param>
public sealed record SquadCounts(double Exact, double F1, int Total);

/// <summary>A score and the threshold for "no answer" that gives it.</summary>
/// <param name="Score">Percent.</param>
/// <param name="Threshold">Probability of no answer above which none is given.</param>
public sealed record SquadThreshold(double Score, double Threshold);

/// <summary>The scores of a whole set.</summary>
/// <param name="All">Over all questions.</param>
/// <param name="HasAnswer">Over those with an answer.</param>
/// <param name="NoAnswer">Over those without.</param>
public sealed record SquadScores(SquadCounts All, SquadCounts HasAnswer, SquadCounts NoAnswer)
{
    /// <summary>The best exact match that a threshold gives; null without probabilities.</summary>
    public SquadThreshold? BestExact { get; init; }

    /// <summary>The best F1 that a threshold gives; null without probabilities.</summary>
    public SquadThreshold? BestF1 { get; init; }
}
