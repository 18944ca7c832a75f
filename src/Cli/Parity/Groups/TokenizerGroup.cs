using System.Text.Json;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>
/// Tokenizer cases: JSON lines of texts with their ids, offsets, masks and decodings. A row per file and column; its difference is
/// the number of lines that differ.
/// </summary>
internal sealed class TokenizerGroup : ParityGroup
{
    private delegate Dictionary<string, JsonText> LineRunner(Tokenizer tokenizer, JsonElement line);

    /// <summary>A result as compact JSON text, to be compared with the expected element.</summary>
    private readonly record struct JsonText(string Text);

    private static readonly Dictionary<string, LineRunner> Files = new()
    {
        ["encode.jsonl"] = (tokenizer, line) => Encoded(tokenizer.Encode(line.GetProperty("text").GetString()!)),
        ["encode_prefix_space.jsonl"] = (tokenizer, line) =>
            Encoded(tokenizer.Encode(line.GetProperty("text").GetString()!, null, new EncodeOptions { AddPrefixSpace = true })),
        ["pairs.jsonl"] = (tokenizer, line) => Encoded(tokenizer.Encode(line.GetProperty("a").GetString()!, line.GetProperty("b").GetString())),
        ["truncation.jsonl"] = Truncated,
        ["padding.jsonl"] = Padded,
        ["decode.jsonl"] = Decoded,
    };

    internal override string Name => "tokenizer";

    internal override string? ExpectedFile => null;

    internal override bool DependsOnImplementation(ParityCase parityCase) => false;

    internal override void Run(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        Tokenizer tokenizer = Tokenizer.Load(parityCase.Folder);
        foreach (string path in Directory.EnumerateFiles(parityCase.Folder, "*.jsonl").Order(StringComparer.Ordinal))
        {
            string file = Path.GetFileName(path);
            if (Files.TryGetValue(file, out LineRunner? runner))
                RunFile(parityCase, tokenizer, path, runner, report);
            else
                report.Add(new ParityRow(parityCase.Id, file, null, null, ParityOutcome.Skip, "a file of a kind not built yet"));
        }
    }

    private static void RunFile(ParityCase parityCase, Tokenizer tokenizer, string path, LineRunner runner, ParityReport report)
    {
        string file = Path.GetFileName(path);
        Dictionary<string, (int Lines, int Different, int First)> columns = [];
        int number = 0;
        foreach (string text in File.ReadLines(path))
        {
            number++;
            if (text.Length == 0)
                continue;
            using JsonDocument document = JsonDocument.Parse(text);
            Dictionary<string, JsonText> computed = runner(tokenizer, document.RootElement);
            foreach (JsonProperty expected in document.RootElement.EnumerateObject())
            {
                if (!computed.TryGetValue(expected.Name, out JsonText value))
                    continue;
                (int lines, int different, int first) = columns.GetValueOrDefault(expected.Name);
                bool equal = JsonElement.DeepEquals(Parse(value.Text), expected.Value);
                columns[expected.Name] = (lines + 1, different + (equal ? 0 : 1), equal || first > 0 ? first : number);
            }
        }
        foreach ((string column, (int lines, int different, int first)) in columns)
        {
            report.Add(new ParityRow(parityCase.Id, $"{file} {column}", different, 0,
                different == 0 ? ParityOutcome.Pass : ParityOutcome.Fail,
                different == 0 ? $"{lines} lines" : $"{different} of {lines} lines differ, the first is line {first}"));
        }
        if (columns.Count == 0)
            report.Add(new ParityRow(parityCase.Id, file, null, null, ParityOutcome.Fail, "no line with an expected column"));
    }

    private static Dictionary<string, JsonText> Encoded(Encoding encoding) => new()
    {
        ["ids"] = Numbers(encoding.Ids.Span),
        ["offsets"] = Ranges(encoding.GetOffsets(OffsetUnit.CodePoint)),
        ["offsets_utf16"] = Ranges(encoding.Offsets.Span),
        ["sequence_ids"] = new JsonText($"[{string.Join(',', encoding.SequenceIds.ToArray().Select(s => s < 0 ? "null" : s.ToString(Invariant)))}]"),
        ["special_tokens_mask"] = Numbers(encoding.SpecialTokensMask.Span),
        ["type_ids"] = Numbers(encoding.TypeIds.Span),
        ["attention_mask"] = Numbers(encoding.AttentionMask.Span),
    };

    private static Dictionary<string, JsonText> Truncated(Tokenizer tokenizer, JsonElement line)
    {
        Encoding encoding = tokenizer.Encode(line.GetProperty("a").GetString()!, line.GetProperty("b").GetString(), new EncodeOptions
        {
            MaxLength = line.GetProperty("max_length").GetInt32(),
            Stride = line.GetProperty("stride").GetInt32(),
            Overflow = OverflowExtent.UpToLimit,
            Truncation = line.GetProperty("strategy").GetString() switch
            {
                "only_first" => TruncationStrategy.OnlyFirst,
                "only_second" => TruncationStrategy.OnlySecond,
                "longest_first" => TruncationStrategy.LongestFirst,
                var other => throw new IOException($"truncation.jsonl: strategy \"{other}\" is unknown"),
            },
        });
        Dictionary<string, JsonText> result = Encoded(encoding);
        // An overflowing part is compared in the columns that the expected line has.
        string[] columns = line.GetProperty("overflowing") is { ValueKind: JsonValueKind.Array } parts && parts.GetArrayLength() > 0
            ? [.. parts[0].EnumerateObject().Select(p => p.Name)]
            : ["ids"];
        IEnumerable<string> overflowing = encoding.Overflowing.Select(o =>
        {
            Dictionary<string, JsonText> part = Encoded(o);
            return $"{{{string.Join(',', columns.Select(c => $"\"{c}\":{part[c].Text}"))}}}";
        });
        result["overflowing"] = new JsonText($"[{string.Join(',', overflowing)}]");
        return result;
    }

    private static Dictionary<string, JsonText> Padded(Tokenizer tokenizer, JsonElement line)
    {
        string[] texts = [.. line.GetProperty("texts").EnumerateArray().Select(t => t.GetString()!)];
        IReadOnlyList<Encoding> encodings = tokenizer.EncodeBatch(texts, options: new EncodeOptions
        {
            Padding = new PaddingOptions
            {
                Side = line.TryGetProperty("side", out JsonElement side) ? side.GetString() == "left" ? Side.Left : Side.Right : null,
                Length = Optional(line, "length"),
                MultipleOf = Optional(line, "pad_to_multiple_of"),
            },
        });
        return new()
        {
            ["ids"] = new JsonText($"[{string.Join(',', encodings.Select(e => Numbers(e.Ids.Span).Text))}]"),
            ["attention_mask"] = new JsonText($"[{string.Join(',', encodings.Select(e => Numbers(e.AttentionMask.Span).Text))}]"),
        };
    }

    private static Dictionary<string, JsonText> Decoded(Tokenizer tokenizer, JsonElement line)
    {
        int[] ids = [.. line.GetProperty("ids").EnumerateArray().Select(i => i.GetInt32())];
        return new()
        {
            ["text"] = Quoted(tokenizer.Decode(ids, skipSpecialTokens: false)),
            ["text_skip_special"] = Quoted(tokenizer.Decode(ids, skipSpecialTokens: true)),
        };
    }

    private static System.Globalization.CultureInfo Invariant => System.Globalization.CultureInfo.InvariantCulture;

    private static int? Optional(JsonElement line, string name) =>
        line.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetInt32() : null;

    private static JsonText Numbers(ReadOnlySpan<int> values) => new($"[{string.Join(',', values.ToArray())}]");

    private static JsonText Ranges(ReadOnlySpan<TextRange> ranges) =>
        new($"[{string.Join(',', ranges.ToArray().Select(r => string.Create(Invariant, $"[{r.Start},{r.End}]")))}]");

    private static JsonText Quoted(string text) => new($"\"{JsonEncodedText.Encode(text)}\"");

    private static JsonElement Parse(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }
}
