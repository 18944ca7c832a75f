using System.Text;
using LongformerInterop.Tests;

namespace LongformerInterop.Cli.Tests;

/// <summary>Documents as users bring them.</summary>
[TestFixture]
public sealed class FieldInputTests
{
    private TestFolder _folder = null!;

    [SetUp]
    public void Begin() => _folder = new TestFolder();

    [TearDown]
    public void End() => _folder.Dispose();

    [Test]
    public void An_array_and_utf16_and_numbers_that_are_none_are_read_like_lines()
    {
        float[][] lines = Embeddings(Bytes("\"Some text.\"\n{\"text\": \"More text.\"}\n"));
        Assert.That(lines, Has.Length.EqualTo(2));
        Assert.That(Embeddings(Bytes("[\"Some text.\",\n {\"text\": \"More text.\", \"score\": NaN}]\n")), Is.EqualTo(lines));
        Assert.That(Embeddings([0xFF, 0xFE, .. Encoding.Unicode.GetBytes("\"Some text.\"\r\n{\"text\": \"More text.\"}\r\n")]), Is.EqualTo(lines));
        Assert.That(Embeddings([0xEF, 0xBB, 0xBF, .. Bytes("\"Some text.\"\n\"More text.\"")]), Is.EqualTo(lines));
        Assert.That(Failure("[]"), Does.Contain("holds no documents"));
    }

    [Test]
    public void Every_bad_line_is_named_and_can_be_passed_over()
    {
        const string text = "\"Some text.\"\n{\"txt\": 1}\n\"More text.\"\n{oops\n";
        Assert.That(Failure(text), Does.Contain("d.jsonl:2").And.Contain("d.jsonl:4"));
        string file = Write(Bytes(text));
        Longformer.Result result = Longformer.Run("encode", TinyCheckpoints.Base, "--jsonl", file, "--json", "--on-error", "skip");
        Assert.That(result.Status, Is.EqualTo(1), result.Error);
        Assert.That(result.Error, Does.Contain("d.jsonl:2").And.Contain("d.jsonl:4").And.Contain("2 of 4 documents skipped"));
        Assert.That(result.Json.GetProperty("documents").GetArrayLength(), Is.EqualTo(2));
    }

    [Test]
    public void A_surrogate_without_its_other_half_becomes_the_character_of_replacement() =>
        Assert.That(Embeddings(Bytes("\"a \\ud83d b\"")), Is.EqualTo(Embeddings(Bytes("\"a \\ufffd b\""))));

    [Test]
    public void A_file_whose_name_is_not_UTF8_is_asked_to_be_renamed()
    {
        // Only a shell passes such a name on: what .NET passes is UTF-8.
        File.WriteAllText(_folder["plain.txt"], "Some text.");
        Longformer.Result result = Longformer.RunInShell(
            "cd \"$1\" && mv plain.txt $'caf\\xe9.txt' && shift && dotnet \"$@\" --input $'caf\\xe9.txt'; status=$?; rm $'caf\\xe9.txt'; "
            + "exit $status", _folder.Path, "encode", TinyCheckpoints.Base, "--json");
        Assert.That(result.Status, Is.EqualTo(1), result.Error);
        Assert.That(result.Error, Does.Contain("which is not UTF-8: rename the file").And.Not.Contain("\n "));
    }

    [Test]
    public void A_document_of_more_than_the_limit_is_named_with_both_sizes()
    {
        string file = _folder["large.txt"];
        using (FileStream large = File.Create(file))
            large.SetLength((512L << 20) + 1);
        Assert.That(Longformer.Fails(1, "encode", TinyCheckpoints.Base, "--input", file, "--json"),
            Does.Contain("large.txt: 536870913 bytes; a document may have at most 536870912: split it"));
    }

    [Test]
    public void The_folder_of_a_training_that_has_not_ended_says_so()
    {
        string run = _folder["run"], step = Path.Combine(run, "checkpoints", "step-000000020");
        Directory.CreateDirectory(Path.Combine(run, "checkpoints", "step-000000010"));
        Directory.CreateDirectory(step);
        File.WriteAllText(Path.Combine(step, "state.json"), "{}");
        File.WriteAllText(Path.Combine(run, "checkpoints", "step-000000010", "state.json"), "{}");
        File.WriteAllText(Path.Combine(run, "log.jsonl"), "");
        string said = Longformer.Fails(1, "classify", run, "--jsonl", Write(Bytes("\"Some text.\"")), "--json");
        Assert.That(said, Does.Contain("unfinished training run").And.Contain(step).And.Contain("resume the training"));
        Assert.That(Longformer.Fails(1, "info", run), Does.Contain(step));
        Directory.Delete(Path.Combine(run, "checkpoints"), recursive: true);
        Directory.CreateDirectory(Path.Combine(run, "checkpoints"));
        Assert.That(Longformer.Fails(1, "classify", run, "--jsonl", Write(Bytes("\"Some text.\"")), "--json"),
            Does.Contain("without a checkpoint yet"));
    }

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private string Write(byte[] bytes)
    {
        string file = _folder["d.jsonl"];
        File.WriteAllBytes(file, bytes);
        return file;
    }

    private string Failure(string text) => Longformer.Fails(1, "encode", TinyCheckpoints.Base, "--jsonl", Write(Bytes(text)), "--json");

    private float[][] Embeddings(byte[] bytes) =>
        [.. Longformer.Succeeds("encode", TinyCheckpoints.Base, "--jsonl", Write(bytes), "--json").Json.GetProperty("documents").EnumerateArray()
            .Select(d => d.GetProperty("embedding").EnumerateArray().Select(v => v.GetSingle()).ToArray())];
}
