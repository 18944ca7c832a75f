using System.CommandLine;
using LongformerInterop.Cli.Output;
using LongformerInterop.Training;
using LongformerInterop.Training.Pairs;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer train pairs</c>: sentence vectors from pairs of texts that belong together.</summary>
internal static class PairsVerb
{
    internal static Command Create()
    {
        PairsOptions defaults = new() { Checkpoint = "", Data = [], Output = "" };
        Command command = new(PairsSettings.Task,
            "Sentence vectors from pairs of texts, over any encoder, which stays as it is: a folder for index and search");
        ModelOptions model = new(command, hasDefault: true);
        Option<string[]> data = new("--data") { Description = "Files, folders or patterns with the columns query and text", HelpName = "FILE",
            Required = true,
            Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = true };
        Option<string[]> held = new("--eval") { Description = "The same, to measure on", HelpName = "FILE", Arity = ArgumentArity.OneOrMore,
            AllowMultipleArgumentsPerToken = true };
        Option<string> output = new("--output") { Description = "The output folder", HelpName = "FOLDER", Required = true };
        Option<string[]> column = new("--column") { Description = "query=NAME or text=NAME, where the columns are called otherwise (repeatable)",
            HelpName = "X=NAME",
            Arity = ArgumentArity.OneOrMore };
        Option<bool> resume = new("--resume") { Description = "Take the states that an earlier run of the output folder computed" };
        command.Add(data);
        command.Add(held);
        command.Add(output);
        command.Add(column);
        command.Add(resume);
        command.Add(new Option<string?>(
            "--poolings") { Description = "Poolings whose vectors the dense layer reads: cls, max, mean, mean_sqrt_len_tokens, "
            + "weightedmean, lasttoken (default: cls,max,mean)", HelpName = "A,B,..." });
        foreach ((string name, string description, int value) in new[]
        {
            ("--dimension", "Width of the vectors", defaults.Dimension), ("--max-tokens", "Most tokens of a text", defaults.MaxTokens),
            ("--batch-size", "Pairs of a step, whose other texts are the wrong answers", defaults.BatchSize),
            ("--seed", "Of the weights, the order and the dropouts", (int)defaults.Seed),
        })
        {
            command.Add(new Option<int>(name) { Description = description, HelpName = "N", DefaultValueFactory = _ => value });
        }
        foreach ((string name, string description, double value) in new[]
        {
            ("--epochs", "How often the pairs are gone through, a whole number", defaults.Epochs), ("--learning-rate", "The largest learning rate",
                defaults.LearningRate), ("--weight-decay", "Decay of the weights", defaults.WeightDecay),
            ("--scale", "The factor of cosines in the loss", defaults.Scale), ("--dropout", "Part of the states left out in a step",
                defaults.Dropout),
        })
        {
            command.Add(new Option<double>(name) { Description = description, HelpName = "X", DefaultValueFactory = _ => value });
        }
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            // Sets the thread count, too.
            _ = model.Load(parsed);
            PairsTrainer trainer = new(GivenSettings.Read(parsed, command, given => PairsSettings.ForTraining(model.Folder(parsed),
                parsed.GetRequiredValue(data),
                parsed.GetValue(held) ?? [], parsed.GetRequiredValue(output), given)));
            using TrainingProgress progress = new();
            trainer.Reported += progress.Report;
            TrainingResult result = trainer.Run(cancellation);
            progress.Clear();
            return TrainVerb.Report(result, model.Json(parsed));
        }));
        return command;
    }
}
