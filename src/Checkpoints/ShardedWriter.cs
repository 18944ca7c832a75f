using System.Globalization;
using System.Text;
using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// Writes the weights of a model into a folder, in one file or, above a size, in several with their index, named as HF names them.
/// </summary>
public static class ShardedWriter
{
    /// <summary>The size above which weights are split: HF's default since version 5 of transformers.</summary>
    public const long DefaultShardBytes = 50_000_000_000;

    /// <summary>Writes <c>model.safetensors</c>, or <c>model-00001-of-0000N.safetensors</c> and <c>model.safetensors.index.json</c>.</summary>
    /// <param name="folder">An existing folder. To replace a checkpoint as a whole, write into a <see cref="StagedFolder"/>.</param>
    /// <param name="tensors">The tensors to write, in the order in which the shards are to be filled.</param>
    /// <param name="metadata">Strings for <c>__metadata__</c> of every file; by default <c>format</c> = <c>pt</c>.</param>
    /// <param name="shardBytes">The largest sum of tensor bytes in one file; a tensor larger than this gets its own file.</param>
    /// <returns>The names of the files written; the first is the one to open.</returns>
    /// <exception cref="CheckpointException">A name or dtype that the format cannot hold, or the disk refused.</exception>
    public static IReadOnlyList<string> Write(string folder, IEnumerable<TensorSource> tensors,
        IReadOnlyDictionary<string, string>? metadata = null, long shardBytes = DefaultShardBytes)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(shardBytes);
        List<TensorSource> all = [.. tensors];
        // Names are checked over all shards before the first byte is written.
        SafetensorsWriter.Order(all);
        List<List<TensorSource>> shards = Split(all, shardBytes);
        if (shards.Count == 1)
        {
            SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), all, metadata);
            return ["model.safetensors"];
        }
        List<string> names = ["model.safetensors.index.json"];
        List<(string Tensor, string File)> index = [];
        for (int i = 0; i < shards.Count; i++)
        {
            string name = string.Create(CultureInfo.InvariantCulture, $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors");
            SafetensorsWriter.Write(Path.Combine(folder, name), shards[i], metadata);
            names.Add(name);
            index.AddRange(shards[i].Select(t => (t.Name, name)));
        }
        byte[] json = Encoding.UTF8.GetBytes(Index(index, all.Sum(t => t.ByteCount)));
        AtomicFile.Write(Path.Combine(folder, names[0]), stream => stream.Write(json));
        return names;
    }

    private static List<List<TensorSource>> Split(List<TensorSource> tensors, long shardBytes)
    {
        List<List<TensorSource>> shards = [[]];
        long size = 0;
        foreach (TensorSource tensor in tensors)
        {
            if (shards[^1].Count > 0 && size + tensor.ByteCount > shardBytes)
            {
                shards.Add([]);
                size = 0;
            }
            shards[^1].Add(tensor);
            size += tensor.ByteCount;
        }
        return shards;
    }

    private static string Index(IEnumerable<(string Tensor, string File)> index, long totalBytes)
    {
        StringBuilder json = new();
        json.Append(CultureInfo.InvariantCulture, $"{{\n  \"metadata\": {{\n    \"total_size\": {totalBytes}\n  }},\n  \"weight_map\": {{");
        string separator = "\n    ";
        foreach ((string tensor, string file) in index.OrderBy(i => i.Tensor, StringComparer.Ordinal))
        {
            json.Append(separator).Append(SafetensorsWriter.Json(tensor, "a tensor's name")).Append(": \"").Append(file).Append('"');
            separator = ",\n    ";
        }
        return json.Append("\n  }\n}\n").ToString();
    }
}
