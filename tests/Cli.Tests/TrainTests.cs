using System.CommandLine;
using System.Text.Json;
using LongformerInterop.Cli.Verbs;
using LongformerInterop.Tests;
using LongformerInterop.Training;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Cli.Tests;

[TestFixture]
[Parallelizable(ParallelScope.None)]
public class TrainTests
{
    private TestFolder _folder = null!;

    [SetUp]
    public void MakeFolder()
    {
        _folder = new TestFolder();
        File.WriteAllText(At("train.jsonl"), Reviews(48));
        File.WriteAllText(At("held.csv"), "text,label\nlovely fine great,good\n\"poor, sad\",bad\n");
    }

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    private string At(string name) => _folder[name];

    private static string Reviews(int count) => string.Concat(Enumerable.Range(0, count).Select(i => JsonSerializer.Serialize(new
    {
        text = string.Join(' ', Enumerable.Range(0, 3 + (i % 9)).Select(k =>
            (i % 2 == 0 ? (string[])["lovely", "fine", "great"] : ["awful", "poor", "sad"])[(i + k) % 3])),
        label = i % 2 == 0 ? "good" : "bad",
    }) + "\n"));

    private string[] Train(string output, params string[] more) =>
    [
        "train", "classify", TinyCheckpoints.MaskedLm, "--data", At("train.jsonl"), "--eval", At("held.csv"), "--output", At(output), "--cache",
        At("cache"), "--threads", "1",
        "--learning-rate", "2e-3", "--batch-size", "8", "--epochs", "4", "--save-every", "2", "--eval-every", "3", .. more,
    ];

    [Test]
    public void A_folder_is_trained_measured_and_used()
    {
        Longformer.Result result = Longformer.Run(Train("out", "--json"));
        Assert.That(result.Status, Is.Zero, result.Error);
        Assert.That(result.Json.GetProperty("steps").GetInt32(), Is.EqualTo(24));
        Assert.That(result.Json.GetProperty("metrics").GetProperty("accuracy").GetDouble(), Is.EqualTo(1));
        Assert.That(result.Error, Does.Contain("new and random: classifier.dense.weight").And.Contain("step 3: loss"));
        JsonElement measured = Longformer.Succeeds("evaluate", "classify", At("out"), "--data", At("held.csv"), "--cache", At("cache"), "--output",
            At("predictions.jsonl"), "--json").Json;
        Assert.That(measured.GetProperty("metrics").GetProperty("loss").GetDouble(),
            Is.EqualTo(result.Json.GetProperty("metrics").GetProperty("loss").GetDouble()).Within(1e-4));
        Assert.That(File.ReadAllLines(At("predictions.jsonl")), Has.Length.EqualTo(2).And.All.Contains("\"labels\":["));
        File.WriteAllText(At("text.txt"), "sad awful poor");
        Assert.That(Longformer.Succeeds("classify", At("out"), "--input", At("text.txt"), "--top", "1").Output, Does.Contain("bad"));
    }

    [Test]
    public void A_run_that_is_killed_at_any_moment_ends_with_the_same_bytes()
    {
        Assert.That(Longformer.Run(Train("whole")).Status, Is.Zero);
        Random random = new(7);
        int killed = 0;
        Longformer.Result result;
        do
        {
            string[] resume = Directory.Exists(At("killed/checkpoints")) ? ["--resume"] : [];
            // By what the run has written, not by the clock: machines differ by ten times.
            int lines = random.Next(1, 7), later = random.Next(30);
            long seen = LogLength();
            result = Longformer.RunKilled(
                () =>
                {
                    if (killed == 8 || LogLength() == seen)
                        return false;
                    seen = LogLength();
                    if (--lines > 0)
                        return false;
                    Thread.Sleep(later);
                    return true;
                },
                Train("killed", resume));
            if (result.Status == 137)
                killed++;
            else
                Assert.That(result.Status, Is.Zero, result.Error);
        }
        while (result.Status != 0);
        Assert.That(killed, Is.GreaterThan(0));
        foreach (string file in new[] { "model.safetensors", "config.json", "checkpoints/step-000000024/optimizer.safetensors" })
            Assert.That(File.ReadAllBytes(At($"killed/{file}")), Is.EqualTo(File.ReadAllBytes(At($"whole/{file}"))), $"{file}, after {killed} kills");
    }

    private long LogLength() => File.Exists(At("killed/log.jsonl")) ? new FileInfo(At("killed/log.jsonl")).Length : 0;

    [Test]
    public void Ctrl_C_saves_and_says_how_to_go_on()
    {
        Longformer.Result result = Longformer.RunInterrupted(() => File.Exists(At("out/log.jsonl")) && new FileInfo(At("out/log.jsonl")).Length > 200,
            Train("out", "--steps", "100000"));
        Assert.That(result.Status, Is.EqualTo(1), result.Error);
        Assert.That(result.Error, Does.Match(@"longformer: stopped after step \d+, which is saved; the same command with --resume continues\n$"));
        Assert.That(Directory.GetDirectories(At("out/checkpoints")), Is.Not.Empty);
    }

    [Test]
    public void A_full_disk_leaves_what_was_saved()
    {
        // The weights take 270 KiB, the optimizer's state twice as much.
        Longformer.Result full = Longformer.RunLimited(400, Train("out"));
        Assert.That(full.Status, Is.EqualTo(1), full.Error);
        Assert.That(full.Error.Trim().Split('\n')[^1], Does.StartWith("longformer: ").And.Contain("cannot be written"));
        Longformer.Result rest = Longformer.Run(Train("out", "--resume"));
        Assert.That(rest.Status, Is.Zero, rest.Error);
    }

    [Test]
    public void What_does_not_fit_is_one_line()
    {
        Assert.That(Longformer.Fails(1, Train("out", "--steps", "0")), Does.Contain("steps: expected 1 or more, given 0"));
        File.AppendAllText(At("train.jsonl"), "{\"text\": \"fine\", \"lab");
        Assert.That(Longformer.Fails(1, Train("out")), Does.Contain("train.jsonl:49: not JSON"));
        Assert.That(Longformer.Fails(1, "train", "tag", TinyCheckpoints.Tagger, "--data", At("nowhere*.jsonl"), "--output", At("x")),
            Does.Contain("no data file"));
        Assert.That(Longformer.Fails(2, Train("out", "--column", "text")), Does.Contain("PURPOSE=NAME"));
        Assert.That(Longformer.Fails(2, "train", "paint", "X"), Does.Contain("longformer train --help"));
        Assert.That(Longformer.Fails(2, "train", "tag", "X", "--data", "a"), Does.Contain("longformer train tag --help"));
        Assert.That(Longformer.Fails(1, "evaluate", "tag", TinyCheckpoints.Classifier, "--data", At("held.csv")),
            Does.Contain("expected LongformerForTokenClassification"));
        Assert.That(Longformer.Succeeds("train", "summarize", "--help").Output, Does.Contain("--max-target-tokens").And.Contain("--label-smoothing"));
    }

    [TestCaseSource(nameof(TaskNames))]
    public void The_options_are_the_settings_of_all_doors(string task)
    {
        // C and Python take the names of the help, with underscores.
        Recorder training = new(), evaluation = new();
        TrainingTask kind = TrainingSettings.TaskOf(task);
        _ = TrainingSettings.ForTraining(kind, "c", ["d"], [], "o", training);
        _ = TrainingSettings.ForEvaluation(kind, "c", ["d"], evaluation);
        string[] own = ["data", "eval", "output", "threads", "json", "base", "seeds", "shortened"];
        Assert.That(Names(TrainVerb.Create(), task).Except(own), Is.EquivalentTo(training.Names.Except(
            TrainingSettings.PresetsOf(kind).Count == 0 ? ["preset"] : [])));
        Assert.That(Names(EvaluateVerb.Create(), task).Except(own), Is.EquivalentTo(evaluation.Names.Except(own)));
    }

    [Test]
    public void A_preset_stands_below_what_is_given()
    {
        Longformer.Result result = Longformer.Run(Train("out", "--preset", "imdb", "--json"));
        Assert.That(result.Status, Is.Zero, result.Error);
        // Epochs, batch size and rate are given by the line above; the preset's warm-up is what is left of it.
        Assert.That(result.Json.GetProperty("steps").GetInt32(), Is.EqualTo(24));
        Assert.That(File.ReadAllText(At("out/README.md")), Does.Contain("| warmup-ratio | 0.1 |").And.Contain("| batch-size | 8 |"));
        Assert.That(Longformer.Fails(2, Train("x", "--preset", "arxiv")), Does.Contain("arxiv"));
        Assert.That(Longformer.Succeeds("train", "masked-lm", "--help").Output, Does.Match(@"pretrain \(join_texts,\s+tokens_per_step\s+262144"));
    }

    private static IEnumerable<string> TaskNames() => TrainingSettings.Tasks.Select(t => t.Name);

    private static IEnumerable<string> Names(Command verb, string task) =>
        verb.Subcommands.Single(c => c.Name == task).Options.Select(o => o.Name.TrimStart('-').Replace('-', '_'))
            .Where(n => n is not ("help" or "version"));

    /// <summary>Has no values, and remembers what was asked for.</summary>
    private sealed class Recorder : ISettingValues
    {
        public HashSet<string> Names { get; } = [];

        public long? Integer(string name) => Asked<long>(name);

        public double? Number(string name) => Asked<double>(name);

        public bool? Flag(string name) => Asked<bool>(name);

        public string? Text(string name) => Names.Add(name) ? null : null;

        public IReadOnlyList<string>? Texts(string name) => Names.Add(name) ? null : null;

        private T? Asked<T>(string name) where T : struct => Names.Add(name) ? null : null;
    }
}
