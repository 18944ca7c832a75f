using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training;

/// <summary>The options of an evaluation.</summary>
public sealed record EvaluatorOptions
{
    /// <summary>The task of the checkpoint.</summary>
    public required TrainingTask Task { get; init; }

    /// <summary>A folder with the head.</summary>
    public required string Checkpoint { get; init; }

    /// <summary>The data to measure on: files, folders, patterns.</summary>
    public required IReadOnlyList<string> Data { get; init; }

    /// <summary>How records become examples.</summary>
    public RecipeOptions Recipe { get; init; } = new();

    /// <summary>Where tokenized data is kept; null: beside the data, or in the folder of temporary files where that cannot be written.</summary>
    public string? Cache { get; init; }

    /// <summary>The most tokens in one pass.</summary>
    public int TokensPerBatch { get; init; } = 8_192;

    /// <summary>Arxiv: a file that written texts are added to as they come, and read from again; null: none.</summary>
    public string? Journal { get; init; }

    /// <summary>A file for the predictions, as the official scorer of the task reads them, else a JSON object a line; null: none.</summary>
    public string? Output { get; init; }

    /// <summary>HotpotQA: a file for the questions with the paragraphs that the second stage reads, in the official format; null: none.</summary>
    public string? Shortened { get; init; }

    /// <summary>How the model is loaded.</summary>
    public LoadOptions Load { get; init; } = new();
}

/// <summary>Measures a checkpoint on data with the metric of its task.</summary>
public static class Evaluator
{
    /// <summary>Measures.</summary>
    /// <param name="options">The checkpoint and the data.</param>
    /// <param name="progress">Called after every batch: examples done, examples in all, tokens so far; null: nobody looks.</param>
    /// <param name="cancellation">Stops between two layers.</param>
    /// <exception cref="LongformerException">The data or the checkpoint does not fit; the message says what and where.</exception>
    public static Evaluation Run(EvaluatorOptions options, IProgress<TaskProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.TokensPerBatch < 1)
            throw new InputException($"tokens of a batch: expected 1 or more, given {options.TokensPerBatch}");
        if (options.Shortened is not null && options.Task != TrainingTask.HotpotQA)
            throw new InputException("shortened", "none, since questions of HotpotQA alone are shortened", options.Shortened);
        CanBeWritten(options.Output, "output");
        CanBeWritten(options.Shortened, "shortened");
        Evaluation found = Measure(options, progress, cancellation);
        if (options.Output is { } predictions)
            WholeFile.Write(predictions, found.PredictionFile());
        if (options.Shortened is { } shortened)
            WholeFile.Write(shortened, found.ShortenedFile!);
        return found;
    }

    /// <summary>Said before hours of work, not after.</summary>
    private static void CanBeWritten(string? file, string setting)
    {
        if (file is null)
            return;
        if (Directory.Exists(file))
            throw new InputException(setting, "a file name", $"the folder {file}");
        if (Path.GetDirectoryName(Path.GetFullPath(file)) is not { } folder || !Directory.Exists(folder))
            throw new InputException(setting, "a file in a folder that exists", file);
    }

    private static Evaluation Measure(EvaluatorOptions options, IProgress<TaskProgress>? progress, CancellationToken cancellation)
    {
        Recipe recipe = Recipe.Of(options.Task, options.Recipe);
        IReadOnlyList<string> files = recipe.FindFiles(options.Data);
        DataPart part = options.Recipe.Part;
        string work = Path.Combine(Path.GetTempPath(), $"longformer-{Path.GetRandomFileName()}");
        try
        {
            StartingPoint start = StartingPoint.Open(options.Checkpoint, work);
            using PretrainedModel loaded = PretrainedModel.Load(start.Folder, options.Load);
            if (loaded.Architecture != recipe.Architecture)
                throw new InputException($"{options.Checkpoint}: expected {recipe.Architecture} to {recipe.Name}, given {loaded.Architecture}");
            using TrainingHead head = TrainingHead.Of(loaded);
            ExampleText text = PreparedData.TextOf(start, options.Recipe, recipe);
            LabelSet? labels = start.LabelsOf(recipe.Architecture) is { } own ? recipe.FindLabels(recipe.ReadFiles(files, part, cancellation),
                own) is { } wanted
                ? own.Names.SequenceEqual(wanted.Names) ? wanted : own with { ProblemType = own.ProblemType ?? wanted.ProblemType } : null : null;
            using TokenizedData data = new PreparedData(options.Cache, work, start.Folder).Open(recipe, text, labels, files, part, true, null,
                cancellation);
            string weights = Path.Combine(start.Folder, "model.safetensors");
            using EvaluationJournal? journal = options.Journal is null ? null : new(options.Journal, EvaluationJournal.Belonging(recipe.Name,
                data.ContentHash, Path.GetFullPath(options.Checkpoint), File.Exists(weights) ? File.GetLastWriteTimeUtc(weights).Ticks : null,
                options.Recipe.Beams, options.Recipe.LengthPenalty, options.Recipe.MaxTargetTokens, options.Recipe.Generates));
            (int done, long tokens) = (0, 0);
            Action<int>? report = progress is null ? null : n =>
            {
                while (done < n)
                    tokens += data.TokenCount(done++);
                progress.Report(new TaskProgress(done, data.Count, tokens));
            };
            return recipe.Evaluate(new EvaluationCall(head, data, options.TokensPerBatch, report, cancellation) { Journal = journal }, text, labels);
        }
        finally
        {
            if (Directory.Exists(work))
                Directory.Delete(work, recursive: true);
        }
    }
}
