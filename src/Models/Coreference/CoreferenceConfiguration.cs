using System.Text.Json;

namespace LongformerInterop.Models.Coreference;

/// <summary>
/// The sizes of the coreference head: the object <c>coreference</c> of <c>config.json</c>. The values of a new instance are those of Joshi et al.
/// (2019), base configuration.
/// </summary>
public sealed record CoreferenceConfiguration
{
    /// <summary>Width of the hidden layer of every scorer.</summary>
    public int FeedForwardSize { get; init; } = 3000;

    /// <summary>Width of an embedded feature: span width, distance, speaker, genre.</summary>
    public int FeatureSize { get; init; } = 20;

    /// <summary>The most tokens of a mention.</summary>
    public int MaxSpanWidth { get; init; } = 30;

    /// <summary>Spans that are kept, as a part of the tokens.</summary>
    public double TopSpanRatio { get; init; } = 0.4;

    /// <summary>The most spans that are kept.</summary>
    public int MaxTopSpans { get; init; } = 3900;

    /// <summary>The most antecedents of a span that are scored in full.</summary>
    public int MaxTopAntecedents { get; init; } = 50;

    /// <summary>How often antecedents are scored, the spans being refined in between; 1 is first order.</summary>
    public int Depth { get; init; } = 2;

    /// <summary>Dropout of the head in training.</summary>
    public double Dropout { get; init; } = 0.3;

    /// <summary>Segments of a long document that one step of training takes; a distance of as many or more is one feature.</summary>
    public int MaxTrainingSegments { get; init; } = 3;

    /// <summary>The most tokens of a segment, special ones included; 0: as many as the model has positions for.</summary>
    public int MaxSegmentTokens { get; init; }

    /// <summary>The genres: the first letters of OntoNotes' documents.</summary>
    public IReadOnlyList<string> Genres { get; init; } = ["bc", "bn", "mz", "nw", "pt", "tc", "wb"];

    /// <summary>Reads the object; what it lacks has the usual value.</summary>
    internal static CoreferenceConfiguration Read(ConfigurationReader outer)
    {
        CoreferenceConfiguration usual = new();
        if (!outer.Root.TryGetProperty("coreference", out JsonElement value) || value.ValueKind == JsonValueKind.Null)
            return usual;
        if (value.ValueKind != JsonValueKind.Object)
        {
            outer.Problems.Add($"coreference must be an object, given {value.ValueKind}");
            return usual;
        }
        ConfigurationReader json = new(value);
        CoreferenceConfiguration read = new()
        {
            FeedForwardSize = json.Integer("ffnn_size", usual.FeedForwardSize),
            FeatureSize = json.Integer("feature_size", usual.FeatureSize),
            MaxSpanWidth = json.Integer("max_span_width", usual.MaxSpanWidth),
            TopSpanRatio = json.Number("top_span_ratio", usual.TopSpanRatio, 0, 100),
            MaxTopSpans = json.Integer("max_num_extracted_spans", usual.MaxTopSpans),
            MaxTopAntecedents = json.Integer("max_top_antecedents", usual.MaxTopAntecedents),
            Depth = json.Integer("coref_depth", usual.Depth),
            Dropout = json.Number("dropout_rate", usual.Dropout, 0, 1),
            MaxTrainingSegments = json.Integer("max_training_sentences", usual.MaxTrainingSegments),
            MaxSegmentTokens = json.Integer("max_segment_len", usual.MaxSegmentTokens, 0),
            Genres = json.Has("genres") ? json.Texts("genres") : usual.Genres,
        };
        if (read.Genres.Count == 0)
            json.Problems.Add("genres must have at least one");
        outer.Problems.AddRange(json.Problems.Select(problem => $"coreference.{problem}"));
        return read;
    }

    internal void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject("coreference");
        json.WriteNumber("ffnn_size", FeedForwardSize);
        json.WriteNumber("feature_size", FeatureSize);
        json.WriteNumber("max_span_width", MaxSpanWidth);
        json.WriteNumber("top_span_ratio", TopSpanRatio);
        json.WriteNumber("max_num_extracted_spans", MaxTopSpans);
        json.WriteNumber("max_top_antecedents", MaxTopAntecedents);
        json.WriteNumber("coref_depth", Depth);
        json.WriteNumber("dropout_rate", Dropout);
        json.WriteNumber("max_training_sentences", MaxTrainingSegments);
        json.WriteNumber("max_segment_len", MaxSegmentTokens);
        json.WriteStartArray("genres");
        foreach (string genre in Genres)
            json.WriteStringValue(genre);
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
