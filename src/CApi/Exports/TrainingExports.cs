using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;
using LongformerInterop.Training;
using LongformerInterop.Training.CharacterLm;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class TrainingExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_train", CallConvs = [typeof(CallConvCdecl)])]
    public static int Train(byte* task, byte* checkpoint, byte** data, nuint dataCount, byte** evaluation, nuint evaluationCount, byte* output,
        nint options, nint* result) => Failure.Run(() =>
    {
        CMemory.Give(result, 0);
        using SettingsCall call = new(options, streams: true);
        string name = CMemory.Name(task, "task");
        // A new character model begins with nothing; all others with a checkpoint.
        string? from = checkpoint is null && name == CharacterSettings.Task ? null : Path(checkpoint, "checkpoint");
        Func<Action<TrainingEvent>, CancellationToken, TrainingResult> train = TrainingByName.Training(name, from,
            Paths(data, dataCount, "data"), Paths(evaluation, evaluationCount, "evaluation"), Path(output, "output"), call);
        CallContext watch = call.Start("lf_train");
        TrainingResult reached = train(watch.Report, watch.Token);
        if (result is null)
            return;
        List<AnswerItem> items =
        [
            Number("steps", reached.Steps, 0), Number("stopped", reached.Stopped ? 1 : 0, 0),
            .. reached.BestStep is { } best ? (AnswerItem[])[Number("best_step", best, 0)] : [],
            .. Metrics(reached.Metrics ?? new Dictionary<string, double>()),
            .. (reached.Deviation ?? new Dictionary<string, double>()).Select(m => Number(m.Key, m.Value, 2)),
        ];
        *result = Handles.Add(new AnswerHandle(items));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_evaluate", CallConvs = [typeof(CallConvCdecl)])]
    public static int Evaluate(byte* task, byte* checkpoint, byte** data, nuint dataCount, nint options, nint* metrics, nint* predictions) =>
        Failure.Run(() =>
    {
        CMemory.Give(predictions, 0);
        CMemory.Out(metrics, "metrics");
        using SettingsCall call = new(options, streams: false);
        Func<IProgress<TaskProgress>?, CancellationToken, Evaluation> evaluate = TrainingByName.Evaluation(CMemory.Name(task, "task"),
            Path(checkpoint, "checkpoint"), Paths(data, dataCount, "data"), call);
        CallContext watch = call.Start("lf_evaluate");
        Evaluation found = evaluate(watch, watch.Token);
        watch.Finish();
        *metrics = Handles.Add(new AnswerHandle([.. Metrics(found.Metrics)]));
        if (predictions is not null)
            *predictions = Handles.Add(new AnswerHandle([.. found.Predictions.Select((text, i) => new AnswerItem { Text = text, Id = i })]));
    });

    /// <summary>Numbers as items of an answer.</summary>
    internal static IEnumerable<AnswerItem> Metrics(IReadOnlyDictionary<string, double> metrics) => metrics.Select(m => Number(m.Key, m.Value, 1));

    /// <summary>A path that is not empty.</summary>
    internal static string Path(byte* text, string argument) => CMemory.Name(text, argument) is { Length: > 0 } path ? path
        : throw new InputException(argument, "the path of a folder", "an empty one");

    private static AnswerItem Number(string name, double value, long group) => new() { Label = name, Score = value, Group = group };

    private static string[] Paths(byte** paths, nuint count, string argument) => CMemory.Documents(paths, null, count, argument);
}
