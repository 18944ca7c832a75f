using System.Globalization;
using System.Text.Json;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Cli.Parity.Metrics;

/// <summary>rouge_score on pairs of texts, with and without stemming.</summary>
internal sealed class RougeMetric : MetricFile
{
    internal override string FileName => "rouge.json";

    private protected override IEnumerable<MetricCase> Cases(JsonElement root)
    {
        JsonElement pairs = root.GetProperty("pairs");
        foreach (JsonElement expected in root.GetProperty("expected").EnumerateArray())
        {
            (int pair, bool stem) = (expected.GetProperty("pair").GetInt32(), expected.GetProperty("stemmer").GetBoolean());
            (string reference, string candidate) =
                (pairs[pair].GetProperty("reference").GetString()!, pairs[pair].GetProperty("candidate").GetString()!);
            yield return new MetricCase($"pair {pair}{(stem ? ", stemmed" : "")}", expected, () =>
            {
                RougeScores scores = RougeScorer.Score(reference, candidate, stem);
                Dictionary<string, object?> values = new() { ["pair"] = pair, ["stemmer"] = stem ? 1 : 0 };
                foreach ((string name, PrecisionRecall score) in ((string, PrecisionRecall)[])[("rouge1", scores.Rouge1), ("rouge2", scores.Rouge2),
                    ("rougeL", scores.RougeL), ("rougeLsum", scores.RougeLsum)])
                {
                    (values[$"{name}.0"], values[$"{name}.1"], values[$"{name}.2"]) = (score.Precision, score.Recall, score.F1);
                }
                return values;
            });
        }
    }
}

/// <summary>seqeval on sequences of tags.</summary>
internal sealed class EntityMetric : MetricFile
{
    internal override string FileName => "entities.json";

    private protected override IEnumerable<MetricCase> Cases(JsonElement root) => root.GetProperty("cases").EnumerateArray().Select(json =>
        new MetricCase(string.Create(CultureInfo.InvariantCulture, $"{json.GetProperty("true").GetArrayLength()} sequences"), Expected(json), () =>
        {
            PrecisionRecall scores = EntityScorer.Score(Tags(json.GetProperty("true")), Tags(json.GetProperty("predicted")));
            return new Dictionary<string, object?> { ["precision"] = scores.Precision, ["recall"] = scores.Recall, ["f1"] = scores.F1 };
        }));

    private static string[][] Tags(JsonElement sequences) => [.. sequences.EnumerateArray().Select(MetricCase.Texts)];

    /// <summary>The scores beside the sequences.</summary>
    private static JsonElement Expected(JsonElement json)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream))
        {
            writer.WriteStartObject();
            foreach (string name in (string[])["precision", "recall", "f1"])
                writer.WriteNumber(name, json.GetProperty(name).GetDouble());
            writer.WriteEndObject();
        }
        using JsonDocument document = JsonDocument.Parse(stream.ToArray());
        return document.RootElement.Clone();
    }
}
