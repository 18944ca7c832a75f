using System.Globalization;
using System.Text.Json;

namespace LongformerInterop.Cli.Tests;

/// <summary>The character model from a text file to a text that it writes, by the command line alone.</summary>
[TestFixture]
[Parallelizable(ParallelScope.None)]
public class CharacterTests
{
    private const string Schedule = """
        {"dropout": 0, "model": {"n_layer": 2, "d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 64},
         "phases": [{"steps": 12, "sequence_length": 32, "batch": 8, "learning_rate": 1e-2, "warmup_steps": 2, "window": [4, 8]},
                    {"steps": 4, "sequence_length": 64, "batch": 4, "learning_rate": 5e-3, "window": [8, 16]}]}
        """;

    private string _root = "";

    [SetUp]
    public void MakeFolder()
    {
        _root = Directory.CreateTempSubdirectory("longformer-char-lm-").FullName;
        File.WriteAllText(At("text"), string.Concat(Enumerable.Range(0, 600).Select(i => (i * 7 % 11) % 3 == 0 ? "fog came " : "the boats ")));
        File.WriteAllText(At("schedule.json"), Schedule);
    }

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_root, recursive: true);

    private string At(string name) => Path.Combine(_root, name);

    private string[] Train(params string[] more) =>
        ["train", "char-lm", "--data", At("text"), "--schedule", At("schedule.json"), "--output", At("out"), "--threads", "1", .. more];

    [Test]
    public void A_model_is_trained_measured_and_writes()
    {
        Longformer.Result training = Longformer.Run(Train("--json", "--eval-every", "6"));
        Assert.That(training.Status, Is.Zero, training.Error);
        Assert.That(training.Error, Does.Contain("step 6: bits_per_character"));
        JsonElement trained = training.Json;
        Assert.That(trained.GetProperty("steps").GetInt32(), Is.EqualTo(16));
        double dev = trained.GetProperty("metrics").GetProperty("bits_per_character").GetDouble();
        JsonElement again = Longformer.Succeeds("evaluate", "char-lm", At("out"), "--data", At("text"), "--part", "dev", "--one-pass",
            "--every-character", "--json").Json;
        Assert.That(again.GetProperty("bits_per_character").GetDouble(), Is.EqualTo(dev).Within(1e-4));
        JsonElement info = Longformer.Succeeds("info", At("out"), "--json").Json;
        Assert.That(info.GetProperty("architecture").GetString(), Is.EqualTo("CharacterLanguageModel"));
        Assert.That(info.GetProperty("tasks").EnumerateArray().Single().GetString(), Is.EqualTo("generate"));
        Assert.That(info.GetProperty("symbols").GetString(), Does.Match("^\\d+ bytes$"));
        string[] sequences = ["evaluate", "char-lm", At("out"), "--data", At("text"), "--part", "test", "--length", "64", "--step", "16"];
        JsonElement overlapping = Longformer.Succeeds([.. sequences, "--json", "--output", At("bits")]).Json;
        JsonElement once = Longformer.Succeeds([.. sequences, "--json", "--one-pass"]).Json;
        Assert.That(once.GetProperty("equals_overlapping").GetBoolean(), Is.True);
        Assert.That(once.GetProperty("characters").GetInt64(), Is.EqualTo(overlapping.GetProperty("characters").GetInt64()));
        Assert.That(once.GetProperty("bits_per_character").GetDouble(),
            Is.EqualTo(overlapping.GetProperty("bits_per_character").GetDouble()).Within(1e-4));
        double[] bits = [.. File.ReadLines(At("bits")).Select(line => double.Parse(line, CultureInfo.InvariantCulture))];
        Assert.That(bits, Has.Length.EqualTo(overlapping.GetProperty("characters").GetInt64()));
        Assert.That(bits.Average(), Is.EqualTo(overlapping.GetProperty("bits_per_character").GetDouble()).Within(1e-4));
        string[] write = ["generate", At("out"), "--prompt", "fog ", "--characters", "30", "--temperature", "0.7", "--seed", "3"];
        string text = Longformer.Succeeds([.. write, "--json"]).Json.GetProperty("text").GetString()!;
        Assert.That(text, Has.Length.EqualTo(30));
        Assert.That(Longformer.Succeeds(write).Output.TrimEnd('\n'), Is.EqualTo(text.TrimEnd('\n')));
    }

    [TestCase("generate", "--prompt", "fog X", "byte 0x58 'X' at byte 4 of the text is not among the vocabulary's")]
    [TestCase("generate", "--prompt", "", "at least one character")]
    [TestCase("generate", "--top-p", "0", "expected one of --prompt TEXT and --input FILE")]
    [TestCase("evaluate", "--length", "100000", "expected at least 100001 characters")]
    [TestCase("evaluate", "--every-character", "", "--every-character needs --one-pass")]
    [TestCase("evaluate", "--split", "1,2", "--split: expected three lengths")]
    public void What_does_not_fit_is_one_line(string verb, string option, string value, string words)
    {
        Assert.That(Longformer.Run(Train()).Status, Is.Zero);
        string[] more = value.Length == 0 && option == "--every-character" ? [option] : [option, value];
        Longformer.Result result = verb == "generate" ? Longformer.Run(["generate", At("out"), .. more])
            : Longformer.Run(["evaluate", "char-lm", At("out"), "--data", At("text"), .. more]);
        Assert.That(result.Status, Is.Not.Zero);
        Assert.That(result.Error, Does.Contain(words));
        Assert.That(result.Error.TrimEnd('\n'), Does.Not.Contain("\n   at "));
    }

    [Test]
    public void A_training_that_cannot_be_is_one_line()
    {
        Assert.That(Longformer.Run("train", "char-lm", "--data", At("text"), "--output", At("a")).Error,
            Does.Contain("expected one of --preset small|large and --schedule FILE"));
        File.WriteAllText(At("short"), "the boats ");
        Assert.That(Longformer.Run("train", "char-lm", "--data", At("short"), "--output", At("b"), "--preset", "small").Error,
            Does.Contain("expected at least 2049 characters to train on in phase 1"));
        File.WriteAllText(At("schedule.json"), Schedule.Replace("[8, 16]", "[8, 4]", StringComparison.Ordinal));
        Assert.That(Longformer.Run(Train()).Error, Does.Contain("phase 2: window of layer 1: expected at least 8"));
    }
}
