using System.Globalization;
using System.Text.Json;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Cli.Parity.Metrics;

/// <summary>TriviaQA's script: single answers, and whole sets.</summary>
internal sealed class TriviaQaMetric : MetricFile
{
    internal override string FileName => "triviaqa.json";

    private protected override IEnumerable<MetricCase> Cases(JsonElement root) => root.EnumerateArray().Select(json => MetricCase.Of(json, Compute));

    private static Dictionary<string, object?> Compute(JsonElement input)
    {
        if (!input.TryGetProperty("prediction", out JsonElement prediction))
            return WholeSet(input);
        string[] truths = MetricCase.Texts(input.GetProperty("ground_truths"));
        (double exact, double f1) = TriviaQaScorer.Score(prediction.GetString()!, truths);
        Dictionary<string, object?> values = new()
        {
            ["normalized_prediction"] = TriviaQaScorer.Normalize(prediction.GetString()!), ["exact_match"] = exact, ["f1"] = f1,
        };
        for (int i = 0; i < truths.Length; i++)
            values[string.Create(CultureInfo.InvariantCulture, $"normalized_ground_truths.{i}")] = TriviaQaScorer.Normalize(truths[i]);
        return values;
    }

    private static Dictionary<string, object?> WholeSet(JsonElement input)
    {
        Dictionary<string, string> predictions =
            input.GetProperty("predictions").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!);
        string[] Listed(JsonElement question, string key) => question.TryGetProperty(key, out JsonElement list) ? MetricCase.Texts(list) : [];
        TriviaQaScores scores = TriviaQaScorer.Score(input.GetProperty("ground_truth").EnumerateObject().ToDictionary(q => q.Name,
            q => (IReadOnlyList<string>)[.. Listed(q.Value, "NormalizedAliases"), .. Listed(q.Value, "HumanAnswers")]), predictions);
        return new Dictionary<string, object?>
        {
            ["exact_match"] = scores.ExactMatch, ["f1"] = scores.F1, ["common"] = scores.Answered, ["denominator"] = scores.Total,
            ["pred_len"] = predictions.Count, ["gold_len"] = scores.Total,
        };
    }
}

/// <summary>SQuAD 2's script: single answers, and whole sets with and without probabilities of no answer.</summary>
internal sealed class SquadMetric : MetricFile
{
    internal override string FileName => "squad2.json";

    private protected override IEnumerable<MetricCase> Cases(JsonElement root) => root.EnumerateArray().Select(json => MetricCase.Of(json, Compute));

    private static Dictionary<string, object?> Compute(JsonElement input)
    {
        if (!input.TryGetProperty("prediction", out JsonElement prediction))
            return WholeSet(input);
        string[] answers = MetricCase.Texts(input.GetProperty("answers"));
        (double exact, double f1) = SquadScorer.Score(prediction.GetString()!, answers);
        Dictionary<string, object?> values = new()
        {
            ["normalized_prediction"] = SquadScorer.Normalize(prediction.GetString()!), ["exact"] = exact, ["f1"] = f1,
        };
        for (int i = 0; i < answers.Length; i++)
            values[string.Create(CultureInfo.InvariantCulture, $"normalized_answers.{i}")] = SquadScorer.Normalize(answers[i]);
        return values;
    }

    private static Dictionary<string, object?> WholeSet(JsonElement input)
    {
        Dictionary<string, double>? none = input.TryGetProperty("no_answer_probabilities", out JsonElement given)
            && given.ValueKind == JsonValueKind.Object ? given.EnumerateObject().ToDictionary(v => v.Name, v => v.Value.GetDouble()) : null;
        bool hasThreshold = input.TryGetProperty("no_answer_threshold", out JsonElement threshold) && threshold.ValueKind == JsonValueKind.Number;
        SquadScores scores = SquadScorer.Score(
            input.GetProperty("answers").EnumerateObject().ToDictionary(v => v.Name, v => (IReadOnlyList<string>)MetricCase.Texts(v.Value)),
            input.GetProperty("predictions").EnumerateObject().ToDictionary(v => v.Name, v => v.Value.GetString()!), none,
            hasThreshold ? threshold.GetDouble() : 1);
        return new Dictionary<string, object?>
        {
            ["exact"] = scores.All.Exact, ["f1"] = scores.All.F1, ["total"] = scores.All.Total,
            ["HasAns_exact"] = scores.HasAnswer.Exact, ["HasAns_f1"] = scores.HasAnswer.F1, ["HasAns_total"] = scores.HasAnswer.Total,
            ["NoAns_exact"] = scores.NoAnswer.Exact, ["NoAns_f1"] = scores.NoAnswer.F1, ["NoAns_total"] = scores.NoAnswer.Total,
            ["best_exact"] = scores.BestExact?.Score, ["best_exact_thresh"] = scores.BestExact?.Threshold,
            ["best_f1"] = scores.BestF1?.Score, ["best_f1_thresh"] = scores.BestF1?.Threshold,
        };
    }
}
