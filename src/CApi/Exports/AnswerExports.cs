using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class AnswerExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_count", CallConvs = [typeof(CallConvCdecl)])]
    public static int Count(nint answer, nuint* count) => Read(answer, count, "count", a => (nuint)a.Count);

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_text", CallConvs = [typeof(CallConvCdecl)])]
    public static int Text(nint answer, nuint item, byte** text, nuint* length) => Failure.Run(() =>
    {
        CMemory.NotNull(text, "text");
        using Lease<AnswerHandle> used = Use(answer);
        *text = used.Value.Text(item, out int bytes);
        if (length is not null)
            *length = (nuint)bytes;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_label", CallConvs = [typeof(CallConvCdecl)])]
    public static int Label(nint answer, nuint item, byte** label, nuint* length) => Failure.Run(() =>
    {
        CMemory.NotNull(label, "label");
        using Lease<AnswerHandle> used = Use(answer);
        *label = used.Value.Label(item, out int bytes);
        if (length is not null)
            *length = (nuint)bytes;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_range", CallConvs = [typeof(CallConvCdecl)])]
    public static int Range(nint answer, nuint item, int unit, long* start, long* end) => Failure.Run(() =>
    {
        CMemory.NotNull(start, "start");
        CMemory.NotNull(end, "end");
        using Lease<AnswerHandle> used = Use(answer);
        (int from, int to) = used.Value.Range(item, EncodingHandle.Unit(unit));
        (*start, *end) = (from, to);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_score", CallConvs = [typeof(CallConvCdecl)])]
    public static int Score(nint answer, nuint item, double* score) =>
        Read(answer, score, "score", a => AnswerHandle.Has(a.Item(item).Score, "score"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_logit", CallConvs = [typeof(CallConvCdecl)])]
    public static int Logit(nint answer, nuint item, double* logit) =>
        Read(answer, logit, "logit", a => AnswerHandle.Has(a.Item(item).Logit, "logit"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_group", CallConvs = [typeof(CallConvCdecl)])]
    public static int Group(nint answer, nuint item, long* group) => Read(answer, group, "group", a => AnswerHandle.Has(a.Item(item).Group, "group"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_id", CallConvs = [typeof(CallConvCdecl)])]
    public static int Id(nint answer, nuint item, long* id) => Read(answer, id, "id", a => AnswerHandle.Has(a.Item(item).Id, "id"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_tokens", CallConvs = [typeof(CallConvCdecl)])]
    public static int Tokens(nint answer, nuint item, int** tokens, nuint* count) => Failure.Run(() =>
    {
        CMemory.NotNull(tokens, "tokens");
        CMemory.NotNull(count, "count");
        using Lease<AnswerHandle> used = Use(answer);
        *tokens = used.Value.Tokens(item, out int n);
        *count = (nuint)n;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_item", CallConvs = [typeof(CallConvCdecl)])]
    public static int Item(nint answer, nuint item, int unit, byte** text, nuint* textLength, byte** label, nuint* labelLength,
        long* start, long* end, double* score, double* logit, long* group, long* id) => Failure.Run(() =>
    {
        using Lease<AnswerHandle> used = Use(answer);
        AnswerItem all = used.Value.Item(item);
        // Everything is looked up before anything is written.
        int textBytes = 0, labelBytes = 0;
        nint textAt = text is null ? 0 : (nint)used.Value.Text(item, out textBytes), labelAt = label is null ? 0
            : (nint)used.Value.Label(item, out labelBytes);
        (int from, int to) = start is null && end is null ? default : used.Value.Range(item, EncodingHandle.Unit(unit));
        double likely = score is null ? 0 : AnswerHandle.Has(all.Score, "score"), raw = logit is null ? 0 : AnswerHandle.Has(all.Logit, "logit");
        long set = group is null ? 0 : AnswerHandle.Has(all.Group, "group"), number = id is null ? 0 : AnswerHandle.Has(all.Id, "id");
        CMemory.Give((nint*)text, textAt);
        CMemory.Give(textLength, (nuint)textBytes);
        CMemory.Give((nint*)label, labelAt);
        CMemory.Give(labelLength, (nuint)labelBytes);
        CMemory.Give(start, from);
        CMemory.Give(end, to);
        CMemory.Give(score, likely);
        CMemory.Give(logit, raw);
        CMemory.Give(group, set);
        CMemory.Give(id, number);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_prompt_length", CallConvs = [typeof(CallConvCdecl)])]
    public static int PromptLength(nint answer, nuint item, nuint* tokens) =>
        Read(answer, tokens, "tokens", a => (nuint)AnswerHandle.Has(a.Item(item).Sequence, "tokens").PromptLength);

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_token_scores", CallConvs = [typeof(CallConvCdecl)])]
    public static int TokenScores(nint answer, nuint item, float** scores, nuint* count) => Failure.Run(() =>
    {
        CMemory.NotNull(scores, "scores");
        CMemory.NotNull(count, "count");
        using Lease<AnswerHandle> used = Use(answer);
        *scores = used.Value.TokenScores(item, out int n);
        *count = (nuint)n;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_ended", CallConvs = [typeof(CallConvCdecl)])]
    public static int Ended(nint answer, nuint item, int* ended) =>
        Read(answer, ended, "ended", a => AnswerHandle.Has(a.Item(item).Sequence, "tokens").Ended ? 1 : 0);

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_logits", CallConvs = [typeof(CallConvCdecl)])]
    public static int Logits(nint answer, nuint item, nint* logits) => Failure.Run(() =>
    {
        CMemory.Out(logits, "logits");
        using Lease<AnswerHandle> used = Use(answer);
        *logits = Handles.Add(new TensorHandle(used.Value.Logits(item)));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_answer_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int Free(nint answer) => Failure.Run(() => Handles.Free<AnswerHandle>(answer, "answer"));

    private static Lease<AnswerHandle> Use(nint answer) => Handles.Use<AnswerHandle>(answer, "answer");

    private static int Read<T>(nint answer, T* output, string argument, Func<AnswerHandle, T> read) where T : unmanaged =>
        TaskExports.Read(answer, "answer", output, argument, read);
}
