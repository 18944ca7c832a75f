using LongformerInterop.Models;
using LongformerInterop.Tests;

namespace LongformerInterop.Extensions.Tests;

/// <summary>An LED of random weights with a tokenizer, beside the Longformers of <see cref="TinyCheckpoints"/>.</summary>
internal static class Checkpoints
{
    private static readonly Lazy<string> LazyLed = new(() =>
    {
        string folder = Path.Combine(TinyCheckpoints.Root, "led");
        RandomCheckpoint.Write(folder, new LedConfiguration
        {
            VocabSize = Tokenizers.Tokenizer.Load(TinyCheckpoints.TokenizerFolder).VocabularySize, DModel = 32, EncoderLayers = 2, DecoderLayers = 2,
            EncoderAttentionHeads = 4, DecoderAttentionHeads = 2, EncoderFfnDim = 48, DecoderFfnDim = 40, MaxEncoderPositionEmbeddings = 96,
            MaxDecoderPositionEmbeddings = 40, AttentionWindow = [8],
        }, seed: 3);
        foreach (string file in new[] { "vocab.json", "merges.txt" })
            File.Copy(Path.Combine(TinyCheckpoints.TokenizerFolder, file), Path.Combine(folder, file));
        return folder;
    });

    public static string Led => LazyLed.Value;
}
