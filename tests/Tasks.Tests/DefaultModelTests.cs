using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tests;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.Tasks.Tests;

public sealed class DefaultModelTests
{
    private static string Place(string name, bool filled)
    {
        string root = Path.Combine(TinyCheckpoints.Root, "default-model", name), folder = Path.Combine(root, "models", "default");
        if (!filled)
        {
            Directory.CreateDirectory(folder);
            return root;
        }
        if (File.Exists(Path.Combine(folder, "config.json")))
            return root;
        RandomCheckpoint.Write(folder, new LedConfiguration
        {
            VocabSize = Tokenizer.Load(TinyCheckpoints.TokenizerFolder).VocabularySize, DModel = 16, EncoderLayers = 1, DecoderLayers = 1,
            EncoderAttentionHeads = 2, DecoderAttentionHeads = 2, EncoderFfnDim = 16, DecoderFfnDim = 16, MaxEncoderPositionEmbeddings = 64,
            MaxDecoderPositionEmbeddings = 16, AttentionWindow = [8],
        }, seed: 4);
        foreach (string file in new[] { "vocab.json", "merges.txt" })
            File.Copy(Path.Combine(TinyCheckpoints.TokenizerFolder, file), Path.Combine(folder, file));
        return root;
    }

    [Test]
    public void The_first_place_that_has_a_model_is_taken()
    {
        string empty = Place("empty", false), first = Place("first", true), second = Place("second", true);
        string found = DefaultModel.Find(null, [empty, first, second]);
        Assert.That(found, Is.EqualTo(Path.Combine(first, "models", "default")));
        using Summarizer summarizer = Summarizer.Load(found);
        Assert.That(summarizer.MaxTokens, Is.EqualTo(64));
    }

    [Test]
    public void A_folder_that_is_named_is_the_only_one()
    {
        string first = Place("first", true), second = Place("second", true), named = Path.Combine(second, "models", "default");
        Assert.That(DefaultModel.Find(named, [first]), Is.EqualTo(named));
        CheckpointException error = Assert.Throws<CheckpointException>(() => DefaultModel.Find(Place("empty", false), [first]))!;
        Assert.That(error.Message, Does.Contain("LONGFORMER_DEFAULT_MODEL: expected a checkpoint folder with config.json, given "));
    }

    [Test]
    public void Where_there_is_none_the_message_lists_the_places_and_what_to_do()
    {
        string empty = Place("empty", false), other = Place("other", false);
        CheckpointException error = Assert.Throws<CheckpointException>(() => DefaultModel.Find("", [empty, other]))!;
        Assert.That(error.Message, Does.StartWith($"no default model: looked for {Path.Combine(empty, "models", "default")} and "
            + Path.Combine(other, "models", "default")).And.Contain("make default-model").And.Contain("LONGFORMER_DEFAULT_MODEL"));
    }

    [Test]
    public void Program_folders_begin_with_the_programs_own_and_have_the_clone()
    {
        IReadOnlyList<string> folders = Torch.TorchRuntime.ProgramFolders();
        Assert.That(folders[0], Is.EqualTo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)));
        Assert.That(folders, Does.Contain(Repository.Root));
    }
}
