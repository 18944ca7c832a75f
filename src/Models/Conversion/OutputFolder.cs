using System.Text;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models.Conversion;

/// <summary>
/// The folder of a new checkpoint: written beside its place and moved there when it is complete, so that neither a full disk nor a
/// failure leaves half of one. A checkpoint that is to be replaced is moved aside first and removed last.
/// </summary>
internal sealed class OutputFolder : IDisposable
{
    private readonly string _target;
    private readonly StagedFolder _staged;
    private readonly List<string> _files = [];

    /// <exception cref="CheckpointException">The target holds something that is not to be replaced, or cannot be written.</exception>
    internal OutputFolder(string target, bool overwrite, string? source)
    {
        _target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        if (source is not null && (Path.GetFullPath(source) + "/").StartsWith(_target + "/", StringComparison.Ordinal)
            && Directory.Exists(_target) && overwrite)
        {
            throw new CheckpointException($"{target}: is or holds the checkpoint to be converted, which is not overwritten");
        }
        if (Directory.Exists(_target) && Directory.EnumerateFileSystemEntries(_target).Any())
        {
            if (!overwrite)
                throw new CheckpointException($"{target}: exists already and is not overwritten without being asked to (overwrite)");
            string? stranger = Directory.EnumerateFileSystemEntries(_target).Order(StringComparer.Ordinal)
                .FirstOrDefault(e => !CompanionFiles.IsPart(Path.GetFileName(e), Directory.Exists(e)));
            if (stranger is not null)
            {
                throw new CheckpointException(
                    $"{target}: holds {Path.GetFileName(stranger)}, which is no part of a checkpoint; nothing was overwritten");
            }
        }
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_target) ?? throw new CheckpointException($"{target}: not the name of a folder"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{target}: cannot be written: {e.Message}", e);
        }
        _staged = new StagedFolder(_target);
    }

    /// <summary>Where the weights are to be written.</summary>
    internal string Staging => _staged.Path;

    /// <summary>Names of everything written, relative to the folder.</summary>
    internal IReadOnlyList<string> Files => _files;

    internal void Wrote(string name) => _files.Add(name);

    internal void Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    /// <summary>Writes a file; a name that ends in a slash makes an empty folder.</summary>
    internal void Write(string name, byte[] content)
    {
        string path = Path.Combine(_staged.Path, name);
        try
        {
            Directory.CreateDirectory(name.EndsWith('/') ? path : Path.GetDirectoryName(path)!);
            if (name.EndsWith('/'))
                return;
            using FileStream stream = new(path, FileMode.CreateNew, FileAccess.Write);
            stream.Write(content);
            stream.Flush(flushToDisk: true);
            _files.Add(name);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{_target}: {name} cannot be written: {e.Message} Nothing was changed.", e);
        }
    }

    /// <summary>Puts the new checkpoint in its place.</summary>
    internal void Commit()
    {
        string? aside = null;
        try
        {
            if (Directory.Exists(_target))
            {
                aside = $"{Path.Combine(Path.GetDirectoryName(_target)!, "." + Path.GetFileName(_target))}.{Path.GetRandomFileName()}.old";
                Directory.Move(_target, aside);
            }
            _staged.Commit();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CheckpointException)
        {
            if (aside is not null && Directory.Exists(aside) && !Directory.Exists(_target))
                Directory.Move(aside, _target);
            throw e as CheckpointException ?? new CheckpointException($"{_target}: cannot be written: {e.Message} Nothing was changed.", e);
        }
        if (aside is not null)
            Directory.Delete(aside, recursive: true);
    }

    public void Dispose() => _staged.Dispose();
}
