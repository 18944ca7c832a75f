using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Tests;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Tests;

/// <summary>Records into examples, and the metrics that come of a model.</summary>
public sealed class RecipeTests
{
    private static ExampleText Text(int maxTokens = TinyCheckpoints.MaxTokens)
    {
        Tokenizer tokenizer = Tokenizer.Load(TinyCheckpoints.TokenizerFolder);
        return new ExampleText(tokenizer, maxTokens, tokenizer.VocabularySize);
    }

    private static (TrainingExample[] Examples, LabelSet? Labels) Make(TrainingTask task, string lines, RecipeOptions? options = null,
        int maxTokens = TinyCheckpoints.MaxTokens, LabelSet? checkpoint = null)
    {
        using TestFolder folder = new();
        List<DataRow> rows = folder.Read("data.jsonl", lines);
        Recipe recipe = Recipe.Of(task, options);
        LabelSet? labels = recipe.FindLabels(rows, checkpoint);
        return ([.. recipe.Examples(rows, Text(maxTokens), labels, true)], labels);
    }

    private static string Decoded(TrainingExample example, int from, int to) =>
        Text().Tokenizer.Decode(example.Ids.AsSpan(from, to + 1 - from)).Trim();

    [Test]
    public void Hidden_tokens_are_a_part_of_the_text_and_others_each_time()
    {
        (TrainingExample[] examples, _) = Make(TrainingTask.MaskedLanguage,
            JsonSerializer.Serialize(new { text = string.Concat(Enumerable.Repeat("a house by the sea ", 200)) }));
        Assert.That(examples, Has.Length.GreaterThan(3));
        Assert.That(examples.Select(e => e.Ids.Length), Has.All.LessThanOrEqualTo(TinyCheckpoints.MaxTokens));
        Recipe recipe = Recipe.Of(TrainingTask.MaskedLanguage);
        ExampleText text = Text();
        (int hidden, int masks, int kept, int all, int mask) = (0, 0, 0, 0, text.Tokenizer.SpecialTokens.Mask!.Value);
        for (ulong seed = 0; seed < 300; seed++)
        {
            foreach (TrainingExample example in examples)
            {
                TrainingExample pass = recipe.ForPass(example, text, seed);
                Assert.That((pass.Labels![0], pass.Labels[^1], pass.Ids[0], pass.Ids[^1]), Is.EqualTo((-100, -100, example.Ids[0], example.Ids[^1])));
                for (int i = 1; i < pass.Ids.Length - 1; i++)
                {
                    all++;
                    if (pass.Labels[i] == -100)
                    {
                        Assert.That(pass.Ids[i], Is.EqualTo(example.Ids[i]));
                        continue;
                    }
                    Assert.That(pass.Labels[i], Is.EqualTo(example.Ids[i]));
                    hidden++;
                    if (pass.Ids[i] == mask)
                        masks++;
                    else if (pass.Ids[i] == example.Ids[i])
                        kept++;
                }
            }
        }
        Assert.That((double)hidden / all, Is.EqualTo(0.15).Within(0.005));
        Assert.That((double)masks / hidden, Is.EqualTo(0.8).Within(0.01));
        Assert.That((double)kept / hidden, Is.EqualTo(0.1).Within(0.01));
        int[] first = recipe.ForPass(examples[0], text, 1).Labels!;
        Assert.That(recipe.ForPass(examples[0], text, 1).Labels, Is.EqualTo(first));
        Assert.That(recipe.ForPass(examples[0], text, 2).Labels, Is.Not.EqualTo(first));
        TrainingExample shortest = new() { Ids = [0, 300, 2] };
        Assert.That(recipe.ForPass(shortest, text, 5).Labels, Is.EqualTo(new[] { -100, 300, -100 }), "nothing hidden by chance hides one");
    }

    [Test]
    public void Joined_texts_fill_their_examples()
    {
        string lines = string.Join('\n', Enumerable.Range(0, 9).Select(i =>
            JsonSerializer.Serialize(new { text = $"document number {i} speaks of the sea and of houses" })));
        (TrainingExample[] examples, _) = Make(TrainingTask.MaskedLanguage, lines, new RecipeOptions { JoinsTexts = true }, maxTokens: 32);
        Assert.That(examples[..^1].Select(e => e.Ids.Length), Has.All.EqualTo(32));
        Assert.That(examples.Select(e => (e.Ids[0], e.Ids[^1])), Has.All.EqualTo((0, 2)));
        string whole = string.Concat(examples.Select(e => Text().Tokenizer.Decode(e.Ids.AsSpan(1, e.Ids.Length - 2))));
        Assert.That(whole.Replace("</s>", "", StringComparison.Ordinal),
            Is.EqualTo(string.Concat(Enumerable.Range(0, 9).Select(i => $"document number {i} speaks of the sea and of houses"))));
        // A text that ends with an example needs no separator behind it.
        Assert.That(whole.Split("</s>"), Has.Length.InRange(7, 9));
    }

    [Test]
    public void Classes_by_name_number_list_and_value()
    {
        (TrainingExample[] named, LabelSet? names) = Make(TrainingTask.Classify,
            "{\"text\": \"one\", \"label\": \"no\"}\n{\"text\": \"two\", \"label\": \"yes\", \"pair\": \"three\"}");
        Assert.That((names!.Names, names.ProblemType), Is.EqualTo((new[] { "no", "yes" }, "single_label_classification")));
        Assert.That(named.Select(e => e.Labels![0]), Is.EqualTo(new[] { 0, 1 }));
        Assert.That(named[1].Ids.Count(id => id == 2), Is.EqualTo(3), "a pair has three separators");
        (TrainingExample[] numbered, LabelSet? numbers) = Make(TrainingTask.Classify,
            "{\"review\": \"one\", \"stars\": 2}\n{\"review\": \"two\", \"stars\": 0}",
            new RecipeOptions { Columns = new Dictionary<string, string> { ["text"] = "review", ["label"] = "stars" } });
        Assert.That(numbers!.Names, Is.EqualTo(new[] { "LABEL_0", "LABEL_1", "LABEL_2" }));
        Assert.That(numbered.Select(e => e.Labels![0]), Is.EqualTo(new[] { 2, 0 }));
        Assert.That(Make(TrainingTask.Classify, "{\"text\": \"one\", \"label\": 1}", checkpoint: new LabelSet(["bad", "good"])).Labels!.Names,
            Is.EqualTo(new[] { "bad", "good" }));
        (TrainingExample[] several, LabelSet? multi) = Make(TrainingTask.Classify,
            "{\"text\": \"one\", \"labels\": [\"a\", \"c\"]}\n{\"text\": \"two\", \"labels\": []}\n{\"text\": \"two\", \"labels\": [\"b\"]}");
        Assert.That(multi!.ProblemType, Is.EqualTo("multi_label_classification"));
        Assert.That(several.Select(e => e.Targets), Is.EqualTo(new[] { new float[] { 1, 0, 1 }, [0, 0, 0], [0, 1, 0] }));
        (TrainingExample[] values, LabelSet? value) = Make(TrainingTask.Classify,
            "{\"text\": \"one\", \"label\": 0.5}\n{\"text\": \"two\", \"label\": 2}");
        Assert.That((value!.ProblemType, values[1].Targets), Is.EqualTo(("regression", new float[] { 2 })));
    }

    [TestCase(TrainingTask.Classify, "{\"text\": \"one\", \"label\": \"a\"}", null, "at least two different ones")]
    [TestCase(TrainingTask.Classify, "{\"text\": \"one\", \"label\": \"a\"}\n{\"text\": \"two\", \"label\": \"b\"}", "a,c",
        "data.jsonl:2: expected one of the labels \"a\", \"c\", given \"b\"")]
    [TestCase(TrainingTask.Classify, "{\"text\": \"\", \"label\": \"a\"}\n{\"text\": \"two\", \"label\": \"b\"}", null,
        "data.jsonl:1: expected a text with at least one token")]
    [TestCase(TrainingTask.Classify, "{\"body\": \"x\", \"label\": \"a\"}\n{\"body\": \"x\", \"label\": \"b\"}", null,
        "data.jsonl:1: no column for the text: expected \"text\"")]
    [TestCase(TrainingTask.Classify, "{\"text\": \"one\", \"label\": \"a\"}\n{\"text\": \"two\", \"label\": [\"b\"]}", null,
        "data.jsonl:2: expected one label, as in")]
    [TestCase(TrainingTask.Tag, "{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\"]}", "O,B-X",
        "data.jsonl:1: expected a tag for each of 2 words, given 1")]
    [TestCase(TrainingTask.Tag, "{\"tokens\": [\"a\"], \"tags\": [3]}", null, "data.jsonl:1: the tags are numbers")]
    [TestCase(TrainingTask.Tag, "{\"text\": \"abc\", \"entities\": [{\"start\": 2, \"end\": 9, \"label\": \"X\"}]}", null,
        "data.jsonl:1: expected entities one behind the other inside the 3 characters")]
    [TestCase(TrainingTask.Answer, "{\"question\": \"who\", \"context\": \"Ada did\", \"answers\": [{\"text\": \"did\", \"answer_start\": 1}]}", null,
        "data.jsonl:1: expected the answer \"did\" at character 1 of the context, there is \"da \"")]
    [TestCase(TrainingTask.Answer, "{\"question\": \"who\", \"context\": \"Ada did\", \"answers\": [\"Bob\"]}", null,
        "data.jsonl:1: expected the answer \"Bob\" in the context")]
    [TestCase(TrainingTask.Answer, "{\"question\": \"\", \"context\": \"Ada did\", \"answers\": []}", null, "data.jsonl:1: the question is empty")]
    [TestCase(TrainingTask.Choose, "{\"document\": \"x\", \"choices\": [\"a\"], \"answer\": 0}", null,
        "data.jsonl:1: expected at least 2 choices, given 1")]
    [TestCase(TrainingTask.Choose, "{\"document\": \"x\", \"choices\": [\"a\", \"b\"], \"answer\": 2}", null,
        "data.jsonl:1: expected in \"answer\" one of the 2 choices")]
    [TestCase(TrainingTask.Summarize, "{\"document\": \"x\"}", null, "data.jsonl:1: no column for the summary")]
    public void What_makes_no_example_is_named(TrainingTask task, string lines, string? labels, string message) =>
        Assert.That(() => Make(task, lines, new RecipeOptions { Labels = labels?.Split(',') }),
            Throws.TypeOf<InputException>().With.Message.Contains(message));

    [Test]
    public void Tags_stand_at_first_pieces()
    {
        (TrainingExample[] words, LabelSet? labels) = Make(TrainingTask.Tag,
            "{\"tokens\": [\"Adalovelace\", \"lives\", \"in\", \"London\"], \"tags\": [\"B-PER\", \"O\", \"O\", \"B-LOC\"]}");
        Assert.That(labels!.Names, Is.EqualTo(new[] { "O", "B-LOC", "B-PER" }));
        Assert.That(words[0].Labels!.Where(l => l != -100), Is.EqualTo(new[] { 2, 0, 0, 1 }));
        Assert.That(words[0].Labels![0], Is.EqualTo(-100));
        Assert.That(words[0].Ids, Has.Length.GreaterThan(6), "words of several pieces");
        // The same text with entities marked, also behind a character of two UTF-16 units.
        (TrainingExample[] marked, LabelSet? found) = Make(TrainingTask.Tag,
            "{\"text\": \"\U0001F34E Ada Lovelace lives in London.\", \"entities\": [{\"start\": 24, \"end\": 30, \"label\": \"LOC\"}, {\"start\": "
            + "2, \"end\": 14, \"label\": \"PER\"}]}");
        Assert.That(found!.Names, Is.EqualTo(new[] { "O", "B-LOC", "B-PER", "I-PER" }));
        Assert.That(marked[0].Labels!.Where(l => l != -100), Is.EqualTo(new[] { 0, 2, 3, 0, 0, 1, 0 }));
    }

    [Test]
    public void Answers_lie_where_they_are()
    {
        (TrainingExample[] one, _) = Make(TrainingTask.Answer,
            "{\"question\": \"Who wrote it?\", \"context\": \"\U0001F34E Ada Lovelace wrote it.\", \"answers\": {\"text\": [\"Ada Lovelace\"], "
            + "\"answer_start\": [2]}}");
        Assert.That(Decoded(one[0], one[0].Starts!.Single(), one[0].Ends!.Single()), Is.EqualTo("Ada Lovelace"));
        (TrainingExample[] several, _) = Make(TrainingTask.Answer,
            "{\"question\": \"What?\", \"context\": \"the sea, a house, The Sea\", \"answers\": [\"the sea\", \"house\"]}");
        Assert.That(several[0].Starts!.Zip(several[0].Ends!).Select(p => Decoded(several[0], p.First, p.Second)),
            Is.EquivalentTo(new[] { "the sea", "The Sea", "house" }));
        (TrainingExample[] none, _) = Make(TrainingTask.Answer, "{\"question\": \"What?\", \"context\": \"the sea\", \"answers\": []}");
        Assert.That((none[0].Starts, none[0].Ends), Is.EqualTo((new[] { 0 }, new[] { 0 })));
    }

    [Test]
    public void Long_contexts_are_read_in_windows()
    {
        string context = string.Concat(Enumerable.Repeat("a house by the sea, ",
            20)) + "the answer is gold, " + string.Concat(Enumerable.Repeat("and a house by the sea, ", 20));
        string line = JsonSerializer.Serialize(new { question = "What is it?", context, answers = new[] { "gold" } });
        (TrainingExample[] windows, _) = Make(TrainingTask.Answer, line, new RecipeOptions { Stride = 10 }, maxTokens: 64);
        Assert.That(windows.Length, Is.GreaterThan(3));
        TrainingExample[] with = [.. windows.Where(w => w.Starts![0] != 0)];
        Assert.That(with.Length, Is.InRange(1, 2));
        Assert.That(with.Select(w => Decoded(w, w.Starts![0], w.Ends![0])), Has.All.EqualTo("gold"));
        (windows, _) = Make(TrainingTask.Answer, line, new RecipeOptions { Stride = 10, FirstTokenIsNoAnswer = false }, maxTokens: 64);
        Assert.That(windows.Count(w => w.Starts!.Length == 0), Is.EqualTo(windows.Length - with.Length));
    }

    [TestCase("1", 1)]
    [TestCase("\"B\"", 1)]
    [TestCase("\"the house\"", 1)]
    public void The_right_choice(string answer, int index)
    {
        (TrainingExample[] examples, _) = Make(TrainingTask.Choose,
            $"{{\"article\": \"x\", \"question\": \"what?\", \"options\": [\"the sea\", \"the house\"], \"answer\": {answer}}}");
        Assert.That((examples[0].Labels, examples[0].Lengths!.Length, examples[0].Lengths!.Sum()),
            Is.EqualTo((new[] { index }, 2, examples[0].Ids.Length)));
    }

    [Test]
    public void Metrics_of_every_task()
    {
        (TrainingTask Task, string Folder, string Lines, string[] Metrics)[] cases =
        [
            (TrainingTask.MaskedLanguage, TinyCheckpoints.MaskedLm, "{\"text\": \"a house by the sea\"}\n{\"text\": \"another\"}",
                ["loss", "perplexity", "bits_per_token", "hidden_tokens"]),
            (TrainingTask.Classify, TinyCheckpoints.Classifier, "{\"text\": \"one\", \"label\": \"bad\"}\n{\"text\": \"two\", \"label\": \"good\"}",
                ["loss", "accuracy", "macro_f1", "micro_f1"]),
            (TrainingTask.Classify, TinyCheckpoints.MultiLabel, "{\"text\": \"one\", \"label\": [\"a\"]}\n{\"text\": \"two\", \"label\": []}",
                ["loss", "accuracy", "macro_f1", "micro_f1"]),
            (TrainingTask.Classify, TinyCheckpoints.Regression, "{\"text\": \"one\", \"label\": 1.5}\n{\"text\": \"two\", \"label\": 2}",
                ["loss", "mean_squared_error", "pearson"]),
            (TrainingTask.Tag, TinyCheckpoints.Tagger, "{\"tokens\": [\"Ada\", \"sleeps\"], \"tags\": [\"B-PER\", \"O\"]}",
                ["loss", "precision", "recall", "f1", "accuracy"]),
            (TrainingTask.Answer, TinyCheckpoints.QuestionAnswering,
                "{\"question\": \"who\", \"context\": \"Ada did it\", \"answers\": [\"Ada\"]}\n{\"question\": \"why\", \"context\": \"Ada did it\", "
                + "\"answers\": []}",
                ["loss", "exact_match", "f1", "questions", "exact_match_with_answer", "f1_with_answer", "accuracy_without_answer"]),
            (TrainingTask.Choose, TinyCheckpoints.MultipleChoice,
                "{\"document\": \"x\", \"choices\": [\"a\", \"b\"], \"answer\": 1}\n{\"document\": \"x y\", \"choices\": [\"a\", \"b\", \"c\"], "
                + "\"answer\": 0}", ["loss", "accuracy"]),
        ];
        foreach ((TrainingTask task, string folder, string lines, string[] metrics) in cases)
        {
            using TestFolder data = new();
            Evaluation found = Evaluator.Run(new EvaluatorOptions { Task = task, Checkpoint = folder, Data = [data.Write("held.jsonl", lines)],
                Cache = data["cache"] });
            Assert.That(found.Metrics.Keys, Is.EqualTo(metrics), folder);
            Assert.That(found.Metrics.Values, Has.All.Matches<double>(double.IsFinite), folder);
            foreach (string prediction in found.Predictions)
            {
                using (JsonDocument.Parse(prediction))
                {
                }
            }
            // The loss is that of the head, by hand.
            if (task is TrainingTask.MaskedLanguage)
                continue;
            (TrainingExample[] examples, _) = Make(task, lines, checkpoint: task is TrainingTask.Classify or TrainingTask.Tag
                ? new LabelSet(LongformerConfiguration.Load(folder).Id2Label) : null);
            using TrainingHead head = TrainingHead.Of(PretrainedModel.Load(folder));
            using TensorScope scope = new();
            Assert.That(found.Metrics["loss"], Is.EqualTo(head.LossSum(examples).ToDouble() / examples.Sum(head.LabelCount)).Within(1e-5), folder);
        }
        using TestFolder wrong = new();
        Assert.That(() => Evaluator.Run(new EvaluatorOptions { Task = TrainingTask.Tag, Checkpoint = TinyCheckpoints.Classifier,
            Data = [wrong.Write("a.jsonl", "{}")] }),
            Throws.TypeOf<InputException>().With.Message.Contains(
                "expected LongformerForTokenClassification to tag, given LongformerForSequenceClassification"));
    }
}
