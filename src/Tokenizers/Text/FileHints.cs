namespace LongformerInterop;

/// <summary>
/// Recognises other things that people give in place of a checkpoint's folder or file, so that the message says what to do. Shared as source, since
/// the tokenizers depend on no other project.
/// </summary>
internal static class FileHints
{
    /// <summary>Returns a guess at a folder that lacks a checkpoint's files, with advice; null if nothing is known.</summary>
    public static string? OfFolder(string path)
    {
        if (!Directory.Exists(path))
        {
            return File.Exists(path) || !LooksLikeHubId(path) ? null
                : $"'{path}' looks like a repository on the HF hub: nothing is downloaded here; download it (hf download {path} "
                + "--local-dir DIR) and give that folder";
        }
        if (UnfinishedRun(path) is { } run)
            return run;
        string snapshots = Path.Combine(path, "snapshots");
        if (!Directory.Exists(snapshots))
        {
            return Path.GetFileName(Path.GetFullPath(path).TrimEnd(Path.DirectorySeparatorChar)) == "snapshots"
                && Directory.GetDirectories(path) is [.., { } one]
                ? $"the folder holds the versions of a download: give one of them, such as {one}"

                : HoldsRepositories(path)
                ? "the folder is a cache of downloads: give a version inside one of its models-- folders, below snapshots"
                : null;
        }

        return $"the folder is the cache of one download: give the version itself, {Version(path, snapshots)}";
    }

    /// <summary>Returns the kind of a file that holds neither weights nor JSON, by its beginning, with advice; null if nothing is known.</summary>
    public static string? OfContent(ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("version https://git-lfs"u8))
            return "a Git LFS pointer, not the file itself: run 'git lfs pull' in the folder that it was cloned to, or download the file";
        ReadOnlySpan<byte> text = start.TrimStart(" \t\r\n"u8);
        if (text.StartsWith("\uFEFF"u8))
            text = text[3..];
        return text.StartsWith("<!DOCTYPE"u8) || text.StartsWith("<!doctype"u8) || text.StartsWith("<html"u8) || text.StartsWith("<HTML"u8)
            ? "a web page, not the file itself; download the raw content"
            : null;
    }

    // Two names with one slash, without what only paths have.
    private static bool LooksLikeHubId(string path) =>
        path.Split('/') is [{ Length: > 0 } owner, { Length: > 0 } name] && !owner.StartsWith('.') && !name.StartsWith('.') && owner != "~"
        && (owner + name).All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.') && !Directory.Exists(owner);

    // longformer train writes these before its model: checkpoints/step-N with state.json in each.
    private static string? UnfinishedRun(string path)
    {
        string checkpoints = Path.Combine(path, "checkpoints");
        if (!Directory.Exists(checkpoints) || File.Exists(Path.Combine(path, "config.json")))
            return null;
        string? last = Directory.EnumerateDirectories(checkpoints, "step-*").Where(f => File.Exists(Path.Combine(f, "state.json")))
            .Max(StringComparer.Ordinal);
        return last is not null ? $"it holds an unfinished training run: its last checkpoint is {last} (resume the training to continue it)"
            : File.Exists(Path.Combine(path, "log.jsonl")) ? "it holds an unfinished training run without a checkpoint yet" : null;
    }

    private static bool HoldsRepositories(string path) => Directory.EnumerateDirectories(path, "models--*").Any();

    private static string Version(string path, string snapshots)
    {
        string main = Path.Combine(path, "refs", "main");
        string? named = File.Exists(main) ? Path.Combine(snapshots, File.ReadAllText(main).Trim()) : null;
        return Directory.Exists(named) ? named : Directory.GetDirectories(snapshots).Order(StringComparer.Ordinal).FirstOrDefault()
            ?? "which is not there yet";
    }
}
