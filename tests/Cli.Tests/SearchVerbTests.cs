using System.IO.Compression;
using System.Text.Json;
using LongformerInterop.Tests;

namespace LongformerInterop.Cli.Tests;

/// <summary><c>longformer index</c>, <c>search</c> and <c>train pairs</c>.</summary>
[TestFixture]
[Parallelizable(ParallelScope.None)]
public class SearchVerbTests
{
    private static string Corpus(TestFolder folder)
    {
        folder.Write("corpus/a/tar.txt", "Tar stores files in an archive.\n\nIt extracts them again.");
        folder.Write("corpus/print.txt", "A queue of jobs waits for the printer.");
        folder.Write("corpus/.hidden", "archive archive archive");
        folder.Write("corpus/picture", [0, 1, 2, 255]);
        using MemoryStream packed = new();
        using (GZipStream gzip = new(packed, CompressionLevel.Fastest))
            gzip.Write("Compress an archive to save space."u8);
        folder.Write("corpus/gzip.txt.gz", packed.ToArray());
        folder.Write("corpus/rows.jsonl", "{\"id\": \"kitchen\", \"text\": \"Boil the noodles.\"}\n{\"id\": 7}\n");
        return folder["corpus"];
    }

    /// <summary>Runs what says something on standard error too: which files were passed over, how a training gets on.</summary>
    private static Longformer.Result Works(params string[] arguments)
    {
        Longformer.Result result = Longformer.Run(arguments);
        Assert.That(result.Status, Is.Zero, result.Error);
        return result;
    }

    private static string[] Sources(JsonElement found) =>
        [.. found.GetProperty("questions")[0].GetProperty("results").EnumerateArray().Select(r => r.GetProperty("source").GetString()!)];

    [Test]
    public void A_folder_is_searched_by_words_without_a_model_and_again_when_it_changed()
    {
        using TestFolder folder = new();
        string corpus = Corpus(folder);
        string[] search = ["search", "--corpus", corpus, "--words-only", "--name-column", "id", "--question", "extracts an archive", "--json"];
        Longformer.Result first = Works(search);
        Assert.That(Sources(first.Json), Is.EqualTo(new[] { "a/tar.txt", "gzip.txt.gz" }));
        Assert.That(first.Error, Does.Contain("picture: no text").And.Contain("rows.jsonl:2"));
        Assert.That(File.Exists(corpus + ".lfindex"));
        JsonElement best = first.Json.GetProperty("questions")[0].GetProperty("results")[0].GetProperty("passages")[0];
        Assert.That(File.ReadAllText(Path.Combine(corpus, "a/tar.txt"))[best.GetProperty("start").GetInt32()..best.GetProperty("end").GetInt32()],
            Is.EqualTo(best.GetProperty("text").GetString()));
        DateTime made = File.GetLastWriteTimeUtc(corpus + ".lfindex");
        Assert.That(Sources(Works(search).Json), Has.Length.EqualTo(2));
        Assert.That(File.GetLastWriteTimeUtc(corpus + ".lfindex"), Is.EqualTo(made));
        File.WriteAllText(Path.Combine(corpus, "zip.txt"), "extracts extracts an archive");
        File.SetLastWriteTimeUtc(Path.Combine(corpus, "zip.txt"), made.AddSeconds(5));
        Assert.That(Sources(Works(search).Json)[0], Is.EqualTo("zip.txt"));
    }

    [Test]
    public void An_encoder_makes_vectors_that_the_index_finds_again_by_its_folder()
    {
        using TestFolder folder = new();
        string corpus = Corpus(folder), index = folder["x.lfindex"];
        JsonElement made = Works("index", TinyCheckpoints.Base, "--corpus", corpus, "--output", index, "--passage-tokens", "16",
            "--json").Json;
        Assert.That(made.GetProperty("documents").GetInt32(), Is.EqualTo(4));
        Assert.That(made.GetProperty("reused").GetInt32(), Is.Zero);
        Assert.That(Works("index", TinyCheckpoints.Base, "--corpus", corpus, "--output", index, "--passage-tokens", "16").Output,
            Does.Contain("4 documents (4 as they were)"));
        JsonElement found = Works("search", "--corpus", index, "--question", "noodles", "--question", "archive", "--top", "2",
            "--json").Json;
        Assert.That(found.GetProperty("questions").GetArrayLength(), Is.EqualTo(2));
        Assert.That(Sources(found)[0], Does.EndWith("rows.jsonl:1"));
        Assert.That(Works("search", "--corpus", index, "--question", "noodles", "--by", "meaning", "--passages", "2").Output,
            Does.Contain(" 1. "));
        Assert.That(Longformer.Fails(1, "search", TinyCheckpoints.MaskedLm, "--corpus", index, "--question", "noodles"),
            Does.Contain("another or a changed one"));
    }

    [Test]
    public void Wrong_usage_and_missing_files_are_one_line()
    {
        using TestFolder folder = new();
        Assert.That(Longformer.Fails(2, "search", "--corpus", folder.Path), Does.Contain("--question"));
        Assert.That(Longformer.Fails(2, "search", "--corpus", folder.Path, "--question", "x", "--by", "luck"), Does.Contain("luck"));
        Assert.That(Longformer.Fails(1, "index", "--words-only", "--corpus", folder["absent"]), Does.Contain("absent: no such file or folder"));
        Assert.That(Longformer.Fails(1, "search", "--words-only", "--corpus", folder.Write("bad.lfindex", "no"), "--question", "x"),
            Does.Contain("bad.lfindex"));
        Assert.That(Longformer.Fails(2, "train", "pairs", TinyCheckpoints.Base, "--data", "x", "--output", "y", "--column", "z"),
            Does.Contain("query=NAME"));
    }

    [Test]
    public void Pairs_are_learnt_into_a_folder_that_search_takes()
    {
        using TestFolder folder = new();
        string data = folder.Write("pairs.jsonl", string.Concat(Enumerable.Range(0, 40).Select(i =>
            $"{{\"a\": \"query {i % 7}\", \"text\": \"text {i}\"}}\n")));
        JsonElement result = Works("train", "pairs", TinyCheckpoints.Base, "--data", data, "--eval", data, "--output",
            folder["trained"], "--column",
            "query=a", "--dimension", "8", "--epochs", "2", "--batch-size", "10", "--max-tokens", "40", "--poolings", "mean", "--json").Json;
        Assert.That(result.GetProperty("metrics").GetProperty("recall_at_100").GetDouble(), Is.EqualTo(1));
        folder.Write("corpus/a", "text 3");
        Assert.That(Sources(Works("search", folder["trained"], "--corpus", folder["corpus"], "--question", "query 3",
            "--json").Json), Is.EqualTo(new[] { "a" }));
    }
}
