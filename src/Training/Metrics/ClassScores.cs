namespace LongformerInterop.Training.Metrics;

/// <summary>Scores of predicted classes.</summary>
public sealed record ClassScores
{
    /// <summary>Part of the examples whose class is right.</summary>
    public required double Accuracy { get; init; }

    /// <summary>Precision and recall of every class.</summary>
    public required IReadOnlyList<PrecisionRecall> Classes { get; init; }

    /// <summary>The mean F1 of the classes that are among the gold or the predicted ones, as scikit-learn's
    /// <c>f1_score(average="macro")</c>.</summary>
    public required double MacroF1 { get; init; }

    /// <summary>F1 of all decisions together; for one class an example the accuracy.</summary>
    public required double MicroF1 { get; init; }

    /// <summary>How many examples there were.</summary>
    public required int Count { get; init; }

    /// <summary>Scores where an example has one class.</summary>
    /// <param name="gold">The classes.</param>
    /// <param name="predicted">As many.</param>
    /// <param name="classes">How many classes there are.</param>
    public static ClassScores Of(IReadOnlyList<int> gold, IReadOnlyList<int> predicted, int classes)
    {
        ArgumentNullException.ThrowIfNull(gold);
        ArgumentNullException.ThrowIfNull(predicted);
        return OfSets(gold.Count, i => [gold[i]], i => [predicted[i]], classes);
    }

    /// <summary>Scores where an example has any number of classes; right means all of them and no other.</summary>
    /// <param name="gold">The classes of every example.</param>
    /// <param name="predicted">As many.</param>
    /// <param name="classes">How many classes there are.</param>
    public static ClassScores Of(IReadOnlyList<IReadOnlyList<int>> gold, IReadOnlyList<IReadOnlyList<int>> predicted, int classes)
    {
        ArgumentNullException.ThrowIfNull(gold);
        ArgumentNullException.ThrowIfNull(predicted);
        return OfSets(gold.Count, i => [.. gold[i]], i => [.. predicted[i]], classes);
    }

    private static ClassScores OfSets(int count, Func<int, HashSet<int>> gold, Func<int, HashSet<int>> predicted, int classes)
    {
        long[] hits = new long[classes], given = new long[classes], wanted = new long[classes];
        int right = 0;
        for (int i = 0; i < count; i++)
        {
            (HashSet<int> g, HashSet<int> p) = (gold(i), predicted(i));
            if (g.SetEquals(p))
                right++;
            foreach (int c in g)
                wanted[c]++;
            foreach (int c in p)
            {
                given[c]++;
                if (g.Contains(c))
                    hits[c]++;
            }
        }
        PrecisionRecall[] each = [.. Enumerable.Range(0, classes).Select(c => PrecisionRecall.Of(hits[c], given[c], wanted[c]))];
        double[] present = [.. Enumerable.Range(0, classes).Where(c => given[c] + wanted[c] > 0).Select(c => each[c].F1)];
        return new ClassScores
        {
            Accuracy = count == 0 ? 0 : (double)right / count,
            Classes = each,
            MacroF1 = present.Length == 0 ? 0 : present.Average(),
            MicroF1 = PrecisionRecall.Of(hits.Sum(), given.Sum(), wanted.Sum()).F1,
            Count = count,
        };
    }
}

/// <summary>Scores of predicted numbers.</summary>
/// <param name="MeanSquaredError">Mean of the squared differences.</param>
/// <param name="Pearson">Correlation; 0 where either side is constant.</param>
public sealed record NumberScores(double MeanSquaredError, double Pearson)
{
    /// <summary>Scores of predictions.</summary>
    /// <param name="gold">The right classes.</param>
    /// <param name="predicted">As many.</param>
    public static NumberScores Of(IReadOnlyList<double> gold, IReadOnlyList<double> predicted)
    {
        ArgumentNullException.ThrowIfNull(gold);
        ArgumentNullException.ThrowIfNull(predicted);
        if (gold.Count == 0)
            return new NumberScores(0, 0);
        double goldMean = gold.Average(), predictedMean = predicted.Average(), both = 0, ofGold = 0, ofPredicted = 0, squares = 0;
        for (int i = 0; i < gold.Count; i++)
        {
            (double g, double p) = (gold[i] - goldMean, predicted[i] - predictedMean);
            both += g * p;
            ofGold += g * g;
            ofPredicted += p * p;
            squares += (gold[i] - predicted[i]) * (gold[i] - predicted[i]);
        }
        return new NumberScores(squares / gold.Count, ofGold == 0 || ofPredicted == 0 ? 0 : both / Math.Sqrt(ofGold * ofPredicted));
    }
}

/// <summary>How well a language model predicts.</summary>
/// <param name="Nats">Sum of -ln p over the predicted tokens.</param>
/// <param name="Tokens">How many tokens were predicted.</param>
/// <param name="Characters">How many characters they cover; 0: unknown.</param>
public sealed record LanguageScores(double Nats, long Tokens, long Characters = 0)
{
    /// <summary>Mean nats of a token: the loss.</summary>
    public double Loss => Nats / Tokens;

    /// <summary>exp of the mean nats.</summary>
    public double Perplexity => Math.Exp(Loss);

    /// <summary>Bits of a token. The paper calls this BPC for masked LM.</summary>
    public double BitsPerToken => Loss / Math.Log(2);

    /// <summary>Bits of a character.</summary>
    public double BitsPerCharacter => Nats / Math.Log(2) / Characters;
}
