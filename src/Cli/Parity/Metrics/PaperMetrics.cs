using System.Text.Json;
using LongformerInterop.Models.Coreference;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Cli.Parity.Metrics;

/// <summary>The CoNLL scorer's fractions and printed numbers, and those of the Python scorer of e2e-coref.</summary>
internal sealed class CoreferenceMetric : MetricFile
{
    // What scorer.pl prints is cut to two decimals, now and then 0.01 too low.
    private const double PrintedTolerance = 0.011;

    internal override string FileName => "coreference.json";

    private protected override IEnumerable<MetricCase> Cases(JsonElement root) => root.EnumerateArray().Select(json => MetricCase.Of(json, Compute));

    private protected override double ToleranceOf(string name) =>
        name.Contains(".printed.", StringComparison.Ordinal) || name.EndsWith("average_f1", StringComparison.Ordinal) ? PrintedTolerance
            : base.ToleranceOf(name);

    private static Dictionary<string, object?> Compute(JsonElement input)
    {
        CoreferenceClusters[] documents = [.. input.GetProperty("documents").EnumerateArray().Select(d =>
            new CoreferenceClusters(Clusters(d.GetProperty("gold")), Clusters(d.GetProperty("predicted"))))];
        (CoreferenceScores official, CoreferenceScores python) =
            (CoreferenceScorer.Score(documents), CoreferenceScorer.Score(documents, CoreferenceRules.Python));
        Dictionary<string, object?> values = new() { ["conll.average_f1"] = official.PrintedAverage };
        foreach ((string name, CoreferenceCounts c) in ((string, CoreferenceCounts)[])
            [("mentions", official.Mentions), ("muc", official.Muc), ("bcub", official.BCubed), ("ceafm", official.CeafM), ("ceafe", official.CeafE)])
        {
            AddOfficial(values, name, [c.RecallHits, c.RecallTotal], [c.PrecisionHits, c.PrecisionTotal], c.Scores, c.Scores.F1);
        }
        PrecisionRecall blanc = official.Blanc.Scores;
        AddOfficial(values, "blanc", [blanc.Recall, 1], [blanc.Precision, 1], blanc, official.Blanc.F1);
        foreach ((string name, CoreferenceCounts c) in ((string, CoreferenceCounts)[])
            [("muc", python.Muc), ("b_cubed", python.BCubed), ("ceafe", python.CeafE)])
        {
            AddPython(values, name, c.Scores.Precision, c.Scores.Recall, c.Scores.F1);
            AddList(values, $"python.{name}.counts", [c.PrecisionHits, c.PrecisionTotal, c.RecallHits, c.RecallTotal]);
        }
        (double precision, double recall, double f1) = python.Average;
        AddPython(values, "average", precision, recall, f1);
        return values;
    }

    private static void AddOfficial(Dictionary<string, object?> values, string name, double[] recall, double[] precision, PrecisionRecall scores,
        double f1)
    {
        AddList(values, $"conll.{name}.recall", recall);
        AddList(values, $"conll.{name}.precision", precision);
        values[$"conll.{name}.printed.recall"] = CoreferenceScorer.Print(scores.Recall);
        values[$"conll.{name}.printed.precision"] = CoreferenceScorer.Print(scores.Precision);
        values[$"conll.{name}.printed.f1"] = CoreferenceScorer.Print(f1);
    }

    private static void AddPython(Dictionary<string, object?> values, string name, double precision, double recall, double f1) =>
        (values[$"python.{name}.precision"], values[$"python.{name}.recall"], values[$"python.{name}.f1"]) = (precision, recall, f1);

    private static void AddList(Dictionary<string, object?> values, string name, double[] numbers)
    {
        for (int i = 0; i < numbers.Length; i++)
            values[FormattableString.Invariant($"{name}.{i}")] = numbers[i];
    }

    private static IReadOnlyList<MentionSpan>[] Clusters(JsonElement clusters) => [.. clusters.EnumerateArray().Select(c =>
        (IReadOnlyList<MentionSpan>)[.. c.EnumerateArray().Select(m => new MentionSpan(m[0].GetInt32(), m[1].GetInt32()))])];
}

/// <summary>HotpotQA's script: single questions, and whole files.</summary>
internal sealed class HotpotMetric : MetricFile
{
    internal override string FileName => "hotpotqa.json";

    private protected override IEnumerable<MetricCase> Cases(JsonElement root) => root.EnumerateArray().Select(json => MetricCase.Of(json, Compute));

    private static Dictionary<string, object?> Compute(JsonElement input)
    {
        Dictionary<string, object?> values = [];
        HotpotScores scores;
        if (input.TryGetProperty("predictions", out JsonElement predictions))
        {
            JsonElement answers = predictions.GetProperty("answer"), facts = predictions.GetProperty("sp");
            scores = HotpotScorer.Score(
                input.GetProperty("gold").EnumerateArray().ToDictionary(q => q.GetProperty("_id").GetString()!, q => Of(q, "supporting_facts")),
                answers.EnumerateObject().Concat(facts.EnumerateObject()).Select(p => p.Name).Distinct().ToDictionary(id => id, id =>
                    new HotpotAnswer(answers.TryGetProperty(id, out JsonElement a) ? a.GetString() : null,
                        facts.TryGetProperty(id, out JsonElement f) ? Facts(f) : null)));
        }
        else
        {
            (HotpotAnswer given, HotpotAnswer gold) = (Of(input.GetProperty("prediction"), "sp"), Of(input.GetProperty("gold"), "supporting_facts"));
            scores = HotpotScorer.Score(new Dictionary<string, HotpotAnswer> { [""] = gold },
                new Dictionary<string, HotpotAnswer> { [""] = given });
            values["normalized_prediction"] = SquadScorer.Normalize(given.Answer!);
            values["normalized_gold"] = SquadScorer.Normalize(gold.Answer!);
        }
        foreach ((string prefix, HotpotValues of) in ((string, HotpotValues)[])
            [("", scores.Answer), ("sp_", scores.Facts), ("joint_", scores.Joint)])
        {
            (values[prefix + "em"], values[prefix + "f1"]) = (of.Exact, of.F1);
            (values[prefix + "prec"], values[prefix + "recall"]) = (of.Precision, of.Recall);
        }
        return values;
    }

    private static HotpotAnswer Of(JsonElement json, string facts) => new(json.GetProperty("answer").GetString(), Facts(json.GetProperty(facts)));

    private static SupportingFact[] Facts(JsonElement facts) => [.. facts.EnumerateArray().Select(f =>
        new SupportingFact(f[0].GetString()!, f[1].GetInt32()))];
}
