using System.Globalization;
using LongformerInterop.Torch;

namespace LongformerInterop.Training;

/// <summary>The result of several trainings that differ in their seeds.</summary>
/// <param name="Runs">Of each seed, in their order; a stopped one is the last.</param>
/// <param name="Mean">The mean of each metric.</param>
/// <param name="Deviation">Its standard deviation (n - 1); 0 for one seed.</param>
public sealed record RepeatedResult(IReadOnlyList<TrainingResult> Runs, IReadOnlyDictionary<string, double> Mean,
    IReadOnlyDictionary<string, double> Deviation);

/// <summary>The same training with several seeds, as the paper reports Hyperpartisan news: each in a folder <c>seed-N</c> of the output folder, and
/// mean and deviation of the metrics in <c>seeds.json</c>.</summary>
public static class RepeatedTraining
{
    /// <summary>Trains once for each seed.</summary>
    /// <param name="options">All but the seed. With <see cref="TrainingOptions.Resume"/> finished seeds are taken over, and a stopped one
    /// continues.</param>
    /// <param name="seeds">Different seeds.</param>
    /// <param name="report">Called with the events of every run and its seed; null: nobody looks.</param>
    /// <param name="cancellation">Stops the run at hand, which can be resumed.</param>
    /// <exception cref="LongformerException">A seed comes twice, or as <see cref="Trainer.Run"/>.</exception>
    public static RepeatedResult Run(TrainingOptions options, IReadOnlyList<long> seeds, Action<long, TrainingEvent>? report = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(seeds);
        if (seeds.Count == 0 || seeds.Distinct().Count() != seeds.Count)
            throw new InputException("seeds", "different numbers, at least one", seeds.Count == 0 ? "none" : string.Join(",", seeds));
        if (!options.Resume && Directory.Exists(options.Output) && Directory.EnumerateFileSystemEntries(options.Output).Any())
            throw new InputException($"{options.Output}: the output folder is not empty; resume the runs that are in it, or give another folder");
        List<TrainingResult> runs = [];
        foreach (long seed in seeds)
        {
            string output = Path.Combine(options.Output, string.Create(CultureInfo.InvariantCulture, $"seed-{seed}"));
            Trainer trainer = new(options with { Seed = seed, Output = output, Resume = options.Resume && Directory.Exists(output) });
            if (report is not null)
                trainer.Reported += e => report(seed, e);
            runs.Add(trainer.Run(cancellation));
            if (runs[^1].Stopped)
                return new RepeatedResult(runs, new Dictionary<string, double>(), new Dictionary<string, double>());
        }
        RepeatedResult result = Summarize(runs);
        WholeFile.Write(Path.Combine(options.Output, "seeds.json"), Json(seeds, result) + "\n");
        return result;
    }

    /// <summary>Mean and deviation over runs.</summary>
    internal static RepeatedResult Summarize(IReadOnlyList<TrainingResult> runs)
    {
        Dictionary<string, double> mean = [], deviation = [];
        foreach (string metric in runs[0].Metrics?.Keys ?? [])
        {
            double[] values = [.. runs.Select(r => r.Metrics!.GetValueOrDefault(metric, double.NaN))];
            mean[metric] = values.Average();
            deviation[metric] = values.Length == 1 ? 0 : Math.Sqrt(values.Sum(v => Math.Pow(v - mean[metric], 2)) / (values.Length - 1));
        }
        return new RepeatedResult(runs, mean, deviation);
    }

    private static string Json(IReadOnlyList<long> seeds, RepeatedResult result) => TrainingLog.Json(json =>
    {
        json.WriteStartObject("seeds");
        for (int i = 0; i < seeds.Count; i++)
        {
            json.WriteStartObject(seeds[i].ToString(CultureInfo.InvariantCulture));
            foreach ((string name, double value) in result.Runs[i].Metrics ?? new Dictionary<string, double>())
                TrainingLog.Number(json, name, value);
            json.WriteEndObject();
        }
        json.WriteEndObject();
        foreach ((string title, IReadOnlyDictionary<string, double> values) in ((string, IReadOnlyDictionary<string, double>)[])
            [("mean", result.Mean), ("deviation", result.Deviation)])
        {
            json.WriteStartObject(title);
            foreach ((string name, double value) in values)
                TrainingLog.Number(json, name, value);
            json.WriteEndObject();
        }
    });
}
