using System.Text.Json;

namespace LongformerInterop.Checkpoints;

/// <summary>The index of a checkpoint in several files: <c>{"metadata": {"total_size": ...}, "weight_map": {"tensor": "file", ...}}</c>.</summary>
internal static class ShardIndex
{
    // A line per tensor: more than this is no index.
    private const long MaximumLength = 100_000_000;

    /// <summary>Which file of the folder holds which tensor.</summary>
    /// <exception cref="CheckpointException">Malformed, or a shard's name is not that of a file beside the index.</exception>
    internal static Dictionary<string, string> Read(string path)
    {
        byte[] json;
        try
        {
            if (new FileInfo(path).Length > MaximumLength)
                throw new CheckpointException($"{path}: too large to be the index of a checkpoint");
            json = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{path}: cannot be read: {e.Message}", e);
        }
        return Parse(json, path);
    }

    internal static Dictionary<string, string> Parse(ReadOnlyMemory<byte> json, string path)
    {
        try
        {
            using JsonDocument document = JsonText.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("weight_map", out JsonElement map) || map.ValueKind != JsonValueKind.Object)
            {
                throw new CheckpointException($"{path}: not the index of a checkpoint: it has no object 'weight_map'");
            }
            Dictionary<string, string> files = new(StringComparer.Ordinal);
            foreach (JsonProperty pair in map.EnumerateObject())
            {
                if (pair.Value.ValueKind != JsonValueKind.String)
                    throw new CheckpointException($"{path}: weight_map holds no file name under {SafetensorsHeader.Quote(pair.Name)}");
                string file = pair.Value.GetString()!;
                if (!IsPlainName(file))
                {
                    throw new CheckpointException(
                        $"{path}: tensor {SafetensorsHeader.Quote(pair.Name)} has the file {SafetensorsHeader.Quote(file)}: "
                        + "only files in the index's folder are allowed");
                }
                if (!files.TryAdd(pair.Name, file))
                    throw new CheckpointException($"{path}: the tensor {SafetensorsHeader.Quote(pair.Name)} occurs twice in weight_map");
            }
            return files.Count > 0 ? files : throw new CheckpointException($"{path}: weight_map is empty");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CheckpointException($"{path}: not valid JSON: {e.Message}", e);
        }
    }

    // Separators of every system are refused on every system, so that an index means the same everywhere.
    private static bool IsPlainName(string file) =>
        file.Length > 0 && file is not ("." or "..") && file.AsSpan().IndexOfAny('/', '\\', ':') < 0 && !file.Any(char.IsControl);
}
