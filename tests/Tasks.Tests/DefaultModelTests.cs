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

    [Test]
    public void The_model_in_the_box_reads_a_page_and_is_small()
    {
        string folder = Path.Combine(Repository.Root, "models", "default");
        long size = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length);
        Assert.That(size, Is.LessThanOrEqualTo(16_000_000));
        string page = "TARFROB(1)            General Commands Manual            TARFROB(1)\n\nSYNOPSIS\n       tarfrob [-v] file ...\n\n"
            + "DESCRIPTION\n       tarfrob is a program that compresses image files. It reads image files in the PNG and JPEG formats\n"
            + "       and writes smaller image files.\n\nOPTIONS\n       -v      Print the names of the files.\n";
        using Summarizer summarizer = Summarizer.Load(folder);
        Assert.That(summarizer.MaxTokens, Is.EqualTo(16384));
        string line = summarizer.Summarize(page).Trim();
        Assert.That(line.Split(' '), Has.Length.InRange(2, 30), line);
        Assert.That(line.ToLowerInvariant(), Does.Contain("image").Or.Contain("compress").Or.Contain("file"), line);
        // Far behind the positions that were trained first.
        string late = page + string.Concat(Enumerable.Repeat("       The names are printed one on each line, in the order of the files.\n", 400));
        Assert.That(summarizer.Summarize(late).Trim().Split(' '), Has.Length.InRange(2, 30));
        using DocumentEncoder encoder = DocumentEncoder.Load(folder);
        float[][] vectors = encoder.Encode([page, page + "\n", "Reads mail from a server of the network and sends it on."], Pooling.Mean);
        Assert.That(Cosine(vectors[0], vectors[1]), Is.GreaterThan(0.99));
        Assert.That(Cosine(vectors[0], vectors[2]), Is.LessThan(Cosine(vectors[0], vectors[1])));
    }

    private static double Cosine(float[] a, float[] b) =>
        a.Zip(b, (x, y) => (double)x * y).Sum() / Math.Sqrt(a.Sum(x => (double)x * x) * b.Sum(x => (double)x * x));
}
