using System.IO.Compression;
using System.Text;
using LongformerInterop.Tasks.Search;
using LongformerInterop.Torch;

namespace LongformerInterop.Corpora;

/// <summary>
/// The documents of a corpus to search: of a folder every file of text, at any depth, also compressed by gzip; rows of JSON lines and Parquet.
/// Hidden files and those that are no text are passed over.
/// </summary>
/// <param name="path">A folder or a file.</param>
/// <param name="textColumn">Of rows: the column with the text; null: <c>text</c>, else <c>document</c>, else <c>context</c>.</param>
/// <param name="nameColumn">Of JSON lines: the column with a document's name; null: file and line.</param>
public sealed class SearchCorpus(string path, string? textColumn = null, string? nameColumn = null)
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    /// <summary>Files and rows that were passed over since they hold no text, each with the reason.</summary>
    public IReadOnlyList<string> Skipped => _skipped;

    private readonly List<string> _skipped = [];

    /// <summary>All files, in the order of their names.</summary>
    /// <exception cref="InputException">There is no such file or folder.</exception>
    public IReadOnlyList<string> Files()
    {
        if (File.Exists(path))
            return [path];
        if (!Directory.Exists(path))
            throw new InputException($"{path}: no such file or folder");
        EnumerationOptions how = new() { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.Hidden | FileAttributes.System };
        return [.. Directory.EnumerateFiles(path, "*", how).Where(f => !IsHidden(f)).Order(StringComparer.Ordinal)];
    }

    /// <summary>Whether anything of it was changed after a time, by the times of its files and folders.</summary>
    public bool ChangedSince(DateTime time)
    {
        IEnumerable<string> all = Files();
        if (Directory.Exists(path))
            all = all.Append(path).Concat(Directory.EnumerateDirectories(path, "*", SearchOption.AllDirectories).Where(f => !IsHidden(f)));
        return all.Any(f => File.GetLastWriteTimeUtc(f) > time);
    }

    /// <summary>The documents, one after the other.</summary>
    /// <exception cref="InputException">There is no such file or folder, or a file of rows cannot be read.</exception>
    public IEnumerable<SearchDocument> Read()
    {
        bool folder = Directory.Exists(path);
        foreach (string file in Files())
        {
            if (CorpusFormats.IsKnown(file))
            {
                foreach (SearchDocument row in Rows(file))
                    yield return row;
                continue;
            }
            string? text = Text(file, out string? problem);
            if (text is null)
                _skipped.Add($"{file}: {problem}");
            else
                yield return new SearchDocument(folder ? Path.GetRelativePath(path, file).Replace('\\', '/') : file, text);
        }
    }

    private bool IsHidden(string file) => Path.GetRelativePath(path, file).Split(Path.DirectorySeparatorChar).Any(part => part.StartsWith('.')
        && part != ".");

    private IEnumerable<SearchDocument> Rows(string file)
    {
        bool named = nameColumn is not null && !CorpusFormats.IsParquet(file);
        ICorpusReader reader = CorpusFormats.IsParquet(file) ? new ParquetReaderRows([file], textColumn, keep: [])
            : new JsonLinesReader([file], textColumn, named ? [nameColumn!] : []);
        foreach (PendingRow pending in reader.Rows())
        {
            CorpusRow row = pending.Read();
            if (row.Text is null)
                _skipped.Add($"{pending.Source}: {row.Problem}");
            else
                yield return new SearchDocument(named && row.Carried is [{ Value: { } name }, ..] ? $"{name}" : pending.Source, row.Text);
        }
    }

    private static string? Text(string file, out string? problem)
    {
        try
        {
            byte[] bytes = File.ReadAllBytes(file);
            if (bytes.AsSpan().StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B]))
            {
                using GZipStream packed = new(new MemoryStream(bytes), CompressionMode.Decompress);
                using MemoryStream plain = new();
                packed.CopyTo(plain);
                bytes = plain.ToArray();
            }
            problem = bytes.AsSpan().Contains((byte)0) ? "no text: it holds a zero byte" : null;
            return problem is null ? Strict.GetString(bytes.AsSpan().StartsWith("\uFEFF"u8) ? bytes.AsSpan(3) : bytes) : null;
        }
        catch (DecoderFallbackException e)
        {
            problem = $"no UTF-8 text: invalid byte at {e.Index}";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            problem = $"cannot be read: {e.Message}";
        }
        return null;
    }
}
