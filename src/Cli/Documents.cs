using System.Text;
using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Corpora;

namespace LongformerInterop.Cli;

/// <summary>A text to work on.</summary>
/// <param name="Source">Where it came from: a path, "standard input", or a path and a line.</param>
/// <param name="Text">The text, character for character.</param>
/// <param name="Question">Question given beside the text in a JSON line.</param>
/// <param name="Choices">Choices given beside the text in a JSON line.</param>
/// <param name="Spans">Ranges of characters given beside the text in a JSON line.</param>
internal sealed record Document(string Source, string Text, string? Question = null, IReadOnlyList<string>? Choices = null,
    IReadOnlyList<(int Start, int End)>? Spans = null);

/// <summary>The documents that could be read, and the failures of the others.</summary>
internal sealed class DocumentList : List<Document>
{
    /// <summary>Whether a document that fails is passed over (<c>--on-error skip</c>).</summary>
    internal bool Skips { get; init; }

    /// <summary>The failures, one line each.</summary>
    internal List<string> Failures { get; } = [];

    /// <summary>Names every failure on standard error and gives the exit status.</summary>
    internal int Finish()
    {
        foreach (string failure in Failures)
            Console.Error.WriteLine(CommandFailure.OneLine(failure));
        if (Failures.Count > 0)
            Console.Error.WriteLine($"{Failures.Count} of {Count + Unread} documents skipped");
        return Failures.Count == 0 ? 0 : 1;
    }

    /// <summary>How many are not in the list.</summary>
    internal int Unread { get; set; }
}

/// <summary>Reads the texts named by <c>--input</c>, <c>--jsonl</c> and <c>--parquet</c>.</summary>
internal static class Documents
{
    // Far beyond any model's positions; a string of .NET ends at a thousand million characters.
    private const long LongestFile = 512L << 20;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>All documents: those of <c>--input</c> first, each whole, then those of <c>--jsonl</c>, one per line, then those of
    /// <c>--parquet</c>, one per row.</summary>
    /// <param name="inputs">Files with a document each.</param>
    /// <param name="jsonLines">Files with a document per line, or a JSON array of them.</param>
    /// <param name="parquet">Files with a document per row.</param>
    /// <param name="column">Their column with the text; null: text, document or context.</param>
    /// <param name="skips">Whether a line or row that is none is passed over.</param>
    /// <exception cref="UsageException">No file is named, or standard input twice.</exception>
    /// <exception cref="IOException">A file cannot be read or is not text; or lines are no documents, all of which are named.</exception>
    internal static DocumentList Read(IReadOnlyList<string> inputs, IReadOnlyList<string> jsonLines, IReadOnlyList<string> parquet,
        string? column, bool skips)
    {
        if (inputs.Count == 0 && jsonLines.Count == 0 && parquet.Count == 0)
            throw new UsageException("no text: give --input FILE (- for standard input), --jsonl FILE or --parquet FILE");
        if (column is not null && parquet.Count == 0)
            throw new UsageException("--text-column needs --parquet FILE, or --corpus FILE with --parts DIR");
        if (inputs.Concat(jsonLines).Count(name => name == "-") > 1)
            throw new UsageException("standard input (-) can be read only once");
        DocumentList documents = new() { Skips = skips };
        foreach (string input in inputs)
            documents.Add(new Document(Name(input), Decode(ReadBytes(input), Name(input))));
        foreach (string file in jsonLines)
            AddLines(documents, Decode(ReadBytes(file), Name(file)), Name(file));
        foreach (string file in parquet)
            AddRows(documents, file, column);
        documents.Unread = documents.Failures.Count;
        if (documents.Failures.Count > 0 && (!skips || documents.Count == 0))
            throw new IOException(string.Join("; ", documents.Failures));
        return documents;
    }

    private static void AddRows(DocumentList documents, string file, string? column)
    {
        bool any = false;
        foreach (CorpusText row in CorpusFormats.ReadParquet(file, column))
        {
            any = true;
            if (row.Text is { } text)
                documents.Add(new Document(row.Source, text));
            else
                documents.Failures.Add($"{row.Source}: {row.Problem}");
        }
        if (!any)
            throw new IOException($"{file} holds no documents");
    }

    private static string Name(string path) => path == "-" ? "standard input" : path;

    private static byte[] ReadBytes(string path)
    {
        if (path == "-")
        {
            using Stream input = Console.OpenStandardInput();
            using MemoryStream all = new();
            input.CopyTo(all);
            return all.ToArray();
        }
        if (Directory.Exists(path))
            throw new IOException($"{path} is a folder, not a text file");
        try
        {
            long length = new FileInfo(path).Length;
            return length <= LongestFile ? File.ReadAllBytes(path)
                : throw new IOException($"{path}: {length} bytes; a document may have at most {LongestFile}: split it");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new IOException(path.Contains('\uFFFD', StringComparison.Ordinal)
                ? $"{path}: no such file under this name, which is not UTF-8: rename the file" : $"{path}: no such file", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"{path}: permission denied", e);
        }
    }

    private static string Decode(byte[] bytes, string name)
    {
        ReadOnlySpan<byte> text = bytes;

        // PowerShell writes this.
        if (text.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE]))
            return Encoding.Unicode.GetString(text[2..]);
        if (text.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF]))
            return Encoding.BigEndianUnicode.GetString(text[2..]);
        int skip = text.StartsWith("\uFEFF"u8) ? 3 : 0;
        try
        {
            return StrictUtf8.GetString(text[skip..]);
        }
        catch (DecoderFallbackException e)
        {
            throw new IOException($"{name} is not UTF-8 text: invalid byte at offset {skip + Math.Max(0, e.Index)}", e);
        }
    }

    private static void AddLines(DocumentList documents, string text, string name)
    {
        int line = 0;
        int before = documents.Count + documents.Failures.Count;
        bool isArray = text.AsSpan().TrimStart().StartsWith("[") && TryAddArray(documents, text, name);
        foreach (ReadOnlySpan<char> raw in (isArray ? "" : text).AsSpan().EnumerateLines(splitOn: '\n'))
        {
            line++;
            ReadOnlySpan<char> content = raw.Trim();
            if (content.Length == 0)
                continue;
            try
            {
                using JsonDocument parsed = Parse(content.ToString(), $"{name}:{line}");
                documents.Add(Read(parsed.RootElement, $"{name}:{line}"));
            }
            catch (IOException e)
            {
                documents.Failures.Add(e.Message);
            }
        }
        if (documents.Count + documents.Failures.Count == before)
            throw new IOException($"{name} holds no documents");
    }

    /// <summary>A JSON array of documents in place of lines; false where the text is none.</summary>
    private static bool TryAddArray(DocumentList documents, string text, string name)
    {
        try
        {
            using JsonDocument parsed = JsonText.ParseTexts(text);
            int number = 0;
            foreach (JsonElement element in parsed.RootElement.EnumerateArray())
            {
                try
                {
                    documents.Add(Read(element, $"{name}[{number++}]"));
                }
                catch (IOException e)
                {
                    documents.Failures.Add(e.Message);
                }
            }
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static JsonDocument Parse(string json, string source)
    {
        try
        {
            return JsonText.ParseTexts(json);
        }
        catch (JsonException e)
        {
            throw new IOException($"{source}: not JSON: {e.Message}", e);
        }
    }

    private static Document Read(JsonElement root, string source)
    {
        if (root.ValueKind == JsonValueKind.String)
            return new Document(source, root.GetString()!);
        if (root.ValueKind != JsonValueKind.Object)
            throw new IOException($"{source}: expected a string or an object with \"text\", given {root.ValueKind}");
        string? text = Text(root, "text", source) ?? Text(root, "document", source) ?? Text(root, "context", source);
        if (text is null)
            throw new IOException($"{source}: the object has no \"text\" (nor \"document\", nor \"context\")");
        return new Document(source, text, Text(root, "question", source), Choices(root, source), Spans(root, source));
    }

    private static string? Text(JsonElement root, string name, string source)
    {
        if (!root.TryGetProperty(name, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
            return null;
        return value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : throw new IOException($"{source}: \"{name}\" must be a string, given {value.ValueKind}");
    }

    private static List<string>? Choices(JsonElement root, string source)
    {
        if (!root.TryGetProperty("choices", out JsonElement value) || value.ValueKind == JsonValueKind.Null)
            return null;
        if (value.ValueKind != JsonValueKind.Array || value.EnumerateArray().Any(c => c.ValueKind != JsonValueKind.String))
            throw new IOException($"{source}: \"choices\" must be an array of strings");
        return [.. value.EnumerateArray().Select(c => c.GetString()!)];
    }

    private static (int, int)[]? Spans(JsonElement root, string source)
    {
        if (!root.TryGetProperty("spans", out JsonElement value) || value.ValueKind == JsonValueKind.Null)
            return null;
        return value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(IsSpan)
            ? [.. value.EnumerateArray().Select(s => (s[0].GetInt32(), s[1].GetInt32()))]
            : throw new IOException($"{source}: \"spans\" must be an array of pairs [START, END]");

        static bool IsSpan(JsonElement span) => span.ValueKind == JsonValueKind.Array && span.GetArrayLength() == 2
            && span.EnumerateArray().All(e => e.ValueKind == JsonValueKind.Number && e.TryGetInt32(out _));
    }

    /// <summary>Only a line feed ends a line: JSON strings may hold the other Unicode line ends unescaped.</summary>
    private static LineEnumerator EnumerateLines(this ReadOnlySpan<char> text, char splitOn) => new(text, splitOn);

    private ref struct LineEnumerator(ReadOnlySpan<char> text, char splitOn)
    {
        private ReadOnlySpan<char> _rest = text;
        private bool _done;

        public ReadOnlySpan<char> Current { get; private set; }

        public readonly LineEnumerator GetEnumerator() => this;

        public bool MoveNext()
        {
            if (_done)
                return false;
            int end = _rest.IndexOf(splitOn);
            Current = end < 0 ? _rest : _rest[..end];
            _done = end < 0;
            _rest = end < 0 ? default : _rest[(end + 1)..];
            return true;
        }
    }
}
