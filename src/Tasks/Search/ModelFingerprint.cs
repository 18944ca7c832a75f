using System.Security.Cryptography;
using System.Text;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Search;

/// <summary>Says whether two checkpoint folders make the same vectors, wherever they are.</summary>
internal static class ModelFingerprint
{
    // A file of up to this size is read whole; of a larger one, weights, its length and so many places.
    private const int WholeBytes = 4 << 20, Places = 64, PlaceBytes = 4096;

    /// <summary>A hash over all files of a folder, and of the base of an adapter, that can change a vector: configuration, tokenizer, modules and
    /// weights, with their names.</summary>
    /// <param name="path">The folder, or the file with the weights.</param>
    /// <param name="baseFolder">Where an adapter's base is, if its own file does not say.</param>
    /// <exception cref="CheckpointException">A file cannot be read.</exception>
    public static string Of(string path, string? baseFolder)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        string own = File.Exists(path) ? Checkpoint.FolderOf(path) : path;
        string[] roots = Checkpoint.IsAdapter(path) ? [own, Checkpoint.FolderOf(path, baseFolder)] : [own];
        foreach (string root in roots)
        {
            try
            {
                foreach (string file in Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories)
                    .Where(f => Decides(Path.GetFileName(f)))
                    .Order(StringComparer.Ordinal))
                {
                    hash.AppendData(Encoding.UTF8.GetBytes(Path.GetRelativePath(root, file).Replace('\\', '/')));
                    Add(hash, file);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new CheckpointException($"{root}: cannot be read: {e.Message}", e);
            }
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static bool Decides(string name) => Path.GetExtension(name) is ".safetensors" or ".bin" or ".pt" or ".model"
        || name is "config.json" or "vocab.json" or "merges.txt" or "vocab.txt" or "modules.json" or "adapter_config.json" or "added_tokens.json"
            or "special_tokens_map.json" or "config_sentence_transformers.json"
        || name.StartsWith("tokenizer", StringComparison.Ordinal) || name.StartsWith("sentence_", StringComparison.Ordinal);

    private static void Add(IncrementalHash hash, string file)
    {
        using Microsoft.Win32.SafeHandles.SafeFileHandle handle = File.OpenHandle(file);
        long length = RandomAccess.GetLength(handle);
        hash.AppendData(BitConverter.GetBytes(length));
        byte[] buffer = new byte[length <= WholeBytes ? (int)length : PlaceBytes];
        int places = length <= WholeBytes ? 1 : Places;
        for (int i = 0; i < places; i++)
        {
            int count = RandomAccess.Read(handle, buffer, places == 1 ? 0 : (length - PlaceBytes) / (places - 1) * i);
            hash.AppendData(buffer.AsSpan(0, count));
        }
    }
}
