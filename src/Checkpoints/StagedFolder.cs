using LongformerInterop.Checkpoints.Interop;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// A folder that is written beside its final place and takes it only when it is complete, so that a full disk or a failure leaves
/// what was there before. Write into <see cref="Path"/>, then <see cref="Commit"/>; disposing without it removes what was written.
/// </summary>
/// <remarks>
/// Where the target does not exist yet, taking its place is one rename. Where it does, its other files stay: each new file is
/// renamed over the old one of its name, and old safetensors files that the new checkpoint does not have are removed last, since a
/// reader would prefer one of them (an old <c>model.safetensors</c> over a new index). Nothing else is ever removed.
/// </remarks>
public sealed class StagedFolder : IDisposable
{
    private readonly string _target;
    private bool _done;

    /// <summary>Makes an empty folder beside <paramref name="target"/>.</summary>
    /// <param name="target">The final place: absent, or an existing folder.</param>
    /// <exception cref="CheckpointException">The target is a file, or the folder around it cannot be written.</exception>
    public StagedFolder(string target)
    {
        ArgumentException.ThrowIfNullOrEmpty(target);
        _target = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(target));
        if (File.Exists(_target))
            throw new CheckpointException($"{target}: a file, not a folder");
        string parent = System.IO.Path.GetDirectoryName(_target) ?? throw new CheckpointException($"{target}: not the name of a folder");
        Path = System.IO.Path.Combine(parent, $".{System.IO.Path.GetFileName(_target)}.{System.IO.Path.GetRandomFileName()}.part");
        try
        {
            Directory.CreateDirectory(Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{target}: cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Where to write.</summary>
    public string Path { get; }

    /// <summary>Puts what was written in its place. Only files directly in the folder are taken over into an existing target.</summary>
    /// <exception cref="CheckpointException">A rename failed; the message names the file.</exception>
    public void Commit()
    {
        ObjectDisposedException.ThrowIf(_done, this);
        try
        {
            FolderSync.Flush(Path);
            if (!Directory.Exists(_target))
                Directory.Move(Path, _target);
            else
                MoveFiles();
            FolderSync.Flush(System.IO.Path.GetDirectoryName(_target)!);
            _done = true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{_target}: cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Removes what was written, unless it was committed.</summary>
    public void Dispose()
    {
        if (_done)
            return;
        _done = true;
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Nothing depends on the leftover, and Dispose may run because of a failure that matters more.
        }
    }

    private void MoveFiles()
    {
        HashSet<string> written = [];
        // Weights first and their index last: until the index is there, a reader sees the old one.
        foreach (string file in Directory.GetFiles(Path).OrderBy(f => f.EndsWith(".index.json", StringComparison.Ordinal)))
        {
            string name = System.IO.Path.GetFileName(file);
            written.Add(name);
            Replacement.Move(file, System.IO.Path.Combine(_target, name));
        }
        if (written.Any(IsWeights))
        {
            foreach (string file in Directory.GetFiles(_target)
                .Where(f => IsWeights(System.IO.Path.GetFileName(f)) && !written.Contains(System.IO.Path.GetFileName(f))))
            {
                Replacement.Delete(file);
            }
        }
        FolderSync.Flush(_target);
        Directory.Delete(Path, recursive: true);
    }

    private static bool IsWeights(string name) => name is "model.safetensors" or "model.safetensors.index.json"
        || Weights.Matches(name, "model-*-of-*.safetensors");
}
