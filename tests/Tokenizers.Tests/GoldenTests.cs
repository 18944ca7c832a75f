using System.Text.Json;

namespace LongformerInterop.Tokenizers.Tests;

/// <summary>Every line of the goldens: the tokens of HF's <c>tokenizers</c>, to the letter.</summary>
[TestFixture]
public class GoldenTests
{
    [TestCase("roberta", "encode.jsonl", 319)]
    [TestCase("roberta", "encode_prefix_space.jsonl", 64)]
    [TestCase("roberta", "decode.jsonl", 243)]
    [TestCase("roberta", "pairs.jsonl", 41)]
    [TestCase("roberta", "truncation.jsonl", 60)]
    [TestCase("roberta", "padding.jsonl", 8)]
    [TestCase("tiny", "encode.jsonl", 160)]
    [TestCase("tiny", "decode.jsonl", 145)]
    [TestCase("wordpiece", "encode.jsonl", 333)]
    [TestCase("wordpiece", "decode.jsonl", 151)]
    [TestCase("wordpiece", "pairs.jsonl", 31)]
    public void Every_line_is_as_in_the_reference(string folder, string file, int lines)
    {
        GoldenFileResult result = GoldenFiles.Check(Goldens.Of(folder), Path.Combine(Goldens.Folder(folder), file));
        Assert.That(result.Failures, Is.Empty, $"{folder}/{file}: {result.Failures.Count} of {result.Lines} lines differ");
        Assert.That(result.Lines, Is.EqualTo(lines), $"{folder}/{file}: lines compared");
        TestContext.Out.WriteLine($"{folder}/{file}: {result.Lines} lines equal");
    }

    [TestCase("roberta")]
    [TestCase("tiny")]
    [TestCase("wordpiece")]
    public void No_golden_file_is_left_out(string folder)
    {
        using JsonDocument described = JsonDocument.Parse(File.ReadAllText(Path.Combine(Goldens.Folder(folder), "case.json")));
        Dictionary<string, int> counts = described.RootElement.GetProperty("counts").EnumerateObject()
            .ToDictionary(p => p.Name, p => p.Value.GetInt32());
        Assert.That(GoldenFiles.CheckFolder(Goldens.Folder(folder)).ToDictionary(r => r.File, r => r.Lines), Is.EquivalentTo(counts));
    }

    [TestCase("encode.jsonl")]
    [TestCase("decode.jsonl")]
    [TestCase("pairs.jsonl")]
    public void WordPiece_from_vocab_txt_alone_is_the_same(string file)
    {
        using TestFolder folder = new();
        File.Copy(Path.Combine(Goldens.Folder("wordpiece"), "vocab.txt"), folder["vocab.txt"]);
        GoldenFileResult result = GoldenFiles.Check(Tokenizer.Load(folder.Path), Path.Combine(Goldens.Folder("wordpiece"), file));
        Assert.That(result.Failures, Is.Empty, $"{file}: {result.Failures.Count} of {result.Lines} lines differ");
        Assert.That(result.Lines, Is.GreaterThan(30));
    }

    [TestCase("encode.jsonl", "RobertaProcessing")]
    [TestCase("encode_prefix_space.jsonl", "RobertaProcessing")]
    [TestCase("pairs.jsonl", "RobertaProcessing")]
    [TestCase("truncation.jsonl", "RobertaProcessing")]
    [TestCase("pairs.jsonl", "TemplateProcessing")]
    [TestCase("truncation.jsonl", "TemplateProcessing")]
    public void Bpe_from_a_tokenizer_json_is_the_same(string file, string processor)
    {
        using TestFolder folder = new();
        File.WriteAllText(folder["tokenizer.json"], BpeJson.FromFiles(Goldens.Folder("roberta"), BpeJson.Processors[processor]));
        GoldenFileResult result = GoldenFiles.Check(Tokenizer.Load(folder.Path), Path.Combine(Goldens.Folder("roberta"), file));
        Assert.That(result.Failures, Is.Empty, $"{file}: {result.Failures.Count} of {result.Lines} lines differ");
        Assert.That(result.Lines, Is.GreaterThan(7));
    }
}
