using System.IO.Enumeration;
using System.Text;
using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Data;

/// <summary>
/// Finds and reads data: JSON lines (.jsonl, .ndjson), JSON (.json: a list of records, or SQuAD's own format), tables (.csv, .tsv), Parquet
/// (.parquet), plain text (.txt and anything else that is named itself: one document a file).
/// </summary>
public static class DataFiles
{
    private static readonly string[] Known = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt"];
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Returns the files of some names: files, folders (their data files, also in folders below), and patterns such as
    /// <c>data/*.jsonl</c>.</summary>
    /// <param name="names">At least one.</param>
    /// <returns>The files: of every name in the order of their paths.</returns>
    /// <exception cref="InputException">A name matches no file.</exception>
    public static IReadOnlyList<string> Find(IReadOnlyList<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        List<string> files = [];
        foreach (string name in names)
        {
            string[] found = File.Exists(name) ? [name]
                : Directory.Exists(name) ? [.. Below(name).Where(f => Known.Contains(Path.GetExtension(f), StringComparer.OrdinalIgnoreCase))]
                : name.AsSpan().IndexOfAny('*', '?') >= 0 ? Matching(name)
                : throw new InputException($"{name}: no such file or folder");
            if (found.Length == 0)
                throw new InputException($"{name}: no data file ({string.Join(", ", Known)}) there");
            files.AddRange(found.Order(StringComparer.Ordinal));
        }
        return files.Count > 0 ? files : throw new InputException("data: expected at least one file, given none");
    }

    /// <summary>The records of files, one after the other. Nothing is held but the record at hand (of a Parquet file: its row group; of a .json file:
    /// all of it).</summary>
    /// <param name="files">The files.</param>
    /// <param name="cancellation">Looked at before every record.</param>
    /// <exception cref="InputException">A file cannot be read or is malformed; the message names file and line.</exception>
    public static IEnumerable<DataRow> Read(IEnumerable<string> files, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(files);
        foreach (string file in files)
        {
            bool any = false;
            foreach (DataRow row in Read(file))
            {
                CancelPoll.ThrowIfStopped(cancellation, often: true);
                any = true;
                yield return row;
            }
            if (!any)
                throw new InputException($"{file}: no record in it");
        }
    }

    /// <summary>The records of a file with an object in every line, whatever its name.</summary>
    internal static IEnumerable<DataRow> ReadJsonLines(string file, CancellationToken cancellation)
    {
        bool any = false;
        foreach (DataRow row in JsonRows.Lines(file, Open(file)))
        {
            CancelPoll.ThrowIfStopped(cancellation, often: true);
            any = true;
            yield return row;
        }
        if (!any)
            throw new InputException($"{file}: no record in it");
    }

    private static IEnumerable<DataRow> Read(string file) => Path.GetExtension(file).ToLowerInvariant() switch
    {
        ".jsonl" or ".ndjson" => JsonRows.Lines(file, Open(file)),
        ".json" => JsonRows.Whole(file, Open(file)),
        ".csv" => SeparatedRows.Read(file, Open(file), ','),
        ".tsv" => SeparatedRows.Read(file, Open(file), '\t'),
        ".parquet" => ParquetRows.Read(file, Open(file)),
        _ => Document(file),
    };

    private static IEnumerable<DataRow> Document(string file)
    {
        using StreamReader reader = new(Open(file), Strict);
        string text;
        try
        {
            text = reader.ReadToEnd();
        }
        catch (DecoderFallbackException e)
        {
            throw new InputException($"{file}: not UTF-8 text", e);
        }
        yield return new DataRow(file, new Dictionary<string, object?> { ["text"] = text });
    }

    private static FileStream Open(string file)
    {
        try
        {
            return new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{file}: cannot be read: {e.Message}", e);
        }
    }

    private static IEnumerable<string> Below(string folder) =>
        Directory.EnumerateFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.System })
        .Where(f => !Path.GetRelativePath(folder, f).Split(Path.DirectorySeparatorChar).Any(part => part.StartsWith('.')));

    private static string[] Matching(string pattern)
    {
        string folder = Path.GetDirectoryName(pattern) is { Length: > 0 } parent ? parent : ".";
        if (folder.AsSpan().IndexOfAny('*', '?') >= 0)
        {
            // Folders may be patterns too.
            return [.. Matching(folder, Directory.EnumerateDirectories).SelectMany(f => Matching(Path.Combine(f, Path.GetFileName(pattern))))];
        }
        return Matching(pattern, Directory.EnumerateFiles);
    }

    private static string[] Matching(string pattern, Func<string, IEnumerable<string>> list)
    {
        string folder = Path.GetDirectoryName(pattern) is { Length: > 0 } parent ? parent : ".", name = Path.GetFileName(pattern);
        string[] folders = folder.AsSpan().IndexOfAny('*', '?') >= 0 ? Matching(folder, Directory.EnumerateDirectories) : [folder];
        return [.. folders.Where(Directory.Exists).SelectMany(list).Where(path =>
            FileSystemName.MatchesSimpleExpression(name, Path.GetFileName(path), ignoreCase: false))];
    }
}
