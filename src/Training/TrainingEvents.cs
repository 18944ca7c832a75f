using System.Text.Json;

namespace LongformerInterop.Training;

/// <summary>An event of a run.</summary>
public enum TrainingEventKind
{
    /// <summary>Data is being tokenized: <see cref="TrainingEvent.Examples"/> so far.</summary>
    Preparing,
    /// <summary>Something to know, in <see cref="TrainingEvent.Message"/>.</summary>
    Note,
    /// <summary>A step is done.</summary>
    Step,
    /// <summary>Held-out data is being measured: <see cref="TrainingEvent.Examples"/> so far.</summary>
    Evaluating,
    /// <summary>Held-out data was measured: <see cref="TrainingEvent.Metrics"/>.</summary>
    Evaluated,
    /// <summary>A checkpoint was written: <see cref="TrainingEvent.Message"/> is its folder.</summary>
    Saved,
}

/// <summary>How a run gets on.</summary>
/// <param name="Kind">The kind of the event.</param>
/// <param name="Step">Steps done.</param>
/// <param name="TotalSteps">Steps of the whole run; 0: not known yet.</param>
public sealed record TrainingEvent(TrainingEventKind Kind, long Step, long TotalSteps)
{
    /// <summary>Epochs done, with the part of the one at hand.</summary>
    public double Epoch { get; init; }

    /// <summary>Of a step.</summary>
    public double Loss { get; init; }

    /// <summary>Of a step.</summary>
    public double LearningRate { get; init; }

    /// <summary>Of a step, before clipping.</summary>
    public double GradientNorm { get; init; }

    /// <summary>Tokens that went through the model since the run began or was resumed, evaluations not counted.</summary>
    public long Tokens { get; init; }

    /// <summary>Tokens in a second since the run began, evaluations and checkpoints not counted.</summary>
    public double TokensPerSecond { get; init; }

    /// <summary>How long the rest will take.</summary>
    public TimeSpan Remaining { get; init; }

    /// <summary>Of an evaluation.</summary>
    public IReadOnlyDictionary<string, double>? Metrics { get; init; }

    /// <summary>How many examples were made or measured.</summary>
    public long Examples { get; init; }

    /// <summary>For people.</summary>
    public string? Message { get; init; }

    /// <summary>The event as a JSON object: <c>kind</c>, <c>step</c>, <c>total_steps</c>, and the values of its kind, as <c>log.jsonl</c> names
    /// it. A number that is none is null.</summary>
    public string ToJson() => TrainingLog.Json(json =>
    {
        json.WriteString("kind", Kind.ToString().ToLowerInvariant());
        json.WriteNumber("step", Step);
        json.WriteNumber("total_steps", TotalSteps);
        switch (Kind)
        {
            case TrainingEventKind.Preparing:
                json.WriteNumber("examples", Examples);
                break;
            case TrainingEventKind.Step:
                TrainingLog.Number(json, "epoch", Epoch);
                TrainingLog.Number(json, "loss", Loss);
                TrainingLog.Number(json, "learning_rate", LearningRate);
                TrainingLog.Number(json, "grad_norm", GradientNorm);
                json.WriteNumber("tokens", Tokens);
                TrainingLog.Number(json, "tokens_per_second", TokensPerSecond);
                TrainingLog.Number(json, "remaining_seconds", Remaining.TotalSeconds);
                break;
            case TrainingEventKind.Evaluating:
                TrainingLog.Number(json, "epoch", Epoch);
                json.WriteNumber("examples", Examples);
                break;
            case TrainingEventKind.Evaluated:
                TrainingLog.Number(json, "epoch", Epoch);
                TrainingLog.Metrics(json, "eval", Metrics!);
                break;
            default:
                json.WriteString("message", Message);
                break;
        }
    });
}

/// <summary>How a run ended.</summary>
/// <param name="Folder">The output folder.</param>
/// <param name="Steps">Steps done in all.</param>
/// <param name="Stopped">Whether it was stopped before its end; a resumed run continues from there.</param>
/// <param name="BestStep">The step whose weights are in the folder; null: the last.</param>
/// <param name="Metrics">Of that step on held-out data; null: nothing was measured.</param>
public sealed record TrainingResult(string Folder, long Steps, bool Stopped, long? BestStep, IReadOnlyDictionary<string, double>? Metrics)
{
    /// <summary>Of a training that was repeated with several seeds, whose mean the metrics are: their deviation (n - 1); else null.</summary>
    public IReadOnlyDictionary<string, double>? Deviation { get; init; }

    /// <summary>The result as a JSON object: <c>folder</c>, <c>steps</c>, <c>stopped</c>, and <c>best_step</c> and <c>metrics</c> where something
    /// was measured, and <c>deviation</c> over several seeds.</summary>
    public string ToJson() => TrainingLog.Json(json =>
    {
        json.WriteString("folder", Folder);
        json.WriteNumber("steps", Steps);
        json.WriteBoolean("stopped", Stopped);
        if (BestStep is { } best)
            json.WriteNumber("best_step", best);
        if (Metrics is { } metrics)
            TrainingLog.Metrics(json, "metrics", metrics);
        if (Deviation is { } deviation)
            TrainingLog.Metrics(json, "deviation", deviation);
    });
}
