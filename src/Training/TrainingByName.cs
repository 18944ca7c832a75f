using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;
using LongformerInterop.Training.CharacterLm;
using LongformerInterop.Training.Pairs;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training;

/// <summary>Trainings and evaluations of any task by its name, for the doors that pass names on (C, Python). Settings are read first, so that a
/// door can refuse what no task asked for; then the work begins.</summary>
public static class TrainingByName
{
    /// <summary>A training whose settings are read.</summary>
    /// <param name="task">A name of <see cref="TrainingSettings.Tasks"/>, <c>pairs</c> or <c>char-lm</c>.</param>
    /// <param name="checkpoint">Where to begin; null: a new model, which only <c>char-lm</c> makes.</param>
    /// <param name="data">What to learn from.</param>
    /// <param name="evaluationData">What to measure on; may be empty.</param>
    /// <param name="output">The output folder.</param>
    /// <param name="given">Everything else.</param>
    /// <returns>Trains, reporting its events.</returns>
    /// <exception cref="InputException">There is no such task, or a setting is wrong.</exception>
    public static Func<Action<TrainingEvent>, CancellationToken, TrainingResult> Training(string task, string? checkpoint,
        IReadOnlyList<string> data, IReadOnlyList<string> evaluationData, string output, ISettingValues given)
    {
        if (task == CharacterSettings.Task)
        {
            CharacterTrainerOptions options = CharacterSettings.ForTraining(checkpoint, data, evaluationData, output, given);
            return (report, cancellation) =>
            {
                CharacterTrainer trainer = new(options);
                trainer.Reported += report;
                return trainer.Run(cancellation);
            };
        }
        if (task == PairsSettings.Task)
        {
            PairsTrainer pairs = new(PairsSettings.ForTraining(Begun(checkpoint), data, evaluationData, output, given));
            return (report, cancellation) =>
            {
                pairs.Reported += report;
                return pairs.Run(cancellation);
            };
        }
        TrainingOptions how = TrainingSettings.ForTraining(Named(task), Begun(checkpoint), data, evaluationData, output, given);
        if (TrainingSettings.SeedsOf(how.Task, given) is { } seeds)
            return (report, cancellation) => Repeated(RepeatedTraining.Run(how, seeds, (_, e) => report(e), cancellation), output);
        return (report, cancellation) =>
        {
            Trainer trainer = new(how);
            trainer.Reported += report;
            return trainer.Run(cancellation);
        };
    }

    /// <summary>An evaluation whose settings are read.</summary>
    /// <param name="task">A name of <see cref="TrainingSettings.Tasks"/>, or <c>char-lm</c>.</param>
    /// <param name="checkpoint">A folder with the model.</param>
    /// <param name="data">What to measure on.</param>
    /// <param name="given">Everything else.</param>
    /// <returns>Measures.</returns>
    /// <exception cref="InputException">There is no such task, or a setting is wrong.</exception>
    public static Func<IProgress<TaskProgress>?, CancellationToken, Evaluation> Evaluation(string task, string? checkpoint,
        IReadOnlyList<string> data, ISettingValues given)
    {
        if (task != CharacterSettings.Task)
        {
            EvaluatorOptions how = TrainingSettings.ForEvaluation(Named(task), Begun(checkpoint), data, given);
            return (progress, cancellation) => Evaluator.Run(how, progress, cancellation);
        }
        CharacterEvaluationOptions options = CharacterSettings.ForEvaluation(given);
        LoadOptions load = CharacterSettings.Load(given);
        (string folder, string file) = (Begun(checkpoint), CharacterSettings.OneFile(data));
        return (progress, cancellation) =>
        {
            using CharacterGenerator loaded = CharacterGenerator.Load(folder, load);
            return new Evaluation(CharacterEvaluation.OfFile(loaded.Model, loaded.Vocabulary, file, options, null, progress, cancellation).Metrics(),
                []);
        };
    }

    /// <summary>Several trainings as one result: steps of all, mean and deviation of the metrics.</summary>
    private static TrainingResult Repeated(RepeatedResult result, string output) =>
        new(output, result.Runs.Sum(run => run.Steps), result.Runs[^1].Stopped, null, result.Runs[^1].Stopped ? null : result.Mean)
        {
            Deviation = result.Runs[^1].Stopped ? null : result.Deviation,
        };

    private static TrainingTask Named(string task) => TrainingSettings.Tasks.Any(known => known.Name == task) ? TrainingSettings.TaskOf(task)
        : throw new InputException("task", string.Join(", ", [.. TrainingSettings.Tasks.Select(known => known.Name), PairsSettings.Task,
            CharacterSettings.Task]),
            $"\"{task}\"");

    private static string Begun(string? checkpoint) => checkpoint ?? throw new InputException("checkpoint", "the path of a folder", "none");
}
