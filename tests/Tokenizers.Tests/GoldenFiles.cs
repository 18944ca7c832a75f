using System.Text.Json;

namespace LongformerInterop.Tokenizers.Tests;

/// <summary>The result of one file of expected tokenizations.</summary>
/// <param name="File">Its name.</param>
/// <param name="Lines">Lines compared.</param>
/// <param name="Failures">One message per line that differs.</param>
internal sealed record GoldenFileResult(string File, int Lines, IReadOnlyList<string> Failures);

/// <summary>
/// Compares a tokenizer with the <c>.jsonl</c> files of a golden folder: one JSON object per line with the arguments and the results of HF's
/// <c>tokenizers</c>. Uses the public surface only.
/// </summary>
internal static class GoldenFiles
{
    /// <summary>Every <c>.jsonl</c> file of a folder against the tokenizer whose files are beside them.</summary>
    public static IReadOnlyList<GoldenFileResult> CheckFolder(string folder)
    {
        Tokenizer tokenizer = Tokenizer.Load(folder);
        return [.. Directory.EnumerateFiles(folder, "*.jsonl").Order(StringComparer.Ordinal).Select(file => Check(tokenizer, file))];
    }

    /// <summary>One file; its name says what its lines hold.</summary>
    public static GoldenFileResult Check(Tokenizer tokenizer, string path)
    {
        string name = Path.GetFileName(path);
        Func<Tokenizer, JsonElement, string?> check = name switch
        {
            "encode.jsonl" => (t, row) => CheckEncode(t, row, new EncodeOptions()),
            "encode_prefix_space.jsonl" => (t, row) => CheckEncode(t, row, new EncodeOptions { AddPrefixSpace = true }),
            "decode.jsonl" => CheckDecode,
            "pairs.jsonl" => CheckPair,
            "truncation.jsonl" => CheckTruncation,
            "padding.jsonl" => CheckPadding,
            _ => throw new NotSupportedException($"{path}: expected encode, encode_prefix_space, decode, pairs, truncation or padding"),
        };
        List<string> failures = [];
        int lines = 0;
        foreach (string line in File.ReadLines(path))
        {
            if (line.Length == 0)
                continue;
            lines++;
            using JsonDocument row = JsonDocument.Parse(line);
            if (check(tokenizer, row.RootElement) is { } difference)
                failures.Add($"{name} line {lines}: {difference}");
        }

        return new GoldenFileResult(name, lines, failures);
    }

    private static string? CheckEncode(Tokenizer tokenizer, JsonElement row, EncodeOptions options)
    {
        Encoding encoding = tokenizer.Encode(row.GetProperty("text").GetString()!, options: options);
        return CompareEncoding(encoding, row);
    }

    private static string? CheckPair(Tokenizer tokenizer, JsonElement row) =>
        CompareEncoding(tokenizer.Encode(row.GetProperty("a").GetString()!, row.GetProperty("b").GetString()), row);

    private static string? CheckTruncation(Tokenizer tokenizer, JsonElement row)
    {
        EncodeOptions options = new()
        {
            MaxLength = row.GetProperty("max_length").GetInt32(),
            Overflow = OverflowExtent.UpToLimit,
            Stride = row.GetProperty("stride").GetInt32(),
            Truncation = row.GetProperty("strategy").GetString() switch
            {
                "longest_first" => TruncationStrategy.LongestFirst,
                "only_first" => TruncationStrategy.OnlyFirst,
                "only_second" => TruncationStrategy.OnlySecond,
                _ => TruncationStrategy.DoNotTruncate,
            },
        };
        Encoding encoding = tokenizer.Encode(row.GetProperty("a").GetString()!, row.GetProperty("b").GetString(), options);
        if (CompareEncoding(encoding, row) is { } difference)
            return difference;
        JsonElement[] overflowing = [.. row.GetProperty("overflowing").EnumerateArray()];
        if (encoding.Overflowing.Count != overflowing.Length)
            return $"expected {overflowing.Length} overflowing parts, got {encoding.Overflowing.Count}";
        for (int i = 0; i < overflowing.Length; i++)
        {
            if (CompareEncoding(encoding.Overflowing[i], overflowing[i]) is { } inner)
                return $"overflowing part {i}: {inner}";
        }
        return null;
    }

    private static string? CheckPadding(Tokenizer tokenizer, JsonElement row)
    {
        PaddingOptions padding = new()
        {
            Side = row.GetProperty("side").GetString() == "left" ? Side.Left : Side.Right,
            Length = OptionalInt(row, "length"),
            MultipleOf = OptionalInt(row, "pad_to_multiple_of"),
        };
        string[] texts = [.. row.GetProperty("texts").EnumerateArray().Select(t => t.GetString()!)];
        IReadOnlyList<Encoding> encodings = tokenizer.EncodeBatch(texts, options: new EncodeOptions { Padding = padding });
        for (int i = 0; i < texts.Length; i++)
        {
            if (Compare("ids", row.GetProperty("ids")[i], encodings[i].Ids) is { } ids)
                return $"text {i}: {ids}";
            if (Compare("attention_mask", row.GetProperty("attention_mask")[i], encodings[i].AttentionMask) is { } mask)
                return $"text {i}: {mask}";
        }

        return null;
    }

    private static string? CheckDecode(Tokenizer tokenizer, JsonElement row)
    {
        int[] ids = Ints(row.GetProperty("ids"));
        foreach ((string key, bool skip) in new[] { ("text", false), ("text_skip_special", true) })
        {
            string expected = row.GetProperty(key).GetString()!, given = tokenizer.Decode(ids, skip);
            if (!string.Equals(expected, given, StringComparison.Ordinal))
                return $"{key}: expected {JsonEncodedText.Encode(expected)}, got {JsonEncodedText.Encode(given)}";
        }

        return null;
    }

    /// <summary>Whatever of an encoding the line holds.</summary>
    private static string? CompareEncoding(Encoding encoding, JsonElement row)
    {
        foreach (JsonProperty property in row.EnumerateObject())
        {
            string? difference = property.Name switch
            {
                "ids" => Compare("ids", property.Value, encoding.Ids),
                "offsets" => Compare("offsets", property.Value, encoding.GetOffsets(OffsetUnit.CodePoint)),
                "offsets_utf16" => Compare("offsets_utf16", property.Value, encoding.Offsets.Span),
                "sequence_ids" => Compare("sequence_ids", property.Value, encoding.SequenceIds),
                "special_tokens_mask" => Compare("special_tokens_mask", property.Value, encoding.SpecialTokensMask),
                "type_ids" => Compare("type_ids", property.Value, encoding.TypeIds),
                "attention_mask" => Compare("attention_mask", property.Value, encoding.AttentionMask),
                _ => null,
            };
            if (difference is not null)
                return difference;
        }

        return null;
    }

    private static string? Compare(string name, JsonElement expected, ReadOnlyMemory<int> given) =>
        given.Span.SequenceEqual(Ints(expected)) ? null : $"{name}: expected {expected.GetRawText()}, got [{string.Join(", ", given.ToArray())}]";

    private static string? Compare(string name, JsonElement expected, ReadOnlySpan<TextRange> given)
    {
        TextRange[] ranges = [.. expected.EnumerateArray().Select(r => new TextRange(r[0].GetInt32(), r[1].GetInt32()))];
        return given.SequenceEqual(ranges)
            ? null
            : $"{name}: expected {expected.GetRawText()}, got [{string.Join(", ", given.ToArray().Select(r => $"[{r.Start}, {r.End}]"))}]";
    }

    private static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(v => v.ValueKind == JsonValueKind.Null ? -1 : v.GetInt32())];

    private static int? OptionalInt(JsonElement row, string key) =>
        row.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetInt32() : null;
}
