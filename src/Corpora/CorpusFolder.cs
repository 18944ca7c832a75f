using System.Globalization;
using System.Text.Json;
using LongformerInterop.Torch;

namespace LongformerInterop.Corpora;

/// <summary>
/// The output of a run: a folder with <c>part-00000.parquet</c> and so on, which appear when they are whole, rows that failed beside them, and
/// <c>corpus.json</c> with all that decides the results. Runs with different shares of the parts may fill one folder together.
/// </summary>
internal sealed class CorpusFolder : IDisposable
{
    private const string SettingsFile = "corpus.json";
    private readonly CorpusOptions _options;
    private readonly FileStream _lock;

    /// <summary>Makes the folder, or opens one that was begun under the same settings.</summary>
    /// <exception cref="InputException">It holds something else, was begun under other settings, or another process works on it.</exception>
    public CorpusFolder(string path, CorpusOptions options, IReadOnlyDictionary<string, string> settings)
    {
        Path = System.IO.Path.GetFullPath(path);
        _options = options;
        if (File.Exists(Path))
            throw new InputException($"{path}: expected a folder for the output, given a file");
        string file = System.IO.Path.Combine(Path, SettingsFile);
        // Asked in this order: another share may begin at this moment, and writes its settings before any part.
        bool used = Directory.Exists(Path) && Directory.EnumerateFileSystemEntries(Path).Any(e => !System.IO.Path.GetFileName(e).StartsWith('.'));
        bool begun = File.Exists(file);
        if (used && !begun)
            throw new InputException($"{path}: the output folder is not empty, and holds no corpus of this program");
        if (begun && !options.Resume && options.Shards == 1)
            throw new InputException($"{path}: the output was begun already; --resume continues it");
        Directory.CreateDirectory(Path);
        _lock = Lock(path);
        try
        {
            if (!begun)
                WriteSettings(file, settings);
            Compare(path, file, settings);
        }
        catch
        {
            _lock.Dispose();
            throw;
        }
    }

    public string Path { get; }

    public string PartFile(long part) =>
        System.IO.Path.Combine(Path, string.Create(CultureInfo.InvariantCulture, $"part-{part:D5}{_options.Suffix}"));

    /// <summary>Rows of a part that failed.</summary>
    public string FailureFile(long part) => System.IO.Path.Combine(Path, string.Create(CultureInfo.InvariantCulture, $"part-{part:D5}.failed.jsonl"));

    /// <summary>How many rows of a part that is there failed.</summary>
    public long Failures(long part) => File.Exists(FailureFile(part)) ? File.ReadLines(FailureFile(part)).LongCount() : 0;

    public bool Has(long part) => File.Exists(PartFile(part));

    /// <summary>Writes a file that appears under its name when it is whole. Only one process writes a part, so its temporary name is its
    /// own.</summary>
    public static void Write(string file, Action<Stream> content)
    {
        string temporary = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(file)!, $".{System.IO.Path.GetFileName(file)}.part");
        try
        {
            using (FileStream stream = new(temporary, FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1 << 16))
            {
                content(stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, file, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException)
        {
            File.Delete(temporary);
            throw new InputException($"{file}: cannot be written: {e.Message}; the parts before it are whole, and --resume continues after them", e);
        }
    }

    public void Dispose() => _lock.Dispose();

    /// <summary>Holds this share of the output as long as the process lives, and refuses shares that overlap with another process's.</summary>
    private FileStream Lock(string path)
    {
        string own = LockFile(_options.Shard, _options.Shards);
        FileStream held = TryLock(own) ?? throw Busy(path, own);
        foreach (string other in Directory.EnumerateFiles(Path, ".lock-*"))
        {
            if (other == own || other.EndsWith(string.Create(CultureInfo.InvariantCulture, $"-of-{_options.Shards}"), StringComparison.Ordinal))
                continue;
            using FileStream? free = TryLock(other);
            if (free is null)
            {
                held.Dispose();
                throw Busy(path, other);
            }
        }
        return held;
    }

    private string LockFile(int shard, int of) => System.IO.Path.Combine(Path, string.Create(CultureInfo.InvariantCulture, $".lock-{shard}-of-{of}"));

    private static InputException Busy(string path, string file) =>
        new($"{path}: another process works on this output (share "
        + $"{System.IO.Path.GetFileName(file)[6..].Replace("-of-", " of ", StringComparison.Ordinal)})");

    private static FileStream? TryLock(string file)
    {
        try
        {
            return new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            return null;
        }
    }

    private void WriteSettings(string file, IReadOnlyDictionary<string, string> settings)
    {
        // Several shares may begin at once, in one process or on machines whose process numbers are the same: each writes a file of its own,
        // the first rename wins, and the others are compared with it.
        string temporary = System.IO.Path.Combine(Path, $".{SettingsFile}.{Guid.NewGuid():N}");
        using (FileStream stream = File.Create(temporary))
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            foreach ((string name, string value) in settings)
                json.WriteString(name, value);
            json.WriteEndObject();
        }
        try
        {
            File.Move(temporary, file, overwrite: false);
        }
        catch (IOException) when (File.Exists(file))
        {
            File.Delete(temporary);
        }
    }

    private static void Compare(string path, string file, IReadOnlyDictionary<string, string> settings)
    {
        Dictionary<string, string> given = [];
        try
        {
            using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(file));
            foreach (JsonProperty property in json.RootElement.EnumerateObject())
                given[property.Name] = property.Value.GetString() ?? "";
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or IOException)
        {
            throw new InputException($"{file}: not the settings of a corpus: {e.Message}", e);
        }
        foreach (string name in settings.Keys.Union(given.Keys))
        {
            string now = settings.GetValueOrDefault(name, "nothing"), then = given.GetValueOrDefault(name, "nothing");
            if (now != then)
                throw new InputException($"{path}: the output was begun with {name} {then}, now it is {now}: give the same, or another output");
        }
    }
}
