using System.Text.Json;
using LongformerInterop.Models.Coreference;
using LongformerInterop.Tests;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Training.Tests;

/// <summary>The scorers of coreference and HotpotQA against the numbers of the official ones, and what must hold for any input.</summary>
public sealed class PaperMetricTests
{
    private static JsonElement[] Golden(string file)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Repository.Root, "parity-tests", "goldens",
            "metrics", file)));
        return [.. document.RootElement.EnumerateArray().Select(e => e.Clone())];
    }

    private static IReadOnlyList<MentionSpan>[] Clusters(JsonElement clusters) => [.. clusters.EnumerateArray().Select(c =>
        (IReadOnlyList<MentionSpan>)[.. c.EnumerateArray().Select(m => new MentionSpan(m[0].GetInt32(), m[1].GetInt32()))])];

    private static CoreferenceClusters[] Documents(JsonElement golden) => [.. golden.GetProperty("input").GetProperty("documents").EnumerateArray()
        .Select(d => new CoreferenceClusters(Clusters(d.GetProperty("gold")), Clusters(d.GetProperty("predicted"))))];

    private static double[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(v => v.GetDouble())];

    [Test]
    public void Coreference_counts_are_those_of_the_official_scorer()
    {
        JsonElement[] goldens = Golden("coreference.json");
        foreach (JsonElement golden in goldens)
        {
            string note = golden.GetProperty("note").GetString()!;
            JsonElement expected = golden.GetProperty("expected").GetProperty("conll");
            CoreferenceScores scores = CoreferenceScorer.Score(Documents(golden));
            foreach ((string name, CoreferenceCounts counts) in new[] { ("mentions", scores.Mentions), ("muc", scores.Muc), ("bcub", scores.BCubed),
                ("ceafm", scores.CeafM), ("ceafe", scores.CeafE) })
            {
                JsonElement of = expected.GetProperty(name);
                Assert.That(new[] { counts.RecallHits, counts.RecallTotal }, Is.EqualTo(Numbers(of.GetProperty("recall"))).Within(1e-9),
                    $"{note}: {name} recall");
                Assert.That(new[] { counts.PrecisionHits, counts.PrecisionTotal }, Is.EqualTo(Numbers(of.GetProperty("precision"))).Within(1e-9),
                    $"{note}: {name} precision");
                Assert.That(counts.PrintedF1, Is.EqualTo(of.GetProperty("printed").GetProperty("f1").GetDouble()).Within(0.011), $"{note}: {name}");
            }
            (JsonElement blanc, PrecisionRecall links) = (expected.GetProperty("blanc"), scores.Blanc.Scores);
            Assert.That(new[] { links.Recall, 1 }, Is.EqualTo(Numbers(blanc.GetProperty("recall"))).Within(1e-9), $"{note}: BLANC recall");
            Assert.That(new[] { links.Precision, 1 }, Is.EqualTo(Numbers(blanc.GetProperty("precision"))).Within(1e-9), $"{note}: BLANC precision");
            Assert.That(CoreferenceScorer.Print(scores.Blanc.F1),
                Is.EqualTo(blanc.GetProperty("printed").GetProperty("f1").GetDouble()).Within(0.011), $"{note}: BLANC");
            Assert.That(scores.PrintedAverage, Is.EqualTo(expected.GetProperty("average_f1").GetDouble()).Within(0.011), note);
        }
        Assert.That(goldens, Has.Length.EqualTo(40));
    }

    [Test]
    public void Coreference_counts_are_those_of_the_python_scorer()
    {
        foreach (JsonElement golden in Golden("coreference.json"))
        {
            string note = golden.GetProperty("note").GetString()!;
            JsonElement expected = golden.GetProperty("expected").GetProperty("python");
            CoreferenceScores scores = CoreferenceScorer.Score(Documents(golden), CoreferenceRules.Python);
            foreach ((string name, CoreferenceCounts counts) in new[] { ("muc", scores.Muc), ("b_cubed", scores.BCubed), ("ceafe", scores.CeafE) })
            {
                JsonElement of = expected.GetProperty(name);
                Assert.That(new[] { counts.PrecisionHits, counts.PrecisionTotal, counts.RecallHits, counts.RecallTotal },
                    Is.EqualTo(Numbers(of.GetProperty("counts"))).Within(1e-9), $"{note}: {name}");
                Assert.That(counts.Scores.F1, Is.EqualTo(of.GetProperty("f1").GetDouble()).Within(1e-9), $"{note}: {name}");
            }
            JsonElement average = expected.GetProperty("average");
            Assert.That(scores.Average.Precision, Is.EqualTo(average.GetProperty("precision").GetDouble()).Within(1e-9), note);
            Assert.That(scores.Average.Recall, Is.EqualTo(average.GetProperty("recall").GetDouble()).Within(1e-9), note);
            Assert.That(scores.Average.F1, Is.EqualTo(average.GetProperty("f1").GetDouble()).Within(1e-9), note);
        }
    }

    [Test]
    public void Coreference_scores_are_1_for_the_gold_clusters_and_indifferent_to_order([Range(1, 20)] int seed)
    {
        Random random = new(seed);
        CoreferenceClusters document = new(Partition(random), Partition(random));
        CoreferenceScores perfect = CoreferenceScorer.Score([document with { Predicted = document.Gold }]);
        CoreferenceScores scores = CoreferenceScorer.Score([document]), shuffled =
            CoreferenceScorer.Score([new CoreferenceClusters(Shuffle(document.Gold, random), Shuffle(document.Predicted, random))]);
        CoreferenceScores flipped = CoreferenceScorer.Score([new CoreferenceClusters(document.Predicted, document.Gold)]);
        Assert.That(perfect.Average, Is.EqualTo((1.0, 1.0, 1.0)));
        Assert.That(perfect.PrintedAverage, Is.EqualTo(100));
        foreach (Func<CoreferenceScores, CoreferenceCounts> of in (Func<CoreferenceScores, CoreferenceCounts>[])
            [s => s.Muc, s => s.BCubed, s => s.CeafM, s => s.CeafE])
        {
            Assert.That(of(shuffled).Scores.F1, Is.EqualTo(of(scores).Scores.F1).Within(1e-12));
            // The recall is the precision of the sides exchanged.
            Assert.That(of(flipped).Scores.Precision, Is.EqualTo(of(scores).Scores.Recall).Within(1e-12));
            Assert.That(of(flipped).Scores.Recall, Is.EqualTo(of(scores).Scores.Precision).Within(1e-12));
            Assert.That(of(scores).Scores.F1, Is.InRange(0, 1));
        }
    }

    [Test]
    public void The_best_assignment_is_the_best_of_all_of_them([Range(1, 30)] int seed)
    {
        Random random = new(seed);
        (int rows, int columns) = (random.Next(0, 6), random.Next(0, 6));
        double[,] gains = new double[rows, columns];
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
                gains[i, j] = random.Next(0, 4) / 3.0;
        }
        int[] best = Assignment.Best(gains);
        int[] used = [.. best.Where(c => c >= 0)];
        Assert.That(used, Is.Unique);
        Assert.That(used, Has.Length.EqualTo(Math.Min(rows, columns)));
        Assert.That(best.Select((c, r) => c < 0 ? 0 : gains[r, c]).Sum(), Is.EqualTo(Search(gains, 0, 0)).Within(1e-12));
    }

    [Test]
    public void Hotpot_scores_are_those_of_the_script()
    {
        JsonElement[] goldens = Golden("hotpotqa.json");
        foreach (JsonElement golden in goldens)
        {
            (JsonElement input, JsonElement expected) = (golden.GetProperty("input"), golden.GetProperty("expected"));
            string note = golden.GetProperty("note").GetString()!;
            HotpotScores scores;
            if (input.TryGetProperty("predictions", out JsonElement predictions))
            {
                JsonElement answers = predictions.GetProperty("answer"), facts = predictions.GetProperty("sp");
                scores = HotpotScorer.Score(
                    input.GetProperty("gold").EnumerateArray().ToDictionary(q => q.GetProperty("_id").GetString()!,
                        q => new HotpotAnswer(q.GetProperty("answer").GetString(), Facts(q.GetProperty("supporting_facts")))),
                    answers.EnumerateObject().Concat(facts.EnumerateObject()).Select(p => p.Name).Distinct().ToDictionary(id => id, id =>
                        new HotpotAnswer(answers.TryGetProperty(id, out JsonElement a) ? a.GetString() : null,
                            facts.TryGetProperty(id, out JsonElement f) ? Facts(f) : null)));
            }
            else
            {
                (JsonElement given, JsonElement gold) = (input.GetProperty("prediction"), input.GetProperty("gold"));
                scores = HotpotScorer.Score(
                    new Dictionary<string, HotpotAnswer>
                    {
                        ["q"] = new(gold.GetProperty("answer").GetString(), Facts(gold.GetProperty("supporting_facts"))),
                    },
                    new Dictionary<string, HotpotAnswer> { ["q"] = new(given.GetProperty("answer").GetString(), Facts(given.GetProperty("sp"))) });
            }
            foreach ((string prefix, HotpotValues values) in new[] { ("", scores.Answer), ("sp_", scores.Facts), ("joint_", scores.Joint) })
            {
                Assert.That(new[] { values.Exact, values.F1, values.Precision, values.Recall }, Is.EqualTo(((string[])["em", "f1", "prec", "recall"])
                    .Select(name => expected.GetProperty(prefix + name).GetDouble()).ToArray()).Within(1e-9), $"{note}: {prefix}");
            }
        }
        Assert.That(goldens, Has.Length.EqualTo(38));
    }

    [Test]
    public void Hotpot_facts_are_a_set([Range(1, 10)] int seed)
    {
        Random random = new(seed);
        SupportingFact[] Some() => [.. Enumerable.Range(0, random.Next(1, 6)).Select(_ => new SupportingFact($"t{random.Next(3)}", random.Next(3)))];
        SupportingFact[] given = Some(), gold = Some();
        HotpotValues scores = HotpotScorer.ScoreFacts(given, gold), flipped = HotpotScorer.ScoreFacts(gold, given);
        Assert.That(HotpotScorer.ScoreFacts(given.Reverse().Concat(given), gold), Is.EqualTo(scores));
        Assert.That(flipped.Precision, Is.EqualTo(scores.Recall));
        Assert.That(flipped.F1, Is.EqualTo(scores.F1).Within(1e-12));
        Assert.That(HotpotScorer.ScoreFacts(gold, gold), Is.EqualTo(new HotpotValues(1, 1, 1, 1)));
    }

    private static SupportingFact[] Facts(JsonElement facts) => [.. facts.EnumerateArray().Select(f =>
        new SupportingFact(f[0].GetString()!, f[1].GetInt32()))];

    /// <summary>Some of twenty mentions in clusters of two or more.</summary>
    private static IReadOnlyList<MentionSpan>[] Partition(Random random)
    {
        MentionSpan[] mentions = [.. Enumerable.Range(0, 20).Select(i => new MentionSpan(3 * i, (3 * i) + (i % 3)))];
        random.Shuffle(mentions);
        return [.. mentions.Take(random.Next(8, 20)).Select((m, i) => (m, Cluster: i < 8 ? i / 2 : random.Next(4))).GroupBy(m => m.Cluster)
            .Select(g => (IReadOnlyList<MentionSpan>)[.. g.Select(m => m.m)])];
    }

    private static IReadOnlyList<MentionSpan>[] Shuffle(IReadOnlyList<IReadOnlyList<MentionSpan>> clusters, Random random)
    {
        IReadOnlyList<MentionSpan>[] mixed = [.. clusters.Select(c =>
        {
            MentionSpan[] mentions = [.. c];
            random.Shuffle(mentions);
            return (IReadOnlyList<MentionSpan>)mentions;
        })];
        random.Shuffle(mixed);
        return mixed;
    }

    /// <summary>The best sum, by trying everything.</summary>
    private static double Search(double[,] gains, int row, int used)
    {
        if (row == gains.GetLength(0))
            return 0;
        double best = Search(gains, row + 1, used);
        for (int column = 0; column < gains.GetLength(1); column++)
        {
            if ((used & (1 << column)) == 0)
                best = Math.Max(best, gains[row, column] + Search(gains, row + 1, used | (1 << column)));
        }
        return best;
    }
}
