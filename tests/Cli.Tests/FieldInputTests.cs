using System.Text;
using LongformerInterop.Tests;

namespace LongformerInterop.Cli.Tests;

/// <summary>Documents as users bring them.</summary>
[TestFixture]
public sealed class FieldInputTests
{
    private string _root = "";

    [SetUp]
    public void Begin() => _root = Directory.CreateTempSubdirectory("longformer-field-").FullName;

    [TearDown]
    public void End() => Directory.Delete(_root, recursive: true);

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

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private string Write(byte[] bytes)
    {
        string file = Path.Combine(_root, "d.jsonl");
        File.WriteAllBytes(file, bytes);
        return file;
    }

    private string Failure(string text) => Longformer.Fails(1, "encode", TinyCheckpoints.Base, "--jsonl", Write(Bytes(text)), "--json");

    private float[][] Embeddings(byte[] bytes) =>
        [.. Longformer.Succeeds("encode", TinyCheckpoints.Base, "--jsonl", Write(bytes), "--json").Json.GetProperty("documents").EnumerateArray()
            .Select(d => d.GetProperty("embedding").EnumerateArray().Select(v => v.GetSingle()).ToArray())];
}
