using System.Text;
using System.Text.Unicode;

namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>Reads the small files of a tokenizer and says clearly what is wrong with them.</summary>
internal static class TextFile
{
    /// <summary>No tokenizer file is near this size; a larger one is something else.</summary>
    public const long MaxBytes = 256L << 20;

    /// <summary>The whole file, checked to be UTF-8, without a byte order mark.</summary>
    public static ReadOnlyMemory<byte> ReadUtf8(string path)
    {
        byte[] bytes;
        try
        {
            FileInfo info = new(path);
            if (!info.Exists)
            {
                throw new TokenizerException(
                    Directory.Exists(path) ? $"{path}: expected a file, given a folder" : $"{path}: expected a file, but there is none");
            }

            if (info.Length > MaxBytes)
                throw new TokenizerException($"{path}: expected a tokenizer file of at most {MaxBytes} bytes, given {info.Length}");
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TokenizerException($"{path}: cannot be read: {e.Message}", e);
        }

        ReadOnlyMemory<byte> content = bytes;
        if (FileHints.OfContent(bytes) is { } hint)
            throw new TokenizerException($"{path}: expected a tokenizer file, given {hint}");
        if (content.Span.StartsWith("\uFEFF"u8))
            content = content[3..];
        if (!Utf8.IsValid(content.Span))
            throw new TokenizerException($"{path}: expected UTF-8, given an invalid byte sequence at byte {FirstInvalid(bytes)}");
        return content;
    }

    /// <summary>The lines, each without its line break (\n or \r\n); a last empty line is not one.</summary>
    public static string[] ReadLines(string path)
    {
        string text = System.Text.Encoding.UTF8.GetString(ReadUtf8(path).Span);
        string[] lines = text.Split('\n');
        for (int i = 0; i < lines.Length; i++)
        {
            if (lines[i].EndsWith('\r'))
                lines[i] = lines[i][..^1];
        }
        return lines[^1].Length == 0 ? lines[..^1] : lines;
    }

    private static int FirstInvalid(ReadOnlySpan<byte> bytes)
    {
        int at = 0;
        while (Rune.DecodeFromUtf8(bytes[at..], out _, out int consumed) == System.Buffers.OperationStatus.Done)
            at += consumed;
        return at;
    }
}
