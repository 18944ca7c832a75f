using System.Text;
using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Corpora;

/// <summary>JSON lines, plain or compressed. A line is parsed when its row is read: those of other shards are only counted.</summary>
internal sealed class JsonLinesReader(IReadOnlyList<string> files, string? textColumn, IReadOnlyList<string>? keep) : ICorpusReader
{
    private static readonly string[] Usual = ["text", "document", "context"];
    private readonly long _total = Math.Max(1, files.Sum(f => new FileInfo(f).Length));
    private long _before;
    private FileStream? _open;

    public IReadOnlyList<CorpusColumn>? Carried => keep is null ? null : [.. keep.Select(k => new CorpusColumn(k, typeof(string)))];

    public double Fraction => Math.Min(1, (_before + (_open?.Position ?? 0)) / (double)_total);

    public IEnumerable<PendingRow> Rows()
    {
        foreach (string file in files)
        {
            using FileStream bytes = new(file, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
            _open = bytes;
            using StreamReader reader = new(CorpusFormats.Decompress(file, bytes), new UTF8Encoding(false, throwOnInvalidBytes: true), true, 1 << 16);
            for (int number = 1; NextLine(reader, file, number) is { } line; number++)
            {
                if (!string.IsNullOrWhiteSpace(line))
                    yield return new PendingRow($"{file}:{number}", line.Length, () => Parse(line));
            }
            _before += bytes.Length;
            _open = null;
        }
    }

    private static string? NextLine(StreamReader reader, string file, int number)
    {
        try
        {
            return reader.ReadLine();
        }
        catch (DecoderFallbackException e)
        {
            throw new InputException($"{file}:{number}: not UTF-8 text near this line", e);
        }
        catch (Exception e) when (e is InvalidDataException or ZstdSharp.ZstdException or EndOfStreamException)
        {
            throw new InputException($"{file}: cannot be decompressed behind line {number - 1}: {e.Message}", e);
        }
    }

    private CorpusRow Parse(string line)
    {
        JsonElement root;
        try
        {
            using JsonDocument document = JsonText.ParseTexts(line);
            root = document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            return CorpusRow.Bad($"not JSON: {e.Message}");
        }
        if (root.ValueKind == JsonValueKind.String && textColumn is null)
            return new CorpusRow(root.GetString(), null, []);
        if (root.ValueKind != JsonValueKind.Object)
            return CorpusRow.Bad($"expected a JSON object, given {root.ValueKind}");
        string? column = textColumn ?? Array.Find(Usual, u => root.TryGetProperty(u, out _));
        if (column is null || !root.TryGetProperty(column, out JsonElement text))
        {
            return CorpusRow.Bad($"no column \"{column ?? "text"}\"; there are "
                + $"{string.Join(", ", root.EnumerateObject().Select(p => $"\"{p.Name}\""))}");
        }
        if (text.ValueKind != JsonValueKind.String)
        {
            return CorpusRow.Bad($"the column \"{column}\" holds {(text.ValueKind == JsonValueKind.Null ? "null" : $"{text.ValueKind}")}, "
                + "expected a text");
        }
        return new CorpusRow(text.GetString(), null, keep is null
            ? [.. root.EnumerateObject().Where(p => p.Name != column).Select(p => KeyValuePair.Create(p.Name, (object?)p.Value))]
            : [.. keep.Select(k => KeyValuePair.Create(k, root.TryGetProperty(k, out JsonElement value) ? (object?)value : null))]);
    }
}
