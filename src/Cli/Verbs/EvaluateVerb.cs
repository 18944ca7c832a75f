using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LongformerInterop.Cli.Output;
using LongformerInterop.Models;
using LongformerInterop.Training;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer evaluate TASK</c>: the metric of a task over data.</summary>
internal static class EvaluateVerb
{
    internal static Command Create()
    {
        Command command = new("evaluate", "The metric of a task over data, with the predictions to a file.");
        foreach ((string name, TrainingTask task, string description) in TrainingDataOptions.Tasks)
            command.Add(Create(name, task, description));
        command.Add(CharacterVerbs.CreateEvaluate());
        return command;
    }

    private static Command Create(string name, TrainingTask task, string description)
    {
        Command command = new(name, description);
        ModelOptions model = new(command);
        Option<string[]> data = new("--data") { Description = "Files, folders or patterns: .jsonl, .json, .csv, .tsv, .parquet, .txt",
            HelpName = "FILE", Required = true, Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = true };
        command.Add(data);
        command.Add(new Option<string?>("--output") { Description = "The predictions: as the task's official scorer reads them, "
            + "else a JSON object a line", HelpName = "FILE" });
        _ = new TrainingDataOptions(command, task);
        if (TrainingSettings.Divides(task))
        {
            Option<string> part = new("--part") { Description = "What to read of data that the task divides by itself: all, train, dev or test",
                HelpName = "PART", DefaultValueFactory = _ => "all" };
            part.OnlyFrom([.. TrainingSettings.Parts.Select(p => p.Name)]);
            command.Add(part);
        }
        if (task == TrainingTask.Arxiv)
        {
            command.Add(new Option<string?>("--journal") { Description = "A file that texts are added to as they are written: the same command "
                + "continues from it", HelpName = "FILE" });
        }
        if (task == TrainingTask.HotpotQA)
        {
            command.Add(new Option<string?>("--shortened") { Description = "The questions with the paragraphs that the second stage reads, in the "
                + "official format", HelpName = "FILE" });
            command.Add(new Option<bool>("--keep-gold-paragraphs")
            {
                Description = "With --shortened: keep the gold paragraphs too, for a training",
            });
        }
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            // Sets the thread count, too.
            LoadOptions load = model.Load(parsed);
            EvaluatorOptions options = GivenSettings.Read(parsed, command, given =>
                TrainingSettings.ForEvaluation(task, model.Folder(parsed), parsed.GetRequiredValue(data), given)) with { Load = load };
            Evaluation found = Evaluator.Run(options, null, cancellation);
            if (model.Json(parsed))
            {
                JsonOutput.Print(json => WriteMetrics(json, "metrics", found.Metrics));
            }
            else
            {
                foreach ((string metric, double value) in found.Metrics)
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{metric,-24} {value:0.######}"));
            }
            return 0;
        }));
        return command;
    }

    internal static void WriteMetrics(Utf8JsonWriter json, string name, IReadOnlyDictionary<string, double> metrics)
    {
        json.WriteStartObject(name);
        foreach ((string metric, double value) in metrics)
            json.WriteFinite(metric, value);
        json.WriteEndObject();
    }
}
