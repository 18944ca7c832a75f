using System.Globalization;
using System.Security.Cryptography;
using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// The weights of a model: a folder with <c>model.safetensors</c>, with several files and their index, with the same of torch
/// (<c>pytorch_model.bin</c>), or a single file of any of these formats. Files are mapped, not read, and never executed.
/// </summary>
public sealed class Checkpoint : IDisposable
{
    // In the order in which HF's from_pretrained looks.
    private static readonly string[] KnownFiles =
        ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

    private static readonly string[] TokenizerFiles = ["tokenizer.json", "vocab.json", "vocab.txt"];

    private readonly IReadOnlyList<ITensorFile> _files;
    private readonly Dictionary<string, (ITensorFile File, TensorEntry Entry)> _tensors;

    private Checkpoint(string path, string folder, IReadOnlyList<ITensorFile> files, Dictionary<string, (ITensorFile, TensorEntry)> tensors)
    {
        Path = path;
        Folder = folder;
        _files = files;
        _tensors = tensors;
    }

    /// <summary>The file with the weights, or the index of several.</summary>
    public string Path { get; }

    /// <summary>The folder where the weights are, and where the model's other files (configuration, vocabulary) belong.</summary>
    public string Folder { get; }

    /// <summary>The files that hold the weights.</summary>
    public IReadOnlyList<string> Files => [.. _files.Select(f => f.Path)];

    /// <summary>The names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>The metadata of the first file; empty for formats without any.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _files[0].Metadata;

    /// <summary>
    /// Opens the weights of a folder, or one file (an <c>index.json</c> opens its shards). A folder of PEFT's with a LoRA adapter gives its base,
    /// under HF's names, with the adapter merged.
    /// </summary>
    /// <param name="path">The folder or file.</param>
    /// <param name="baseFolder">For an adapter: its base; null: where the adapter says, or a folder of that name beside it.</param>
    /// <exception cref="CheckpointException">Nothing to open (the message lists what was looked for), a malformed file, or an adapter without its
    /// base.</exception>
    public static Checkpoint Open(string path, string? baseFolder = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (AdapterFolder.IsAdapter(path))
            return OpenAdapter(AdapterFolder.Read(path), baseFolder);
        return OpenPlain(path);
    }

    private static Checkpoint OpenPlain(string path)
    {
        string file = Directory.Exists(path) ? FindIn(TransformerIn(path)) : path;
        string folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(file))!;
        return file.EndsWith(".index.json", StringComparison.Ordinal) ? OpenShards(file, folder) : OpenSingle(file, folder);
    }

    /// <summary>
    /// Returns a hint on a path without a checkpoint's files: the name of a repository on the hub, a cache of downloads, an
    /// adapter without its base. Null if nothing is known.
    /// </summary>
    public static string? Hint(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return AdapterFolder.IsAdapter(path) ? AdapterFolder.NeedsBase(path) : FileHints.OfFolder(path);
    }

    /// <summary>The folder with the configuration of a checkpoint that is given as its folder, as the file with its weights, or as an adapter's
    /// folder.</summary>
    /// <param name="path">The folder or file.</param>
    /// <param name="baseFolder">As for <see cref="Open"/>.</param>
    /// <exception cref="CheckpointException">An adapter without its base.</exception>
    public static string FolderOf(string path, string? baseFolder = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (AdapterFolder.IsAdapter(path))
            return FolderOfPlain(AdapterFolder.Read(path).FindBase(baseFolder));
        return FolderOfPlain(path);
    }

    /// <summary>Whether a folder holds an adapter of PEFT, which needs a base.</summary>
    public static bool IsAdapter(string folder) => AdapterFolder.IsAdapter(folder);

    /// <summary>The folder with the tokenizer: the adapter's own where it has one, else that of <see cref="FolderOf"/>.</summary>
    /// <param name="path">The folder or file.</param>
    /// <param name="baseFolder">As for <see cref="Open"/>.</param>
    public static string TokenizerFolderOf(string path, string? baseFolder = null) =>
        AdapterFolder.IsAdapter(path) && TokenizerFiles.Any(f => File.Exists(System.IO.Path.Combine(path, f))) ? path : FolderOf(path, baseFolder);

    private static string FolderOfPlain(string path) =>
        File.Exists(path) ? System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))! : TransformerIn(path);

    // Older folders of sentence-transformers keep the transformer in its own folder.
    private static string TransformerIn(string folder)
    {
        string inner = System.IO.Path.Combine(folder, "0_Transformer");
        return !File.Exists(System.IO.Path.Combine(folder, "config.json")) && File.Exists(System.IO.Path.Combine(inner, "config.json"))
            ? inner
            : folder;
    }

    /// <summary>Whether a tensor of this name is there.</summary>
    public bool Contains(string name) => _tensors.ContainsKey(name);

    /// <summary>The description of a tensor.</summary>
    /// <exception cref="CheckpointException">There is none of this name.</exception>
    public TensorEntry Entry(string name) => Find(name).Entry;

    /// <summary>A tensor on the CPU, in the file's dtype and shape, without a copy where the format allows.</summary>
    /// <exception cref="CheckpointException">There is none of this name, or libtorch lacks its dtype.</exception>
    public Tensor Get(string name)
    {
        (ITensorFile file, TensorEntry entry) = Find(name);
        return file.Get(entry);
    }

    /// <summary>
    /// Whether two tensors are one: the same bytes of the file, or the same dtype, shape and bits. Finds a duplicate of
    /// a tied tensor. Reads both in pieces of bounded size.
    /// </summary>
    /// <exception cref="CheckpointException">There is none of these names, or a file cannot be read.</exception>
    public bool AreEqual(string name, string other)
    {
        (TensorEntry a, TensorEntry b) = (Entry(name), Entry(other));
        return a.SharesBytesWith(b)
            || (a.Type == b.Type && a.Shape.SequenceEqual(b.Shape) && Digest(name).AsSpan().SequenceEqual(Digest(other)));
    }

    /// <summary>The file that holds a tensor.</summary>
    /// <exception cref="CheckpointException">There is none of this name.</exception>
    public string FileOf(string name) => Find(name).File.Path;

    /// <summary>
    /// The same files under the names of <paramref name="map"/>. The result and this object share the files: disposing either closes
    /// them, disposing both does no harm.
    /// </summary>
    public Checkpoint Rename(NameMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        Dictionary<string, (ITensorFile, TensorEntry)> renamed = new(StringComparer.Ordinal);
        foreach ((string name, NameMapEntry from) in map.Entries)
        {
            (ITensorFile file, TensorEntry entry) = Find(from.Source);
            renamed.Add(name, (file, entry.Rename(name, from.SkipRows)));
        }
        return new Checkpoint(Path, Folder, _files, renamed);
    }

    /// <summary>Closes the files; tensors that were handed out stay valid.</summary>
    public void Dispose()
    {
        foreach (ITensorFile file in _files)
            file.Dispose();
    }

    private byte[] Digest(string name)
    {
        using SHA256 hash = SHA256.Create();
        using (CryptoStream stream = new(Stream.Null, hash, CryptoStreamMode.Write))
            CopyTo(name, stream);
        return hash.Hash!;
    }

    internal void CopyTo(string name, Stream target)
    {
        (ITensorFile file, TensorEntry entry) = Find(name);
        file.CopyTo(entry, target);
    }

    private (ITensorFile File, TensorEntry Entry) Find(string name) => _tensors.TryGetValue(name, out (ITensorFile, TensorEntry) found)
        ? found
        : throw new CheckpointException($"{Path}: no tensor {SafetensorsHeader.Quote(name)}");

    private static string FindIn(string folder)
    {
        string? found = KnownFiles.Select(f => System.IO.Path.Combine(folder, f)).FirstOrDefault(File.Exists);
        if (found is not null)
            return found;
        if (FileHints.OfFolder(folder) is { } what)
            throw new CheckpointException($"{folder}: no weights: {what}");
        string[] present = [.. Directory.EnumerateFileSystemEntries(folder).Select(f => System.IO.Path.GetFileName(f)!)
            .Order(StringComparer.Ordinal)];
        string holds = present.Length == 0
            ? "the folder is empty"
            : $"the folder holds {string.Join(", ", present.Take(20))}{(present.Length > 20 ? ", ..." : "")}";
        string hint = present.FirstOrDefault(f => f.EndsWith(".safetensors", StringComparison.Ordinal) || f.EndsWith(".bin", StringComparison.Ordinal)
            || f.EndsWith(".pt", StringComparison.Ordinal) || f.EndsWith(".ckpt", StringComparison.Ordinal)) is { } file
            ? $"; if {file} is the weights, give its path instead of the folder's" : "";
        throw new CheckpointException($"{folder}: no weights: looked for {string.Join(", ", KnownFiles)}; {holds}{hint}");
    }

    private static Checkpoint OpenAdapter(AdapterFolder adapter, string? baseFolder)
    {
        string at = adapter.FindBase(baseFolder);
        Checkpoint opened = OpenPlain(at);
        try
        {
            Checkpoint bases = opened.Rename(NameMap.RecognizeIn(opened));
            MergedFile merged = adapter.Merge(bases);
            Dictionary<string, (ITensorFile, TensorEntry)> tensors = new(bases._tensors, StringComparer.Ordinal);
            foreach (TensorEntry entry in merged.Entries.Values)
                tensors[entry.Name] = (merged, entry);
            return new Checkpoint(merged.Path, FolderOfPlain(at), [.. bases._files, merged], tensors);
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    private static Checkpoint OpenSingle(string path, string folder)
    {
        if (!File.Exists(path))
            throw new CheckpointException($"{path}: no such file or folder{(FileHints.OfFolder(path) is { } hint ? $": {hint}" : "")}");
        ITensorFile file = TensorFiles.Open(path);
        return new Checkpoint(path, folder, [file], file.Entries.Values.ToDictionary(e => e.Name, e => (file, e), StringComparer.Ordinal));
    }

    private static Checkpoint OpenShards(string path, string folder)
    {
        Dictionary<string, string> index = ShardIndex.Read(path);
        string[] shards = [.. index.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        string[] absent = [.. shards.Where(s => !File.Exists(System.IO.Path.Combine(folder, s)))];
        if (absent.Length > 0)
        {
            throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                $"{path}: {absent.Length} of {shards.Length} shards are missing: {string.Join(", ", absent)}"));
        }
        List<ITensorFile> files = [];
        try
        {
            Dictionary<string, (ITensorFile, TensorEntry)> tensors = new(StringComparer.Ordinal);
            List<CheckpointProblem> problems = [];
            foreach (string shard in shards)
            {
                ITensorFile file = TensorFiles.Open(System.IO.Path.Combine(folder, shard));
                files.Add(file);
                foreach (TensorEntry entry in file.Entries.Values)
                {
                    string? owner = index.GetValueOrDefault(entry.Name);
                    if (owner == shard)
                    {
                        tensors.Add(entry.Name, (file, entry));
                    }
                    else
                    {
                        problems.Add(new(CheckpointProblemKind.Unusable, entry.Name,
                            owner is null ? "not in the index" : $"the index names {owner} for it", shard));
                    }
                }
            }
            problems.AddRange(index.Where(i => !tensors.ContainsKey(i.Key))
                .Select(i => new CheckpointProblem(CheckpointProblemKind.Missing, i.Key, "not in the file that the index names", i.Value)));
            return problems.Count == 0
                ? new Checkpoint(path, folder, files, tensors)
                : throw new CheckpointException($"{path}: the shards differ from the index", problems);
        }
        catch
        {
            files.ForEach(f => f.Dispose());
            throw;
        }
    }
}
