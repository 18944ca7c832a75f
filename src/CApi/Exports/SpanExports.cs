using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Tasks;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class SpanExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_span_classifier_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int Load(byte* folder, nint options, nint* classifier) =>
        Loading.Task(folder, options, classifier, "classifier", SpanClassifier.Load);

    [UnmanagedCallersOnly(EntryPoint = "lfm_span_classifier_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int Free(nint classifier) => Failure.Run(() => Handles.FreeTask<SpanClassifier>(classifier, "classifier"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_span_classifier_classify", CallConvs = [typeof(CallConvCdecl)])]
    public static int Classify(nint classifier, byte* text, nuint length, long* spans, nuint count, int unit, nint options, nint* answer) =>
        Failure.Run(() =>
    {
        CMemory.Out(answer, "answer");
        using TaskLease<SpanClassifier> used = new(classifier, "classifier");
        using TaskCall call = new(options);
        TaskOptions how = call.Apply(new TaskOptions());
        CallContext watch = call.Start("lf_span_classifier_classify");
        string source = CMemory.Text(text, length, "text");
        int n = CMemory.Count(count, "count");
        if (n > 0)
            CMemory.NotNull(spans, "spans");
        (int, int)[] ranges = Ranges(new ReadOnlySpan<long>(spans, 2 * n), source, EncodingHandle.Unit(unit));
        IReadOnlyList<ClassifiedSpan> results = used.Task.Classify(source, ranges, LogSink.In(how), watch.Token);
        watch.Finish();
        *answer = Handles.Add(new AnswerHandle([.. results.SelectMany((span, i) => span.Labels.Select(l => new AnswerItem
        {
            Label = l.Label, Text = span.Text, Range = (span.Start, span.End), Score = l.Score, Logit = l.Logit, Group = i,
        }))], source));
    });

    /// <summary>Ranges in UTF-16 units of ranges in another; positions beyond the text stay beyond it.</summary>
    private static (int, int)[] Ranges(ReadOnlySpan<long> spans, string text, OffsetUnit unit)
    {
        // One pass over the text for all of them.
        Dictionary<long, int> positions = [];
        OffsetConverter converter = new(text, unit);
        for (int at = 0; at <= text.Length; at++)
        {
            if (at == 0 || at == text.Length || !char.IsSurrogatePair(text, at - 1))
                positions.Add(converter.Convert(at), at);
        }
        (int, int)[] ranges = new (int, int)[spans.Length / 2];
        for (int i = 0; i < ranges.Length; i++)
            ranges[i] = (At(spans[2 * i]), At(spans[(2 * i) + 1]));
        return ranges;

        int At(long position) => positions.TryGetValue(position, out int at) ? at
            : throw new Torch.InputException("spans", $"places between characters of the text, 0..{positions.Keys.Max()}", $"{position}");
    }
}
