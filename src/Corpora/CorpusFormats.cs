using System.IO.Compression;
using LongformerInterop.Torch;
using ZstdSharp;

namespace LongformerInterop.Corpora;

/// <summary>The forms of files: JSON lines, plain or compressed, and Parquet.</summary>
public static class CorpusFormats
{
    private static readonly string[] Lines = [".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".jsonl.zst", ".ndjson.zst"];

    /// <summary>The suffixes that names of output files may have.</summary>
    public static IReadOnlyList<string> Suffixes { get; } = [".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst"];

    /// <summary>Returns the files of some names: files, and folders with all files of a known form in them, in the order of their names.</summary>
    /// <exception cref="InputException">There is no such file, it is of no known form, or both forms are mixed.</exception>
    public static IReadOnlyList<string> Find(IReadOnlyList<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        List<string> files = [];
        foreach (string name in names)
        {
            if (Directory.Exists(name))
            {
                string[] inside = [.. Directory.EnumerateFiles(name).Where(f => IsKnown(f) && Path.GetFileName(f)[0] != '.')
                    .Order(StringComparer.Ordinal)];
                files.AddRange(inside.Length > 0 ? inside : throw new InputException($"{name}: no file of a corpus in it ({Known})"));
            }
            else
            {
                files.Add(!File.Exists(name) ? throw new InputException($"{name}: no such file or folder")
                    : IsKnown(name) ? name : throw new InputException($"{name}: expected a file of a corpus ({Known})"));
            }
        }
        if (files.Count == 0)
            throw new InputException("corpus: expected at least one file, given none");
        string? other = files.Find(f => IsParquet(f) != IsParquet(files[0]));
        return other is null
            ? files
            : throw new InputException($"{other}: expected {(IsParquet(other) ? "JSON lines" : "Parquet")} as {files[0]} is");
    }

    /// <summary>The texts of a Parquet file, row by row; a row group at a time is in memory.</summary>
    /// <param name="file">The file.</param>
    /// <param name="textColumn">The column with the text; null: <c>text</c>, else <c>document</c>, else <c>context</c>.</param>
    /// <exception cref="InputException">There is no such file, it is no Parquet, or has no such column of texts.</exception>
    public static IEnumerable<CorpusText> ReadParquet(string file, string? textColumn = null)
    {
        ArgumentNullException.ThrowIfNull(file);
        if (!File.Exists(file))
            throw new InputException(Directory.Exists(file) ? $"{file}: expected a Parquet file, given a folder" : $"{file}: no such file");
        ParquetReaderRows reader = new([file], textColumn, keep: []);
        return reader.Rows().Select(pending =>
        {
            CorpusRow row = pending.Read();
            return new CorpusText(pending.Source, row.Text, row.Problem);
        });
    }

    /// <summary>Whether a file is Parquet, by its name.</summary>
    internal static bool IsParquet(string name) => name.EndsWith(".parquet", StringComparison.OrdinalIgnoreCase);

    /// <summary>The text of a file of JSON lines, decompressed.</summary>
    internal static Stream Decompress(string name, Stream file) =>
        name.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionMode.Decompress)
            : name.EndsWith(".zst", StringComparison.OrdinalIgnoreCase) ? new DecompressionStream(file) : file;

    /// <summary>Where the lines of an output file are written to.</summary>
    internal static Stream Compress(string name, Stream file) =>
        name.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionLevel.Fastest, leaveOpen: true)
            : name.EndsWith(".zst", StringComparison.Ordinal) ? new CompressionStream(file, leaveOpen: true) : file;

    private static string Known => $"{string.Join(", ", Lines)}, .parquet";

    /// <summary>Whether a file has rows, by its name.</summary>
    internal static bool IsKnown(string name) => IsParquet(name) || Lines.Any(l => name.EndsWith(l, StringComparison.OrdinalIgnoreCase));
}

/// <summary>A text of a file.</summary>
/// <param name="Source">Its place: the file, and the row.</param>
/// <param name="Text">The text; null where there is none.</param>
/// <param name="Problem">Why there is none.</param>
public sealed record CorpusText(string Source, string? Text, string? Problem);
