using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Metrics;
using LongformerInterop.Training.Paper;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Tests.Paper;

/// <summary>HotpotQA from made-up files to the official joint scores, both stages included.</summary>
public sealed class HotpotTests
{
    private static readonly (string Title, string[] Sentences)[] Context =
    [
        ("Bora Fort", ["It was built in 1912.", " It is a fort near Trieste."]), ("Trieste", ["A port.", " It is Roman.", " Trieste is in Italy."]),
        ("Fog", ["Fog is wet."]),
    ];

    private static string Record(string id = "5a", string answer = "Italy", string question = "Where is Bora Fort?") =>
        JsonSerializer.Serialize(new Dictionary<string, object?>
        {
            ["_id"] = id, ["question"] = question, ["answer"] = answer, ["type"] = "bridge", ["level"] = "easy",
            ["supporting_facts"] = new object[] { new object[] { "Bora Fort", 1 }, new object[] { "Trieste", 2 } },
            ["context"] = Context.Select(c => new object[] { c.Title, c.Sentences }).ToArray(),
        });

    private static (TrainingExample Example, ExampleText Text, HotpotQuestion Question) Make(TestFolder folder, string record, int maxTokens = 200)
    {
        StartingPoint start = StartingPoint.Open(TinyCheckpoints.Base, folder["work"]);
        Recipe recipe = Recipe.Of(TrainingTask.HotpotQA);
        start.AddTokens(recipe.Markers, folder["work"]);
        ExampleText text = new(Tokenizer.Load(start.TokenizerFolder), maxTokens, start.VocabSize);
        DataRow[] rows = [.. recipe.ReadFiles(recipe.FindFiles([folder.Write("x.json", $"[{record}]")]), DataPart.All, default)];
        return (recipe.Examples(rows, text, null, true).Single(), text, HotpotQuestion.Of(rows[0]));
    }

    [Test]
    public void Question_titles_and_sentences_are_between_their_markers()
    {
        using TestFolder folder = new();
        (TrainingExample example, ExampleText text, _) = Make(folder, Record());
        Assert.That(text.Tokenizer.Decode(example.Ids), Is.EqualTo("<s>[q] Where is Bora Fort?[/q]<t> Bora Fort</t> It was built in 1912.[s] "
            + "It is a fort near Trieste.[s]<t> Trieste</t> A port.[s] It is Roman.[s] Trieste is in Italy.[s]<t> Fog</t> Fog is wet.[s]</s>"));
        int question = Array.IndexOf(example.Ids, text.Tokenizer.TokenToId("[/q]"));
        int[] marked = [.. Enumerable.Range(0, example.Ids.Length).Where(i => i <= question
            || example.Ids[i] == text.Tokenizer.TokenToId("<t>") || example.Ids[i] == text.Tokenizer.TokenToId("[s]"))];
        Assert.That(example.Globals, Is.EqualTo(marked));
        HotpotLabels labels = HotpotLabels.Of(example);
        Assert.That(labels.Type, Is.EqualTo(HotpotAnswerType.Span));
        Assert.That(labels.Paragraphs.Select(p => p.IsGold), Is.EqualTo(new[] { true, true, false }));
        Assert.That(labels.Sentences.Select(s => s.IsGold), Is.EqualTo(new[] { false, true, false, false, true, false }));
        Assert.That(text.Tokenizer.Decode(example.Ids.AsSpan(example.Starts![0]..(example.Ends![0] + 1))).Trim(), Is.EqualTo("Italy"));
        Assert.That(example.Starts, Has.Length.EqualTo(1));
    }

    [Test]
    public void Every_place_of_the_answer_in_gold_paragraphs_counts_and_none_of_yes()
    {
        using TestFolder folder = new();
        (TrainingExample several, ExampleText text, _) = Make(folder, Record(answer: "Trieste"));
        Assert.That(several.Starts!.Zip(several.Ends!).Select(s => text.Tokenizer.Decode(several.Ids.AsSpan(s.First..(s.Second + 1))).Trim()),
            Is.EqualTo(new[] { "Trieste", "Trieste", "Trieste" }));
        (TrainingExample yes, _, _) = Make(folder, Record(answer: "yes"));
        Assert.That(yes.Starts, Is.Empty);
        Assert.That(HotpotLabels.Of(yes).Type, Is.EqualTo(HotpotAnswerType.Yes));
    }

    [Test]
    public void What_is_cut_away_has_no_marker_and_no_answer()
    {
        using TestFolder folder = new();
        (TrainingExample whole, _, _) = Make(folder, Record());
        (TrainingExample cut, _, _) = Make(folder, Record(), whole.Starts![0] - 3);
        Assert.That(cut.Ids, Has.Length.EqualTo(whole.Starts[0] - 3));
        Assert.That(cut.Ids[^1], Is.EqualTo(whole.Ids[^1]));
        Assert.That(cut.Starts, Is.Empty);
        Assert.That(HotpotLabels.Of(cut).Sentences, Has.Count.LessThan(HotpotLabels.Of(whole).Sentences.Count));
    }

    [Test]
    public void Decoding_takes_the_type_the_best_span_and_facts_of_two_paragraphs()
    {
        using TestFolder folder = new();
        using TensorScope scope = new();
        (TrainingExample example, ExampleText text, HotpotQuestion question) = Make(folder, Record());
        HotpotInput input = HotpotInput.Of(question, text, (0, 2), token => text.Tokenizer.TokenToId(token)!.Value);
        Assert.That(input.Ids, Is.EqualTo(example.Ids));
        float[] starts = new float[example.Ids.Length], ends = new float[example.Ids.Length];
        (starts[example.Starts![0]], ends[example.Ends![0]]) = (5, 5);
        // The best start with the best end would leave its paragraph.
        ends[^2] = 9;
        starts[1] = 20;
        HotpotOutputs Outputs(float[] types, float[] paragraphs, float[] sentences) => new()
        {
            StartLogits = Tensor.From<float>(starts, starts.Length), EndLogits = Tensor.From<float>(ends, ends.Length),
            TypeLogits = Tensor.From<float>(types, 1, 3), ParagraphLogits = Tensor.From<float>(paragraphs, 3),
            SentenceLogits = Tensor.From<float>(sentences, 6),
        };
        HotpotPrediction span = HotpotRecipe.Decode(question, input, Outputs([0, 1, 2], [1, -5, 2], [-1, -2, 9, 9, 9, 3]), 30);
        Assert.That(span.Answer, Is.EqualTo("Italy"));
        Assert.That(span.Facts, Is.EqualTo(new[] { new SupportingFact("Bora Fort", 0), new SupportingFact("Fog", 0) }),
            "of a paragraph without a sentence above 0 the best one");
        HotpotPrediction no = HotpotRecipe.Decode(question, input, Outputs([0, 3, 2], [3, 2, 1], [1, 2, -1, 4, -2, 3]), 30);
        Assert.That(no.Answer, Is.EqualTo("no"));
        Assert.That(no.Facts,
            Is.EqualTo(new[] { new SupportingFact("Bora Fort", 0), new SupportingFact("Bora Fort", 1), new SupportingFact("Trieste", 1) }));
    }

    /// <summary>Questions of four paragraphs, two of which say "here" and the town that is the answer; and a configuration without weights.</summary>
    internal static (string Start, string Train, string Dev) MakeSet(TestFolder folder, int questions, int heldOut)
    {
        string[] names = ["Ada", "Bob", "Cid", "Dan"], towns = ["Rome", "Oslo", "Lima"];
        Random random = new(5);
        string Question(int i)
        {
            string[] order = [.. names.OrderBy(_ => random.Next())];
            string[] said = [.. towns.OrderBy(_ => random.Next())];
            // The first two of the names are here, in one town; the other two are there, each in another.
            return JsonSerializer.Serialize(new Dictionary<string, object?>
            {
                ["_id"] = $"q{i}", ["question"] = "Where?", ["answer"] = said[0], ["type"] = "bridge", ["level"] = "easy",
                ["supporting_facts"] = new object[] { new object[] { order[0], 0 }, new object[] { order[1], 0 } },
                ["context"] = Enumerable.Range(0, 4).OrderBy(_ => random.Next()).Select(n => new object[] { order[n],
                    new[] { $"{(n < 2 ? "Here" : "There")} is {said[Math.Max(0, n - 1)]}." } }).ToArray(),
            });
        }
        string Written(string name, int count) => folder.Write(name, $"[{string.Join(",", Enumerable.Range(0, count).Select(Question))}]");
        return (TinyStart(folder, c => c), Written("train.json", questions), Written("dev.json", heldOut));
    }

    /// <summary>A folder with a tokenizer and a configuration without dropout and without weights.</summary>
    internal static string TinyStart(TestFolder folder, Func<LongformerConfiguration, LongformerConfiguration> change)
    {
        string start = folder["start"];
        Directory.CreateDirectory(start);
        LongformerConfiguration usual = TinyCheckpoints.Configuration(Tokenizer.Load(TinyCheckpoints.TokenizerFolder)) with
        {
            HiddenDropoutProb = 0, AttentionProbsDropoutProb = 0,
        };
        File.WriteAllText(Path.Combine(start, "config.json"), change(usual).ToJson());
        foreach (string name in (string[])["vocab.json", "merges.txt"])
            File.Copy(Path.Combine(TinyCheckpoints.TokenizerFolder, name), Path.Combine(start, name));
        return start;
    }

    [Test]
    public void A_small_model_learns_and_writes_the_official_file_and_a_shorter_set()
    {
        using TestFolder folder = new();
        string[] names = ["Ada", "Bob", "Cid", "Dan"];
        Random random = new(5);
        // The answer is in the one paragraph that says "here".
        string Question(int i)
        {
            string[] order = [.. names.OrderBy(_ => random.Next())];
            string[] towns = [.. names.Select(_ => ((string[])["Rome", "Oslo", "Lima"])[random.Next(3)])];
            return JsonSerializer.Serialize(new Dictionary<string, object?>
            {
                ["_id"] = $"q{i}", ["question"] = "Where?", ["answer"] = towns[0], ["type"] = "bridge", ["level"] = "easy",
                ["supporting_facts"] = new object[] { new object[] { order[0], 0 } },
                ["context"] = Enumerable.Range(0, 4).OrderBy(_ => random.Next()).Select(n => new object[] { order[n],
                    new[] { $"{(n == 0 ? "Here" : "There")} is {towns[n]}." } }).ToArray(),
            });
        }
        string train = folder.Write("train.json", $"[{string.Join(",", Enumerable.Range(0, 120).Select(Question))}]");
        string dev = folder.Write("dev.json", $"[{string.Join(",", Enumerable.Range(0, 20).Select(Question))}]");
        string start = folder["start"];
        Directory.CreateDirectory(start);
        File.WriteAllText(Path.Combine(start, "config.json"), (TinyCheckpoints.Configuration(Tokenizer.Load(TinyCheckpoints.TokenizerFolder)) with
        {
            HiddenDropoutProb = 0, AttentionProbsDropoutProb = 0,
        }).ToJson());
        foreach (string name in (string[])["vocab.json", "merges.txt"])
            File.Copy(Path.Combine(TinyCheckpoints.TokenizerFolder, name), Path.Combine(start, name));
        TrainingResult result = new Trainer(new TrainingOptions
        {
            Task = TrainingTask.HotpotQA, Checkpoint = start, Data = [train], EvaluationData = [dev], Output = folder["run"], Cache = folder["cache"],
            Epochs = 8, LearningRate = 3e-3, Batches = new BatchPlan { ExamplesPerStep = 4 },
        }).Run();
        Assert.That(result.Metrics!["f1"], Is.GreaterThan(0.95), "any town is right once in three");
        Assert.That(result.Metrics["sp_f1"], Is.GreaterThan(0.4), "two of four facts are always given: by chance it is a third");
        Evaluation found = Evaluator.Run(new EvaluatorOptions
        {
            Task = TrainingTask.HotpotQA, Checkpoint = folder["run"], Data = [dev], Cache = folder["cache"],
        });
        using JsonDocument official = JsonDocument.Parse(found.PredictionFile());
        Assert.That(official.RootElement.GetProperty("answer").EnumerateObject().Count(), Is.EqualTo(20));
        Assert.That(official.RootElement.GetProperty("sp").GetProperty("q0")[0][1].GetInt32(), Is.Zero);
        // The second stage reads what the first one kept.
        string shorter = folder.Write("shorter.json", found.ShortenedFile!);
        using JsonDocument kept = JsonDocument.Parse(found.ShortenedFile!);
        Assert.That(kept.RootElement.EnumerateArray().Select(q => q.GetProperty("context").GetArrayLength()), Is.All.InRange(2, 4));
        Assert.That(Evaluator.Run(new EvaluatorOptions
        {
            Task = TrainingTask.HotpotQA, Checkpoint = folder["run"], Data = [shorter], Cache = folder["cache"],
        }).Metrics["questions"], Is.EqualTo(20));
    }

    [TestCase("\"_id\":", "\"id\":", "no column \"_id\"")]
    [TestCase("[\"Bora Fort\",1]", "[\"Bora Fort\"]", "supporting_facts[0]: expected [title, number of a sentence]")]
    [TestCase("[\"Fog\",[", "[\"Fog\",3,[", "context[2]: expected [title, [sentence, ...]]")]
    [TestCase("\"A port.\"", "17", "context[1]: sentence 0: expected a text")]
    public void A_malformed_record_is_named_with_its_field(string right, string wrong, string message)
    {
        using TestFolder folder = new();
        string record = Record().Replace(right, wrong, StringComparison.Ordinal);
        Assert.That(record, Does.Contain(wrong));
        Assert.That(() => Make(folder, record),
            Throws.TypeOf<InputException>().With.Message.Contains(message).And.Message.Contains("x.json: record 1"));
    }
}
