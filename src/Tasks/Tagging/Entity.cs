using System.Text.Json;

namespace LongformerInterop.Tasks;

/// <summary>How the tags of tokens become entities. The names and rules are those of transformers' token classification pipeline.</summary>
public enum TagAggregation
{
    /// <summary>Every token is given with its own label. O is left out.</summary>
    None,

    /// <summary>Neighboring tokens of one label are joined; B- begins another. O is left out.</summary>
    Simple,

    /// <summary>As <see cref="Simple"/> over words; a word takes the label of its first token.</summary>
    First,

    /// <summary>As <see cref="Simple"/> over words; a word takes the label with the highest mean probability of its tokens.</summary>
    Average,

    /// <summary>As <see cref="Simple"/> over words; a word takes the label of its most certain token.</summary>
    Max,
}

/// <summary>A labeled stretch of the text.</summary>
/// <param name="Label">Label; with aggregation what is before its first dash is taken off (B-, I-).</param>
/// <param name="Text">The characters <c>text[Start..End]</c>.</param>
/// <param name="Start">First character, in UTF-16 units.</param>
/// <param name="End">One past the last character.</param>
/// <param name="Score">Probability of the label, the mean over the joined tokens or words.</param>
public sealed record Entity(string Label, string Text, int Start, int End, float Score)
{
    /// <summary>Writes a JSON object with these fields in small letters; a score that is not finite, which JSON lacks, as null.</summary>
    public void WriteTo(Utf8JsonWriter json)
    {
        ArgumentNullException.ThrowIfNull(json);
        json.WriteStartObject();
        json.WriteString("label", Label);
        json.WriteString("text", Text);
        json.WriteNumber("start", Start);
        json.WriteNumber("end", End);
        if (float.IsFinite(Score))
            json.WriteNumber("score", Score);
        else
            json.WriteNull("score");
        json.WriteEndObject();
    }
}

/// <summary>Options of <see cref="TokenClassifier"/>.</summary>
public sealed record TagOptions : TaskOptions
{
    /// <summary>How tokens become entities.</summary>
    public TagAggregation Aggregation { get; init; } = TagAggregation.Simple;
}
