using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Torch;
using LongformerInterop.Training;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class TrainingExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_train", CallConvs = [typeof(CallConvCdecl)])]
    public static int Train(byte* task, byte* checkpoint, byte** data, nuint dataCount, byte** evaluation, nuint evaluationCount, byte* output,
        nint options, nint* result) => Failure.Run(() =>
    {
        CMemory.Give(result, 0);
        using TrainingCall call = new(options, streams: true);
        TrainingOptions how = TrainingSettings.ForTraining(TrainingSettings.TaskOf(CMemory.Name(task, "task")), Path(checkpoint, "checkpoint"),
            Paths(data, dataCount, "data"), Paths(evaluation, evaluationCount, "evaluation"), Path(output, "output"), call);
        CallContext watch = call.Start("lf_train");
        Trainer trainer = new(how);
        trainer.Reported += watch.Report;
        TrainingResult reached = trainer.Run(watch.Token);
        if (result is null)
            return;
        List<AnswerItem> items =
        [
            Number("steps", reached.Steps, 0), Number("stopped", reached.Stopped ? 1 : 0, 0),
            .. reached.BestStep is { } best ? (AnswerItem[])[Number("best_step", best, 0)] : [],
            .. Metrics(reached.Metrics ?? new Dictionary<string, double>()),
        ];
        *result = Handles.Add(new AnswerHandle(items));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_evaluate", CallConvs = [typeof(CallConvCdecl)])]
    public static int Evaluate(byte* task, byte* checkpoint, byte** data, nuint dataCount, nint options, nint* metrics, nint* predictions) =>
        Failure.Run(() =>
    {
        CMemory.Give(predictions, 0);
        CMemory.Out(metrics, "metrics");
        using TrainingCall call = new(options, streams: false);
        EvaluatorOptions how = TrainingSettings.ForEvaluation(TrainingSettings.TaskOf(CMemory.Name(task, "task")), Path(checkpoint, "checkpoint"),
            Paths(data, dataCount, "data"), call);
        CallContext watch = call.Start("lf_evaluate");
        Evaluation found = Evaluator.Run(how, watch, watch.Token);
        watch.Finish();
        *metrics = Handles.Add(new AnswerHandle([.. Metrics(found.Metrics)]));
        if (predictions is not null)
            *predictions = Handles.Add(new AnswerHandle([.. found.Predictions.Select((text, i) => new AnswerItem { Text = text, Id = i })]));
    });

    private static IEnumerable<AnswerItem> Metrics(IReadOnlyDictionary<string, double> metrics) => metrics.Select(m => Number(m.Key, m.Value, 1));

    private static AnswerItem Number(string name, double value, long group) => new() { Label = name, Score = value, Group = group };

    private static string Path(byte* text, string argument) => CMemory.Name(text, argument) is { Length: > 0 } path ? path
        : throw new InputException(argument, "the path of a folder", "an empty one");

    private static string[] Paths(byte** paths, nuint count, string argument) => CMemory.Documents(paths, null, count, argument);

    /// <summary>One call: its settings by name, then its callbacks.</summary>
    private sealed class TrainingCall : ISettingValues, IDisposable
    {
        private readonly Lease<CallSettings> _settings;
        private readonly OptionReader _reader;
        private CallContext? _watch;

        public TrainingCall(nint options, bool streams)
        {
            _settings = Handles.UseOptional<CallSettings>(options, "options");
            _reader = new OptionReader(_settings.OrNull) { TakesWatch = true, TakesText = streams };
        }

        public long? Integer(string name) => _reader.Long(name);

        public double? Number(string name) => _reader.Float(name);

        public bool? Flag(string name) => _reader.Flag(name);

        public string? Text(string name) => _reader.Text(name);

        public IReadOnlyList<string>? Texts(string name) => _reader.Texts(name);

        /// <summary>All options are read: refuses the others, and asks the cancel callback for the first time.</summary>
        public CallContext Start(string function)
        {
            _reader.Finish(function);
            return _watch = new CallContext(_settings.OrNull);
        }

        public void Dispose()
        {
            _watch?.Dispose();
            _settings.Dispose();
        }
    }
}
