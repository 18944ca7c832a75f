using System.Text.Json;

namespace LongformerInterop.Cli.Tests;

/// <summary>The paper's tasks and the official scorers from the command line.</summary>
[TestFixture]
[Parallelizable(ParallelScope.None)]
public class PaperTaskTests
{
    [Test]
    public void Seeds_train_into_folders_of_the_output_and_give_a_mean()
    {
        using TestFolder folder = new();
        for (int i = 0; i < 10; i++)
        {
            folder.Write($"reviews/pos/{i}_9.txt", "lovely fine great");
            folder.Write($"reviews/neg/{i}_2.txt", "awful poor sad");
        }
        string[] command = ["train", "imdb", TinyCheckpoints.MaskedLm, "--data", folder["reviews"], "--output", folder["out"], "--epochs", "1",
            "--threads", "1"];
        Longformer.Result result = Longformer.Run([.. command, "--seeds", "1,2"]);
        Assert.That(result.Status, Is.Zero, result.Error);
        Assert.That(result.Output, Does.Contain("2 seeds").And.Match(@"accuracy +[0-9.]+ \+- [0-9.]+"));
        using JsonDocument seeds = JsonDocument.Parse(File.ReadAllText(folder["out/seeds.json"]));
        Assert.That(seeds.RootElement.GetProperty("seeds").EnumerateObject().Select(s => s.Name), Is.EqualTo(new[] { "1", "2" }));
        Assert.That(File.Exists(folder["out/seed-2/model.safetensors"]), Is.True);
        Assert.That(Longformer.Fails(2, [.. command, "--seeds", "1,x"]), Does.Contain("--seeds: expected integers A,B,..."));
        Assert.That(Longformer.Fails(1, "evaluate", "imdb", folder["out/seed-1"], "--data", folder["reviews"], "--part", "test"),
            Does.Contain("the test set is a folder of its own"));
    }

    [Test]
    public void Predictions_are_written_as_the_official_scorer_reads_them()
    {
        using TestFolder folder = new();
        folder.Write("evidence/wikipedia/Ada.txt", "Ada wrote the program.");
        string questions = folder.Write("qa/wikipedia-dev.json", """
            {"Domain": "Wikipedia", "Data": [{"QuestionId": "tc_1", "Question": "Who?", "EntityPages": [{"Filename": "Ada.txt"}],
             "Answer": {"NormalizedAliases": ["ada"]}}]}
            """);
        JsonElement measured = Longformer.Succeeds("evaluate", "triviaqa", TinyCheckpoints.QuestionAnswering, "--data", questions, "--output",
            folder["predictions.json"], "--json").Json;
        Assert.That(measured.GetProperty("metrics").GetProperty("questions").GetInt32(), Is.EqualTo(1));
        using JsonDocument predictions = JsonDocument.Parse(File.ReadAllText(folder["predictions.json"]));
        Assert.That(predictions.RootElement.EnumerateObject().Select(p => p.Name), Is.EqualTo(new[] { "tc_1" }));
        folder.Write("qa/wikipedia-dev.json", "{\"Data\": [{\"QuestionId\": \"tc_1\", \"Question\": \"Who?\", \"EntityPages\": [{}]}]}");
        Assert.That(Longformer.Fails(1, "evaluate", "triviaqa", TinyCheckpoints.QuestionAnswering, "--data", questions),
            Does.Contain("record 1: no column \"Filename\""));
    }

    [Test]
    public void A_scorer_that_disagrees_is_a_failed_case()
    {
        using TestFolder folder = new();
        folder.Write("triviaqa.json", """
            [{"note": "right", "input": {"prediction": "The Moon!", "ground_truths": ["moon"]}, "expected": {"exact_match": 1, "f1": 1.0}},
             {"note": "wrong", "input": {"prediction": "Moon", "ground_truths": ["sun"]}, "expected": {"exact_match": 1, "f1": 0}},
             {"note": "unknown", "input": {"prediction": "Moon", "ground_truths": ["sun"]}, "expected": {"else": 1}}]
            """);
        folder.Write("rouge.json", "[]");
        Longformer.Result result = Longformer.Run("parity", folder.Path);
        Assert.That(result.Status, Is.EqualTo(1));
        Assert.That(result.Output, Does.Contain("exact_match: 0, expected 1").And.Contain("else was not computed").And.Contain("rouge.json")
            .And.Contain("1 passed, 3 failed, 0 skipped"));
    }
}
