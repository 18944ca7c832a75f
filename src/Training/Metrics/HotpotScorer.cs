namespace LongformerInterop.Training.Metrics;

/// <summary>A supporting fact of HotpotQA.</summary>
/// <param name="Title">Of the paragraph, as the file has it.</param>
/// <param name="Sentence">Its number in the paragraph, from 0.</param>
public readonly record struct SupportingFact(string Title, int Sentence);

/// <summary>Exact match, F1, precision and recall, each 0 to 1.</summary>
/// <param name="Exact">Exact match.</param>
/// <param name="F1">F1.</param>
/// <param name="Precision">Precision.</param>
/// <param name="Recall">Recall.</param>
public readonly record struct HotpotValues(double Exact, double F1, double Precision, double Recall)
{
    /// <summary>The sums of both.</summary>
    public HotpotValues Add(HotpotValues other) => new(Exact + other.Exact, F1 + other.F1, Precision + other.Precision, Recall + other.Recall);

    /// <summary>Everything divided by a number.</summary>
    public HotpotValues DivideBy(double count) => new(Exact / count, F1 / count, Precision / count, Recall / count);
}

/// <summary>The scores of answers, supporting facts, and both together.</summary>
/// <param name="Answer">Of the answer.</param>
/// <param name="Facts">Of the supporting facts.</param>
/// <param name="Joint">Of products of the two precisions and recalls.</param>
public readonly record struct HotpotScores(HotpotValues Answer, HotpotValues Facts, HotpotValues Joint);

/// <summary>The answer to a question with its supporting facts, given or gold; null: none is given.</summary>
/// <param name="Answer">The answer.</param>
/// <param name="Facts">The facts.</param>
public sealed record HotpotAnswer(string? Answer, IReadOnlyList<SupportingFact>? Facts);

/// <summary>The scores of HotpotQA's official script (hotpot_evaluate_v1.py).</summary>
public static class HotpotScorer
{
    private static readonly string[] Special = ["yes", "no", "noanswer"];

    /// <summary>The scores of one answer. <c>yes</c>, <c>no</c> and <c>noanswer</c> match only themselves.</summary>
    /// <param name="prediction">The answer given.</param>
    /// <param name="gold">The right one.</param>
    public static HotpotValues ScoreAnswer(string prediction, string gold)
    {
        (string given, string wanted) = (SquadScorer.Normalize(prediction), SquadScorer.Normalize(gold));
        double exact = given == wanted ? 1 : 0;
        if (exact == 0 && (Special.Contains(given) || Special.Contains(wanted)))
            return new HotpotValues(0, 0, 0, 0);
        string[] words = PythonText.Split(given), goldWords = PythonText.Split(wanted);
        Dictionary<string, int> left = goldWords.CountBy(w => w).ToDictionary();
        int common = words.CountBy(w => w).Sum(w => Math.Min(w.Value, left.GetValueOrDefault(w.Key)));
        if (common == 0)
            return new HotpotValues(exact, 0, 0, 0);
        double precision = (double)common / words.Length, recall = (double)common / goldWords.Length;
        return new HotpotValues(exact, 2 * precision * recall / (precision + recall), precision, recall);
    }

    /// <summary>The scores of one question's supporting facts; a repeated one counts once.</summary>
    /// <param name="prediction">The facts given.</param>
    /// <param name="gold">The right ones.</param>
    public static HotpotValues ScoreFacts(IEnumerable<SupportingFact> prediction, IEnumerable<SupportingFact> gold)
    {
        HashSet<SupportingFact> given = [.. prediction], wanted = [.. gold];
        int hits = given.Count(wanted.Contains);
        PrecisionRecall scores = PrecisionRecall.Of(hits, given.Count, wanted.Count);
        return new HotpotValues(hits == given.Count && hits == wanted.Count ? 1 : 0, scores.F1, scores.Precision, scores.Recall);
    }

    /// <summary>Answer and facts together.</summary>
    public static HotpotValues Join(HotpotValues answer, HotpotValues facts)
    {
        (double precision, double recall) = (answer.Precision * facts.Precision, answer.Recall * facts.Recall);
        return new HotpotValues(answer.Exact * facts.Exact, new PrecisionRecall(precision, recall).F1, precision, recall);
    }

    /// <summary>
    /// The scores of a whole set, 0 to 1: means over the questions of <paramref name="gold"/>. What is not given counts 0; the joint scores
    /// need both an answer and facts.
    /// </summary>
    /// <param name="gold">The questions.</param>
    /// <param name="predictions">What is given for them.</param>
    public static HotpotScores Score(IReadOnlyDictionary<string, HotpotAnswer> gold, IReadOnlyDictionary<string, HotpotAnswer> predictions)
    {
        ArgumentNullException.ThrowIfNull(gold);
        ArgumentNullException.ThrowIfNull(predictions);
        (HotpotValues answers, HotpotValues facts, HotpotValues joint) = (default, default, default);
        foreach ((string id, HotpotAnswer wanted) in gold)
        {
            HotpotAnswer? given = predictions.GetValueOrDefault(id);
            HotpotValues? answer = given?.Answer is { } text && wanted.Answer is { } right ? ScoreAnswer(text, right) : null;
            HotpotValues? evidence = given?.Facts is { } some ? ScoreFacts(some, wanted.Facts ?? []) : null;
            answers = answers.Add(answer ?? default);
            facts = facts.Add(evidence ?? default);
            if (answer is { } a && evidence is { } e)
                joint = joint.Add(Join(a, e));
        }
        double count = Math.Max(gold.Count, 1);
        return new HotpotScores(answers.DivideBy(count), facts.DivideBy(count), joint.DivideBy(count));
    }
}
