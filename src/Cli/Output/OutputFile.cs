namespace LongformerInterop.Cli.Output;

/// <summary>A file that appears under its name only when complete: written under a temporary name beside it, then renamed.</summary>
internal sealed class OutputFile : IDisposable
{
    private readonly string _path;
    private readonly string _temporary;
    private bool _committed;

    /// <exception cref="IOException">The folder does not exist or cannot be written.</exception>
    internal OutputFile(string path)
    {
        _path = Path.GetFullPath(path);
        if (Directory.Exists(_path))
            throw new IOException($"{path} is a folder; --output needs a file name");
        string folder = Path.GetDirectoryName(_path)!;
        if (!Directory.Exists(folder))
            throw new IOException($"{path}: the folder {folder} does not exist");
        _temporary = Path.Combine(folder, $".{Path.GetFileName(_path)}.{Environment.ProcessId}.partial");
        Stream = new FileStream(_temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16);
    }

    internal FileStream Stream { get; }

    /// <summary>Where to write for a writer that opens the file itself.</summary>
    internal string TemporaryPath => _temporary;

    internal void Commit()
    {
        Stream.Dispose();
        File.Move(_temporary, _path, overwrite: true);
        _committed = true;
    }

    public void Dispose()
    {
        Stream.Dispose();
        if (!_committed)
            File.Delete(_temporary);
    }
}
