using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Training;

/// <summary>The files of a tokenizer, which go wherever the weights go.</summary>
internal static class TokenizerFiles
{
    private static readonly string[] Names =
    [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt",
        "generation_config.json",
    ];

    /// <summary>Copies those that are there.</summary>
    public static void Copy(string from, string to)
    {
        foreach (string name in Names)
        {
            if (File.Exists(Path.Combine(from, name)))
                File.WriteAllBytes(Path.Combine(to, name), File.ReadAllBytes(Path.Combine(from, name)));
        }
    }

    /// <summary>The bytes of all, for a fingerprint.</summary>
    public static IEnumerable<byte[]> Contents(string folder) =>
        Names.Where(name => name != "generation_config.json" && File.Exists(Path.Combine(folder, name))).Select(name =>
            File.ReadAllBytes(Path.Combine(folder, name)));

    /// <summary>Adds special tokens to a folder's files: to tokenizer.json and the added_tokens_decoder of tokenizer_config.json where they are
    /// there, else to added_tokens.json, as HF writes them.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="firstId">The id of the first; the others follow.</param>
    public static void Add(string folder, IReadOnlyList<string> tokens, int firstId)
    {
        string fast = Path.Combine(folder, "tokenizer.json"), settings = Path.Combine(folder, "tokenizer_config.json"),
            older = Path.Combine(folder, "added_tokens.json");
        JsonObject configuration = Read(settings);
        JsonObject? decoder = configuration["added_tokens_decoder"] as JsonObject;
        if (File.Exists(fast))
        {
            JsonObject json = Read(fast);
            JsonArray list = json["added_tokens"] as JsonArray ?? [];
            foreach ((int i, string token) in tokens.Index())
                list.Add((JsonNode)Token(token, firstId + i));
            json["added_tokens"] = list;
            Write(fast, json);
        }
        else if (decoder is null)
        {
            JsonObject json = Read(older);
            foreach ((int i, string token) in tokens.Index())
                json[token] = firstId + i;
            Write(older, json);
        }
        foreach ((int i, string token) in tokens.Index())
        {
            JsonObject entry = Token(token, firstId + i);
            entry.Remove("id");
            decoder?.Add((firstId + i).ToString(CultureInfo.InvariantCulture), entry);
        }
        JsonArray special = configuration["additional_special_tokens"] as JsonArray ?? [];
        foreach (string token in tokens)
            special.Add((JsonNode)token);
        configuration["additional_special_tokens"] = special;
        Write(settings, configuration);
    }

    private static JsonObject Token(string content, int id) => new()
    {
        ["id"] = id, ["content"] = content, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false,
        ["special"] = true,
    };

    private static JsonObject Read(string path) => File.Exists(path)
        ? JsonNode.Parse(JsonText.ToStandard(File.ReadAllBytes(path)).Span)!.AsObject() : [];

    private static void Write(string path, JsonObject json)
    {
        using FileStream stream = File.Create(path);
        using Utf8JsonWriter writer = new(stream, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteTo(writer);
    }
}
