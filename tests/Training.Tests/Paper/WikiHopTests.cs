using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Paper;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Tests.Paper;

/// <summary>WikiHop, from made-up files in qangaroo's format.</summary>
public sealed class WikiHopTests
{
    private static readonly string[] Countries = ["austria", "italy", "malta"];

    private static string Record(int number, string? answer = "italy", int supports = 3) => JsonSerializer.Serialize(new Dictionary<string, object?>
    {
        ["id"] = $"WH_train_{number}", ["query"] = "country bora fort", ["candidates"] = Countries,
        ["supports"] = Enumerable.Range(0, supports).Select(i => $"Bora Fort , {i} miles from Trieste ( Italy ) .").ToArray(),
        ["annotations"] = new[] { new[] { "follows", "multiple" } },
    }.Concat(answer is null ? [] : [new KeyValuePair<string, object?>("answer", answer)]).ToDictionary());

    /// <summary>A starting point with the markers in its tokenizer, in a folder.</summary>
    private static StartingPoint Started(TestFolder folder)
    {
        StartingPoint start = StartingPoint.Open(TinyCheckpoints.Base, folder["work"]);
        start.AddTokens(Recipe.Of(TrainingTask.WikiHop).Markers, folder["work"]);
        return start;
    }

    private static (TrainingExample[] Examples, ExampleText Text, Recipe Recipe) Make(TestFolder folder, string json, int maxTokens = 96,
        RecipeOptions? options = null)
    {
        StartingPoint start = Started(folder);
        Recipe recipe = Recipe.Of(TrainingTask.WikiHop, options);
        ExampleText text = new(Tokenizer.Load(start.TokenizerFolder), maxTokens, start.VocabSize);
        string file = folder.Write("train.json", json);
        IEnumerable<DataRow> rows = recipe.ReadFiles(recipe.FindFiles([file]), DataPart.All, default);
        return ([.. recipe.Examples(rows, text, null, true)], text, recipe);
    }

    [TestCase("( Friuli ) , it 's !", "(Friuli), it's!")]
    [TestCase("  a  .b\u00a0c ?", "a .b c?")]
    [TestCase("part_of x", "part_of x")]
    public void Strings_are_cleaned_as_allenai_does(string given, string expected) => Assert.That(WikiHopRecipe.Clean(given), Is.EqualTo(expected));

    [Test]
    public void Question_and_candidates_are_in_front_with_their_markers_and_every_support_between_separators()
    {
        using TestFolder folder = new();
        (TrainingExample[] examples, ExampleText text, _) = Make(folder, $"[{Record(0, supports: 2)}]", 4096);
        TrainingExample one = examples.Single();
        string whole = text.Tokenizer.Decode(one.Ids);
        Assert.That(whole, Is.EqualTo("<s>[question] country bora fort[/question][ent] austria[/ent][ent] italy[/ent][ent] malta[/ent]</s> "
            + "Bora Fort, 0 miles from Trieste (Italy).</s></s> Bora Fort, 1 miles from Trieste (Italy).</s>"));
        Assert.That(one.Starts!.Select(i => text.Tokenizer.IdToToken(one.Ids[i])), Is.All.EqualTo("[ent]"));
        Assert.That(one.Ends!.Select(i => text.Tokenizer.IdToToken(one.Ids[i])), Is.All.EqualTo("[/ent]"));
        Assert.That(one.Globals, Is.EqualTo(Enumerable.Range(0, one.Ends![^1] + 1)));
        Assert.That((one.Labels![0], one.Lengths!.Length), Is.EqualTo((1, 1)));
    }

    [Test]
    public void Long_supports_go_into_chunks_that_repeat_the_candidates()
    {
        using TestFolder folder = new();
        (TrainingExample[] examples, _, Recipe recipe) = Make(folder, $"[{Record(0, supports: 12)}]", 70);
        (TrainingExample[] whole, ExampleText text, _) = Make(folder, $"[{Record(0, supports: 12)}]", 4096);
        TrainingExample one = examples.Single();
        int front = one.Ends![^1] + 1;
        Assert.That(one.Lengths!.Length, Is.GreaterThan(2));
        Assert.That(one.Lengths, Is.All.LessThanOrEqualTo(70));
        List<int> behind = [];
        int from = 0;
        foreach (int length in one.Lengths!)
        {
            Assert.That(one.Ids[from..(from + front)], Is.EqualTo(whole[0].Ids[..front]));
            Assert.That(one.Globals, Is.SupersetOf(Enumerable.Range(from, front)));
            behind.AddRange(one.Ids[(from + front)..(from + length)]);
            from += length;
        }
        Assert.That(behind, Is.EqualTo(whole[0].Ids[front..]));
        (TrainingExample[] first, _, _) = Make(folder, $"[{Record(0, supports: 12)}]", 70, new RecipeOptions { FirstChunkOnly = true });
        Assert.That(first[0].Ids, Is.EqualTo(one.Ids[..70]));
        (TrainingExample[] none, _, _) = Make(folder, $"[{Record(0)}]", 96, new RecipeOptions { NoGlobalAttention = true });
        Assert.That(none[0].Globals, Is.Empty);
        // A pass shuffles, and keeps candidates, supports and the answer.
        ExampleText small = new(text.Tokenizer, 70, text.VocabSize);
        HashSet<string> orders = [];
        for (ulong seed = 0; seed < 40; seed++)
        {
            TrainingExample pass = recipe.ForPass(one, small, seed << 20);
            Assert.That(pass.Ids.Order(), Is.EqualTo(one.Ids.Order()));
            string answer = text.Tokenizer.Decode(pass.Ids.AsSpan((pass.Starts![pass.Labels![0]] + 1)..pass.Ends![pass.Labels[0]]));
            Assert.That(answer, Is.EqualTo(" italy"));
            orders.Add(string.Join(' ', pass.Ids));
        }
        Assert.That(orders.Count, Is.GreaterThan(35));
    }

    [Test]
    public void New_rows_are_drawn_with_the_mean_and_deviation_of_the_table()
    {
        using TestFolder folder = new();
        using TensorScope scope = new();
        StartingPoint start = Started(folder);
        int before = Tokenizer.Load(TinyCheckpoints.Base).VocabularySize;
        start.Prepare("LongformerForCandidateScoring", null, 7, folder["work"]);
        using LongformerForCandidateScoring model = LongformerForCandidateScoring.Load(start.Folder);
        using LongformerModel old = LongformerModel.Load(TinyCheckpoints.Base);
        static float[] Table(PretrainedModel of) => of.NamedParameters.Single(p => p.Name.EndsWith("word_embeddings.weight",
            StringComparison.Ordinal)).Tensor.ToArray<float>();
        (float[] table, float[] oldTable) = (Table(model), Table(old));
        int width = model.Configuration.HiddenSize;
        Assert.That(table.Length, Is.EqualTo(oldTable.Length + (4 * width)));
        Assert.That(table[..oldTable.Length], Is.EqualTo(oldTable));
        float[] rows = table[oldTable.Length..];
        static double Deviation(float[] values) => Math.Sqrt(values.Average(v => Math.Pow(v - values.Average(), 2)));
        Assert.That(Deviation(rows), Is.EqualTo(Deviation(oldTable)).Within(20).Percent);
        Tokenizer tokenizer = Tokenizer.Load(start.TokenizerFolder);
        Assert.That(new[] { "[question]", "[/question]", "[ent]", "[/ent]" }.Select(tokenizer.TokenToId), Is.EqualTo(Enumerable.Range(before, 4)));
        Assert.That(tokenizer.IsSpecial(before), Is.True);
    }

    [Test]
    public void The_tokens_of_the_task_are_added_to_whichever_files_a_tokenizer_has()
    {
        foreach (bool decoder in new[] { true, false })
        {
            using TestFolder folder = new();
            foreach (string file in new[] { "vocab.json", "merges.txt" })
                folder.Write(file, File.ReadAllBytes(Path.Combine(TinyCheckpoints.TokenizerFolder, file)));
            if (decoder)
                folder.Write("tokenizer_config.json", "{\"added_tokens_decoder\": {\"0\": {\"content\": \"<s>\", \"special\": true}}, \"x\": NaN}");
            int before = Tokenizer.Load(folder.Path).VocabularySize;
            TokenizerFiles.Add(folder.Path, ["[a]", "[b]"], before);
            Tokenizer after = Tokenizer.Load(folder.Path);
            Assert.That((after.TokenToId("[a]"), after.TokenToId("[b]"), after.VocabularySize), Is.EqualTo((before, before + 1, before + 2)));
            Assert.That(after.Decode(after.Encode("x [a]y").Ids.Span), Does.Contain("[a]"));
        }
        using TestFolder fast = new();
        fast.Write("tokenizer.json", File.ReadAllBytes(Repository.Golden("tokenizer", "wordpiece", "tokenizer.json")));
        int size = Tokenizer.Load(fast.Path).VocabularySize;
        TokenizerFiles.Add(fast.Path, ["[a]"], size);
        Assert.That(Tokenizer.Load(fast.Path).TokenToId("[a]"), Is.EqualTo(size));
    }

    [Test]
    public void The_scores_of_chunks_are_averaged()
    {
        using TestFolder folder = new();
        using TensorScope scope = new();
        StartingPoint start = Started(folder);
        (TrainingExample[] examples, _, _) = Make(folder, $"[{Record(0, supports: 12)}, {Record(1, supports: 2)}]");
        start.Prepare("LongformerForCandidateScoring", null, 7, folder["work"]);
        using CandidateHead head = (CandidateHead)TrainingHead.Of(PretrainedModel.Load(start.Folder));
        IReadOnlyList<Tensor> together = head.Logits(examples);
        Assert.That(examples[0].Lengths!.Length, Is.GreaterThan(1));
        float[] mean = new float[3];
        int from = 0;
        foreach (int length in examples[0].Lengths!)
        {
            int at = from;
            TrainingExample chunk = examples[0] with
            {
                Ids = examples[0].Ids[from..(from + length)], Lengths = [length],
                Globals = [.. examples[0].Globals!.Where(g => g >= at && g < at + length).Select(g => g - at)],
            };
            float[] scores = head.Logits([chunk])[0].ToArray<float>();
            mean = [.. mean.Zip(scores, (m, s) => m + (s / examples[0].Lengths!.Length))];
            from += length;
        }
        Assert.That(together[0].ToArray<float>(), Is.EqualTo(mean).Within(1e-5));
        Assert.That(together[1].Shape.ToArray(), Is.EqualTo(new long[] { 1, 3 }));
    }

    [Test]
    public void A_run_goes_from_the_files_to_the_official_prediction_file()
    {
        using TestFolder folder = new();
        folder.Write("train.json", $"[{string.Join(",\n", Enumerable.Range(0, 6).Select(i => Record(i)))}]");
        folder.Write("test.json", $"[{Record(7, answer: null)}]");
        TrainingResult result = new Trainer(new TrainingOptions
        {
            Task = TrainingTask.WikiHop, Checkpoint = TinyCheckpoints.Base, Data = [folder["train.json"]], EvaluationData = [folder["train.json"]],
            Output = folder["out"], Cache = folder["cache"], LearningRate = 1e-2, Epochs = 12,
            EvaluateEvery = 100, SaveEvery = 100, Batches = new BatchPlan { ExamplesPerStep = 3 },
        }).Run();
        // The same answer everywhere, and candidates that are shuffled: its name is to be learned.
        Assert.That(result.Metrics!["accuracy"], Is.EqualTo(1));
        Evaluation found = Evaluator.Run(new EvaluatorOptions
        {
            Task = TrainingTask.WikiHop, Checkpoint = result.Folder, Data = [folder["test.json"]], Cache = folder["cache"],
        });
        Assert.That(found.Metrics.Keys, Is.EqualTo(new[] { "questions" }));
        Assert.That(found.PredictionFile(), Is.EqualTo("{\"WH_train_7\":\"italy\"}\n"));
    }

    [TestCase("{}", "expected a JSON list of objects, given an object")]
    [TestCase("[", "behind record 0: not JSON")]
    [TestCase("[]", "no record in it")]
    [TestCase("[3]", "record 1: expected a JSON object, given a number")]
    [TestCase("[,]", "behind record 0: not JSON")]
    [TestCase("[{\"id\": \"a\", \"query\": \"q\", \"candidates\": [\"x\"], \"supports\": [\"y\"], \"answer\": \"z\"}]",
        "record 1: expected the answer among the 1 candidates, given \"z\"")]
    [TestCase("[{\"id\": \"a\", \"query\": \"q\", \"candidates\": [\"x\"], \"supports\": []}]",
        "record 1: expected at least one of supports, given none")]
    [TestCase("[{\"id\": \"a\", \"query\": \"q\", \"candidates\": \"x\", \"supports\": []}]",
        "record 1: expected a list in the column \"candidates\"")]
    [TestCase("[{\"id\": \"a\", \"candidates\": [\"x\"], \"supports\": [\"y\"]}]", "record 1: no column \"query\"")]
    public void What_is_wrong_is_told_with_file_record_and_field(string json, string message)
    {
        using TestFolder folder = new();
        Assert.That(() => Make(folder, json), Throws.TypeOf<InputException>().With.Message.Contains("train.json").And.Message.Contains(message));
    }

    [Test]
    public void Candidates_that_leave_no_room_are_refused_by_name()
    {
        using TestFolder folder = new();
        Assert.That(() => Make(folder, $"[{Record(0)}]", 12),
            Throws.TypeOf<InputException>().With.Message.Match("record 1: .*3 candidates take [0-9]+ tokens"));
    }

    [Test]
    public void Records_larger_than_the_buffer_and_a_byte_order_mark_are_read()
    {
        using TestFolder folder = new();
        string long_ = new('a', 3 << 20);
        string file = folder.Write("big.json",
            $"\uFEFF{{\"other\": [1, [2]], \"Data\": [{{\"x\": \"{long_}\"}}, {{\"x\": \"\\ud83d\"}}], \"end\": 1}}");
        DataRow[] rows = [.. JsonRecords.Read(file, "Data", default)];
        Assert.That(rows.Select(r => r.Text("x")), Is.EqualTo(new[] { long_, "\uFFFD" }));
        Assert.That(() => JsonRecords.Read(file, "Nothing", default).ToList(),
            Throws.TypeOf<InputException>().With.Message.Contains("\"Nothing\""));
    }
}
