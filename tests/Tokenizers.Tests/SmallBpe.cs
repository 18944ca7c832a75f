using System.Text.Json.Nodes;
using LongformerInterop.Tokenizers.ByteLevelBpe;

namespace LongformerInterop.Tokenizers.Tests;

/// <summary>A byte-level BPE of 265 tokens, small enough to be damaged in a test.</summary>
internal static class SmallBpe
{
    public static string[] Merges { get; } = ["h e", "l l", "he ll", "\u0120 hell"];

    public static JsonObject Vocabulary()
    {
        JsonObject vocabulary = new() { ["<s>"] = 0, ["<pad>"] = 1, ["</s>"] = 2, ["<unk>"] = 3 };
        for (int b = 0; b < 256; b++)
            vocabulary[ByteAlphabet.CharacterOf((byte)b).ToString()] = vocabulary.Count;
        foreach (string merge in Merges)
            vocabulary[merge.Replace(" ", "", StringComparison.Ordinal)] = vocabulary.Count;
        vocabulary["<mask>"] = vocabulary.Count;
        return vocabulary;
    }

    public static string Write(TestFolder folder, JsonObject? vocabulary = null, IEnumerable<string>? merges = null)
    {
        folder.Write("vocab.json", (vocabulary ?? Vocabulary()).ToJsonString());
        folder.Write("merges.txt", string.Concat(new[] { "#version: 0.2" }.Concat(merges ?? Merges).Select(line => line + "\n")));
        return folder.Path;
    }

    public static string Json() =>
        BpeJson.Build(Vocabulary(), [.. Merges.Select(m => (JsonNode)m)], BpeJson.Processors["RobertaProcessing"]);
}
