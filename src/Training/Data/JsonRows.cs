using System.Text;
using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Data;

/// <summary>Records of JSON.</summary>
internal static class JsonRows
{
    /// <summary>An object in every line; empty lines are passed over.</summary>
    public static IEnumerable<DataRow> Lines(string file, Stream stream)
    {
        using StreamReader reader = new(stream, new UTF8Encoding(false, throwOnInvalidBytes: true));
        for (int number = 1; ; number++)
        {
            string source = $"{file}:{number}";
            string? line;
            try
            {
                line = reader.ReadLine();
            }
            catch (DecoderFallbackException e)
            {
                throw new InputException($"{source}: not UTF-8 text", e);
            }
            if (line is null)
                yield break;
            if (string.IsNullOrWhiteSpace(line))
                continue;
            yield return Parse(source, () => JsonText.ParseTexts(line)) switch
            {
                IReadOnlyDictionary<string, object?> record => new DataRow(source, record),
                string text => new DataRow(source, new Dictionary<string, object?> { ["text"] = text }),
                _ => throw new InputException($"{source}: expected a JSON object, given {Short(line)}"),
            };
        }
    }

    /// <summary>A list of objects, or SQuAD's own format: articles, paragraphs, questions.</summary>
    public static IEnumerable<DataRow> Whole(string file, Stream stream)
    {
        object? whole;
        using (StreamReader reader = new(stream, new UTF8Encoding(false, throwOnInvalidBytes: true)))
            whole = Parse(file, () => JsonText.ParseTexts(reader.ReadToEnd()));
        if (whole is IReadOnlyDictionary<string, object?> top && top.TryGetValue("data", out object? data) && data is IReadOnlyList<object?> articles)
            return articles.SelectMany((article, i) => Article(file, article, i));
        if (whole is not IReadOnlyList<object?> list)
            throw new InputException($"{file}: expected a list of JSON objects (one object a line belongs into a .jsonl file)");
        return list.Select((item, i) => item is IReadOnlyDictionary<string, object?> record
            ? new DataRow($"{file}[{i}]", record) : throw new InputException($"{file}[{i}]: expected a JSON object"));
    }

    /// <summary>One object.</summary>
    /// <param name="source">Where it is, for messages.</param>
    /// <param name="json">In UTF-8.</param>
    public static DataRow Row(string source, byte[] json) =>
        new(source, (IReadOnlyDictionary<string, object?>)Parse(source, () => JsonText.ParseTexts(new UTF8Encoding(false, true).GetString(json)))!);

    /// <summary>SQuAD's answers are in a list of records; its copies at HF have a record of lists.</summary>
    private static IEnumerable<DataRow> Article(string file, object? article, int number)
    {
        if (article is not IReadOnlyDictionary<string, object?> record)
            throw new InputException($"{file}[{number}]: expected a JSON object");
        DataRow row = new($"{file}[{number}]", record);
        if (!row.Has("paragraphs"))
        {
            yield return row;
            yield break;
        }
        foreach (DataRow paragraph in row.Records("paragraphs"))
        {
            foreach (DataRow question in paragraph.Records("qas"))
            {
                yield return new DataRow($"{file}: question {question.Text("id")}", new Dictionary<string, object?>
                {
                    ["id"] = question.Text("id"), ["question"] = question.Text("question"), ["context"] = paragraph.Text("context"),
                    ["answers"] = question.Has("answers") ? question.List("answers") : new List<object?>(),
                });
            }
        }
    }

    private static object? Parse(string source, Func<JsonDocument> parse)
    {
        try
        {
            using JsonDocument document = parse();
            return Value(document.RootElement);
        }
        catch (JsonException e)
        {
            throw new InputException($"{source}: not JSON: {e.Message}", e);
        }
        catch (DecoderFallbackException e)
        {
            throw new InputException($"{source}: not UTF-8 text", e);
        }
    }

    private static object? Value(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String => element.GetString(),
        JsonValueKind.Number => element.TryGetInt64(out long integer) ? integer : element.GetDouble(),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Array => element.EnumerateArray().Select(Value).ToList(),
        JsonValueKind.Object => Record(element),
        _ => null,
    };

    private static Dictionary<string, object?> Record(JsonElement element)
    {
        Dictionary<string, object?> record = new(StringComparer.Ordinal);
        foreach (JsonProperty property in element.EnumerateObject())
            record[property.Name] = Value(property.Value);
        return record;
    }

    private static string Short(string text) => text.Length > 60 ? text[..60] + "..." : text;
}
