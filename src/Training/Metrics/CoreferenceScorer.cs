using LongformerInterop.Models.Coreference;

namespace LongformerInterop.Training.Metrics;

/// <summary>The clusters of one document.</summary>
/// <param name="Gold">The right ones.</param>
/// <param name="Predicted">Those to be scored.</param>
public sealed record CoreferenceClusters(IReadOnlyList<IReadOnlyList<MentionSpan>> Gold, IReadOnlyList<IReadOnlyList<MentionSpan>> Predicted);

/// <summary>How singletons and repeated mentions count, which OntoNotes has neither of.</summary>
public enum CoreferenceRules
{
    /// <summary>
    /// As scorer.pl of the CoNLL-2012 task (v8.01): predicted singletons count, and of a repeated predicted mention the first one.
    /// </summary>
    Official,

    /// <summary>As the scorer in e2e-coref and its successors: no predicted singletons in B-cubed and CEAFe, and a mention's cluster is the last
    /// one.</summary>
    Python,
}

/// <summary>The two fractions of a metric, summed over documents.</summary>
/// <param name="RecallHits">Numerator of the recall.</param>
/// <param name="RecallTotal">Its denominator.</param>
/// <param name="PrecisionHits">Numerator of the precision.</param>
/// <param name="PrecisionTotal">Its denominator.</param>
public readonly record struct CoreferenceCounts(double RecallHits, double RecallTotal, double PrecisionHits, double PrecisionTotal)
{
    /// <summary>Precision, recall and F1; 0/0 is 0.</summary>
    public PrecisionRecall Scores =>
        new(PrecisionTotal == 0 ? 0 : PrecisionHits / PrecisionTotal, RecallTotal == 0 ? 0 : RecallHits / RecallTotal);

    /// <summary>F1 in percent as scorer.pl prints it: cut to two decimals.</summary>
    public double PrintedF1 => CoreferenceScorer.Print(Scores.F1);

    /// <summary>The counts of both.</summary>
    public CoreferenceCounts Add(CoreferenceCounts other) => new(RecallHits + other.RecallHits, RecallTotal + other.RecallTotal,
        PrecisionHits + other.PrecisionHits, PrecisionTotal + other.PrecisionTotal);
}

/// <summary>The scores of a set of documents: every count is summed over the documents before anything is divided.</summary>
public sealed record CoreferenceScores
{
    /// <summary>Mentions that are in any gold cluster, and in any predicted one.</summary>
    public CoreferenceCounts Mentions { get; init; }

    /// <summary>Links: Vilain et al. (1995).</summary>
    public CoreferenceCounts Muc { get; init; }

    /// <summary>Each mention's cluster: Bagga and Baldwin (1998).</summary>
    public CoreferenceCounts BCubed { get; init; }

    /// <summary>Clusters in the best assignment, by the mentions that two share: Luo (2005), phi 3.</summary>
    public CoreferenceCounts CeafM { get; init; }

    /// <summary>Clusters in the best assignment, by their similarity: Luo (2005), phi 4.</summary>
    public CoreferenceCounts CeafE { get; init; }

    /// <summary>Links and non-links: Luo et al. (2014).</summary>
    public BlancCounts Blanc { get; init; }

    /// <summary>The mean of MUC, B-cubed and CEAFe, 0 to 1: precision, recall and F1 each by itself.</summary>
    public (double Precision, double Recall, double F1) Average => ((Muc.Scores.Precision + BCubed.Scores.Precision + CeafE.Scores.Precision) / 3,
        (Muc.Scores.Recall + BCubed.Scores.Recall + CeafE.Scores.Recall) / 3, (Muc.Scores.F1 + BCubed.Scores.F1 + CeafE.Scores.F1) / 3);

    /// <summary>The mean of the three printed F1, in percent: the number that papers report.</summary>
    public double PrintedAverage => (Muc.PrintedF1 + BCubed.PrintedF1 + CeafE.PrintedF1) / 3;
}

/// <summary>Coreference clusters against gold ones: MUC, B-cubed, CEAF and the mean of CoNLL-2012.</summary>
public static class CoreferenceScorer
{
    /// <summary>A part of 1 in percent, cut to two decimals as scorer.pl does it.</summary>
    public static double Print(double value) => Math.Truncate(10_000 * value) / 100;

    /// <summary>Scores documents.</summary>
    /// <param name="documents">The documents, in any order.</param>
    /// <param name="rules">Whose counts.</param>
    public static CoreferenceScores Score(IEnumerable<CoreferenceClusters> documents, CoreferenceRules rules = CoreferenceRules.Official)
    {
        ArgumentNullException.ThrowIfNull(documents);
        CoreferenceScores total = new();
        foreach (CoreferenceClusters document in documents)
        {
            (int[][] gold, int[][] predicted) = Numbered(document, rules);
            total = new CoreferenceScores
            {
                Mentions = total.Mentions.Add(Mentions(gold, predicted)),
                Muc = total.Muc.Add(Muc(gold, predicted, rules)),
                BCubed = total.BCubed.Add(rules == CoreferenceRules.Official ? BCubed(gold, predicted) : BCubedOfPython(gold, predicted)),
                CeafM = total.CeafM.Add(Ceaf(gold, predicted, entities: false)),
                Blanc = total.Blanc.Add(BlancCounts.Of(gold, predicted)),
                CeafE = total.CeafE.Add(Ceaf(gold, rules == CoreferenceRules.Official ? predicted : WithoutSingletons(predicted), entities: true)),
            };
        }
        return total;
    }

    /// <summary>The mentions as numbers, one for each place in the text.</summary>
    private static (int[][] Gold, int[][] Predicted) Numbered(CoreferenceClusters document, CoreferenceRules rules)
    {
        Dictionary<MentionSpan, int> numbers = [];
        int NumberOf(MentionSpan span)
        {
            if (!numbers.TryGetValue(span, out int number))
                numbers.Add(span, number = numbers.Count);
            return number;
        }
        int[][] gold = [.. document.Gold.Select(c => c.Select(NumberOf).ToArray())];
        if (rules == CoreferenceRules.Python)
            return (gold, [.. document.Predicted.Select(c => c.Select(NumberOf).ToArray())]);
        HashSet<MentionSpan> seen = [];
        return (gold, [.. document.Predicted.Select(c => c.Where(seen.Add).Select(NumberOf).ToArray()).Where(c => c.Length > 0)]);
    }

    private static CoreferenceCounts Mentions(int[][] gold, int[][] predicted)
    {
        HashSet<int> wanted = [.. gold.SelectMany(c => c)], given = [.. predicted.SelectMany(c => c)];
        int hits = given.Count(wanted.Contains);
        return new CoreferenceCounts(hits, wanted.Count, hits, given.Count);
    }

    private static CoreferenceCounts Muc(int[][] gold, int[][] predicted, CoreferenceRules rules)
    {
        (double recall, double links) = MucOf(gold, IndexOf(predicted));
        (double precision, double given) = MucOf(predicted, IndexOf(gold));
        // The two numerators differ only where a gold mention is repeated; scorer.pl has one.
        return new CoreferenceCounts(rules == CoreferenceRules.Official ? precision : recall, links, precision, given);
    }

    /// <summary>Links that are right: of each cluster its mentions less the parts that the other side cuts it into.</summary>
    private static (double Hits, double Total) MucOf(int[][] clusters, Dictionary<int, int> other)
    {
        (double hits, double total) = (0, 0);
        foreach (int[] cluster in clusters.Where(c => c.Length > 0))
        {
            int missing = cluster.Count(m => !other.ContainsKey(m));
            int parts = cluster.Where(other.ContainsKey).Select(m => other[m]).Distinct().Count();
            hits += cluster.Length - missing - parts;
            total += cluster.Length - 1;
        }
        return (hits, total);
    }

    // scorer.pl walks through the predicted mentions for both fractions.
    private static CoreferenceCounts BCubed(int[][] gold, int[][] predicted)
    {
        Dictionary<int, int> index = IndexOf(gold);
        (double recall, double precision) = (0, 0);
        foreach (int[] cluster in predicted)
        {
            foreach (int mention in cluster)
            {
                if (!index.TryGetValue(mention, out int at))
                    continue;
                double common = Common(cluster, gold[at]);
                recall += common / gold[at].Length;
                precision += common / cluster.Length;
            }
        }
        return new CoreferenceCounts(recall, gold.Sum(c => c.Length), precision, predicted.Sum(c => c.Length));
    }

    private static CoreferenceCounts BCubedOfPython(int[][] gold, int[][] predicted)
    {
        (double Hits, double Total) Of(int[][] clusters, int[][] others)
        {
            Dictionary<int, int> index = IndexOf(others);
            (double hits, double total) = (0, 0);
            foreach (int[] cluster in clusters.Where(c => c.Length != 1))
            {
                double squares = cluster.Where(index.ContainsKey).CountBy(m => index[m]).Where(c => others[c.Key].Length != 1)
                    .Sum(c => (double)c.Value * c.Value);
                hits += squares / cluster.Length;
                total += cluster.Length;
            }
            return (hits, total);
        }
        (double recall, double wanted) = Of(gold, predicted);
        (double precision, double given) = Of(predicted, gold);
        return new CoreferenceCounts(recall, wanted, precision, given);
    }

    private static CoreferenceCounts Ceaf(int[][] gold, int[][] predicted, bool entities)
    {
        double[,] similarity = new double[gold.Length, predicted.Length];
        for (int i = 0; i < gold.Length; i++)
        {
            for (int j = 0; j < predicted.Length; j++)
            {
                double common = Common(gold[i], predicted[j]);
                similarity[i, j] = entities ? 2 * common / (gold[i].Length + predicted[j].Length) : common;
            }
        }
        double best = Assignment.Best(similarity).Select((column, row) => column < 0 ? 0 : similarity[row, column]).Sum();
        return entities ? new CoreferenceCounts(best, gold.Length, best, predicted.Length)
            : new CoreferenceCounts(best, gold.Sum(c => c.Length), best, predicted.Sum(c => c.Length));
    }

    /// <summary>Mentions of the first cluster that are in the second.</summary>
    private static int Common(int[] first, int[] second) => first.Count(second.Contains);

    private static int[][] WithoutSingletons(int[][] clusters) => [.. clusters.Where(c => c.Length != 1)];

    /// <summary>The last cluster that holds each mention.</summary>
    private static Dictionary<int, int> IndexOf(int[][] clusters)
    {
        Dictionary<int, int> index = [];
        for (int i = 0; i < clusters.Length; i++)
        {
            foreach (int mention in clusters[i])
                index[mention] = i;
        }
        return index;
    }
}
