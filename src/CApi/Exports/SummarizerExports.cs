using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class SummarizerExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_summarizer_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int Load(byte* folder, nint options, nint* summarizer) =>
        Loading.Task(folder, options, summarizer, "summarizer", Summarizer.Load, () => DefaultModel.Folder);

    [UnmanagedCallersOnly(EntryPoint = "lfm_summarizer_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int Free(nint summarizer) => Failure.Run(() => Handles.FreeTask<Summarizer>(summarizer, "summarizer"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_summarizer_summarize", CallConvs = [typeof(CallConvCdecl)])]
    public static int Summarize(nint summarizer, byte** documents, nuint* lengths, nuint count, nint options, nint* answer) => Failure.Run(() =>
    {
        CMemory.Out(answer, "answer");
        using TaskLease<Summarizer> used = new(summarizer, "summarizer");
        using TaskCall call = new(options);
        call.Reader.TakesText = call.Reader.TakesTokens = true;
        GenerationOptions generation = GenerationSettings.Read(call.Reader);
        TaskOptions how = call.Apply(new TaskOptions());
        CallContext watch = call.Start("lf_summarizer_summarize");
        string[] texts = CMemory.Documents(documents, lengths, count, "documents");
        if (watch.WantsText && texts.Length != 1)
            throw new InputException("documents", "one with an on_text callback", $"{texts.Length}");

        TextStream? stream = watch.WantsText ? new TextStream(used.Task.Tokenizer, watch.Text) : null;
        Action<GeneratedToken>? onToken = !watch.WantsText && !watch.WantsTokens ? null : token =>
        {
            watch.Generated(token);
            if (token.Sequence == 0)
                stream?.Add(token.Id);
        };
        List<AnswerItem> items = [];
        int document = 0;
        foreach (IReadOnlyList<Summary> summaries in
            used.Task.Summarize(texts, generation, LogSink.In(how), watch, onToken, watch.Token))
        {
            items.AddRange(summaries.Select(s => AnswerItem.From(s.Sequence, document, s.Text)));
            document++;
        }
        stream?.Finish(items[0].Text!);
        watch.Finish();
        *answer = Handles.Add(new AnswerHandle(items));
    });
}
