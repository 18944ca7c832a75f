using System.Text.Json;
using LongformerInterop.Models.Coreference;
using LongformerInterop.Torch;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>The clusters that a model finds in a document of a CoNLL-2012 file.</summary>
/// <param name="Document">The document's name, such as <c>nw/wsj/00/wsj_0001</c>.</param>
/// <param name="Part">The document's part.</param>
/// <param name="Clusters">Mentions by their words, counted over the part.</param>
public sealed record CoreferencePrediction(string Document, int Part, IReadOnlyList<IReadOnlyList<MentionSpan>> Clusters)
{
    /// <summary>Reads one of <see cref="Evaluation.Predictions"/> of an evaluation of coreference.</summary>
    /// <param name="prediction">A JSON object.</param>
    /// <exception cref="InputException">It is none of these.</exception>
    public static CoreferencePrediction Parse(string prediction) => PredictionJson.Read(prediction, json => new CoreferencePrediction(
        json.GetProperty("document").GetString()!, json.GetProperty("part").GetInt32(), ReadClusters(json.GetProperty("clusters"))));

    /// <summary>Clusters of <c>[first, last]</c>.</summary>
    internal static IReadOnlyList<MentionSpan>[] ReadClusters(JsonElement json) => [.. json.EnumerateArray().Select(cluster =>
        (IReadOnlyList<MentionSpan>)[.. cluster.EnumerateArray().Select(m => new MentionSpan(m[0].GetInt32(), m[1].GetInt32()))])];
}

/// <summary>Reads predictions back.</summary>
internal static class PredictionJson
{
    /// <summary>Makes a type of a JSON object.</summary>
    /// <exception cref="InputException">It has other fields, or is no object.</exception>
    public static T Read<T>(string prediction, Func<JsonElement, T> read)
    {
        ArgumentNullException.ThrowIfNull(prediction);
        try
        {
            using JsonDocument json = JsonDocument.Parse(prediction);
            return read(json.RootElement);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException or FormatException
            or IndexOutOfRangeException)
        {
            throw new InputException("prediction", $"the JSON object of a {typeof(T).Name}",
                prediction.Length > 200 ? prediction[..200] : prediction);
        }
    }
}
