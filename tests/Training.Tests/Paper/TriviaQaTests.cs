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

/// <summary>TriviaQA, from made-up files in the official layout.</summary>
public sealed class TriviaQaTests
{
    private static string Question(string id, string[] pages, string[]? aliases, string text = "Who wrote the first program?") =>
        JsonSerializer.Serialize(new Dictionary<string, object?>
        {
            ["QuestionId"] = id, ["QuestionSource"] = "x", ["Question"] = text,
            ["EntityPages"] = pages.Select(p => new { Filename = p, Title = p, DocSource = "TagMe" }), ["SearchResults"] = Array.Empty<string>(),
        }.Concat(aliases is null ? [] : [new KeyValuePair<string, object?>("Answer", new { Value = aliases[0], NormalizedAliases = aliases })])
        .ToDictionary());

    private static string Write(TestFolder folder, params string[] questions) => folder.Write("qa/wikipedia-train.json",
        $"{{\"Domain\": \"Wikipedia\", \"VerifiedEval\": false, \"Data\": [{string.Join(",", questions)}], \"Version\": 1.0}}");

    private static ExampleText Text(int maxTokens)
    {
        Tokenizer tokenizer = Tokenizer.Load(TinyCheckpoints.TokenizerFolder);
        return new ExampleText(tokenizer, maxTokens, tokenizer.VocabularySize);
    }

    private static TrainingExample[] Make(string file, int maxTokens = 96, RecipeOptions? options = null, bool forEvaluation = true)
    {
        Recipe recipe = Recipe.Of(TrainingTask.TriviaQa, options);
        return [.. recipe.Examples(recipe.ReadFiles(recipe.FindFiles([file]), DataPart.All, default), Text(maxTokens), null, forEvaluation)];
    }

    [Test]
    public void Words_are_those_of_nltk()
    {
        string file = Path.Combine(Repository.Root, "tests", "Training.Tests", "Fixtures", "nltk_words.jsonl");
        int count = 0;
        foreach (string line in File.ReadLines(file))
        {
            using JsonDocument golden = JsonDocument.Parse(line);
            string text = golden.RootElement.GetProperty("text").GetString()!;
            string?[] words = [.. golden.RootElement.GetProperty("words").EnumerateArray().Select(w => w.GetString())];
            Assert.That(NltkWords.OfSentence(text), Is.EqualTo(words), text);
            count++;
        }
        Assert.That(count, Is.EqualTo(21));
    }

    [TestCase("It ended. He left.", new[] { "It ended.", " He left." })]
    [TestCase("Dr. Who met J. Smith. \"Yes!\" 3 came.", new[] { "Dr. Who met J. Smith.", " \"Yes!\"", " 3 came." })]
    [TestCase("about 3.5 e.g. this", new[] { "about 3.5 e.g. this" })]
    public void Sentences_end_before_a_capital_and_not_at_abbreviations(string text, string[] expected) =>
        Assert.That(NltkWords.Sentences(text), Is.EqualTo(expected));

    [Test]
    public void A_page_is_its_first_words_with_line_breaks_as_words()
    {
        Assert.That(TriviaQaFiles.Convert("One two.\r\nThree (four).\n", 100), Is.EqualTo("One two . \n Three ( four ) ."));
        Assert.That(TriviaQaFiles.Convert("One two.\nThree four.", 5), Is.EqualTo("One two . \n Three"));
        Assert.That(TriviaQaFiles.Places("Aa aAa a", ["aa", "a a", ""]), Is.EqualTo(new[] { (0, 2), (3, 5), (1, 4), (5, 8) }));
    }

    [Test]
    public void The_question_is_global_and_every_alias_in_the_page_is_gold()
    {
        using TestFolder folder = new();
        folder.Write("evidence/wikipedia/Ada.txt", "It was Ada Lovelace's.\nADA LOVELACE, the countess Lovelace.");
        string file = Write(folder, Question("tc_1", ["Ada.txt"], ["ada lovelace", "lovelace"]));
        TrainingExample one = Make(file, 96).Single();
        Tokenizer tokenizer = Text(96).Tokenizer;
        Assert.That(tokenizer.Decode(one.Ids), Is.EqualTo(
            "<s>Who wrote the first program?</s>It was Ada Lovelace 's . ADA LOVELACE , the countess Lovelace .</s>"));
        int end = Array.IndexOf(one.Ids, tokenizer.SpecialTokens.Separator!.Value);
        Assert.That(one.Globals, Is.EqualTo(Enumerable.Range(0, end)));
        string[] gold = [.. one.Starts!.Zip(one.Ends!, (s, e) => tokenizer.Decode(one.Ids.AsSpan(s, e + 1 - s)).Trim())];
        Assert.That(gold, Is.EqualTo(new[] { "Ada Lovelace", "ADA LOVELACE", "Lovelace", "LOVELACE", "Lovelace" }));
        Assert.That(Make(file, 96, new RecipeOptions { NoGlobalAttention = true }).Single().Globals, Is.Empty);
    }

    [Test]
    public void A_long_page_is_read_in_windows_and_its_loss_is_one_softmax_over_all()
    {
        using TestFolder folder = new();
        using TensorScope scope = new();
        folder.Write("evidence/wikipedia/Ada.txt", string.Concat(Enumerable.Repeat("the sea and the hill . Ada went there . ", 12)));
        string file = Write(folder, Question("tc_1", ["Ada.txt"], ["ada"]));
        TrainingExample one = Make(file, 60, new RecipeOptions { Stride = 10 }).Single(), first = Make(file, 60,
            new RecipeOptions { FirstWindowOnly = true }).Single();
        Assert.That(one.Lengths!.Length, Is.GreaterThan(3));
        Assert.That(one.Lengths, Is.All.LessThanOrEqualTo(60));
        Assert.That(first.Lengths, Has.Length.EqualTo(1));
        Assert.That(one.Ids[..60], Is.EqualTo(first.Ids));
        Tokenizer tokenizer = Text(60).Tokenizer;
        Assert.That(one.Starts!.Length, Is.GreaterThanOrEqualTo(12));
        foreach ((int start, int end) in one.Starts!.Zip(one.Ends!))
            Assert.That(tokenizer.Decode(one.Ids.AsSpan(start, end + 1 - start)).Trim(), Is.EqualTo("Ada"));
        Assert.That(Make(file, 60, new RecipeOptions { MaxDocumentTokens = 30 }).Single().Ids, Has.Length.LessThan(60));
        using SpanHead head = (SpanHead)TrainingHead.Of(PretrainedModel.Load(TinyCheckpoints.QuestionAnswering));
        (Tensor startLogits, Tensor endLogits) = head.Logits([one]);
        static double Loss(float[] logits, IEnumerable<int> gold) =>
            Math.Log(logits.Sum(l => Math.Exp(l))) - Math.Log(gold.Distinct().Sum(g => Math.Exp(logits[g])));
        double expected = (Loss(startLogits.ToArray<float>(), one.Starts!) + Loss(endLogits.ToArray<float>(), one.Ends!)) / 2;
        Assert.That(head.LossSum([one]).ToDouble(), Is.EqualTo(expected).Within(1e-4));
        Assert.That(head.LossSum([one with { Starts = [], Ends = [] }]).ToDouble(), Is.Zero);
    }

    [Test]
    public void The_best_span_is_of_the_twenty_best_firsts_and_lasts()
    {
        Random random = new(4);
        for (int round = 0; round < 200; round++)
        {
            int length = random.Next(3, 80), behind = random.Next(1, length), longest = random.Next(1, 12);
            float[] starts = [.. Enumerable.Range(0, length).Select(_ => random.NextSingle())], ends = [.. starts.Select(_ => random.NextSingle())];
            HashSet<int> bestStarts = [.. Enumerable.Range(0, length).OrderByDescending(i => starts[i]).Take(20)],
                bestEnds = [.. Enumerable.Range(0, length).OrderByDescending(i => ends[i]).Take(20)];
            double best = double.NegativeInfinity;
            for (int s = behind; s < length; s++)
            {
                for (int e = s; e < Math.Min(length, s + longest); e++)
                {
                    if (bestStarts.Contains(s) && bestEnds.Contains(e))
                        best = Math.Max(best, (double)starts[s] + ends[e]);
                }
            }
            Assert.That(TriviaQaRecipe.BestSpan(starts, ends, behind, longest)?.Score ?? double.NegativeInfinity, Is.EqualTo(best));
        }
    }

    [Test]
    public void Questions_with_several_pages_and_with_none_have_one_prediction_each()
    {
        using TestFolder folder = new();
        folder.Write("evidence/wikipedia/A.txt", "Ada wrote it.");
        folder.Write("evidence/wikipedia/B.txt", "");
        string file = Write(folder, Question("tc_1", ["A.txt", "B.txt"], ["ada"]), Question("tc_2", [], ["bob"]));
        Assert.That(Make(file).Length, Is.EqualTo(3));
        Assert.That(Make(file, forEvaluation: false).Length, Is.EqualTo(2));
        TrainingResult result = new Trainer(new TrainingOptions
        {
            Task = TrainingTask.TriviaQa, Checkpoint = TinyCheckpoints.QuestionAnswering, Data = [file], EvaluationData = [file],
            Output = folder["out"], Cache = folder["cache"], LearningRate = 5e-3, Epochs = 20, EvaluateEvery = 100, SaveEvery = 100,
        }).Run();
        Assert.That((result.Metrics!["questions"], result.Metrics["exact_match"], result.Metrics["f1"]), Is.EqualTo((2.0, 50.0, 50.0)));
        Evaluation found = Evaluator.Run(new EvaluatorOptions { Task = TrainingTask.TriviaQa, Checkpoint = result.Folder, Data = [file],
            Cache = folder["cache"] });
        using JsonDocument official = JsonDocument.Parse(found.PredictionFile());
        Dictionary<string, string> predictions = official.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!);
        Assert.That(predictions["tc_2"], Is.EqualTo("NoAnswerFound"));
        TriviaQaScores scores = TriviaQaScorer.Score(
            new Dictionary<string, IReadOnlyList<string>> { ["tc_1"] = ["ada"], ["tc_2"] = ["bob"] }, predictions);
        Assert.That(scores.ExactMatch, Is.EqualTo(50));
    }

    [Test]
    public void What_is_wrong_is_told_with_file_record_and_field()
    {
        using TestFolder folder = new();
        folder.Write("evidence/wikipedia/Bad.txt", new byte[] { 0x61, 0xFF });
        void Fails(string message, bool forEvaluation, params string[] questions) => Assert.That(() => Make(Write(folder, questions), 96, null,
            forEvaluation), Throws.TypeOf<InputException>().With.Message.Contains(message));
        Fails("record 1 (tc_1): Filename \"No.txt\": expected a page", true, Question("tc_1", ["No.txt"], ["ada"]));
        Fails("Filename \"Bad.txt\": expected a page in UTF-8", true, Question("tc_1", ["Bad.txt"], ["ada"]));
        Fails("expected an \"Answer\"", false, Question("tc_1", ["Bad.txt"], null));
        Fails("record 1: no column \"QuestionId\"", true, "{\"Question\": \"?\"}");
        Fails("record 2: expected a JSON object", true, Question("tc_1", [], ["ada"]), "7");
        Assert.That(() => Make(folder.Write("else/x/q.json", "{\"Data\": [{}]}")),
            Throws.TypeOf<InputException>().With.Message.Contains("the setting evidence"));
    }
}
