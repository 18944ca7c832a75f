using LongformerInterop.Tasks;
using LongformerInterop.Training;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.PythonNet;

/// <summary>Training and measuring in terms that pythonnet can pass: settings and results as JSON objects.</summary>
public static class TrainingBridge
{
    /// <summary>Trains; <see cref="PythonCall.OnText"/> gets each event as JSON, <see cref="PythonCall.OnProgress"/> the steps.</summary>
    /// <param name="task">Its name.</param>
    /// <param name="checkpoint">Where to begin; null: a new model.</param>
    /// <param name="data">What to learn from.</param>
    /// <param name="evaluation">What to measure on; may be empty.</param>
    /// <param name="output">The output folder.</param>
    /// <param name="settings">Everything else by name, JSON.</param>
    /// <param name="watch">Gets progress and text, and stops the call.</param>
    /// <returns>The result, JSON.</returns>
    public static string Train(string task, string? checkpoint, string[] data, string[] evaluation, string output, string settings, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(watch);
        using JsonSettings given = new(settings);
        Func<Action<TrainingEvent>, CancellationToken, TrainingResult> train =
            TrainingByName.Training(task, checkpoint, data, evaluation, output, given);
        given.Finish("train");
        return train(Report, watch.Token).ToJson();

        void Report(TrainingEvent e)
        {
            watch.OnText?.Invoke(e.ToJson());
            if (e.Kind == TrainingEventKind.Step)
                watch.OnProgress?.Invoke((int)e.Step, (int)e.TotalSteps, e.Tokens);
        }
    }

    /// <summary>Measures.</summary>
    /// <param name="task">Its name.</param>
    /// <param name="checkpoint">A folder with the head.</param>
    /// <param name="data">What to measure on.</param>
    /// <param name="settings">Everything else by name, JSON.</param>
    /// <param name="watch">Gets progress and text, and stops the call.</param>
    /// <returns>The metrics as a JSON object, then a JSON object for each example.</returns>
    public static string[] Evaluate(string task, string checkpoint, string[] data, string settings, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(watch);
        using JsonSettings given = new(settings);
        Func<IProgress<TaskProgress>?, CancellationToken, Evaluation> evaluate =
            TrainingByName.Evaluation(task, checkpoint, data, given);
        given.Finish("evaluate");
        Evaluation found = evaluate(watch, watch.Token);
        return [found.MetricsJson(), .. found.Predictions];
    }
}
