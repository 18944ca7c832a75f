using System.Text;
using System.Text.Json;

namespace LongformerInterop.Cli;

/// <summary>A text to work on.</summary>
/// <param name="Source">Where it came from: a path, "standard input", or a path and a line.</param>
/// <param name="Text">The text, character for character.</param>
/// <param name="Question">Question given beside the text in a JSON line.</param>
/// <param name="Choices">Choices given beside the text in a JSON line.</param>
/// <param name="Spans">Ranges of characters given beside the text in a JSON line.</param>
internal sealed record Document(string Source, string Text, string? Question = null, IReadOnlyList<string>? Choices = null,
    IReadOnlyList<(int Start, int End)>? Spans = null);

/// <summary>Reads the texts named by <c>--input</c> and <c>--jsonl</c>.</summary>
internal static class Documents
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>All documents: those of <c>--input</c> first, each whole, then those of <c>--jsonl</c>, one per line.</summary>
    /// <exception cref="UsageException">No file is named, or standard input twice.</exception>
    /// <exception cref="IOException">A file cannot be read, is not UTF-8 or is not JSON lines.</exception>
    internal static List<Document> Read(IReadOnlyList<string> inputs, IReadOnlyList<string> jsonLines)
    {
        if (inputs.Count == 0 && jsonLines.Count == 0)
            throw new UsageException("no text: give --input FILE (- for standard input) or --jsonl FILE");
        if (inputs.Concat(jsonLines).Count(name => name == "-") > 1)
            throw new UsageException("standard input (-) can be read only once");
        List<Document> documents = [];
        foreach (string input in inputs)
            documents.Add(new Document(Name(input), Decode(ReadBytes(input), Name(input))));
        foreach (string file in jsonLines)
            AddLines(documents, Decode(ReadBytes(file), Name(file)), Name(file));
        return documents;
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
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new IOException($"{path}: no such file", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"{path}: permission denied", e);
        }
    }

    private static string Decode(byte[] bytes, string name)
    {
        ReadOnlySpan<byte> text = bytes;
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

    private static void AddLines(List<Document> documents, string text, string name)
    {
        int line = 0;
        int before = documents.Count;
        foreach (ReadOnlySpan<char> raw in text.AsSpan().EnumerateLines(splitOn: '\n'))
        {
            line++;
            ReadOnlySpan<char> content = raw.Trim();
            if (content.Length > 0)
                documents.Add(ParseLine(content.ToString(), $"{name}:{line}"));
        }
        if (documents.Count == before)
            throw new IOException($"{name} holds no documents");
    }

    private static Document ParseLine(string json, string source)
    {
        try
        {
            using JsonDocument parsed = JsonDocument.Parse(json);
            JsonElement root = parsed.RootElement;
            if (root.ValueKind == JsonValueKind.String)
                return new Document(source, root.GetString()!);
            if (root.ValueKind != JsonValueKind.Object)
                throw new IOException($"{source}: expected a string or an object with \"text\", given {root.ValueKind}");
            string? text = Text(root, "text", source) ?? Text(root, "document", source) ?? Text(root, "context", source);
            if (text is null)
                throw new IOException($"{source}: the object has no \"text\" (nor \"document\", nor \"context\")");
            return new Document(source, text, Text(root, "question", source), Choices(root, source), Spans(root, source));
        }
        catch (JsonException e)
        {
            throw new IOException($"{source}: not JSON: {e.Message}", e);
        }
        catch (InvalidOperationException e)
        {
            // A lone surrogate such as "\ud800" is JSON but no text.
            throw new IOException($"{source}: not text: {e.Message}", e);
        }
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
