using System.Diagnostics;
using System.Globalization;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Optimization;

namespace LongformerInterop.Training.CharacterLm;

/// <summary>The settings of a <see cref="CharacterTrainer"/>.</summary>
public sealed record CharacterTrainerOptions
{
    /// <summary>The text: one file.</summary>
    public required string Data { get; init; }

    /// <summary>The output folder. It must be empty or absent, unless the run is resumed.</summary>
    public required string Output { get; init; }

    /// <summary>The phases.</summary>
    public required CharacterSchedule Schedule { get; init; }

    /// <summary>A folder with a character model to continue from, whose sizes and vocabulary are used; null: random weights.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>Whether the symbols are bytes; else characters of UTF-8.</summary>
    public bool Bytes { get; init; } = true;

    /// <summary>Lengths of the parts for training, development and test; null: as <see cref="CharacterSpan.Split"/>.</summary>
    public IReadOnlyList<long>? Split { get; init; }

    /// <summary>Continues from the last checkpoint of the output folder.</summary>
    public bool Resume { get; init; }

    /// <summary>Of the weights, the order and the dropouts.</summary>
    public long Seed { get; init; } = 42;

    /// <summary>Sequences in one pass; null: all of a step.</summary>
    public int? SequencesPerPass { get; init; }

    /// <summary>Whether layers run again in the backward pass instead of keeping their results.</summary>
    public bool Recompute { get; init; }

    /// <summary>Steps between two evaluations on the development part, besides those at the end of each phase; null: none besides.</summary>
    public long? EvaluateEvery { get; init; }

    /// <summary>Characters of the development part that are counted, from its beginning; null: all.</summary>
    public long? EvaluateCharacters { get; init; }

    /// <summary>Steps between two checkpoints, besides those of evaluations.</summary>
    public long SaveEvery { get; init; } = 1000;

    /// <summary>How many checkpoints are kept, the best one not counted.</summary>
    public int KeepLast { get; init; } = 2;

    /// <summary>Where the work is done.</summary>
    public Device Device { get; init; } = Device.Cpu;

    /// <summary>Float32, or BFloat16 with Float32 masters.</summary>
    public DType DType { get; init; } = DType.Float32;

    /// <summary>Which implementation computes the attention.</summary>
    public AttentionImplementation Attention { get; init; } = AttentionImplementation.Fused;

    /// <summary>Whether a GPU may compute Float32 products in TF32; null leaves it as it is.</summary>
    public bool? TF32 { get; init; }

    /// <exception cref="InputException">A setting is outside its range.</exception>
    internal void Check()
    {
        if (DType is not (DType.Float32 or DType.BFloat16))
            throw new InputException($"dtype: expected Float32 or BFloat16 to train in, given {DType}");
        if (SequencesPerPass is { } most && most < 1)
            throw new InputException($"sequences per pass: expected 1 or more, given {most}");
        if (EvaluateEvery is { } evaluate && evaluate < 1)
            throw new InputException($"steps between evaluations: expected 1 or more, given {evaluate}");
        if (EvaluateCharacters is { } some && some < 1)
            throw new InputException($"characters to evaluate: expected 1 or more, given {some}");
        if (SaveEvery < 1)
            throw new InputException($"steps between checkpoints: expected 1 or more, given {SaveEvery}");
        if (KeepLast < 1)
            throw new InputException($"checkpoints to keep: expected 1 or more, given {KeepLast}");
    }
}

/// <summary>
/// Trains a character model in phases: sequences and windows grow from one to the next while weights and optimizer continue. As with
/// <see cref="Trainer"/>, every number is a function of the settings and the data, so that a killed and resumed run ends with the same bytes.
/// </summary>
public sealed class CharacterTrainer
{
    private readonly CharacterTrainerOptions _options;
    private readonly RunFolder _folder;

    /// <summary>A run with some settings. Nothing is read or written yet.</summary>
    /// <exception cref="InputException">A setting is outside its range, or the schedule cannot be.</exception>
    public CharacterTrainer(CharacterTrainerOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        _options = options;
        _folder = new RunFolder(options.Output);
    }

    /// <summary>Raised on the thread that trains, after every step, evaluation and checkpoint.</summary>
#pragma warning disable CA1003, CA1710 // Events are passed by value; the caller knows the trainer.
    public event Action<TrainingEvent>? Reported;
#pragma warning restore CA1003, CA1710

    /// <summary>Trains.</summary>
    /// <param name="cancellation">Stops between two layers: the steps done so far are saved, and the result says that the run can be resumed.</param>
    /// <exception cref="LongformerException">A setting, the text or the checkpoint does not fit; the message says what and where.</exception>
    /// <exception cref="DivergedException">The loss or a gradient is no number any more.</exception>
    public TrainingResult Run(CancellationToken cancellation = default)
    {
        CharacterSchedule schedule = ScheduleOfModel();
        string[] problems = [.. schedule.Problems()];
        if (problems.Length > 0)
            throw new InputException($"the schedule: {string.Join("; ", problems)}");
        _folder.Open(_options.Resume);
        (string Folder, RunState State)? last = _options.Resume ? _folder.Last() : null;
        try
        {
            string? from = last?.Folder ?? _options.Checkpoint;
            CharacterVocabulary vocabulary = (from is null ? null : CharacterVocabulary.In(from))
                ?? CharacterVocabulary.Of(_options.Data, _options.Bytes);
            using CharacterText text = CharacterText.Open(_options.Data, vocabulary, Path.Combine(_folder.Path, "cache"));
            CharacterSpan[] parts = CharacterSpan.Split(text, _options.Split);
            foreach ((CharacterPhase phase, int i) in schedule.Phases.Select((p, i) => (p, i)))
            {
                if (parts[0].Length < phase.SequenceLength + 1)
                {
                    throw new InputException(
                        $"{_options.Data}: expected at least {phase.SequenceLength + 1} characters to train on in phase {i + 1}, given "
                        + $"{parts[0].Length}");
                }
            }
            string hash = text.Hash();
            if (last is { } found)
                CheckSame(found.State, hash, schedule);
            string start = from ?? MakeStart(schedule.Configuration(vocabulary.Count, 0));
            using CharacterLanguageModel model = CharacterLanguageModel.Load(start, new LoadOptions
            {
                Trainable = true, Device = _options.Device, DType = _options.DType, Attention = _options.Attention, TF32 = _options.TF32,
            });
            if (model.Configuration.VocabularySize != vocabulary.Count)
            {
                throw new InputException(
                    $"{start}: expected a model of {vocabulary.Count} symbols, those of the vocabulary, given {model.Configuration.VocabularySize}");
            }
            _folder.Write("schedule.json", schedule.ToJson() + "\n");
            RunState state = last?.State ?? new RunState { Step = 0, Data = hash, Settings = Settings(schedule) };
            using Course course = new(this, schedule, model, vocabulary, parts, state, last?.Folder);
            return course.Run(cancellation);
        }
        finally
        {
            _folder.Clean();
        }
    }

    /// <summary>The sizes of a checkpoint take the place of the schedule's; its dropouts do not.</summary>
    private CharacterSchedule ScheduleOfModel()
    {
        if (_options.Checkpoint is not { } folder)
            return _options.Schedule;
        CharacterLanguageModelConfiguration c = CharacterLanguageModelConfiguration.Load(folder), wanted = _options.Schedule.Model;
        return _options.Schedule with { Model = c with { Dropout = wanted.Dropout, AttentionDropout = wanted.AttentionDropout } };
    }

    private string MakeStart(CharacterLanguageModelConfiguration configuration)
    {
        string folder = Path.Combine(_folder.Work, "start");
        CharacterWeights.Write(folder, configuration, _options.Seed);
        return folder;
    }

    private Dictionary<string, string> Settings(CharacterSchedule schedule) => new()
    {
        ["task"] = "char-lm", ["schedule"] = schedule.ToJson(), ["seed"] = _options.Seed.ToString(CultureInfo.InvariantCulture),
        ["dtype"] = _options.DType.ToString(), ["split"] = _options.Split is null ? "none" : string.Join(",", _options.Split),
        ["unit"] = _options.Bytes ? "byte" : "character",
        ["sequences-per-pass"] = _options.SequencesPerPass?.ToString(CultureInfo.InvariantCulture) ?? "none",
        ["evaluate-characters"] = _options.EvaluateCharacters?.ToString(CultureInfo.InvariantCulture) ?? "none",
    };

    private void CheckSame(RunState state, string hash, CharacterSchedule schedule)
    {
        foreach ((string name, string value) in Settings(schedule))
        {
            string before = state.Settings.GetValueOrDefault(name, "none");
            if (before == value)
                continue;
            throw new InputException(name == "schedule"
                ? $"{_folder.Path}: the run was begun with another schedule, which is there as schedule.json: a run is resumed with its own"
                : $"{_folder.Path}: the run was begun with {name} {before}, given {value}: a run is resumed with its own settings");
        }
        if (state.Data != hash)
            throw new InputException($"{_folder.Path}: the run was begun with another text or vocabulary than {_options.Data}");
    }

    private void Tell(TrainingEventKind kind, long step, long total, Func<TrainingEvent, TrainingEvent> with) =>
        Reported?.Invoke(with(new(kind, step, total)));

    /// <summary>A run under way.</summary>
    private sealed class Course : IDisposable
    {
        private readonly CharacterTrainer _trainer;
        private readonly CharacterTrainerOptions _options;
        private readonly CharacterSchedule _schedule;
        private readonly CharacterLanguageModel _model;
        private readonly CharacterVocabulary _vocabulary;
        private readonly CharacterSpan[] _parts;
        private readonly AdamW _optimizer;
        private readonly CharacterStep _stepping;
        private readonly CharacterOrder _order;
        private readonly TrainingLog _log;
        private readonly long _total;
        private RunState _state;
        private long _saved;
        private int _phase = -1;
        private (long Characters, double Seconds, long Steps) _spent;

        public Course(CharacterTrainer trainer, CharacterSchedule schedule, CharacterLanguageModel model, CharacterVocabulary vocabulary,
            CharacterSpan[] parts, RunState state, string? last)
        {
            (_trainer, _options, _schedule, _model, _vocabulary, _parts, _state) =
                (trainer, trainer._options, schedule, model, vocabulary, parts, state);
            _total = schedule.TotalSteps;
            _optimizer = new AdamW(schedule.AdamW);
            _stepping = new CharacterStep(model, _optimizer, schedule.WeightDecay, schedule.MaxGradNorm, _options.Recompute);
            if (last is not null)
                RunFolder.Restore(last, _stepping.Parameters, _optimizer);
            _saved = last is null ? -1 : state.Step;
            _order = new CharacterOrder(parts[0], _options.Seed);
            _log = new TrainingLog(trainer._folder.LogPath, state.Step);
        }

        public TrainingResult Run(CancellationToken cancellation)
        {
            bool stopped = false;
            try
            {
                if (!_state.Finished)
                    Steps(cancellation);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                stopped = true;
            }
            Save();
            RunFolder folder = _trainer._folder;
            IReadOnlyDictionary<string, double>? metrics = _state.BestStep is { } best
                ? _log.Lines.LastOrDefault(l => l.Step == best && l.Metrics is not null)?.Metrics : null;
            TrainingResult result = new(folder.Path, _state.Step, stopped, _state.BestStep, metrics);
            folder.Write("curves.svg",
                Curves.Svg(_log.Lines, _parts[1].Length > 1 ? CharacterTrainer.Metric : null, $"char-lm: {Path.GetFileName(folder.Path)}"));
            if (stopped)
                return result;
            folder.Publish(_state.BestStep ?? _state.Step);
            folder.Finish(_state);
            return result;
        }

        public void Dispose()
        {
            _log.Dispose();
            _stepping.Dispose();
            _optimizer.Dispose();
        }

        private void Steps(CancellationToken cancellation)
        {
            if (_state.Step > 0)
                EnterPhase(_state.Step - 1);
            // An evaluation that was stopped is made up for.
            if (_state.Step > 0 && IsEvaluated(_state.Step) && !_log.Lines.Any(l => l.Step == _state.Step && l.Metrics is not null))
                Measure(cancellation);
            while (_state.Step < _total)
            {
                cancellation.ThrowIfCancellationRequested();
                EnterPhase(_state.Step);
                Step(cancellation);
                long done = _state.Step;
                if (IsEvaluated(done))
                    Measure(cancellation);
                if (IsEvaluated(done) || done % _options.SaveEvery == 0)
                    Save();
            }
        }

        private void EnterPhase(long step)
        {
            int phase = _schedule.PhaseAt(step).Phase;
            if (phase == _phase)
                return;
            _phase = phase;
            _model.SetWindows(_schedule.Phases[phase].Window, _schedule.Phases[phase].Dilation);
        }

        private void Step(CancellationToken cancellation)
        {
            long step = _state.Step, started = Stopwatch.GetTimestamp();
            (int index, long before) = _schedule.PhaseAt(step);
            CharacterPhase phase = _schedule.Phases[index];
            using TensorScope scope = new();
            List<(Tensor, Tensor)> batches = [];
            int most = _options.SequencesPerPass ?? phase.Batch;
            for (int from = 0; from < phase.Batch; from += most)
                batches.Add(_order.Batch(index, phase.SequenceLength, ((step - before) * phase.Batch) + from, Math.Min(most, phase.Batch - from)));
            bool drops = _model.Configuration.Dropout > 0 || _model.Configuration.AttentionDropout > 0;
            long[]? seeds = drops ? [.. batches.Select((_, micro) => Mixing.Seed(_options.Seed, step, micro, 7))] : null;
            StepResult done = _stepping.Run(step, _schedule.RateAt(step), batches, seeds, cancellation);
            double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds,
                epoch = _order.Epoch(phase.SequenceLength, (step - before + 1) * phase.Batch);
            _spent = (_spent.Characters + done.Tokens, _spent.Seconds + seconds, _spent.Steps + 1);
            _state = _state with { Step = step + 1 };
            _log.Add(new LogLine(step + 1, epoch) { Loss = done.Loss, LearningRate = done.LearningRate, GradientNorm = done.GradientNorm,
                Tokens = done.Tokens, Seconds = Math.Round(seconds, 4) });
            _trainer.Tell(TrainingEventKind.Step, step + 1, _total, e => e with
            {
                Epoch = epoch, Loss = done.Loss, LearningRate = done.LearningRate, GradientNorm = done.GradientNorm,
                TokensPerSecond = _spent.Characters / _spent.Seconds,
                Remaining = TimeSpan.FromSeconds(_spent.Seconds / _spent.Steps * (_total - step - 1)),
            });
        }

        private bool IsEvaluated(long done)
        {
            if (_parts[1].Length < 2)
                return false;
            (int phase, long before) = _schedule.PhaseAt(done - 1);
            return done - before == _schedule.Phases[phase].Steps || (_options.EvaluateEvery is { } often && done % often == 0);
        }

        private void Measure(CancellationToken cancellation)
        {
            long count = Math.Min(_options.EvaluateCharacters ?? long.MaxValue, _parts[1].Length - 1);
            CharacterScore score = CharacterEvaluation.OnePass(_model, _parts[1], 0, count,
                _ => _trainer.Tell(TrainingEventKind.Evaluating, _state.Step, _total, e => e), cancellation);
            Dictionary<string, double> metrics = new() { [Metric] = score.BitsPerCharacter };
            _log.Add(new LogLine(_state.Step, 0) { Metrics = metrics });
            bool better = double.IsFinite(score.BitsPerCharacter) && (_state.BestValue is not { } best || score.BitsPerCharacter < best);
            _state = better
                ? _state with { BestStep = _state.Step, BestValue = score.BitsPerCharacter, Waiting = 0 }
                : _state with { Waiting = _state.Waiting + 1 };
            _trainer.Tell(TrainingEventKind.Evaluated, _state.Step, _total, e => e with { Metrics = metrics });
        }

        private void Save()
        {
            if (_saved == _state.Step)
                return;
            _trainer._folder.Save(_state, folder =>
            {
                _model.Save(folder);
                _vocabulary.Save(folder);
            }, _stepping.Parameters, _optimizer);
            _saved = _state.Step;
            _trainer._folder.Rotate(_options.KeepLast, _state.BestStep);
            _trainer.Tell(TrainingEventKind.Saved, _state.Step, _total, e => e with { Message = _trainer._folder.CheckpointOf(_state.Step) });
        }
    }

    private const string Metric = "bits_per_character";
}
