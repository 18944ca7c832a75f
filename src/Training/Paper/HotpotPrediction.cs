using System.Text.Json;
using LongformerInterop.Torch;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Metrics;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>The answer of a model to a question of HotpotQA.</summary>
/// <param name="Id">Of the question.</param>
/// <param name="Answer">yes, no, or a stretch of the text.</param>
/// <param name="Type">Which of them.</param>
/// <param name="Facts">The sentences that support it.</param>
/// <param name="ParagraphScores">The score of every paragraph; minus infinity for one that was cut away.</param>
public sealed record HotpotPrediction(string Id, string Answer, HotpotAnswerType Type, IReadOnlyList<SupportingFact> Facts,
    IReadOnlyList<double> ParagraphScores)
{
    /// <summary>Reads one of <see cref="Evaluation.Predictions"/> of an evaluation of HotpotQA.</summary>
    /// <param name="prediction">A JSON object.</param>
    /// <exception cref="InputException">It is none of these.</exception>
    public static HotpotPrediction Parse(string prediction) => PredictionJson.Read(prediction, json => new HotpotPrediction(
        json.GetProperty("id").GetString()!, json.GetProperty("answer").GetString()!,
        Enum.Parse<HotpotAnswerType>(json.GetProperty("type").GetString()!, ignoreCase: true),
        [.. json.GetProperty("supporting_facts").EnumerateArray().Select(f => new SupportingFact(f[0].GetString()!, f[1].GetInt32()))],
        [.. json.GetProperty("paragraph_scores").EnumerateArray().Select(s =>
            s.ValueKind == JsonValueKind.Null ? double.NegativeInfinity : s.GetDouble())]));

    internal void Write(Utf8JsonWriter json)
    {
        json.WriteString("id", Id);
        json.WriteString("answer", Answer);
        json.WriteString("type", Type.ToString().ToLowerInvariant());
        HotpotRecipe.WriteFacts(json, "supporting_facts", Facts);
        json.WriteStartArray("paragraph_scores");
        foreach (double score in ParagraphScores)
        {
            if (double.IsFinite(score))
                json.WriteNumberValue(score);
            else
                json.WriteNullValue();
        }
        json.WriteEndArray();
    }
}
