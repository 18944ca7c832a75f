using System.Text.Json;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// The one rule by which every reader of this library takes JSON: as Python's <c>json</c> takes it, and as editors leave it. A byte order mark is
/// passed over, UTF-16 with a mark is read, and NaN, Infinity and -Infinity, which JSON lacks, become strings of those names: a reader of a number
/// refuses them by name, and nobody else minds.
/// </summary>
public static class JsonText
{
    /// <summary>Parses JSON of a file of a checkpoint.</summary>
    /// <param name="json">The bytes.</param>
    /// <exception cref="JsonException">It is none.</exception>
    public static JsonDocument Parse(ReadOnlyMemory<byte> json) =>
        FileHints.OfContent(json.Span) is { } hint ? throw new JsonException($"it is {hint}") : JsonDocument.Parse(ToStandard(json));

    /// <summary>The same as standard JSON in UTF-8.</summary>
    /// <param name="json">The bytes; returned as they are where nothing is to be changed.</param>
    public static ReadOnlyMemory<byte> ToStandard(ReadOnlyMemory<byte> json) => LenientJson.ToStandard(json);
}
