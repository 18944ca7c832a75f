using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Models.Coreference;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Metrics;
using LongformerInterop.Training.Paper;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Tests.Paper;

/// <summary>Coreference from made-up CoNLL-2012 files to the mean F1, training included.</summary>
public sealed class CorefTests
{
    private static readonly string[] Names = ["Ada", "Bob", "Cid", "Dan", "Eva"];

    /// <summary>A document in which every name means the same wherever it is.</summary>
    private static string Document(int number, Random random, int sentences = 6)
    {
        Dictionary<string, List<int>> places = [];
        List<List<string>> rows = [];
        int word = 0;
        for (int s = 0; s < sentences; s++)
        {
            List<string> row = [];
            foreach (string text in (string[])[Names[random.Next(Names.Length)], "saw", Names[random.Next(Names.Length)], "/."])
            {
                if (Names.Contains(text))
                    (places.TryGetValue(text, out List<int>? list) ? list : places[text] = []).Add(word);
                row.Add(text);
                word++;
            }
            rows.Add(row);
        }
        Dictionary<int, int> cluster = [];
        foreach ((List<int> list, int c) in places.Values.Where(l => l.Count > 1).Select((l, c) => (l, c)))
        {
            foreach (int place in list)
                cluster[place] = c;
        }
        int at = 0;
        return $"#begin document (nw/made/{number:D4}); part 000\n" + string.Concat(rows.Select(row => string.Concat(row.Select((text, i) =>
            $"nw/made/{number:D4} 0 {i} {text} NN * - - - - * {(cluster.TryGetValue(at++, out int c) ? $"({c})" : "-")}\n")) + "\n"))
            + "#end document\n";
    }

    /// <summary>A configuration without weights, whose head keeps as many spans as there are tokens: none of the gold ones is lost.</summary>
    internal static string Start(TestFolder folder) => HotpotTests.TinyStart(folder, c => c with
    {
        // Small weights: the first scores, products of sums over a span, decide nothing yet.
        NumHiddenLayers = 1, AttentionWindow = [16], InitializerRange = 0.01, Architectures = ["LongformerForCoreference"],
        Coreference = new() { FeedForwardSize = 32, FeatureSize = 8, MaxSpanWidth = 4, MaxTopAntecedents = 15, TopSpanRatio = 1, Dropout = 0 },
    });

    internal static string Write(TestFolder folder, string name, int documents, int seed)
    {
        Random random = new(seed);
        return folder.Write(name, string.Concat(Enumerable.Range(0, documents).Select(i => Document(i, random))));
    }

    private static TrainingExample[] Examples(string file, RecipeOptions? options = null, int maxTokens = 96)
    {
        Recipe recipe = Recipe.Of(TrainingTask.Coreference, options);
        ExampleText text = new(Tokenizer.Load(TinyCheckpoints.TokenizerFolder), maxTokens, 10_000);
        return [.. recipe.Examples(recipe.ReadFiles(recipe.FindFiles([file]), DataPart.All, default), text, null, true)];
    }

    [Test]
    public void An_example_holds_segments_features_and_gold_mentions()
    {
        using TestFolder folder = new();
        string file = Write(folder, "a.v4_gold_conll", 3, 1);
        TrainingExample[] whole = Examples(file), cut = Examples(file, maxTokens: 30);
        Assert.That(whole, Has.Length.EqualTo(3));
        Assert.That(cut[0].Lengths!.Length, Is.GreaterThan(1));
        Assert.That(cut[0].Lengths, Is.All.LessThanOrEqualTo(30));
        foreach (TrainingExample example in whole.Concat(cut))
        {
            CoreferenceTokens tokens = CoreferenceTrainingHead.TokensOf(example);
            Assert.That(tokens.Sentences, Has.Count.EqualTo(example.Ids.Length));
            Assert.That(tokens.Genre, Is.EqualTo(3));
            // The mentions of a cluster are one name, in the same subwords.
            foreach (IReadOnlyList<MentionSpan> cluster in tokens.Clusters!)
                Assert.That(cluster.Select(m => string.Join(' ', example.Ids[m.First..(m.Last + 1)])).Distinct().Count(), Is.EqualTo(1));
        }
    }

    [Test]
    public void A_pass_over_a_long_document_takes_a_run_of_its_segments()
    {
        using TestFolder folder = new();
        string file = Write(folder, "a.v4_gold_conll", 1, 1);
        Recipe recipe = Recipe.Of(TrainingTask.Coreference, new RecipeOptions { MaxTrainingSegments = 2 });
        TrainingExample example = Examples(file, maxTokens: 24)[0];
        Assert.That(example.Lengths!.Length, Is.GreaterThan(2));
        ExampleText text = new(Tokenizer.Load(TinyCheckpoints.TokenizerFolder), 24, 10_000);
        HashSet<string> seen = [];
        for (ulong seed = 0; seed < 20; seed++)
        {
            TrainingExample pass = recipe.ForPass(example, text, seed * 977);
            CoreferenceTokens tokens = CoreferenceTrainingHead.TokensOf(pass);
            Assert.That(pass.Lengths, Has.Length.EqualTo(2));
            Assert.That(pass.Lengths!.Sum(), Is.EqualTo(pass.Ids.Length));
            foreach (IReadOnlyList<MentionSpan> cluster in tokens.Clusters!)
                Assert.That(cluster.Select(m => string.Join(' ', pass.Ids[m.First..(m.Last + 1)])).Distinct().Count(), Is.EqualTo(1));
            seen.Add(string.Join(' ', pass.Ids));
        }
        Assert.That(seen, Has.Count.GreaterThan(1));
    }

    [Test]
    public void A_small_model_learns_and_its_official_file_scores_what_it_says()
    {
        using TestFolder folder = new();
        string train = Write(folder, "train.v4_gold_conll", 60, 1), dev = Write(folder, "dev.v4_gold_conll", 10, 2);
        string start = folder["start"];
        Directory.CreateDirectory(start);
        LongformerConfiguration configuration = TinyCheckpoints.Configuration(Tokenizer.Load(TinyCheckpoints.TokenizerFolder)) with
        {
            NumHiddenLayers = 1, AttentionWindow = [16], HiddenDropoutProb = 0, AttentionProbsDropoutProb = 0,
            Architectures = ["LongformerForCoreference"],
            Coreference = new() { FeedForwardSize = 32, FeatureSize = 8, MaxSpanWidth = 4, MaxTopAntecedents = 15, Dropout = 0 },
        };
        File.WriteAllText(Path.Combine(start, "config.json"), configuration.ToJson());
        foreach (string name in (string[])["vocab.json", "merges.txt"])
            File.Copy(Path.Combine(TinyCheckpoints.TokenizerFolder, name), Path.Combine(start, name));
        TrainingResult result = new Trainer(new TrainingOptions
        {
            Task = TrainingTask.Coreference, Checkpoint = start, Data = [train], EvaluationData = [dev], Output = folder["run"],
            Cache = folder["cache"], Epochs = 6, LearningRate = 3e-3, HeadLearningRate = 3e-3, Batches = new BatchPlan { ExamplesPerStep = 1 },
        }).Run();
        Assert.That(result.Metrics!["average_f1"], Is.GreaterThan(85), "a name is all that is to be learned; without training it is near 0");
        Evaluation found = Evaluator.Run(new EvaluatorOptions
        {
            Task = TrainingTask.Coreference, Checkpoint = folder["run"], Data = [dev], Cache = folder["cache"],
        });
        Assert.That(found.Metrics["average_f1"], Is.EqualTo(result.Metrics["average_f1"]).Within(1e-9));
        Assert.That(found.Metrics["documents"], Is.EqualTo(10));
        // The file for the official scorer says the same.
        ConllDocument[] gold = [.. ConllDocument.Read(dev)], given = [.. ConllDocument.Read(folder.Write("given_conll", found.PredictionFile()))];
        Assert.That(given.Select(d => d.Name), Is.EqualTo(gold.Select(d => d.Name)));
        Assert.That(CoreferenceScorer.Score(gold.Zip(given).Select(d =>
            new CoreferenceClusters(d.First.Document.Clusters!, d.Second.Document.Clusters!))).PrintedAverage,
            Is.EqualTo(found.Metrics["average_f1"]).Within(1e-9));
        using JsonDocument first = JsonDocument.Parse(found.Predictions[0]);
        Assert.That(first.RootElement.GetProperty("document").GetString(), Is.EqualTo("nw/made/0000"));
    }

    [Test]
    public void An_unknown_genre_is_named_with_its_place()
    {
        using TestFolder folder = new();
        string file = folder.Write("x_conll", Document(1, new Random(1)).Replace("nw/made", "xx/made", StringComparison.Ordinal));
        Assert.That(() => Examples(file), Throws.TypeOf<InputException>().With.Message.Contains(
            "x_conll: line 1: genre: expected one of bc, bn, mz, nw, pt, tc, wb, given \"xx\""));
    }
}
