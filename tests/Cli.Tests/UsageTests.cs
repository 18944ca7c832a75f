using LongformerInterop.Tests;

namespace LongformerInterop.Cli.Tests;

[TestFixture]
public class UsageTests
{
    private static string TextFile(string name, string text)
    {
        string path = Path.Combine(TinyCheckpoints.Root, name);
        File.WriteAllText(path, text);
        return path;
    }

    [TestCase("a verb|verb|ommand")]
    [TestCase("frobnicate", "frobnicate")]
    [TestCase("encode|heckpoint", "encode")]
    [TestCase("dtype", "encode", "X", "--dtype", "float8")]
    [TestCase("attention", "encode", "X", "--attention", "magic")]
    [TestCase("pooling", "encode", "X", "--pooling", "max")]
    [TestCase("threads", "encode", "X", "--input", "a", "--threads", "0")]
    [TestCase("threads", "encode", "X", "--input", "a", "--threads", "many")]
    [TestCase("nosuch", "encode", "X", "--nosuch", "1")]
    [TestCase("--input", "encode", "X")]
    [TestCase("only once", "encode", "X", "--input", "-", "--jsonl", "-")]
    [TestCase("--global", "encode", "X", "--input", "a", "--global", "some")]
    [TestCase(".safetensors, .npy or .jsonl", "encode", "X", "--input", "a", "--output", "x.txt")]
    [TestCase("--top", "answer", "X", "--input", "a", "--question", "q", "--top", "0")]
    public void Wrong_usage_is_refused_in_one_line_with_status_2(string message, params string[] arguments) =>
        Assert.That(Longformer.Fails(2, arguments), Does.Match(message));

    [Test]
    public void A_question_and_choices_are_asked_for()
    {
        string file = TextFile("usage.txt", "Some text.");
        Assert.That(Longformer.Fails(2, "answer", TinyCheckpoints.QuestionAnswering, "--input", file), Does.Contain("--question"));
        Assert.That(Longformer.Fails(2, "choose", TinyCheckpoints.MultipleChoice, "--input", file, "--choice", "one"),
            Does.Contain("at least two choices"));
    }

    [TestCase("--help")]
    [TestCase("--version")]
    [TestCase("encode", "--help")]
    public void Help_and_version_are_no_errors(params string[] arguments) =>
        Assert.That(Longformer.Succeeds(arguments).Output, Is.Not.Empty);

    [Test]
    public void Files_that_cannot_be_read_are_named()
    {
        string folder = TinyCheckpoints.Base;
        string invalid = Path.Combine(TinyCheckpoints.Root, "latin1.txt");
        File.WriteAllBytes(invalid, [0x61, 0xE9, 0x62]);
        string lines = TextFile("broken.jsonl", "\"fine\"\n{\"text\": 5}\n");
        Assert.That(Longformer.Fails(1, "encode", folder, "--input", "/no/such/file"), Does.Contain("/no/such/file"));
        Assert.That(Longformer.Fails(1, "encode", folder, "--input", folder), Does.Contain("is a folder"));
        Assert.That(Longformer.Fails(1, "encode", folder, "--input", invalid), Does.Contain("not UTF-8").And.Contain("offset 1"));
        Assert.That(Longformer.Fails(1, "encode", folder, "--jsonl", lines), Does.Contain("broken.jsonl:2").And.Contain("must be a string"));
        Assert.That(Longformer.Fails(1, "encode", "/no/such/folder", "--input", lines), Does.Contain("/no/such/folder"));
        Assert.That(Longformer.Fails(1, "parity", "/no/such/folder"), Does.Contain("no such folder"));
    }

    [Test]
    public void Texts_that_no_model_can_take_are_refused()
    {
        string folder = TinyCheckpoints.Base;
        Assert.That(Longformer.Fails(1, "encode", folder, "--input", TextFile("empty.txt", "")), Does.Contain("empty.txt: the text is empty"));
        Assert.That(Longformer.Fails(1, "encode", folder, "--input", TextFile("special.txt", "<s></s><pad>")), Does.Contain("special tokens only"));
        string longText = TextFile("long.txt", string.Concat(Enumerable.Repeat("word ", 500)));
        Assert.That(Longformer.Fails(1, "encode", folder, "--input", longText), Does.Contain($"positions for {TinyCheckpoints.MaxTokens}"));
        Longformer.Succeeds("encode", folder, "--input", longText, "--truncate");
        string text = TextFile("plain.txt", "A plain text.");
        Assert.That(Longformer.Fails(1, "encode", folder, "--input", text, "--global", "90"), Does.Contain("90"));
        Assert.That(Longformer.Fails(1, "fill-mask", TinyCheckpoints.MaskedLm, "--input", text), Does.Contain("plain.txt").And.Contain("<mask>"));
        string lines = TextFile("third.jsonl", "\"one\"\n\"two\"\n\"\"\n");
        Assert.That(Longformer.Fails(1, "encode", folder, "--jsonl", lines), Does.Contain("third.jsonl:3: the text is empty"));
    }

    [Test]
    public void Checkpoints_that_do_not_fit_are_refused()
    {
        string text = TextFile("fit.txt", "A plain text.");
        Assert.That(Longformer.Fails(1, "answer", TinyCheckpoints.Base, "--input", text, "--question", "q"),
            Does.Contain("LongformerForQuestionAnswering"));
        string bert = Directory.CreateDirectory(Path.Combine(TinyCheckpoints.Root, "bert")).FullName;
        File.WriteAllText(Path.Combine(bert, "config.json"), """{"model_type": "bert", "architectures": ["BertModel"]}""");
        Assert.That(Longformer.Fails(1, "encode", bert, "--input", text), Does.Contain("bert"));
        string bare = Directory.CreateDirectory(Path.Combine(TinyCheckpoints.Root, "bare")).FullName;
        foreach (string file in new[] { "config.json", "model.safetensors" })
            File.WriteAllBytes(Path.Combine(bare, file), File.ReadAllBytes(Path.Combine(TinyCheckpoints.Base, file)));
        Assert.That(Longformer.Fails(1, "encode", bare, "--input", text), Does.Contain("tokenizer"));
        Assert.That(Longformer.Succeeds("info", bare).Output, Does.Contain("missing"));
    }

    [Test]
    public void Info_lists_every_problem_of_a_damaged_checkpoint()
    {
        string folder = Directory.CreateDirectory(Path.Combine(TinyCheckpoints.Root, "damaged")).FullName;
        foreach (string file in Directory.EnumerateFiles(TinyCheckpoints.Base))
            File.WriteAllBytes(Path.Combine(folder, Path.GetFileName(file)), File.ReadAllBytes(file));
        byte[] weights = File.ReadAllBytes(Path.Combine(folder, "model.safetensors"));
        // The last four bytes are the last value of a float32 tensor.
        BitConverter.GetBytes(float.NaN).CopyTo(weights, weights.Length - 4);
        File.WriteAllBytes(Path.Combine(folder, "model.safetensors"), weights);
        string config = Path.Combine(folder, "config.json");
        File.WriteAllText(config, File.ReadAllText(config)
            .Replace("\"intermediate_size\": 48", "\"intermediate_size\": 50", StringComparison.Ordinal));
        Longformer.Result result = Longformer.Run("info", folder, "--json");
        Assert.That(result.Status, Is.EqualTo(1));
        string[] problems = [.. result.Json.GetProperty("problems").EnumerateArray().Select(p => p.GetString()!)];
        Assert.That(problems, Has.Some.Contains("NaN").And.Some.Contains("intermediate"));
        Assert.That(problems.Count(p => p.Contains("of another shape", StringComparison.Ordinal)), Is.EqualTo(6));
        Assert.That(result.Error, Does.Contain("problems"));
    }
}
