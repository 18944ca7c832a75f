using System.Globalization;
using System.Text;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training;

/// <summary>The README.md of a trained model: the start, the data, the settings and the results of its training.</summary>
internal static class ModelCard
{
    /// <param name="options">The run's settings.</param>
    /// <param name="recipe">The task.</param>
    /// <param name="labels">The labels, or null.</param>
    /// <param name="data">A line for each set of data.</param>
    /// <param name="notes">The changes made to the starting point.</param>
    /// <param name="lines">The log.</param>
    /// <param name="result">How it ended.</param>
    /// <param name="parameters">Numbers of a parameter that are trained.</param>
    public static string Text(TrainingOptions options, Recipe recipe, LabelSet? labels, IReadOnlyList<string> data, IReadOnlyList<string> notes,
        IReadOnlyList<LogLine> lines, TrainingResult result, long parameters)
    {
        StringBuilder text = new();
        string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(options.Output)));
        void Line(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
        Line($"---\nlibrary_name: transformers\ntags:\n- longformer\n- {recipe.Name}\n---\n");
        Line($"# {name}\n");
        string source = Path.GetFileName(Path.TrimEndingDirectorySeparator(options.Checkpoint));
        Line($"{recipe.Title}: `{recipe.Architecture}`, trained with LongformerInterop from `{source}`.");
        foreach (string note in notes)
            Line($"{char.ToUpperInvariant(note[0])}{note[1..].TrimEnd('.')}.");
        if (labels is not null)
            Line($"\nLabels: {string.Join(", ", labels.Names.Take(50).Select(n => $"`{n}`"))}{More(labels.Names.Count)}.");
        Line($"\n## Data\n");
        foreach (string set in data)
            Line($"- {set}");
        Line($"\n## Results\n");
        LogLine[] steps = [.. lines.Where(l => l.Loss is not null)], evaluations = [.. lines.Where(l => l.Metrics is not null)];
        if (result.Metrics is { } metrics)
        {
            Line($"On the held-out data, after step {result.BestStep ?? result.Steps}:\n\n| metric | value |\n|---|---|");
            foreach ((string metric, double value) in metrics)
                Line($"| {metric.Replace('_', ' ')} | {value:0.####} |");
        }
        else
        {
            Line($"Nothing was measured on held-out data.");
        }
        if (steps.Length > 0)
            Line($"\nThe loss went from {steps[0].Loss:0.####} to {steps[^1].Loss:0.####} in step {steps[^1].Step}.\n\n![curves](curves.svg)");
        if (evaluations.Length > 1)
        {
            string[] names = [.. evaluations[^1].Metrics!.Keys];
            Line($"\n| step | {string.Join(" | ", names.Select(n => n.Replace('_', ' ')))} |\n|---|{string.Concat(names.Select(_ => "---|"))}");
            foreach (LogLine line in evaluations)
                Line($"| {line.Step} | {string.Join(" | ", names.Select(n => Number(line.Metrics!.GetValueOrDefault(n, double.NaN))))} |");
        }
        Line($"\n## How it was trained\n");
        long tokens = steps.Sum(l => l.Tokens ?? 0);
        double seconds = steps.Sum(l => l.Seconds ?? 0);
        double perSecond = seconds > 0 ? tokens / seconds : 0;
        TimeSpan took = TimeSpan.FromSeconds(Math.Round(seconds));
        Line($"{result.Steps:N0} steps, {tokens:N0} tokens in {took:c} on {options.Device} ({perSecond:N0} a second).");
        Line($"{parameters:N0} numbers were trained.\n");
        Line($"| setting | value |\n|---|---|");
        foreach ((string setting, string value) in options.Settings().Where(s => s.Value != "none"))
            Line($"| {setting} | {value} |");
        return text.ToString();
    }

    private static string More(int labels) => labels > 50 ? $" and {labels - 50} more" : "";

    private static string Number(double value) => value.ToString("0.####", CultureInfo.InvariantCulture);
}
