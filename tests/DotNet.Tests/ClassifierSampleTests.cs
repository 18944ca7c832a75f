using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using LongformerInterop.Tests;
using LongformerInterop.Training;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.DotNet.Tests;

/// <summary>samples/TorchSharpClassifier as a program, beside our own trainer on the same data.</summary>
public sealed class ClassifierSampleTests
{
    private static readonly string[] Good = ["lovely", "fine", "great"], Bad = ["awful", "poor", "sad"];

    private static string Reviews(int count, int seed)
    {
        Random random = new(seed);
        return string.Join('\n', Enumerable.Range(0, count).Select(i =>
        {
            string[] words = i % 2 == 0 ? Good : Bad;
            string text = string.Join(' ', Enumerable.Range(0, random.Next(4, 16)).Select(_ => words[random.Next(3)]));
            return JsonSerializer.Serialize(new { text, label = i % 2 == 0 ? "good" : "bad" });
        }));
    }

    private static (int Code, string Output) Run(string program, params string[] arguments) => RunWith([], program, arguments);

    private static (int Code, string Output) RunWith(Dictionary<string, string> variables, string program, params string[] arguments)
    {
        ProcessStartInfo start = new("dotnet", [Path.Combine(Repository.Root, "build", "dotnet", "bin", program), .. arguments])
        { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach ((string name, string value) in variables)
            start.Environment[name] = value;
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }

    [Test]
    public void It_is_as_good_as_our_own_trainer_and_its_folder_is_loaded_by_the_command_line()
    {
        string folder = Directory.CreateDirectory(Path.Combine(TinyCheckpoints.Root, "sample")).FullName;
        string At(string name) => Path.Combine(folder, name);
        File.WriteAllText(At("train.jsonl"), Reviews(48, 1));
        File.WriteAllText(At("held.jsonl"), Reviews(20, 2));
        TrainingResult ours = new Trainer(new TrainingOptions
        {
            Task = TrainingTask.Classify, Checkpoint = TinyCheckpoints.Base, Data = [At("train.jsonl")], EvaluationData = [At("held.jsonl")],
            Output = At("ours"), Cache = At("cache"), LearningRate = 2e-3, Epochs = 8, Batches = new BatchPlan { ExamplesPerStep = 8 }, Seed = 5,
        }).Run();

        (int code, string output) = Run("TorchSharpClassifier/release/TorchSharpClassifier.dll", TinyCheckpoints.Base, At("train.jsonl"),
            At("held.jsonl"), At("theirs"), "8");
        Assert.That(code, Is.Zero, output);
        Assert.That(Regex.Matches(output, @"accuracy on held-out data (\S+)")[^1].Groups[1].Value, Is.EqualTo("1.000"), output);
        Assert.That(ours.Metrics!["accuracy"], Is.EqualTo(1));

        Evaluation evaluation = Evaluator.Run(new EvaluatorOptions { Task = TrainingTask.Classify, Checkpoint = At("theirs"),
            Data = [At("held.jsonl")], Cache = At("cache") });
        Assert.That(evaluation.Metrics["accuracy"], Is.EqualTo(1));
        File.WriteAllText(At("review.txt"), "fine great lovely fine");
        (code, output) = Run("LongformerInterop.Cli/release/longformer.dll", "classify", At("theirs"), "--input", At("review.txt"));
        Assert.That((code, output), Is.EqualTo((0, output)), output);
        Assert.That(output, Does.Match(@"^0\.\d+ +good\n"));
        Assert.That(Run("TorchSharpClassifier/release/TorchSharpClassifier.dll").Code, Is.EqualTo(2));
    }

    [Test]
    public void A_second_libtorch_in_the_process_is_one_message_and_no_crash()
    {
        string folder = Directory.CreateDirectory(Path.Combine(TinyCheckpoints.Root, "two")).FullName;
        string other = Path.Combine(folder, "libtorch_cpu.so"), data = Path.Combine(folder, "train.jsonl");
        // Any library under that name: what it is cannot be known before it is used.
        File.Copy(File.ReadLines("/proc/self/maps").Select(line => line[(line.LastIndexOf(' ') + 1)..])
            .First(path => Path.GetFileName(path).StartsWith("libm.so", StringComparison.Ordinal)), other);
        File.WriteAllText(data, Reviews(4, 1));
        (int code, string output) = RunWith(new() { ["LD_PRELOAD"] = other }, "TorchSharpClassifier/release/TorchSharpClassifier.dll",
            TinyCheckpoints.Base, data, data, Path.Combine(folder, "out"), "1");
        Assert.That((code, output), Is.EqualTo((1, output)), output);
        Assert.That(output.TrimEnd().Split('\n'), Has.Length.EqualTo(1), output);
        Assert.That(output, Does.StartWith("this process has loaded 2 different libtorch: ").And.Contain(other));
    }
}
