using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Tests;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Optimization;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Tests;

/// <summary>Whole runs of a tiny model, from files to a folder.</summary>
public sealed class TrainerTests
{
    private static readonly string[] Good = ["lovely", "fine", "great"], Bad = ["awful", "poor", "sad"];

    private static string Reviews(int count, int seed)
    {
        Random random = new(seed);
        return string.Join('\n', Enumerable.Range(0, count).Select(i =>
        {
            string[] words = i % 2 == 0 ? Good : Bad;
            return JsonSerializer.Serialize(new { text = string.Join(' ', Enumerable.Range(0, random.Next(4, 16)).Select(_ => words[random.Next(3)])),
                label = i % 2 == 0 ? "good" : "bad" });
        }));
    }

    [Test]
    public void The_picture_of_a_long_run_is_no_larger_than_that_of_a_short_one()
    {
        string Picture(int steps) => Curves.Svg([.. Enumerable.Range(1, steps).Select(i => new LogLine(i, 0) { Loss = 3 - Math.Sin(i * 0.01) }),
            new LogLine(steps, 1) { Metrics = new Dictionary<string, double> { ["loss"] = 3 } }], null, "a run");
        Assert.That(Picture(30_000), Has.Length.LessThan(1.1 * Picture(400).Length).And.Contains("loss on held-out data"));
    }

    private static TrainingOptions Options(TestFolder folder, string output = "out") => new()
    {
        Task = TrainingTask.Classify, Checkpoint = TinyCheckpoints.MaskedLm, Data = [folder["train.jsonl"]], EvaluationData = [folder["held.jsonl"]],
        Output = folder[output], Cache = folder["cache"],
        LearningRate = 2e-3, Epochs = 3, Batches = new BatchPlan { ExamplesPerStep = 8 }, Seed = 5, EvaluateEvery = 4, SaveEvery = 3,
    };

    private static TestFolder Prepared(int count = 32)
    {
        TestFolder folder = new();
        folder.Write("train.jsonl", Reviews(count, 1));
        folder.Write("held.jsonl", Reviews(10, 2));
        return folder;
    }

    private static byte[] Bytes(TestFolder folder, string file) => File.ReadAllBytes(folder[file]);

    [Test]
    public void A_classifier_learns_and_its_folder_works()
    {
        using TestFolder folder = Prepared();
        List<TrainingEvent> events = [];
        Trainer trainer = new(Options(folder) with { Epochs = 8, EvaluateEvery = null, SaveEvery = null });
        trainer.Reported += events.Add;
        TrainingResult result = trainer.Run();
        Assert.That((result.Steps, result.Stopped, result.Metrics!["accuracy"]), Is.EqualTo((32L, false, 1.0)));
        Assert.That(events.Count(e => e.Kind == TrainingEventKind.Step), Is.EqualTo(32));
        Assert.That(events.Count(e => e.Kind == TrainingEventKind.Evaluated), Is.EqualTo(8));
        Assert.That(events.Where(e => e.Kind == TrainingEventKind.Note).Select(e => e.Message),
            Has.Some.Contains("new and random: classifier.dense.weight"));
        using (TextClassifier classifier = TextClassifier.Load(result.Folder))
        {
            Assert.That(classifier.Labels, Is.EqualTo(new[] { "bad", "good" }));
            Assert.That((classifier.Classify("fine great fine lovely")[0].Label, classifier.Classify("poor sad awful awful")[0].Label),
                Is.EqualTo(("good", "bad")));
        }
        Evaluation again = Evaluator.Run(new EvaluatorOptions { Task = TrainingTask.Classify, Checkpoint = result.Folder,
            Data = [folder["held.jsonl"]], Cache = folder["cache"] });
        Assert.That(again.Metrics["loss"], Is.EqualTo(result.Metrics["loss"]).Within(1e-5));
        string[] lines = File.ReadAllLines(folder["out/log.jsonl"]);
        Assert.That(lines, Has.Length.EqualTo(40));
        foreach (string line in lines)
        {
            using (JsonDocument.Parse(line))
            {
            }
        }
        Assert.That(File.ReadAllText(folder["out/curves.svg"]), Does.StartWith("<?xml").And.Contains("loss on held-out data"));
        string card = File.ReadAllText(folder["out/README.md"]);
        Assert.That(card, Does.Contain("| accuracy | 1 |").And.Contains("32 examples").And.Contains("learning-rate | 0.002"));
        Assert.That(Directory.Exists(folder["out/.work"]), Is.False);
        Assert.That(Directory.GetDirectories(folder["out/checkpoints"]), Has.Length.InRange(2, 3));
    }

    [TestCase(DType.Float32)]
    [TestCase(DType.BFloat16)]
    public void A_stopped_run_continues_to_the_same_bytes(DType dtype)
    {
        using TestFolder folder = Prepared();
        TrainingResult whole = new Trainer(Options(folder, "whole") with { DType = dtype }).Run();
        // Step 8 is stopped in the evaluation behind it, step 12 in that at the very end.
        foreach (int stop in (int[])[1, 5, 8, 9, 12])
        {
            using CancellationTokenSource cancellation = new();
            Trainer trainer = new(Options(folder, $"parts{stop}") with { DType = dtype });
            trainer.Reported += e =>
            {
                if (e.Kind == TrainingEventKind.Step && e.Step == stop)
                    cancellation.Cancel();
            };
            TrainingResult part = trainer.Run(cancellation.Token);
            Assert.That((part.Stopped, part.Steps), Is.EqualTo((true, (long)stop)));
            TrainingResult rest = new Trainer(Options(folder, $"parts{stop}") with { DType = dtype, Resume = true }).Run();
            Assert.That((rest.Stopped, rest.Steps, rest.BestStep), Is.EqualTo((false, whole.Steps, whole.BestStep)));
            foreach (string file in new[] { "model.safetensors", "config.json", "checkpoints/step-000000012/optimizer.safetensors",
                "checkpoints/step-000000012/state.json" })
            {
                Assert.That(Bytes(folder, $"parts{stop}/{file}"), Is.EqualTo(Bytes(folder, $"whole/{file}")), $"stopped after {stop}: {file}");
            }
            Assert.That(File.ReadAllLines(folder[$"parts{stop}/log.jsonl"]), Has.Length.EqualTo(File.ReadAllLines(folder["whole/log.jsonl"]).Length));
        }
    }

    [Test]
    public void What_a_kill_leaves_behind_is_no_hindrance()
    {
        using TestFolder folder = Prepared();
        new Trainer(Options(folder, "whole")).Run();
        new Trainer(Options(folder, "killed")).Run();
        // As if the run had died after step 7, while it wrote the checkpoint of step 9.
        Directory.Delete(folder["killed/checkpoints/step-000000012"], recursive: true);
        Directory.Delete(folder["killed/checkpoints/step-000000009"], recursive: true);
        foreach (string file in new[] { "model.safetensors", "README.md", "curves.svg", "config.json" })
            File.Delete(folder[$"killed/{file}"]);
        new Trainer(Options(folder, "early") with { KeepLast = 100 }).Run();
        Directory.Delete(folder["killed/checkpoints"], recursive: true);
        Directory.Move(folder["early/checkpoints/step-000000006"],
            Directory.CreateDirectory(folder["killed/checkpoints"]).FullName + "/step-000000006");
        Directory.CreateDirectory(folder["killed/checkpoints/.step-000000009.xyz.part"]);
        Directory.CreateDirectory(folder["killed/.work"]);
        File.AppendAllText(folder["killed/log.jsonl"], "{\"step\":13,\"ep");
        TrainingResult result = new Trainer(Options(folder, "killed") with { Resume = true }).Run();
        Assert.That(result.Steps, Is.EqualTo(12));
        Assert.That(Bytes(folder, "killed/checkpoints/step-000000012/model.safetensors"),
            Is.EqualTo(Bytes(folder, "whole/checkpoints/step-000000012/model.safetensors")));
        Assert.That(Directory.GetDirectories(folder["killed/checkpoints"], ".*"), Is.Empty);
        Assert.That(File.ReadLines(folder["killed/log.jsonl"]).Select(l => JsonDocument.Parse(l).RootElement.GetProperty("step").GetInt64()).Max(),
            Is.EqualTo(12));
    }

    [Test]
    public void A_run_is_resumed_only_as_it_was()
    {
        using TestFolder folder = Prepared();
        Assert.That(() => new Trainer(Options(folder) with { Resume = true }).Run(),
            Throws.TypeOf<InputException>().With.Message.Contains("there is no run to resume"));
        new Trainer(Options(folder)).Run();
        Assert.That(() => new Trainer(Options(folder)).Run(), Throws.TypeOf<InputException>().With.Message.Contains("not empty; resume the run"));
        Assert.That(() => new Trainer(Options(folder) with { Resume = true, LearningRate = 1e-3 }).Run(),
            Throws.TypeOf<InputException>().With.Message.Contains("begun with learning-rate 0.002, given 0.001"));
        folder.Write("train.jsonl", Reviews(32, 9));
        Assert.That(() => new Trainer(Options(folder) with { Resume = true }).Run(),
            Throws.TypeOf<InputException>().With.Message.Contains("other data"));
    }

    [Test]
    public void A_finished_run_stays_as_it_is()
    {
        using TestFolder folder = Prepared();
        new Trainer(Options(folder)).Run();
        byte[] before = Bytes(folder, "out/model.safetensors");
        TrainingResult again = new Trainer(Options(folder) with { Resume = true }).Run();
        Assert.That((again.Stopped, again.Steps), Is.EqualTo((false, 12L)));
        Assert.That(Bytes(folder, "out/model.safetensors"), Is.EqualTo(before));
    }

    [Test]
    public void Patience_ends_a_run_and_the_best_is_kept()
    {
        using TestFolder folder = Prepared();
        TrainingResult result = new Trainer(Options(folder) with { Epochs = 50, Patience = 3, KeepLast = 1 }).Run();
        Assert.That(result.Steps, Is.LessThan(200));
        Assert.That(result.BestStep, Is.EqualTo(result.Steps - 12), "three evaluations of four steps each");
        Assert.That(Bytes(folder, "out/model.safetensors"), Is.EqualTo(Bytes(folder,
            $"out/checkpoints/step-{result.BestStep:D9}/model.safetensors")));
        Assert.That(Directory.GetDirectories(folder["out/checkpoints"]), Has.Length.EqualTo(2));
    }

    [Test]
    public void Every_task_and_start_makes_a_folder_that_loads()
    {
        using TestFolder folder = Prepared();
        string scratch = folder["scratch"];
        Directory.CreateDirectory(scratch);
        File.WriteAllText(Path.Combine(scratch, "config.json"), File.ReadAllText(Path.Combine(TinyCheckpoints.MaskedLm, "config.json")));
        foreach (string file in new[] { "vocab.json", "merges.txt" })
            File.Copy(Path.Combine(TinyCheckpoints.TokenizerFolder, file), Path.Combine(scratch, file));
        string led = folder["led"];
        LedConfiguration small = new()
        {
            VocabSize = Tokenizers.Tokenizer.Load(TinyCheckpoints.TokenizerFolder).VocabularySize, DModel = 16, EncoderLayers = 1, DecoderLayers = 1,
            EncoderAttentionHeads = 2, DecoderAttentionHeads = 2,
            EncoderFfnDim = 24, DecoderFfnDim = 24, MaxEncoderPositionEmbeddings = 64, MaxDecoderPositionEmbeddings = 32, AttentionWindow = [8],
        };
        RandomCheckpoint.Write(led, small, 3);
        foreach (string file in new[] { "vocab.json", "merges.txt" })
            File.Copy(Path.Combine(TinyCheckpoints.TokenizerFolder, file), Path.Combine(led, file));
        (TrainingTask Task, string Start, string Lines, string Architecture)[] cases =
        [
            (TrainingTask.MaskedLanguage, scratch, "{\"text\": \"a house by the sea\"}\n{\"text\": \"the sea\"}", "LongformerForMaskedLM"),
            (TrainingTask.MaskedLanguage, TinyCheckpoints.Base, "{\"text\": \"a house by the sea\"}\n{\"text\": \"the sea\"}",
                "LongformerForMaskedLM"),
            (TrainingTask.Tag, TinyCheckpoints.Base, "{\"tokens\": [\"Ada\", \"sleeps\"], \"tags\": [\"B-PER\", \"O\"]}",
                "LongformerForTokenClassification"),
            (TrainingTask.Answer, TinyCheckpoints.MaskedLm, "{\"question\": \"who\", \"context\": \"Ada did it\", \"answers\": [\"Ada\"]}",
                "LongformerForQuestionAnswering"),
            (TrainingTask.Choose, TinyCheckpoints.Base, "{\"document\": \"x\", \"choices\": [\"a\", \"b\"], \"answer\": 1}",
                "LongformerForMultipleChoice"),
            (TrainingTask.Summarize, led,
                "{\"document\": \"a house by the sea\", \"summary\": \"a house\"}\n{\"document\": \"the sea\", \"summary\": \"sea\"}",
                "LEDForConditionalGeneration"),
        ];
        foreach (((TrainingTask task, string start, string lines, string architecture), int number) in cases.Select((c, i) => (c, i)))
        {
            string data = folder.Write($"data{number}.jsonl", lines);
            TrainingResult result = new Trainer(new TrainingOptions
            {
                Task = task, Checkpoint = start, Data = [data], EvaluationData = [data], Output = folder[$"out{number}"], Cache = folder["cache"],
                Steps = 3, LearningRate = 1e-3,
                Recipe = new RecipeOptions { MaxTargetTokens = 16 }, LabelSmoothing = task == TrainingTask.Answer ? 0 : 0.3,
                Optimizer = number % 2 == 0 ? OptimizerKind.AdamW : OptimizerKind.Adafactor,
            }).Run();
            using PretrainedModel model = PretrainedModel.Load(result.Folder);
            Assert.That(model.Architecture, Is.EqualTo(architecture));
            // Smoothing is for learning: held-out loss and perplexity are those that an evaluation gives.
            Evaluation again = Evaluator.Run(new EvaluatorOptions { Task = task, Checkpoint = result.Folder, Data = [data], Cache = folder["cache"],
                Recipe = new RecipeOptions { MaxTargetTokens = 16 } });
            Assert.That(result.Metrics!["loss"], Is.GreaterThan(0).And.LessThan(20).And.EqualTo(again.Metrics["loss"]).Within(1e-5), start);
        }
        string reviews = folder["train.jsonl"];
        Assert.That(() => new Trainer(new TrainingOptions { Task = TrainingTask.Classify, Checkpoint = led, Data = [reviews], Output = folder["x"],
            Cache = folder["cache"] }).Run(),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("expected a Longformer"));
    }

    [Test]
    public void Settings_that_cannot_be_are_refused_before_anything_is_done()
    {
        using TestFolder folder = Prepared();
        TrainingOptions fine = Options(folder);
        foreach ((TrainingOptions options, string message) in new[]
        {
            (fine with { Epochs = 0 }, "epochs"), (fine with { Steps = 0 }, "steps"), (fine with { DType = DType.Float16 }, "dtype"),
            (fine with { KeepLast = 0 }, "checkpoints to keep"),
            (fine with { RecomputeLayers = 0 }, "layers to run again"),
            (fine with { EvaluationData = [], Patience = 2 }, "patience"),
            (fine with { Batches = new BatchPlan { ExamplesPerStep = 0 } }, "examples of a step"),
            (fine with { WarmupRatio = 2 }, "warm-up ratio"),
        })
        {
            Assert.That(() => new Trainer(options), Throws.TypeOf<InputException>().With.Message.Contains(message));
        }
        Assert.That(() => new Trainer(fine with { Recipe = new RecipeOptions { MaxTokens = 200 } }).Run(),
            Throws.TypeOf<InputException>().With.Message.Contains("expected 3 to 96"));
        Assert.That(() => new Trainer(Options(folder, "two") with { Checkpoint = folder.Path }).Run(),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("no config.json"));
        Assert.That(() => new Trainer(Options(folder, "three") with { LearningRate = -1 }).Run(),
            Throws.TypeOf<InputException>().With.Message.Contains("learning rate"));
        Assert.That(() => new Trainer(Options(folder, "train.jsonl")).Run(), Throws.TypeOf<InputException>().With.Message.Contains("given a file"));
    }

    [Test]
    public void A_loss_that_is_no_number_stops_with_step_and_document()
    {
        using TestFolder folder = Prepared();
        Assert.That(() => new Trainer(Options(folder) with { LearningRate = 1e30, MaxGradNorm = null, Optimizer = OptimizerKind.AdamW }).Run(),
            Throws.TypeOf<DivergedException>().With.Message.Match(@"^step \d+: the (loss|gradient's norm) is (NaN|∞|-∞) on .*train\.jsonl:\d+"));
    }

    [Test]
    public void What_ended_before_its_first_step_leaves_nothing()
    {
        using TestFolder folder = Prepared();
        using CancellationTokenSource cancellation = new();
        cancellation.Cancel();
        Assert.That(() => new Trainer(Options(folder)).Run(cancellation.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(Directory.Exists(folder["out"]), Is.False);
        folder.Write("wrong.jsonl", "{\"text\": \"fine\"}\n");
        Assert.That(() => new Trainer(Options(folder) with { Data = [folder["wrong.jsonl"]] }).Run(), Throws.TypeOf<InputException>());
        Assert.That(Directory.Exists(folder["out"]), Is.False);
        // A log without a checkpoint is no work either: the run diverged in its first step, for example.
        Directory.CreateDirectory(folder["out/checkpoints"]);
        folder.Write("out/log.jsonl", "{\"step\":1,\"epoch\":0.1,\"loss\":null}\n");
        Assert.That(new Trainer(Options(folder)).Run().Steps, Is.EqualTo(12));
    }

    [Test]
    public void Events_and_results_are_JSON_too()
    {
        using TestFolder folder = Prepared();
        List<JsonElement> events = [];
        Trainer trainer = new(Options(folder));
        trainer.Reported += e => events.Add(JsonDocument.Parse(e.ToJson()).RootElement);
        TrainingResult result = trainer.Run();
        JsonElement step = events.Last(e => e.GetProperty("kind").GetString() == "step");
        Assert.That((step.GetProperty("step").GetInt64(), step.GetProperty("total_steps").GetInt64()), Is.EqualTo((12L, 12L)));
        Assert.That(step.GetProperty("tokens").GetInt64(), Is.EqualTo(File.ReadLines(folder["out/log.jsonl"]).Sum(l =>
            JsonDocument.Parse(l).RootElement.TryGetProperty("tokens", out JsonElement tokens) ? tokens.GetInt64() : 0)));
        Assert.That(events.Last(e => e.GetProperty("kind").GetString() == "evaluated").GetProperty("eval").GetProperty("accuracy").GetDouble(),
            Is.InRange(0, 1));
        Assert.That(events.Select(e => e.GetProperty("kind").GetString()).Distinct(),
            Is.SupersetOf(new[] { "preparing", "note", "step", "evaluating", "evaluated", "saved" }));
        JsonElement end = JsonDocument.Parse(result.ToJson()).RootElement;
        Assert.That((end.GetProperty("steps").GetInt64(), end.GetProperty("stopped").GetBoolean(), end.GetProperty("folder").GetString()),
            Is.EqualTo((12L, false, result.Folder)));
        Assert.That(new TrainingEvent(TrainingEventKind.Step, 1, 2) { Loss = double.NaN }.ToJson(), Does.Contain("\"loss\":null"));
    }
}
