namespace LongformerInterop.Training.Metrics;

/// <summary>
/// The counts of BLANC (Luo et al. 2014), summed over documents: pairs of mentions in one cluster (links) and in two (non-links), of the key, of the
/// response, and common to both.
/// </summary>
/// <param name="CommonLinks">Links of both.</param>
/// <param name="GoldLinks">Links of the key.</param>
/// <param name="PredictedLinks">Links of the response.</param>
/// <param name="CommonOthers">Non-links of both.</param>
/// <param name="GoldOthers">Non-links of the key.</param>
/// <param name="PredictedOthers">Non-links of the response.</param>
public readonly record struct BlancCounts(double CommonLinks, double GoldLinks, double PredictedLinks, double CommonOthers, double GoldOthers,
    double PredictedOthers)
{
    /// <summary>Precision and recall, the means of those of links and of non-links; where the key has one kind only, those of that kind.</summary>
    public PrecisionRecall Scores => GoldOthers == 0 ? Links : GoldLinks == 0 ? Others
        : new((Links.Precision + Others.Precision) / 2, (Links.Recall + Others.Recall) / 2);

    /// <summary>F1: the mean of the two F1, or the one.</summary>
    public double F1 => GoldOthers == 0 ? Links.F1 : GoldLinks == 0 ? Others.F1 : (Links.F1 + Others.F1) / 2;

    private PrecisionRecall Links => Ratio(CommonLinks, PredictedLinks, GoldLinks);

    private PrecisionRecall Others => Ratio(CommonOthers, PredictedOthers, GoldOthers);

    /// <summary>The counts of both.</summary>
    public BlancCounts Add(BlancCounts other) => new(CommonLinks + other.CommonLinks, GoldLinks + other.GoldLinks,
        PredictedLinks + other.PredictedLinks, CommonOthers + other.CommonOthers, GoldOthers + other.GoldOthers,
        PredictedOthers + other.PredictedOthers);

    /// <summary>The counts of one document.</summary>
    /// <param name="gold">Mentions as numbers.</param>
    /// <param name="predicted">Likewise, each once.</param>
    internal static BlancCounts Of(int[][] gold, int[][] predicted)
    {
        (HashSet<(int, int)> goldLinks, HashSet<(int, int)> goldOthers) = Pairs(gold);
        (HashSet<(int, int)> links, HashSet<(int, int)> others) = Pairs(predicted);
        // In a key with a repeated mention scorer.pl counts the links of every cluster, and no non-links.
        if (gold.SelectMany(c => c).GroupBy(m => m).Any(g => g.Count() > 1))
            return new BlancCounts(links.Count(goldLinks.Contains), gold.Sum(c => c.Length * (c.Length - 1) / 2), links.Count, 0, 0, 0);
        return new BlancCounts(links.Count(goldLinks.Contains), goldLinks.Count, links.Count, others.Count(goldOthers.Contains), goldOthers.Count,
            others.Count);
    }

    private static (HashSet<(int, int)> Links, HashSet<(int, int)> Others) Pairs(int[][] clusters)
    {
        Dictionary<int, int> clusterOf = [];
        for (int c = 0; c < clusters.Length; c++)
        {
            foreach (int mention in clusters[c])
                clusterOf[mention] = c;
        }
        int[] mentions = [.. clusterOf.Keys.Order()];
        (HashSet<(int, int)> links, HashSet<(int, int)> others) = ([], []);
        for (int i = 0; i < mentions.Length; i++)
        {
            for (int j = i + 1; j < mentions.Length; j++)
                (clusterOf[mentions[i]] == clusterOf[mentions[j]] ? links : others).Add((mentions[i], mentions[j]));
        }
        return (links, others);
    }

    private static PrecisionRecall Ratio(double common, double predicted, double gold) =>
        new(predicted == 0 ? 0 : common / predicted, gold == 0 ? 0 : common / gold);
}
