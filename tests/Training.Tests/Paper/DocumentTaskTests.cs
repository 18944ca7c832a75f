using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Paper;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Tests.Paper;

/// <summary>IMDB, Hyperpartisan news and arXiv, from made-up files in the official layouts.</summary>
public sealed class DocumentTaskTests
{
    private static DataRow[] Rows(TrainingTask task, string[] names, DataPart part = DataPart.All, RecipeOptions? options = null)
    {
        Recipe recipe = Recipe.Of(task, options);
        return [.. recipe.ReadFiles(recipe.FindFiles(names), part, default)];
    }

    private static void Reviews(TestFolder folder, int each)
    {
        for (int i = 0; i < each; i++)
        {
            folder.Write($"train/pos/{i}_{7 + (i % 4)}.txt", $"A lovely film.<br /><br />Number {i}.");
            folder.Write($"train/neg/{i}_{1 + (i % 4)}.txt", $"An awful film. Number {i}.");
        }
        folder.Write("train/urls_pos.txt", "http://x.org");
    }

    [Test]
    public void Reviews_are_read_from_their_folders_and_some_are_held_out()
    {
        using TestFolder folder = new();
        Reviews(folder, 10);
        string[] names = [folder["train"]];
        DataRow[] all = Rows(TrainingTask.Imdb, names), learned = Rows(TrainingTask.Imdb, names, DataPart.Training),
            held = Rows(TrainingTask.Imdb, names, DataPart.Development);
        Assert.That((all.Length, learned.Length, held.Length), Is.EqualTo((20, 16, 4)));
        Assert.That(learned.Concat(held).Select(r => r.Source), Is.EquivalentTo(all.Select(r => r.Source)));
        Assert.That(all.Count(r => r.Text("label") == "pos" && r.Text("text").Contains("lovely", StringComparison.Ordinal)), Is.EqualTo(10));
        Assert.That(Rows(TrainingTask.Imdb, names, DataPart.Development, new RecipeOptions { HeldOut = 7 }), Has.Length.EqualTo(7));
        folder.Write("train/pos/3_2.txt", "x");
        Assert.That(() => Rows(TrainingTask.Imdb, names), Throws.TypeOf<InputException>().With.Message
            .Contains("3_2.txt: expected the name NUMBER_RATING.txt with a rating of 7 or more in pos"));
        Assert.That(() => Rows(TrainingTask.Imdb, [folder.Path]), Throws.TypeOf<InputException>().With.Message.Contains("the folders neg and pos"));
    }

    [Test]
    public void Several_seeds_train_several_models_and_give_their_mean()
    {
        using TestFolder folder = new();
        Reviews(folder, 10);
        TrainingOptions options = new()
        {
            Task = TrainingTask.Imdb, Checkpoint = TinyCheckpoints.MaskedLm, Data = [folder["train"]], Output = folder["out"],
            Cache = folder["cache"], LearningRate = 2e-3, Epochs = 4, Batches = new BatchPlan { ExamplesPerStep = 8 },
        };
        RepeatedResult result = RepeatedTraining.Run(options, [1, 2]);
        Assert.That(result.Runs, Has.Count.EqualTo(2));
        double[] losses = [.. result.Runs.Select(r => r.Metrics!["loss"])];
        Assert.That(losses[0], Is.Not.EqualTo(losses[1]));
        Assert.That(result.Mean["loss"], Is.EqualTo(losses.Average()).Within(1e-12));
        Assert.That(result.Deviation["loss"], Is.EqualTo(Math.Abs(losses[0] - losses[1]) / Math.Sqrt(2)).Within(1e-12));
        using JsonDocument seeds = JsonDocument.Parse(File.ReadAllText(folder["out/seeds.json"]));
        Assert.That(seeds.RootElement.GetProperty("seeds").GetProperty("2").GetProperty("loss").GetDouble(), Is.EqualTo(losses[1]));
        Assert.That(() => RepeatedTraining.Run(options, [1, 2]), Throws.TypeOf<InputException>().With.Message.Contains("resume the runs"));
        Assert.That(RepeatedTraining.Run(options with { Resume = true }, [1, 2]).Mean["loss"], Is.EqualTo(result.Mean["loss"]));
        Assert.That(() => RepeatedTraining.Run(options, [1, 1]), Throws.TypeOf<InputException>());
    }

    [TestCase("one two/three four", "one four")]
    [TestCase("A\nb &#160;c", "A b c")]
    [TestCase("see http://x.org/a?b now xhttps and www.y.de", "see ?b now x and")]
    [TestCase("so!!! what?!.. ok..", "so! what. ok.")]
    [TestCase("sooooo goood, aaa!", "so goood, a!")]
    [TestCase("  \t x  ", "x")]
    public void Articles_are_cleaned_in_the_order_of_the_script(string given, string expected) =>
        Assert.That(HyperpartisanFiles.Clean(given), Is.EqualTo(expected));

    private static void Articles(TestFolder folder, int count)
    {
        IEnumerable<int> numbers = Enumerable.Range(0, count);
        string articles = string.Concat(numbers.Select(i => $"""
            <article id="{i:D7}" published-at="2016-01-01" title="Not this"><p>One <a href="http://x.org" type="external">link {i}</a> of
            &amp;#160;<q>words</q>.</p>
            </article>

            """));
        // In another order: ids match them.
        string truths = string.Concat(numbers.Reverse().Select(i =>
            $"<article hyperpartisan=\"{(i % 3 == 0 ? "true" : "false")}\" id=\"{i:D7}\" labeled-by=\"article\" url=\"http://x.org/{i}\"/>"));
        folder.Write("articles-training-byarticle-1.xml", $"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<articles>\n{articles}</articles>\n");
        folder.Write("ground-truth-training-byarticle-1.xml", $"<articles>{truths}</articles>");
    }

    [Test]
    public void Articles_and_their_truth_are_matched_by_id_and_divided()
    {
        using TestFolder folder = new();
        Articles(folder, 20);
        string[] names = [folder["articles-training-byarticle-1.xml"]];
        DataRow[] all = Rows(TrainingTask.Hyperpartisan, names);
        Assert.That(all.Select(r => r.Text("text")).First(), Is.EqualTo("One link 0 of words."));
        Assert.That(all.Select(r => r.Text("label")), Is.EqualTo(Enumerable.Range(0, 20).Select(i => i % 3 == 0 ? "hyperpartisan" : "mainstream")));
        Assert.That(Rows(TrainingTask.Hyperpartisan, [folder.Path]), Has.Length.EqualTo(20));
        DataPart[] parts = [DataPart.Training, DataPart.Development, DataPart.Test];
        string[][] ids = [.. parts.Select(p => Rows(TrainingTask.Hyperpartisan, names, p).Select(r => r.Text("id")).ToArray())];
        Assert.That(ids.Select(i => i.Length), Is.EqualTo(new[] { 16, 2, 2 }));
        Assert.That(ids.SelectMany(i => i), Is.Unique);
        string splits = folder.Write("splits.json", "{\"train\": [1, 2, 3], \"dev\": [3, 4], \"test\": [99]}");
        RecipeOptions given = new() { Splits = splits };
        Assert.That(Rows(TrainingTask.Hyperpartisan, names, DataPart.Development, given).Select(r => r.Integer("id")),
            Is.EqualTo(new[] { 3, 4 }));
        Assert.That(() => Rows(TrainingTask.Hyperpartisan, names, DataPart.Test, given),
            Throws.TypeOf<InputException>().With.Message.Contains("test: 1 articles are not in the data, among them 99"));
    }

    [Test]
    public void A_run_gives_f1_of_the_class_and_the_official_lines()
    {
        using TestFolder folder = new();
        Articles(folder, 20);
        TrainingResult result = new Trainer(new TrainingOptions
        {
            Task = TrainingTask.Hyperpartisan, Checkpoint = TinyCheckpoints.MaskedLm, Data = [folder.Path], Output = folder["out"],
            Cache = folder["cache"], Epochs = 1,
        }).Run();
        Assert.That(result.Metrics!.Keys, Does.Contain("f1"));
        Evaluation found = Evaluator.Run(new EvaluatorOptions { Task = TrainingTask.Hyperpartisan, Checkpoint = result.Folder, Data = [folder.Path],
            Cache = folder["cache"], Recipe = new RecipeOptions { Part = DataPart.Test } });
        Assert.That(found.PredictionFile(), Does.Match("^([0-9]{7} (true|false)\n){2}$"));
    }

    [TestCase("<articles><article id=\"0000001\"><p>x</p></articles>", "1: not XML")]
    [TestCase("<articles>\n<article><p>x</p></article></articles>", "2: an article without \"id\"")]
    [TestCase("<articles>\n<article id=\"9\"><p>x</p></article></articles>", "(article 9): there is no ground truth")]
    public void A_wrong_article_is_told_with_file_and_line(string xml, string message)
    {
        using TestFolder folder = new();
        Articles(folder, 2);
        string file = folder.Write("articles-training-byarticle-1.xml", xml);
        Assert.That(() => Rows(TrainingTask.Hyperpartisan, [file]),
            Throws.TypeOf<InputException>().With.Message.Contains("byarticle-1.xml:").And.Message.Contains(message));
    }

    private static string Paper(int number) => JsonSerializer.Serialize(new
    {
        article_id = $"{number}", article_text = new[] { "we study forts .", $"number {number} is old ." },
        abstract_text = new[] { "<S> forts are studied . </S>", "<S> they are old . </S>" }, labels = (string?)null, section_names = new[] { "x" },
    });

    [Test]
    public void Papers_are_sentences_in_lines_without_marks()
    {
        using TestFolder folder = new();
        string file = folder.Write("train.txt",
            Paper(1) + "\n" + "{\"article_id\": \"2\", \"article_text\": [], \"abstract_text\": [\"<S> x </S>\"]}\n");
        DataRow[] rows = Rows(TrainingTask.Arxiv, [file]);
        Assert.That(rows[0].Text("document"), Is.EqualTo("we study forts .\nnumber 1 is old ."));
        Assert.That(rows[0].Text("summary"), Is.EqualTo(" forts are studied . \n they are old . "));
        Recipe recipe = Recipe.Of(TrainingTask.Arxiv);
        Tokenizers.Tokenizer tokenizer = Tokenizers.Tokenizer.Load(TinyCheckpoints.TokenizerFolder);
        ExampleText text = new(tokenizer, 12, tokenizer.VocabularySize);
        TrainingExample[] learned = [.. recipe.Examples(rows, text, null, false)], measured = [.. recipe.Examples(rows, text, null, true)];
        Assert.That((learned.Length, measured.Length, measured[1].Ids.Length), Is.EqualTo((1, 2, 2)));
        Assert.That((learned[0].Ids.Length, learned[0].Ids[^1]), Is.EqualTo((12, tokenizer.SpecialTokens.Separator!.Value)));
        Assert.That(learned[0].Globals, Is.EqualTo(new[] { 0 }));
        folder.Write("train.txt", Paper(1) + "\n{\"article_id\": \"2\"}");
        Assert.That(() => Rows(TrainingTask.Arxiv, [file]),
            Throws.TypeOf<InputException>().With.Message.Contains("train.txt:2: no column \"article_text\""));
    }

    [Test]
    public void A_stopped_evaluation_goes_on_from_its_journal()
    {
        using TestFolder folder = new();
        string file = folder.Write("test.txt", string.Join('\n', Enumerable.Range(0, 5).Select(Paper)));
        Tokenizers.Tokenizer tokenizer = Tokenizers.Tokenizer.Load(TinyCheckpoints.TokenizerFolder);
        RandomCheckpoint.Write(folder["led"], new LedConfiguration
        {
            VocabSize = tokenizer.VocabularySize, DModel = 32, EncoderLayers = 2, DecoderLayers = 2, EncoderAttentionHeads = 4,
            DecoderAttentionHeads = 4, EncoderFfnDim = 48, DecoderFfnDim = 48, MaxEncoderPositionEmbeddings = 128,
            MaxDecoderPositionEmbeddings = 64, AttentionWindow = [16, 16],
        }, seed: 3, "LEDForConditionalGeneration");
        foreach (string name in new[] { "vocab.json", "merges.txt" })
            folder.Write($"led/{name}", File.ReadAllBytes(Path.Combine(TinyCheckpoints.TokenizerFolder, name)));
        EvaluatorOptions options = new()
        {
            Task = TrainingTask.Arxiv, Checkpoint = folder["led"], Data = [file], Cache = folder["cache"], TokensPerBatch = 60,
            Recipe = new RecipeOptions { MaxTargetTokens = 8, Beams = 2 },
        };
        Evaluation whole = Evaluator.Run(options);
        Assert.That(whole.Metrics.Keys, Is.SupersetOf(new[] { "rouge1", "rouge2", "rougeL", "rougeLsum" }));
        using (CancellationTokenSource cancellation = new())
        {
            Progress done = new(n =>
            {
                if (n >= 2)
                    cancellation.Cancel();
            });
            Assert.That(() => Evaluator.Run(options with { Journal = folder["journal"] }, done, cancellation.Token),
                Throws.InstanceOf<OperationCanceledException>());
        }
        string[] before = File.ReadAllLines(folder["journal"]);
        Assert.That(before, Has.Length.InRange(2, 5));
        // A line that a power cut left half-written.
        File.AppendAllText(folder["journal"], "{\"loss\": 1");
        Evaluation rest = Evaluator.Run(options with { Journal = folder["journal"] });
        Assert.That(File.ReadAllLines(folder["journal"])[..before.Length], Is.EqualTo(before));
        Assert.That(rest.Predictions, Is.EqualTo(whole.Predictions));
        Assert.That(rest.Metrics["loss"], Is.EqualTo(whole.Metrics["loss"]).Within(1e-6));
        Assert.That(rest.Metrics["rougeLsum"], Is.EqualTo(whole.Metrics["rougeLsum"]));
        Assert.That(() => Evaluator.Run(options with { Journal = folder["journal"], Recipe = new RecipeOptions { MaxTargetTokens = 9 } }),
            Throws.TypeOf<InputException>().With.Message.Contains("delete it to begin anew"));
    }

    private sealed class Progress(Action<int> report) : IProgress<Tasks.TaskProgress>
    {
        public void Report(Tasks.TaskProgress value) => report(value.Done);
    }
}
