using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// A safetensors file, memory-mapped: its tensors are used in place in the file, so that opening takes milliseconds whatever
/// the size and processes share the pages. The header is checked completely before anything else is done with the file.
/// </summary>
/// <remarks>
/// Thread-safe. Tensors stay valid after the file is disposed; the mapping ends with the last of them. Changing a tensor in place
/// changes this process's copy only. Source of the format: huggingface/safetensors.
/// </remarks>
public sealed class SafetensorsFile : ITensorFile, IDisposable
{
    private readonly MappedFile _map;

    private SafetensorsFile(MappedFile map, SafetensorsHeader header)
    {
        _map = map;
        Entries = header.Entries;
        Metadata = header.Metadata;
    }

    /// <summary>The file's path as it was given.</summary>
    public string Path => _map.Path;

    /// <summary>Every tensor of the file, in the order of their data, by name.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Entries { get; }

    /// <summary>The strings under <c>__metadata__</c>, such as <c>format</c> = <c>pt</c>; empty where there are none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Maps a file and checks its header.</summary>
    /// <exception cref="CheckpointException">The file is absent, unreadable or malformed; the message says how.</exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        MappedFile map = MappedFile.Open(path);
        try
        {
            byte[] prefix = new byte[Math.Min(map.Length, SafetensorsHeader.PrefixLength)];
            map.Read(0, prefix);
            byte[] json = new byte[SafetensorsHeader.ReadLength(prefix, map.Length, path)];
            map.Read(SafetensorsHeader.PrefixLength, json);
            return new SafetensorsFile(map, SafetensorsHeader.Parse(json, map.Length, path));
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    /// <summary>The tensor of that name, on the CPU, in the file's dtype and shape, without a copy.</summary>
    /// <exception cref="CheckpointException">
    /// The file has no such tensor, its dtype does not exist in the libtorch at hand, or the file was cut short since it was opened.
    /// </exception>
    public Tensor Get(string name)
    {
        TensorEntry entry = Entries.TryGetValue(name, out TensorEntry? found)
            ? found
            : throw new CheckpointException($"{Path}: no tensor {SafetensorsHeader.Quote(name)}");
        return TensorFiles.View(_map, entry);
    }

    /// <summary>Closes the file; tensors that were handed out stay valid.</summary>
    public void Dispose() => _map.Dispose();

    Tensor ITensorFile.Get(TensorEntry entry) => TensorFiles.View(_map, entry);

    void ITensorFile.CopyTo(TensorEntry entry, Stream target) => TensorFiles.Copy(_map, entry, target);
}
