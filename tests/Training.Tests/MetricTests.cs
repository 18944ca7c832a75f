using System.Text.Json;
using LongformerInterop.Tests;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Training.Tests;

/// <summary>The metrics against the numbers of the official scorers.</summary>
public sealed class MetricTests
{
    private static JsonElement Golden(string file)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Repository.Root, "parity-tests", "goldens",
            "metrics", file)));
        return document.RootElement.Clone();
    }

    private static string[][] Tags(JsonElement sequences) => [.. sequences.EnumerateArray().Select(s =>
        s.EnumerateArray().Select(t => t.GetString()!).ToArray())];

    [Test]
    public void Entities_count_as_in_seqeval()
    {
        int count = 0;
        foreach (JsonElement golden in Golden("entities.json").GetProperty("cases").EnumerateArray())
        {
            PrecisionRecall scores = EntityScorer.Score(Tags(golden.GetProperty("true")), Tags(golden.GetProperty("predicted")));
            Assert.That(scores.Precision, Is.EqualTo(golden.GetProperty("precision").GetDouble()).Within(1e-9), $"case {count}");
            Assert.That(scores.Recall, Is.EqualTo(golden.GetProperty("recall").GetDouble()).Within(1e-9), $"case {count}");
            Assert.That(scores.F1, Is.EqualTo(golden.GetProperty("f1").GetDouble()).Within(1e-9), $"case {count}");
            count++;
        }
        Assert.That(count, Is.EqualTo(30));
    }

    [Test]
    public void Rouge_is_that_of_rouge_score([Values] bool stem)
    {
        JsonElement golden = Golden("rouge.json"), pairs = golden.GetProperty("pairs");
        int count = 0;
        foreach (JsonElement values in golden.GetProperty("expected").EnumerateArray().Where(e => e.GetProperty("stemmer").GetBoolean() == stem))
        {
            JsonElement pair = pairs[values.GetProperty("pair").GetInt32()];
            RougeScores scores = RougeScorer.Score(pair.GetProperty("reference").GetString()!, pair.GetProperty("candidate").GetString()!, stem);
            foreach ((string name, PrecisionRecall score) in new[] { ("rouge1", scores.Rouge1), ("rouge2", scores.Rouge2), ("rougeL", scores.RougeL),
                ("rougeLsum", scores.RougeLsum) })
            {
                double[] expected = [.. values.GetProperty(name).EnumerateArray().Select(v => v.GetDouble())];
                Assert.That(new[] { score.Precision, score.Recall, score.F1 }, Is.EqualTo(expected).Within(1e-9),
                    $"pair {values.GetProperty("pair")}, {name}");
            }
            count++;
        }
        Assert.That(count, Is.EqualTo(49));
    }

    [Test]
    public void Squad_scores_are_those_of_the_script()
    {
        foreach (JsonElement golden in Golden("squad2.json").EnumerateArray())
        {
            (JsonElement input, JsonElement expected) = (golden.GetProperty("input"), golden.GetProperty("expected"));
            string note = golden.GetProperty("note").GetString()!;
            if (input.TryGetProperty("prediction", out JsonElement prediction))
            {
                if (expected.TryGetProperty("normalized_prediction", out JsonElement normalized))
                    Assert.That(SquadScorer.Normalize(prediction.GetString()!), Is.EqualTo(normalized.GetString()), note);
                (double exact, double f1) = SquadScorer.Score(prediction.GetString()!,
                    input.GetProperty("answers").EnumerateArray().Select(a => a.GetString()!));
                Assert.That(exact, Is.EqualTo(expected.GetProperty("exact").GetDouble()), note);
                Assert.That(f1, Is.EqualTo(expected.GetProperty("f1").GetDouble()).Within(1e-9), note);
                continue;
            }
            Dictionary<string, double>? none = input.TryGetProperty("no_answer_probabilities", out JsonElement p)
                && p.ValueKind == JsonValueKind.Object
                ? p.EnumerateObject().ToDictionary(v => v.Name, v => v.Value.GetDouble()) : null;
            SquadScores scores = SquadScorer.Score(
                input.GetProperty("answers").EnumerateObject().ToDictionary(v => v.Name, v =>
                    (IReadOnlyList<string>)[.. v.Value.EnumerateArray().Select(a => a.GetString()!)]),
                input.GetProperty("predictions").EnumerateObject().ToDictionary(v => v.Name, v => v.Value.GetString()!), none,
                input.TryGetProperty("no_answer_threshold", out JsonElement t) && t.ValueKind == JsonValueKind.Number ? t.GetDouble() : 1);
            Dictionary<string, double?> given = new()
            {
                ["exact"] = scores.All.Exact, ["f1"] = scores.All.F1, ["total"] = scores.All.Total,
                ["HasAns_exact"] = scores.HasAnswer.Exact, ["HasAns_f1"] = scores.HasAnswer.F1, ["HasAns_total"] = scores.HasAnswer.Total,
                ["NoAns_exact"] = scores.NoAnswer.Exact, ["NoAns_f1"] = scores.NoAnswer.F1, ["NoAns_total"] = scores.NoAnswer.Total,
                ["best_exact"] = scores.BestExact?.Score, ["best_exact_thresh"] = scores.BestExact?.Threshold,
                ["best_f1"] = scores.BestF1?.Score, ["best_f1_thresh"] = scores.BestF1?.Threshold,
            };
            foreach (JsonProperty value in expected.EnumerateObject())
                Assert.That(given[value.Name], Is.EqualTo(value.Value.GetDouble()).Within(1e-9), $"{note}: {value.Name}");
        }
    }

    [Test]
    public void Classes_count_as_in_scikit_learn()
    {
        // f1_score([0,0,1,1,2], [0,1,1,1,0]): per class 0.5, 0.8, 0; a fourth class that is nowhere does not count.
        ClassScores scores = ClassScores.Of([0, 0, 1, 1, 2], [0, 1, 1, 1, 0], 4);
        Assert.That(scores.Accuracy, Is.EqualTo(0.6).Within(1e-12));
        Assert.That(scores.MicroF1, Is.EqualTo(0.6).Within(1e-12));
        Assert.That(scores.MacroF1, Is.EqualTo(1.3 / 3).Within(1e-12));
        ClassScores several = ClassScores.Of([[0, 1], [], [2]], [[0], [], [2, 1]], 3);
        Assert.That(several.Accuracy, Is.EqualTo(1.0 / 3).Within(1e-12));
        Assert.That(several.MicroF1, Is.EqualTo(2 * (2.0 / 3) * (2.0 / 3) / (4.0 / 3)).Within(1e-12));
    }

    [Test]
    public void Numbers_and_language()
    {
        NumberScores scores = NumberScores.Of([1, 2, 3], [1, 2, 5]);
        Assert.That(scores.MeanSquaredError, Is.EqualTo(4.0 / 3).Within(1e-12));
        Assert.That(scores.Pearson, Is.EqualTo(0.9607689228305227).Within(1e-12));
        LanguageScores language = new(Math.Log(2) * 8, 4, 16);
        Assert.That(language.Perplexity, Is.EqualTo(4).Within(1e-12));
        Assert.That(language.BitsPerToken, Is.EqualTo(2).Within(1e-12));
        Assert.That(language.BitsPerCharacter, Is.EqualTo(0.5).Within(1e-12));
    }
}
