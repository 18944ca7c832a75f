using System.Text.Json;
using System.Text.Json.Nodes;

namespace LongformerInterop.Tokenizers.Tests;

/// <summary>Makes a tokenizer.json, as HF writes it, from vocab.json and merges.txt.</summary>
internal static class BpeJson
{
    private const string SpecialDefinitions = """
        {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}
        """;

    private const string Single = """
        [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}]
        """;

    private const string Pair = """
        [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}},
         {"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}]
        """;

    /// <summary>The post-processors that frame as RoBERTa does.</summary>
    public static Dictionary<string, string> Processors { get; } = new()
    {
        ["RobertaProcessing"] = """
            {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": true, "add_prefix_space": false}
            """,
        ["TemplateProcessing"] = $$"""
            {"type": "Sequence", "processors": [
              {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
              {"type": "TemplateProcessing", "single": {{Single}}, "pair": {{Pair}}, "special_tokens": {{SpecialDefinitions}}}]}
            """,
    };

    public static string FromFiles(string folder, string processor)
    {
        JsonObject vocabulary = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "vocab.json")))!.AsObject();
        JsonArray merges = [.. File.ReadLines(Path.Combine(folder, "merges.txt")).Skip(1).Where(l => l.Length > 0).Select(l => (JsonNode)l)];
        return Build(vocabulary, merges, processor);
    }

    public static string Build(JsonObject vocabulary, JsonArray merges, string processor, string extra = "")
    {
        JsonArray added = [];
        foreach (string token in new[] { "<s>", "<pad>", "</s>", "<unk>", "<mask>" })
        {
            if (vocabulary[token] is not { } id)
                continue;
            added.Add((JsonNode)new JsonObject
            {
                ["id"] = id.GetValue<int>(), ["content"] = token, ["single_word"] = false, ["lstrip"] = token == "<mask>", ["rstrip"] = false,
                ["normalized"] = token != "<mask>", ["special"] = true,
            });
        }

        return $$"""
            {"version": "1.0", "truncation": null, "padding": null, "added_tokens": {{added.ToJsonString()}}, "normalizer": null,
             "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
             "post_processor": {{processor}},
             "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
             "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                       "fuse_unk": false, "vocab": {{vocabulary.ToJsonString()}}, "merges": {{merges.ToJsonString()}}}{{extra}}}
            """;
    }
}
