using LongformerInterop.Models.Coreference;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Paper;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Tests.Paper;

/// <summary>Trainings of HotpotQA and coreference continue to the same bytes when they were stopped or killed, as all others do; their predictions as
/// types.</summary>
public sealed class PaperTrainingTests
{
    private static TrainingOptions Options(TestFolder folder, TrainingTask task, string name)
    {
        if (!Directory.Exists(folder["start"]))
        {
            _ = task == TrainingTask.HotpotQA ? HotpotTests.MakeSet(folder, 12, 4).Start : CorefTests.Start(folder);
            CorefTests.Write(folder, "train.v4_gold_conll", 6, 1);
            CorefTests.Write(folder, "dev.v4_gold_conll", 2, 2);
        }
        (string data, string held) = task == TrainingTask.HotpotQA ? ("train.json", "dev.json") : ("train.v4_gold_conll", "dev.v4_gold_conll");
        return new TrainingOptions
        {
            Task = task, Checkpoint = folder["start"], Data = [folder[data]], EvaluationData = [folder[held]], Output = folder[name],
            Cache = folder["cache"], Steps = 6, LearningRate = 1e-3, WarmupSteps = 2, EvaluateEvery = 3, SaveEvery = 2, KeepLast = 100,
            Batches = new BatchPlan { ExamplesPerStep = 2 },
        };
    }

    private static byte[] Bytes(TestFolder folder, string file) => File.ReadAllBytes(folder[file]);

    [TestCase(TrainingTask.HotpotQA)]
    [TestCase(TrainingTask.Coreference)]
    public void A_run_that_was_stopped_or_killed_continues_to_the_same_bytes(TrainingTask task)
    {
        using TestFolder folder = new();
        TrainingResult whole = new Trainer(Options(folder, task, "whole")).Run();
        foreach (int stop in (int[])[1, 3, 5])
        {
            using CancellationTokenSource cancellation = new();
            Trainer trainer = new(Options(folder, task, $"stopped{stop}"));
            trainer.Reported += e =>
            {
                if (e.Kind == TrainingEventKind.Step && e.Step == stop)
                    cancellation.Cancel();
            };
            Assert.That(trainer.Run(cancellation.Token).Steps, Is.EqualTo(stop));
            Assert.That(new Trainer(Options(folder, task, $"stopped{stop}") with { Resume = true }).Run().BestStep, Is.EqualTo(whole.BestStep));
        }
        // As if the run had died after step 5, in the middle of a line of its log, with step 4 on the disk.
        new Trainer(Options(folder, task, "killed")).Run();
        Directory.Delete(folder["killed/checkpoints/step-000000006"], recursive: true);
        foreach (string file in new[] { "model.safetensors", "README.md", "curves.svg", "config.json" })
            File.Delete(folder[$"killed/{file}"]);
        File.AppendAllText(folder["killed/log.jsonl"], "{\"step\":6,\"ep");
        new Trainer(Options(folder, task, "killed") with { Resume = true }).Run();
        foreach (string name in (string[])["stopped1", "stopped3", "stopped5", "killed"])
        {
            foreach (string file in new[] { "model.safetensors", "config.json", "checkpoints/step-000000006/optimizer.safetensors",
                "checkpoints/step-000000006/state.json" })
            {
                Assert.That(Bytes(folder, $"{name}/{file}"), Is.EqualTo(Bytes(folder, $"whole/{file}")), $"{name}: {file}");
            }
        }
    }

    [Test]
    public void Predictions_are_read_back_as_types()
    {
        using TestFolder folder = new();
        new Trainer(Options(folder, TrainingTask.HotpotQA, "run") with { Steps = 1 }).Run();
        Evaluation found = Evaluator.Run(new EvaluatorOptions
        {
            Task = TrainingTask.HotpotQA, Checkpoint = folder["run"], Data = [folder["dev.json"]], Cache = folder["cache"],
            Output = folder["official.json"], Shortened = folder["short.json"],
        });
        HotpotPrediction[] predictions = [.. found.Predictions.Select(HotpotPrediction.Parse)];
        Assert.That(predictions.Select(p => p.Id), Is.EqualTo(new[] { "q0", "q1", "q2", "q3" }));
        Assert.That(predictions.Select(p => p.ParagraphScores.Count), Is.All.EqualTo(4));
        Assert.That(predictions.Select(p => p.Facts.Count), Is.All.InRange(2, 4));
        Assert.That(File.ReadAllText(folder["official.json"]), Is.EqualTo(found.OfficialFile).And.Contain("\"sp\""));
        Assert.That(File.ReadAllText(folder["short.json"]), Is.EqualTo(found.ShortenedFile));
        Assert.That(Directory.GetFiles(folder.Path, "*.part"), Is.Empty);
        CoreferencePrediction document = CoreferencePrediction.Parse("{\"document\":\"nw/a\",\"part\":2,\"clusters\":[[[0,1],[7,7]]]}");
        Assert.That((document.Document, document.Part), Is.EqualTo(("nw/a", 2)));
        Assert.That(document.Clusters.Single(), Is.EqualTo(new[] { new MentionSpan(0, 1), new MentionSpan(7, 7) }));
        foreach (string wrong in (string[])["", "[]", "{\"document\":\"nw/a\"}", "{\"document\":\"a\",\"part\":0,\"clusters\":[[[1]]]}"])
        {
            Assert.That(() => CoreferencePrediction.Parse(wrong),
                Throws.TypeOf<InputException>().With.Message.Contains("of a CoreferencePrediction"), wrong);
        }
        Assert.That(() => HotpotPrediction.Parse("{\"id\":1}"), Throws.TypeOf<InputException>().With.Message.Contains("of a HotpotPrediction"));
    }

    [Test]
    public void Where_nothing_can_be_written_is_said_before_the_work()
    {
        using TestFolder folder = new();
        EvaluatorOptions options = new() { Task = TrainingTask.HotpotQA, Checkpoint = folder["nowhere"], Data = [folder["nothing.json"]] };
        void Refused(EvaluatorOptions wrong, string message) =>
            Assert.That(() => Evaluator.Run(wrong), Throws.TypeOf<InputException>().With.Message.Contains(message));
        Refused(options with { Output = folder["x/y.json"] }, "output: expected a file in a folder that exists");
        Refused(options with { Shortened = folder.Path }, "shortened: expected a file name");
        Refused(options with { Task = TrainingTask.Imdb, Shortened = folder["y.json"] }, "shortened: expected none");
    }
}
