using System.CommandLine;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Training;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Optimization;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer train TASK</c>: pretraining and fine-tuning.</summary>
internal static class TrainVerb
{
    internal static Command Create()
    {
        Command command = new("train", "Pretraining by masked LM and fine-tuning of every head; the result is a checkpoint folder.");
        foreach ((string name, TrainingTask task, string description) in TrainingDataOptions.Tasks)
            command.Add(new TaskCommand(name, task, description).Command);
        command.Add(PairsVerb.Create());
        command.Add(CharacterVerbs.CreateTrain());
        return command;
    }

    /// <summary>Prints how a training ended; the exit status.</summary>
    internal static int Report(TrainingResult result, bool json)
    {
        if (json)
        {
            JsonOutput.Print(writer =>
            {
                writer.WriteString("folder", result.Folder);
                writer.WriteNumber("steps", result.Steps);
                writer.WriteBoolean("stopped", result.Stopped);
                if (result.BestStep is { } best)
                    writer.WriteNumber("best_step", best);
                if (result.Metrics is { } metrics)
                    EvaluateVerb.WriteMetrics(writer, "metrics", metrics);
                writer.WriteNumber("peak_memory_bytes", ProcessMemory.PeakBytes());
            });
        }
        else if (!result.Stopped)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{result.Folder}: {result.Steps} steps{(result.BestStep is { } best ? $", the best is step {best}" : "")}"));
            foreach ((string metric, double value) in result.Metrics ?? new Dictionary<string, double>())
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{metric,-24} {value:0.######}"));
        }
        if (!result.Stopped)
            return 0;
        Console.Error.WriteLine($"longformer: stopped after step {result.Steps}, which is saved; the same command with --resume continues");
        return CommandFailure.Failed;
    }

    /// <summary>One task with its options.</summary>
    private sealed class TaskCommand
    {
        private readonly TrainingTask _task;
        private readonly ModelOptions _model;
        private readonly Option<string[]> _data = new("--data")
        {
            Description = "Files, folders or patterns: .jsonl, .json, .csv, .tsv, .parquet, .txt", HelpName = "FILE", Required = true,
            Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = true,
        };

        private readonly Option<string[]> _eval = new("--eval") { Description = "The same, to measure on while training", HelpName = "FILE",
            Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = true };
        private readonly Option<string> _output = new("--output") { Description = "The output folder", HelpName = "FOLDER",
            Required = true };
        private readonly Option<bool> _resume = new("--resume") { Description = "Go on from the last checkpoint of the output folder" };
        private readonly Option<double> _rate = Number("--learning-rate", "The largest learning rate", 3e-5);
        private readonly Option<double?> _headRate = new("--head-learning-rate") { Description = "The head's (default: the same)", HelpName = "R" };
        private readonly Option<double> _layerDecay = Number("--layer-decay", "Each layer further from the head has this part of the next one's rate",
            1);
        private readonly Option<string> _schedule = new("--schedule") { Description = "linear, cosine, polynomial, constant or inverse-sqrt",
            HelpName = "NAME", DefaultValueFactory = _ => "linear" };
        private readonly Option<double> _power = Number("--power", "Of the polynomial; the paper's masked LM has 3", 1);
        private readonly Option<long?> _warmup = new("--warmup-steps") { Description = "Steps in which the rate rises", HelpName = "N" };
        private readonly Option<double> _warmupRatio = Number("--warmup-ratio", "The same as a part of all steps", 0);
        private readonly Option<string> _optimizer = new("--optimizer") { Description = "adamw or adafactor", HelpName = "NAME",
            DefaultValueFactory = _ => "adamw" };
        private readonly Option<double> _beta1 = Number("--beta1", "Of AdamW", 0.9);
        private readonly Option<double> _beta2 = Number("--beta2", "Of AdamW", 0.999);
        private readonly Option<double> _epsilon = Number("--epsilon", "Of AdamW", 1e-8);
        private readonly Option<double> _decay = Number("--weight-decay", "Decay of weights; biases and LayerNorm have none", 0);
        private readonly Option<double> _norm = Number("--max-grad-norm", "Gradients with a larger norm are scaled down to it; 0: none are", 1);
        private readonly Option<double> _smoothing = Number("--label-smoothing", "Part of the probability that is spread over all classes", 0);
        private readonly Option<string> _freeze = new("--freeze") { Description = "none, embeddings, body, all-but-added-positions or all-but-biases",
            HelpName = "PART", DefaultValueFactory = _ => "none" };
        private readonly Option<long> _firstAdded = new("--first-added-position") { Description = "With --freeze all-but-added-positions: the "
            + "first row that is trained", HelpName = "N", DefaultValueFactory = _ => 514 };
        private readonly Option<double> _epochs = Number("--epochs", "How often the data is gone through", 3);
        private readonly Option<long?> _steps = new("--steps") { Description = "Steps in all, instead of epochs", HelpName = "N" };
        private readonly Option<int?> _batchSize = new("--batch-size") { Description = "Examples of a step (default: as many as --tokens-per-step "
            + "takes)", HelpName = "N" };
        private readonly Option<int> _tokensPerStep = new("--tokens-per-step") { Description = "Most tokens of a step", HelpName = "N",
            DefaultValueFactory = _ => 16_384 };
        private readonly Option<int?> _accumulate = new("--accumulate") { Description = "Batches of a step: --tokens-per-batch is then that part "
            + "of --tokens-per-step", HelpName = "N" };
        private readonly Option<bool> _inOrder = new("--no-shuffle") { Description = "Take the examples in the order of the data" };
        private readonly Option<long> _seed = new("--seed") { Description = "Of the order, the hidden tokens, the dropouts and a new head",
            HelpName = "N", DefaultValueFactory = _ => 42 };
        private readonly Option<bool> _noDropout = new("--no-dropout") { Description = "Turn all dropout off, the configuration's too" };
        private readonly Option<long?> _evalEvery = new("--eval-every") { Description = "Steps between two evaluations (default: an epoch)",
            HelpName = "N" };
        private readonly Option<long?> _saveEvery = new("--save-every") { Description = "Steps between two checkpoints (default: as for evaluations)",
            HelpName = "N" };
        private readonly Option<int> _keep = new("--keep") { Description = "How many checkpoints to keep, in addition to the best", HelpName = "N",
            DefaultValueFactory = _ => 2 };
        private readonly Option<int?> _patience = new("--patience") { Description = "End when so many evaluations in a row were no better than "
            + "the best", HelpName = "N" };
        private readonly Option<string?>? _preset;
        private readonly Option<string?>? _seeds;
        private readonly Option<bool> _recompute = new("--recompute") { Description = "Run layers again in the backward pass instead of keeping "
            + "their results: much less memory, a third more time" };
        private readonly Option<int?> _recomputeLayers = new("--recompute-layers") { Description = "Run the first N layers again, for that part of "
            + "the memory and of the time (default: all with --recompute, else none)", HelpName = "N" };

        public TaskCommand(string name, TrainingTask task, string description)
        {
            _task = task;
            Command = new Command(name, description);
            _model = new ModelOptions(Command);
            _schedule.OnlyFrom([.. TrainingSettings.Schedules.Select(s => s.Name)]);
            _optimizer.OnlyFrom([.. TrainingSettings.Optimizers.Select(s => s.Name)]);
            _freeze.OnlyFrom([.. TrainingSettings.FrozenParts.Select(s => s.Name)]);
            string[] presets = [.. TrainingSettings.PresetsOf(task)];
            _preset = presets.Length == 0 ? null : new Option<string?>("--preset")
            {
                Description = $"Published settings, below those that are given: {string.Join("; ", presets.Select(p =>
                    $"{p} ({TrainingSettings.DescribePreset(p, task)})"))}", HelpName = "NAME",
            };
            _preset?.OnlyFrom(presets);
            _seeds = !TrainingSettings.IsPaper(task) ? null : new Option<string?>("--seeds") { Description = "Train once with each of these, into "
                + "folders of the output folder, and report the mean; the paper has five for hyperpartisan", HelpName = "A,B,..." };
            foreach (Option option in (Option[])[_data, _eval, _output, _resume, _rate, _headRate, _layerDecay, _schedule, _power, _warmup,
                _warmupRatio, _optimizer, _beta1, _beta2, _epsilon,
                _decay, _norm, _smoothing, _freeze, _firstAdded, _epochs, _steps, _batchSize, _tokensPerStep, _accumulate, _inOrder, _seed,
                    _noDropout, _evalEvery, _saveEvery, _keep, _patience, _recompute, _recomputeLayers,
                    .. ((Option?[])[_preset, _seeds]).OfType<Option>()])
            {
                Command.Add(option);
            }
            _ = new TrainingDataOptions(Command, task);
            Command.SetAction(parsed => Program.Run(cancellation => Run(parsed, cancellation)));
        }

        public Command Command { get; }

        private static Option<double> Number(string name, string description, double value) =>
            new(name) { Description = description, HelpName = "X", DefaultValueFactory = _ => value };

        private int Run(ParseResult parsed, CancellationToken cancellation)
        {
            if (GivenSettings.Read(parsed, Command, given => TrainingSettings.SeedsOf(_task, given)) is { } seeds)
                return RunSeeds(parsed, seeds, cancellation);
            Trainer trainer = new(Options(parsed));
            using TrainingProgress progress = new();
            trainer.Reported += progress.Report;
            TrainingResult result = trainer.Run(cancellation);
            progress.Clear();
            return Report(result, _model.Json(parsed));
        }

        private int RunSeeds(ParseResult parsed, IReadOnlyList<long> seeds, CancellationToken cancellation)
        {
            using TrainingProgress progress = new();
            RepeatedResult result = RepeatedTraining.Run(Options(parsed), seeds, (_, e) => progress.Report(e), cancellation);
            progress.Clear();
            if (result.Runs[^1].Stopped)
                return Report(result.Runs[^1], _model.Json(parsed));
            if (_model.Json(parsed))
            {
                JsonOutput.Print(writer =>
                {
                    EvaluateVerb.WriteMetrics(writer, "mean", result.Mean);
                    EvaluateVerb.WriteMetrics(writer, "deviation", result.Deviation);
                });
                return 0;
            }
            Console.WriteLine($"{parsed.GetRequiredValue(_output)}: {seeds.Count} seeds");
            foreach ((string metric, double mean) in result.Mean)
            {
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{metric,-24} {mean:0.######} +- {result.Deviation[metric]:0.######}"));
            }
            return 0;
        }

        private TrainingOptions Options(ParseResult parsed)
        {
            // Sets the thread count, too; device and the like come by their names as everything else.
            _ = _model.Load(parsed);
            return GivenSettings.Read(parsed, Command, given => TrainingSettings.ForTraining(_task, _model.Folder(parsed),
                parsed.GetRequiredValue(_data), parsed.GetValue(_eval) ?? [], parsed.GetRequiredValue(_output), given));
        }
    }
}
