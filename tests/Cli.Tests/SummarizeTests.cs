using System.Diagnostics;
using System.Text.Json;
using LongformerInterop.Tests;

namespace LongformerInterop.Cli.Tests;

/// <summary><c>longformer summarize</c> with a small LED of random weights.</summary>
[TestFixture]
[Parallelizable(ParallelScope.None)]
public class SummarizeTests
{
    private const string Text = "The committee met on Monday. It heard the report of the treasurer, and it adjourned at noon.";
    private string _led = "";

    [OneTimeSetUp]
    public void Write_a_checkpoint()
    {
        _led = Path.Combine(TinyCheckpoints.Root, "led");
        if (!Directory.Exists(_led))
            Longformer.Succeeds("random", _led, "--size", "led-tiny", "--tokens", "128", "--tokenizer", TinyCheckpoints.TokenizerFolder);
    }

    private static string TextFile(string name, string text)
    {
        string path = Path.Combine(TinyCheckpoints.Root, name);
        File.WriteAllText(path, text);
        return path;
    }

    private static int[] Ids(JsonElement result) => [.. result.GetProperty("ids").EnumerateArray().Select(i => i.GetInt32())];

    [Test]
    public void Help_lists_the_options_of_generation()
    {
        string help = Longformer.Succeeds("summarize", "--help").Output;
        foreach (string option in new[]
        {
            "--beams", "--max-tokens", "--min-tokens", "--length-penalty", "--no-repeat-ngram", "--sample", "--temperature", "--top-k",
            "--top-p", "--seed",
            "--n-best", "--early-stopping", "--repetition-penalty", "--truncate", "--global", "--jsonl", "--json",
        })
        {
            Assert.That(help, Does.Contain(option));
        }
    }

    [Test]
    public void Without_a_checkpoint_the_model_in_the_box_writes()
    {
        string file = TextFile("default.txt", Text);
        string[] options = ["--input", file, "--max-tokens", "8"];
        Longformer.Result result = Longformer.RunInShell("LONGFORMER_DEFAULT_MODEL=\"$1\" exec dotnet \"${@:2}\"", _led, ["summarize", .. options]);
        Assert.That(result.Status, Is.Zero, result.Error);
        Assert.That(result.Output, Is.EqualTo(Longformer.Succeeds(["summarize", _led, .. options]).Output));
    }

    [Test]
    public void Where_the_model_in_the_box_is_missing_one_line_says_so()
    {
        string file = TextFile("default.txt", Text);
        Longformer.Result result = Longformer.RunInShell(
            "LONGFORMER_DEFAULT_MODEL=\"$1\" exec dotnet \"${@:2}\"", _led + "-absent", "summarize", "--input", file);
        Assert.That(result.Status, Is.EqualTo(1));
        Assert.That(result.Error, Is.EqualTo(
            $"longformer: LONGFORMER_DEFAULT_MODEL: expected a checkpoint folder with config.json, given {_led}-absent\n"));
        Assert.That(Longformer.Fails(2, "classify", "--input", file), Does.Contain("FOLDER").Or.Contain("checkpoint"));
    }

    [Test]
    public void Text_is_one_line_and_json_has_ids_scores_and_the_same_text()
    {
        string file = TextFile("summary.txt", Text);
        string[] options = ["--input", file, "--beams", "3", "--min-tokens", "6", "--max-tokens", "12"];
        string text = Longformer.Succeeds(["summarize", _led, .. options]).Output;
        JsonElement document = Longformer.Succeeds(["summarize", _led, .. options, "--json"]).Json.GetProperty("documents")[0];
        Assert.That(text, Is.EqualTo(document.GetProperty("summary").GetString()!.Trim() + "\n"));
        JsonElement result = document.GetProperty("results")[0];
        Assert.That(document.GetProperty("results").GetArrayLength(), Is.EqualTo(1));
        Assert.That(Ids(result), Has.Length.InRange(7, 13));
        Assert.That(result.GetProperty("score").GetDouble(), Is.Negative);
        Assert.That(document.GetProperty("source").GetString(), Is.EqualTo(file));
    }

    [Test]
    public void Several_results_are_different_and_sorted()
    {
        string file = TextFile("best.txt", Text);
        JsonElement[] results = [.. Longformer.Succeeds("summarize", _led, "--input", file, "--beams", "4", "--n-best", "3", "--max-tokens",
            "8", "--json").Json
            .GetProperty("documents")[0].GetProperty("results").EnumerateArray()];
        Assert.That(results.Select(r => string.Join(' ', Ids(r))).Distinct().Count(), Is.EqualTo(3));
        Assert.That(results.Select(r => r.GetProperty("score").GetDouble()), Is.Ordered.Descending);
        string text = Longformer.Succeeds("summarize", _led, "--input", file, "--beams", "4", "--n-best", "3", "--max-tokens", "8").Output;
        Assert.That(text, Does.Contain("[1] -").And.Contain("[2] -").And.Contain("[3] -"));
    }

    [Test]
    public void Json_lines_give_each_document_what_it_gives_alone()
    {
        string[] texts = [Text, "Short.", "Another report, with other words in it, was read aloud by the secretary of the board."];
        string jsonl = TextFile("summaries.jsonl",
            string.Concat(texts.Select((t, i) => (i == 1 ? JsonSerializer.Serialize(t) : JsonSerializer.Serialize(new { text = t })) + "\n")));
        string[] options = ["--beams", "2", "--max-tokens", "10", "--json"];
        JsonElement[] together = [.. Longformer.Succeeds(["summarize", _led, "--jsonl", jsonl, .. options]).Json.GetProperty("documents")
            .EnumerateArray()];
        Assert.That(together, Has.Length.EqualTo(3));
        for (int i = 0; i < texts.Length; i++)
        {
            JsonElement alone = Longformer.Succeeds(["summarize", _led, "--input", TextFile($"alone{i}.txt", texts[i]), .. options])
                .Json.GetProperty("documents")[0];
            Assert.That(Ids(together[i].GetProperty("results")[0]), Is.EqualTo(Ids(alone.GetProperty("results")[0])), $"line {i + 1}");
        }
    }

    [Test]
    public void Samples_are_a_function_of_the_seed()
    {
        string file = TextFile("sample.txt", Text);
        string Sample(string seed) =>
            Longformer.Succeeds("summarize", _led, "--input", file, "--sample", "--top-k", "50", "--top-p", "0.95", "--temperature", "1.5",
            "--min-tokens", "12", "--max-tokens", "12", "--seed", seed).Output;
        string first = Sample("1");
        Assert.That(Sample("1"), Is.EqualTo(first));
        Assert.That(Sample("2"), Is.Not.EqualTo(first));
    }

    [Test]
    public void A_document_over_the_positions_is_refused_with_both_numbers_and_cut_on_request()
    {
        string file = TextFile("long.txt", string.Concat(Enumerable.Repeat(Text + " ", 40)));
        Assert.That(Longformer.Fails(1, "summarize", _led, "--input", file, "--max-tokens", "4"), Does.Match("[0-9]{3,} tokens.*128"));
        Longformer.Succeeds("summarize", _led, "--input", file, "--max-tokens", "4", "--truncate");
    }

    [TestCase("--beams: expected at least 1, given 0", "--beams", "0")]
    [TestCase("--top-p: expected above 0 and at most 1, given 2", "--sample", "--top-p", "2")]
    [TestCase("--n-best: expected at most 4, as many as there are beams", "--n-best", "5", "--beams", "4")]
    [TestCase("--min-tokens", "--min-tokens", "9", "--max-tokens", "8")]
    [TestCase("--max-tokens: expected at least 1, given 0", "--max-tokens", "0")]
    [TestCase("--temperature: expected above 0, given -1", "--sample", "--temperature", "-1")]
    public void Impossible_options_are_refused_with_their_values(string message, params string[] options) =>
        Assert.That(Longformer.Fails(2, ["summarize", _led, "--input", TextFile("options.txt", Text), .. options]), Does.Contain(message));

    [Test]
    public void More_tokens_than_the_decoder_has_positions_are_refused() =>
        Assert.That(Longformer.Fails(1, "summarize", _led, "--input", TextFile("positions.txt", Text), "--max-tokens", "5000"),
            Does.Contain("5000").And.Contain("positions"));

    [Test]
    public void Progress_is_drawn_on_a_terminal_only()
    {
        string file = TextFile("progress.txt", Text);
        string[] arguments = ["summarize", _led, "--input", file, "--beams", "2", "--min-tokens", "60", "--max-tokens", "60"];
        Longformer.Succeeds(arguments);
        const string script = "/usr/bin/script";
        if (!File.Exists(script))
            Assert.Ignore($"{script} is not there, which makes the terminal of this test");
        string program = Path.Combine(AppContext.BaseDirectory, "longformer.dll");
        ProcessStartInfo start = new(script) { RedirectStandardOutput = true, RedirectStandardInput = true };
        foreach (string argument in new[] { "-qefc",
            $"dotnet '{program}' {string.Join(' ', arguments.Select(a => $"'{a}'"))} > /dev/null", "/dev/null" })
        {
            start.ArgumentList.Add(argument);
        }
        using Process process = Process.Start(start)!;
        string terminal = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, terminal);
        Assert.That(terminal, Does.Contain("\r"), "the line is redrawn");
    }
}
