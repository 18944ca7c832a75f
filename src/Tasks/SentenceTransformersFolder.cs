using System.Text.Json;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Tasks;

/// <summary>
/// What a folder of sentence-transformers says about how its embeddings are made: the modules behind the transformer, in
/// <c>modules.json</c>, and the pooling, in <c>1_Pooling/config.json</c>. These are the defaults of an encoding.
/// </summary>
/// <param name="Pooling">The pooling; null where the folder does not say one.</param>
/// <param name="Normalize">Whether every vector is scaled to length 1; null where the folder does not say.</param>
public sealed record SentenceTransformersFolder(Pooling? Pooling, bool? Normalize)
{
    private const string PoolingFolder = "1_Pooling";

    // Other ways to pool, which the encoder does not have.
    private static readonly string[] OtherModes =
        ["pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"];

    /// <summary>Reads a checkpoint folder; one that is not sentence-transformers' gives nulls.</summary>
    /// <exception cref="CheckpointException">
    /// A file is malformed, or asks for what the encoder does not do: another pooling, a layer behind it.
    /// </exception>
    public static SentenceTransformersFolder Read(string folder)
    {
        folder = Checkpoint.FolderOf(folder);
        string modules = Path.Combine(folder, "modules.json"), pooling = Path.Combine(folder, PoolingFolder, "config.json");
        bool? normalize = null;
        if (File.Exists(modules))
        {
            normalize = false;
            foreach ((string type, string path) in Modules(modules))
            {
                switch (type.Split('.')[^1])
                {
                    case "Transformer":
                        break;
                    case "Pooling":
                        pooling = Path.Combine(folder, Path.GetFileName(path), "config.json");
                        break;
                    case "Normalize":
                        normalize = true;
                        break;
                    default:
                        throw new CheckpointException($"{modules}: the module {type} is not served; expected Transformer, Pooling and Normalize");
                }
            }
        }
        return new SentenceTransformersFolder(File.Exists(pooling) ? ReadPooling(pooling) : null, normalize);
    }

    private static Pooling ReadPooling(string file)
    {
        using JsonDocument json = Parse(file, JsonValueKind.Object);
        bool Mode(string name) => json.RootElement.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.True;
        // Newer files name the mode instead of having a flag for each.
        string? named = json.RootElement.TryGetProperty("pooling_mode", out JsonElement text) && text.ValueKind == JsonValueKind.String ? text.GetString() : null;
        string[] modes =
        [
            .. Mode("pooling_mode_cls_token") || named == "cls" ? (string[])["cls"] : [],
            .. Mode("pooling_mode_mean_tokens") || named == "mean" ? (string[])["mean"] : [],
            .. OtherModes.Where(Mode),
            .. named is null or "cls" or "mean" ? (string[])[] : [named],
        ];
        return modes switch
        {
            ["cls"] => Tasks.Pooling.Cls,
            ["mean"] => Tasks.Pooling.Mean,
            _ => throw new CheckpointException($"{file}: expected one pooling, of the first token (cls) or the mean, given {(modes.Length == 0 ? "none" : string.Join(" and ", modes))}"),
        };
    }

    private static List<(string Type, string Path)> Modules(string file)
    {
        using JsonDocument json = Parse(file, JsonValueKind.Array);
        List<(string, string)> modules = [];
        foreach (JsonElement module in json.RootElement.EnumerateArray())
        {
            if (module.ValueKind != JsonValueKind.Object || !module.TryGetProperty("type", out JsonElement type) || type.ValueKind != JsonValueKind.String
                || !module.TryGetProperty("path", out JsonElement path) || path.ValueKind != JsonValueKind.String)
                throw new CheckpointException($"{file}: expected objects with \"type\" and \"path\", given {module.GetRawText()}");
            modules.Add((type.GetString()!, path.GetString()!));
        }
        return modules;
    }

    private static JsonDocument Parse(string file, JsonValueKind kind)
    {
        try
        {
            JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(file));
            if (json.RootElement.ValueKind == kind)
                return json;
            json.Dispose();
            throw new CheckpointException($"{file}: expected a JSON {kind.ToString().ToLowerInvariant()}");
        }
        catch (JsonException e)
        {
            throw new CheckpointException($"{file} is not valid JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{file}: cannot be read: {e.Message}", e);
        }
    }
}
