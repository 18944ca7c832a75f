using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models.Conversion;

/// <summary>
/// The files of a checkpoint beside configuration and weights: the tokenizer's, sentence-transformers', licences. They are copied, and
/// what they say about the length of a text is adapted.
/// </summary>
/// <param name="folder">The source's folder.</param>
internal sealed partial class CompanionFiles(string folder)
{
    private static readonly string[] Vocabularies =
        ["vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model", "special_tokens_map.json",
            "added_tokens.json", "dict.txt"];

    private static readonly string[] SpecialTokenFiles = ["tokenizer_config.json", "special_tokens_map.json"];

    private static readonly string[] Others = ["modules.json", "config_sentence_transformers.json", "chat_template.jinja"];

    /// <summary>Tokens that a text may have in the new model; null: as it was.</summary>
    internal int? MaxLength { get; init; }

    /// <summary>The tokenizer's class where the source does not say one; null: nothing is adapted.</summary>
    internal string? TokenizerClass { get; init; }

    /// <summary>The new <c>generation_config.json</c>; null: as it was.</summary>
    internal ConfigurationObject? Generation { get; init; }

    /// <summary>The files to write: names relative to the folder, and the content.</summary>
    internal IEnumerable<(string Name, byte[] Content)> Files()
    {
        if (Generation is not null)
            yield return ("generation_config.json", Encoding.UTF8.GetBytes(Generation.ToJson()));
        else if (Find("generation_config.json") is { } generation)
            yield return ("generation_config.json", Read(generation));
        foreach (string name in Vocabularies.Concat(Others))
        {
            if (Find(name) is { } file)
                yield return (name, Read(file));
        }
        if (Find("tokenizer.json") is { } tokenizer)
            yield return ("tokenizer.json", MaxLength is null ? Read(tokenizer) : WithoutTruncation(Read(tokenizer), tokenizer));
        if (TokenizerConfiguration() is { } configuration)
            yield return ("tokenizer_config.json", configuration);
        if (Find("sentence_bert_config.json") is { } sentence)
            yield return ("sentence_bert_config.json", SentenceConfiguration(sentence));
        foreach (string file in Directory.EnumerateFiles(folder).Where(f => Licence().IsMatch(Path.GetFileName(f))).Order(StringComparer.Ordinal))
            yield return (Path.GetFileName(file), Read(file));
        // The steps behind the transformer: 1_Pooling, 2_Normalize (which may be empty), 2_Dense.
        foreach (string step in Directory.EnumerateDirectories(folder).Where(d => Step().IsMatch(Path.GetFileName(d))).Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileName(step);
            yield return (name + "/", []);
            foreach (string file in Directory.EnumerateFiles(step).Order(StringComparer.Ordinal))
                yield return ($"{name}/{Path.GetFileName(file)}", Read(file));
        }
    }

    /// <summary>The id of a special token: by its role in the tokenizer's files, else by its usual text.</summary>
    internal int? FindToken(string role, string usual)
    {
        string token = SpecialTokenFiles.Select(Find).OfType<string>()
            .Select(f => ConfigurationObject.Read(f).Text(role)).FirstOrDefault(t => t is not null) ?? usual;
        if (Find("vocab.txt") is { } vocabulary)
        {
            int line = Array.IndexOf(Encoding.UTF8.GetString(Read(vocabulary)).Split('\n', StringSplitOptions.TrimEntries), token);
            if (line >= 0)
                return line;
        }
        if (Find("tokenizer.json") is not { } file)
            return null;
        using JsonDocument json = Parse(Read(file), file);
        if (!json.RootElement.TryGetProperty("added_tokens", out JsonElement added) || added.ValueKind != JsonValueKind.Array)
            return null;
        foreach (JsonElement entry in added.EnumerateArray())
        {
            if (entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty("content", out JsonElement content)
                && content.ValueKind == JsonValueKind.String
                && content.ValueEquals(token) && entry.TryGetProperty("id", out JsonElement id) && id.TryGetInt32(out int number))
            {
                return number;
            }
        }
        return null;
    }

    /// <summary>Whether a file or folder of this name can be part of a checkpoint, so that replacing the checkpoint may remove it.</summary>
    internal static bool IsPart(string name, bool isFolder) => isFolder
        ? Step().IsMatch(name)
        : Vocabularies.Contains(name) || Others.Contains(name) || Licence().IsMatch(name) || Weight().IsMatch(name)
            || name is "config.json" or "generation_config.json" or "tokenizer.json" or "tokenizer_config.json"
            or "sentence_bert_config.json" or "README.md";

    private byte[]? TokenizerConfiguration()
    {
        string? file = Find("tokenizer_config.json");
        if (file is not null && TokenizerClass is null)
            return Read(file);
        bool any = Vocabularies.Append("tokenizer.json").Any(n => Find(n) is not null);
        if (TokenizerClass is null || (file is null && !any))
            return null;
        ConfigurationObject c = file is null ? ConfigurationObject.Empty("tokenizer_config.json") : ConfigurationObject.Read(file);
        if (c.Text("tokenizer_class") is { } given)
            c.Set("tokenizer_class", LongClass(given));
        else
            c.Set("tokenizer_class", TokenizerClass);
        if (MaxLength is { } length)
        {
            c.Set("model_max_length", length);
            c.Remove("max_len", "max_length", "truncation_side_length");
        }
        c.Remove("name_or_path", "special_tokens_map_file", "tokenizer_file");
        return Encoding.UTF8.GetBytes(c.ToJson());
    }

    // The same tokenizers under the names of the long models; all others (BERT's, XLM-R's) keep theirs.
    private static string LongClass(string name) => name.EndsWith("Fast", StringComparison.Ordinal) ? LongClass(name[..^4]) + "Fast" : name switch
    {
        "RobertaTokenizer" => "LongformerTokenizer",
        "BartTokenizer" => "LEDTokenizer",
        _ => name,
    };

    private byte[] SentenceConfiguration(string file)
    {
        if (MaxLength is not { } length)
            return Read(file);
        ConfigurationObject c = ConfigurationObject.Read(file);
        c.Set("max_seq_length", length);
        return Encoding.UTF8.GetBytes(c.ToJson());
    }

    /// <summary>
    /// tokenizer.json with nulls for the truncation and the padding that it would apply to every text (all-MiniLM cuts at 128 tokens); the
    /// rest of it stays byte for byte.
    /// </summary>
    private static byte[] WithoutTruncation(byte[] json, string file)
    {
        List<(int Begin, int End)> values = [];
        try
        {
            Utf8JsonReader reader = new(json);
            reader.Read();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                bool found = reader.ValueTextEquals("truncation") || reader.ValueTextEquals("padding");
                reader.Read();
                int begin = (int)reader.TokenStartIndex;
                reader.Skip();
                if (found)
                    values.Add((begin, (int)reader.BytesConsumed));
            }
        }
        catch (JsonException e)
        {
            throw new CheckpointException($"{file} is not valid JSON: {e.Message}", e);
        }
        using MemoryStream result = new();
        int done = 0;
        foreach ((int begin, int end) in values)
        {
            result.Write(json, done, begin - done);
            result.Write("null"u8);
            done = end;
        }
        result.Write(json, done, json.Length - done);
        return result.ToArray();
    }

    private string? Find(string name)
    {
        string path = Path.Combine(folder, name);
        return File.Exists(path) ? path : null;
    }

    private static byte[] Read(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    private static JsonDocument Parse(byte[] json, string file)
    {
        try
        {
            return JsonText.Parse(json);
        }
        catch (JsonException e)
        {
            throw new CheckpointException($"{file} is not valid JSON: {e.Message}", e);
        }
    }

    [GeneratedRegex(@"^[0-9]{1,2}_[A-Za-z]+\z")]
    private static partial Regex Step();

    [GeneratedRegex(@"^(LICEN[CS]E|NOTICE)([._-].*)?\z")]
    private static partial Regex Licence();

    [GeneratedRegex(@"^(model|pytorch_model)(-[0-9]{5}-of-[0-9]{5})?\.(safetensors|bin)(\.index\.json)?\z")]
    private static partial Regex Weight();
}
