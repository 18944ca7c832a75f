using LongformerInterop.Models;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.Tests;

/// <summary>
/// Tiny seeded checkpoints with the small tokenizer of the goldens, made once per test run in a temporary folder: 2 layers of 32, windows
/// 8 and 16, positions for 96 tokens.
/// </summary>
internal static class TinyCheckpoints
{
    internal const int MaxTokens = 96;
    private static readonly Lazy<TestFolder> RootFolder = new(() => new TestFolder());
    private static readonly Lock Gate = new();
    private static readonly Lazy<string> LedFolder = new(() =>
    {
        string folder = Path.Combine(Root, "led");
        RandomCheckpoint.Write(folder, new LedConfiguration
        {
            VocabSize = Tokenizer.Load(TokenizerFolder).VocabularySize, DModel = 32, EncoderLayers = 2, DecoderLayers = 2, EncoderAttentionHeads = 4,
            DecoderAttentionHeads = 2, EncoderFfnDim = 48, DecoderFfnDim = 40, MaxEncoderPositionEmbeddings = 96, MaxDecoderPositionEmbeddings = 40,
            AttentionWindow = [8],
        }, seed: 3);
        foreach (string file in new[] { "vocab.json", "merges.txt" })
            File.Copy(Path.Combine(TokenizerFolder, file), Path.Combine(folder, file), overwrite: true);
        return folder;
    });

    internal static string TokenizerFolder => Repository.Golden("tokenizer", "tiny");

    /// <summary>A folder for what tests write; deleted by <see cref="Clean"/>.</summary>
    internal static string Root => RootFolder.Value.Path;

    internal static string Base => Folder("LongformerModel");

    internal static string MaskedLm => Folder("LongformerForMaskedLM");

    internal static string QuestionAnswering => Folder("LongformerForQuestionAnswering");

    internal static string MultipleChoice => Folder("LongformerForMultipleChoice");

    internal static string Classifier => Folder("LongformerForSequenceClassification", c => c with { Id2Label = ["bad", "neutral", "good"] });

    internal static string MultiLabel => Folder("LongformerForSequenceClassification",
        c => c with { Id2Label = ["a", "b"], ProblemType = "multi_label_classification" }, "multi");

    internal static string Regression =>
        Folder("LongformerForSequenceClassification", c => c with { Id2Label = ["value"], ProblemType = "regression" }, "regression");

    internal static string OneLabel => Folder("LongformerForSequenceClassification", c => c with { Id2Label = ["relevant"] }, "one");

    internal static string Tagger => Folder("LongformerForTokenClassification", c => c with { Id2Label = ["O", "B-PER", "I-PER"] });

    internal static string Spans => Folder("LongformerForSpanClassification", c => c with { Id2Label = ["PER", "ORG", "LOC"] });

    internal static string Coreference => Folder("LongformerForCoreference", c => c with
    {
        Coreference = new() { FeedForwardSize = 16, FeatureSize = 4, MaxSpanWidth = 6, MaxTopAntecedents = 10, Genres = ["nw", "bc"] },
    });

    internal static string Led => LedFolder.Value;

    internal static LongformerConfiguration Configuration(Tokenizer tokenizer) => new()
    {
        VocabSize = tokenizer.VocabularySize,
        HiddenSize = 32,
        NumHiddenLayers = 2,
        NumAttentionHeads = 4,
        IntermediateSize = 48,
        MaxPositionEmbeddings = MaxTokens + 2,
        AttentionWindow = [8, 16],
    };

    internal static void Clean()
    {
        if (RootFolder.IsValueCreated)
            RootFolder.Value.Dispose();
    }

    private static string Folder(string architecture, Func<LongformerConfiguration, LongformerConfiguration>? change = null, string suffix = "")
    {
        string folder = Path.Combine(Root, architecture + suffix);
        lock (Gate)
        {
            if (Directory.Exists(folder))
                return folder;
            LongformerConfiguration configuration = Configuration(Tokenizer.Load(TokenizerFolder));
            RandomCheckpoint.Write(folder, change?.Invoke(configuration) ?? configuration, seed: 3, architecture);
            foreach (string file in new[] { "vocab.json", "merges.txt" })
                File.WriteAllBytes(Path.Combine(folder, file), File.ReadAllBytes(Path.Combine(TokenizerFolder, file)));
            return folder;
        }
    }
}

/// <summary>Deletes the checkpoints when all tests are done.</summary>
[SetUpFixture]
public class TinyCheckpointsCleanup
{
    [OneTimeTearDown]
    public void Delete() => TinyCheckpoints.Clean();
}
