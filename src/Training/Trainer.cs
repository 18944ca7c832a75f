using System.Diagnostics;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Optimization;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training;

/// <summary>
/// Trains a model from files to a folder: tokenizes, steps, measures, saves, and resumes where it was stopped. Every number of a run is a function of
/// its settings and its data, so that a run which was killed at any moment and resumed ends with the weights, to the bit, of one that was not (on a
/// CPU, with as many threads).
/// </summary>
/// <example><code>
/// var trainer = new Trainer(new TrainingOptions
/// {
///     Task = TrainingTask.Classify, Checkpoint = "longformer-base-4096", Data = ["reviews.jsonl"],
///     EvaluationData = ["held-out.jsonl"], Output = "classifier",
/// });
/// trainer.Reported += e => Console.WriteLine($"{e.Step}/{e.TotalSteps} {e.Loss:F3}");
/// TrainingResult result = trainer.Run(cancellation);
/// </code></example>
public sealed class Trainer
{
    private readonly TrainingOptions _options;
    private readonly Recipe _recipe;
    private readonly RunFolder _folder;

    /// <summary>A run with some settings. Nothing is read or written yet.</summary>
    /// <param name="options">The settings.</param>
    /// <exception cref="InputException">A number is outside its range.</exception>
    public Trainer(TrainingOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        _options = options with { Batches = options.Batches with { Seed = options.Seed } };
        _recipe = Recipe.Of(options.Task, options.Recipe);
        _folder = new RunFolder(options.Output);
    }

    /// <summary>Raised on the thread that trains, after every step, evaluation and checkpoint.</summary>
#pragma warning disable CA1003, CA1710 // Events are passed by value; the caller knows the trainer.
    public event Action<TrainingEvent>? Reported;
#pragma warning restore CA1003, CA1710

    /// <summary>Trains.</summary>
    /// <param name="cancellation">Stops between two layers: the steps done so far are saved, and the result says that the run can be resumed.</param>
    /// <exception cref="OperationCanceledException">It was stopped before its first step: nothing is left behind.</exception>
    /// <exception cref="LongformerException">A setting, the data or the checkpoint does not fit; the message says what and where.</exception>
    /// <exception cref="DivergedException">The loss or a gradient is no number any more.</exception>
    public TrainingResult Run(CancellationToken cancellation = default)
    {
        IReadOnlyList<string> files = _recipe.FindFiles(_options.Data), evaluationFiles = _options.EvaluationData.Count > 0
            ? _recipe.FindFiles(_options.EvaluationData) : _recipe.DividesData ? files : [];
        // Data that the task divides by itself: one set, two parts.
        (DataPart learned, DataPart measured) = _options.EvaluationData.Count == 0 && _recipe.DividesData
            ? (DataPart.Training, DataPart.Development) : (DataPart.All, DataPart.All);
        _folder.Open(_options.Resume);
        try
        {
            (string Folder, RunState State)? last = _options.Resume ? _folder.Last() : null;
            StartingPoint start = StartingPoint.Open(_options.Checkpoint, _folder.Work);
            start.AddTokens(_recipe.Markers, _folder.Work);
            ExampleText text = PreparedData.TextOf(start, _options.Recipe, _recipe);
            LabelSet? labels = _recipe.FindLabels(_recipe.ReadFiles(files, learned, cancellation), start.LabelsOf(_recipe.Architecture));
            PreparedData prepared = new(_options.Cache, _folder.Path, start.TokenizerFolder);
            using TokenizedData data = prepared.Open(_recipe, text, labels, files, learned, false, n =>
                Tell(TrainingEventKind.Preparing, 0, 0, e => e with { Examples = n }), cancellation);
            using TokenizedData? held = evaluationFiles.Count == 0 ? null
                : prepared.Open(_recipe, text, labels, evaluationFiles, measured, true, n =>
                    Tell(TrainingEventKind.Preparing, 0, 0, e => e with { Examples = n }), cancellation);
            if (data.Count == 0 || held?.Count == 0)
            {
                throw new InputException($"data: expected at least one example, given none in "
                    + $"{string.Join(", ", data.Count == 0 ? files : evaluationFiles)}");
            }
            if (text.CutCount > 0)
                Note($"{text.CutCount} texts are longer than {text.MaxTokens} tokens and were cut there");
            if (last is { } found)
                CheckSame(found.State, data);
            start.Prepare(_recipe.Architecture, labels, _options.Seed, _folder.Work);
            // In a resumed run the new parts are trained already.
            if (last is null)
            {
                foreach (string note in start.Notes)
                    Note(note);
            }
            using TrainingHead head = TrainingHead.Of(PretrainedModel.Load(last?.Folder ?? start.Folder, new LoadOptions
            {
                Trainable = true, Device = _options.Device, DType = _options.DType, Attention = _options.Attention, TF32 = _options.TF32,
            }), _options.LabelSmoothing);
            return Train(head, data, held, text, labels, start, last, files, evaluationFiles, cancellation);
        }
        finally
        {
            _folder.Clean();
        }
    }

    private TrainingResult Train(TrainingHead head, TokenizedData data, TokenizedData? held, ExampleText text, LabelSet? labels, StartingPoint start,
        (string Folder, RunState State)? last, IReadOnlyList<string> files, IReadOnlyList<string> evaluationFiles, CancellationToken cancellation)
    {
        long total = _options.Steps ?? _options.Batches.StepCount(data, _options.Epochs);
        using IOptimizer optimizer = _options.Optimizer == OptimizerKind.AdamW ? new AdamW(_options.AdamW) : new Adafactor();
        using TrainingStep stepping = new(head, new ParameterPlan
        {
            WeightDecay = _options.WeightDecay, HeadFactor = (_options.HeadLearningRate ?? _options.LearningRate) / _options.LearningRate,
            LayerDecay = _options.LayerDecay, HeadApart = _recipe.TrainsHeadApart,
            Frozen = _options.Frozen, FirstAddedPosition = _options.FirstAddedPosition,
        }, optimizer, new Schedule
        {
            LearningRate = _options.LearningRate, Kind = _options.Schedule, TotalSteps = total, Power = _options.Power,
            WarmupSteps = _options.WarmupSteps ?? (long)Math.Ceiling(_options.WarmupRatio * total),
        }, _options.MaxGradNorm, _options.Recompute || _options.RecomputeLayers is not null, _options.RecomputeLayers);
        RunState state = last?.State ?? new RunState { Step = 0, Data = data.ContentHash, Settings = _options.Settings() };
        if (last is { } found)
            RunFolder.Restore(found.Folder, stepping.Parameters, optimizer);
        using TrainingLog log = new(_folder.LogPath, state.Step);
        Course run = new(this, head, held, text, labels, stepping, optimizer, log, start.Folder, total) { State = state, Saved = last is null ? -1
            : state.Step };
        bool stopped = false;
        try
        {
            if (!state.Finished)
                Steps(run, data, cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            stopped = true;
        }
        run.Save();
        IReadOnlyDictionary<string, double>? metrics = run.State.BestStep is { } best
            ? log.Lines.LastOrDefault(l => l.Step == best && l.Metrics is not null)?.Metrics : null;
        TrainingResult result = new(_folder.Path, run.State.Step, stopped, run.State.BestStep, metrics);
        _folder.Write("curves.svg", Curves.Svg(log.Lines, held is null ? null : _recipe.BestMetric,
            $"{_recipe.Title}: {Path.GetFileName(_folder.Path)}"));
        if (stopped)
            return result;
        _folder.Publish(run.State.BestStep ?? run.State.Step);
        string[] sets = [Describe("training", files, data), .. held is null ? (string[])[] : [Describe("held out", evaluationFiles, held)]];
        _folder.Write("README.md", ModelCard.Text(_options, _recipe, labels, sets, start.Notes, log.Lines, result,
            stepping.Parameters.Sum(p => p.Model.ElementCount)));
        _folder.Finish(run.State);
        return result;
    }

    private void Steps(Course run, TokenizedData data, CancellationToken cancellation)
    {
        run.FinishEvaluation(cancellation);
        if (IsOutOfPatience(run.State))
            return;
        long done = 0;
        for (long epoch = 0; done < run.Total; epoch++)
        {
            int[][][] steps = [.. _options.Batches.Epoch(data, epoch)];
            if (done + steps.Length <= run.State.Step)
            {
                done += steps.Length;
                continue;
            }
            for (int i = 0; i < steps.Length && done < run.Total; i++)
            {
                if (done++ < run.State.Step)
                    continue;
                cancellation.ThrowIfCancellationRequested();
                long now = epoch;
                TrainingExample[][] batches = [.. steps[i].Select(batch => Array.ConvertAll(batch, n =>
                    _recipe.ForPass(data[n], run.Text, Mixing.Of(_options.Seed, now, n, 2))))];
                bool ends = i == steps.Length - 1 || done == run.Total;
                run.Step(batches, epoch + ((i + 1.0) / steps.Length), ends, cancellation);
                if (IsOutOfPatience(run.State))
                    return;
            }
        }
    }

    private bool IsOutOfPatience(RunState state)
    {
        if (_options.Patience is not { } patience || state.Waiting < patience)
            return false;
        Note($"{patience} evaluations in a row were no better than that of step {state.BestStep}");
        return true;
    }

    private void CheckSame(RunState state, TokenizedData data)
    {
        foreach ((string name, string value) in _options.Settings())
        {
            if (state.Settings.TryGetValue(name, out string? before) && before != value)
            {
                throw new InputException($"{_folder.Path}: the run was begun with {name} {before}, given {value}: a run is resumed with its own "
                    + $"settings");
            }
        }
        if (state.Data != data.ContentHash)
            throw new InputException($"{_folder.Path}: the run was begun with other data, another tokenizer or other labels");
    }

    private void Note(string message) => Tell(TrainingEventKind.Note, 0, 0, e => e with { Message = message });

    private void Tell(TrainingEventKind kind, long step, long total, Func<TrainingEvent, TrainingEvent> with) =>
        Reported?.Invoke(with(new TrainingEvent(kind, step, total)));

    private static string Describe(string use, IReadOnlyList<string> files, TokenizedData data)
    {
        string names = string.Join(", ", files.Take(5).Select(f => $"`{Path.GetFileName(f)}`")), more = files.Count > 5
            ? $" and {files.Count - 5} more files"
            : "";
        return FormattableString.Invariant($"{use}: {data.Count:N0} examples, {data.TotalTokens:N0} tokens, from {names}{more}");
    }

    /// <summary>A run under way.</summary>
    private sealed class Course(Trainer trainer, TrainingHead head, TokenizedData? held, ExampleText text, LabelSet? labels, TrainingStep stepping,
        IOptimizer optimizer,
        TrainingLog log, string tokenizer, long total)
    {
        private readonly TrainingOptions _options = trainer._options;
        private (long Tokens, double Seconds, long Steps) _spent;

        public long Total => total;

        public ExampleText Text => text;

        public required RunState State { get; set; }

        /// <summary>The last step that was saved.</summary>
        public required long Saved { get; set; }

        public void Step(TrainingExample[][] batches, double epoch, bool endsEpoch, CancellationToken cancellation)
        {
            long step = State.Step, started = Stopwatch.GetTimestamp();
            long[]? seeds = _options.Dropout ? [.. batches.Select((_, micro) => Mixing.Seed(_options.Seed, step, micro, 7))] : null;
            StepResult done = stepping.Run(step, batches, seeds, cancellation);
            double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
            _spent = (_spent.Tokens + done.Tokens, _spent.Seconds + seconds, _spent.Steps + 1);
            State = State with { Step = step + 1 };
            log.Add(new LogLine(step + 1, epoch) { Loss = done.Loss, LearningRate = done.LearningRate, GradientNorm = done.GradientNorm,
                Tokens = done.Tokens, Seconds = Math.Round(seconds, 4) });
            trainer.Tell(TrainingEventKind.Step, step + 1, total, e => e with
            {
                Epoch = epoch, Loss = done.Loss, LearningRate = done.LearningRate, GradientNorm = done.GradientNorm,
                Tokens = _spent.Tokens, TokensPerSecond = _spent.Tokens / _spent.Seconds,
                Remaining = TimeSpan.FromSeconds(_spent.Seconds / _spent.Steps * (total - step - 1)),
            });
            bool evaluates = held is not null && (_options.EvaluateEvery is { } often ? (step + 1) % often == 0 || step + 1 == total : endsEpoch);
            bool saves = _options.SaveEvery is { } every ? (step + 1) % every == 0 : evaluates || endsEpoch;
            if ((evaluates && Measure(epoch, cancellation)) || saves || step + 1 == total)
                Save();
        }

        /// <summary>Makes up for an evaluation that was stopped. The checkpoint of its step then says what one without a stop says.</summary>
        public void FinishEvaluation(CancellationToken cancellation)
        {
            if (State.Due is not { } epoch || held is null)
                return;
            Measure(epoch, cancellation);
            Saved = -1;
            Save();
        }

        public void Save()
        {
            if (Saved == State.Step)
                return;
            trainer._folder.Save(State, head.Model, stepping.Parameters, optimizer, tokenizer);
            Saved = State.Step;
            trainer._folder.Rotate(_options.KeepLast, State.BestStep);
            trainer.Tell(TrainingEventKind.Saved, State.Step, total, e => e with { Message = trainer._folder.CheckpointOf(State.Step) });
        }

        /// <summary>Whether this is the best so far.</summary>
        private bool Measure(double epoch, CancellationToken cancellation)
        {
            // A stop in the middle of it saves that it is due.
            State = State with { Due = epoch };
            int tokens = Math.Max(_options.Batches.TokensPerBatch, 1);
            Evaluation found = trainer._recipe.Evaluate(new EvaluationCall(head.ForEvaluation(), held!, tokens,
                n => trainer.Tell(TrainingEventKind.Evaluating, State.Step, total, e => e with { Examples = n, Epoch = epoch }), cancellation), text,
                labels);
            log.Add(new LogLine(State.Step, epoch) { Metrics = found.Metrics });
            double value = found.Metrics[MetricIn(found.Metrics)];
            bool better = State.BestValue is not { } best || (IsMoreBetter(found.Metrics) ? value > best : value < best);
            State = better && double.IsFinite(value) ? State with { Due = null, BestStep = State.Step, BestValue = value, Waiting = 0 }
                : State with { Due = null, Waiting = State.Waiting + 1 };
            trainer.Tell(TrainingEventKind.Evaluated, State.Step, total, e => e with { Epoch = epoch, Metrics = found.Metrics });
            return State.BestStep == State.Step;
        }

        // A recipe whose metric depends on what the data turned out to be.
        private string MetricIn(IReadOnlyDictionary<string, double> metrics) => metrics.ContainsKey(trainer._recipe.BestMetric)
            ? trainer._recipe.BestMetric
            : metrics.ContainsKey("pearson") ? "pearson" : metrics.ContainsKey("micro_f1") ? "micro_f1" : "loss";

        private bool IsMoreBetter(IReadOnlyDictionary<string, double> metrics) => MetricIn(metrics) != "loss"
            && (trainer._recipe.MoreIsBetter || MetricIn(metrics) != trainer._recipe.BestMetric);
    }
}
