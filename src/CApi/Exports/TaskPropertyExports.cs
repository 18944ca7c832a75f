using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Tasks;

namespace LongformerInterop.CApi.Exports;

// What the tasks say about themselves.
internal static unsafe class TaskPropertyExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_document_encoder_max_tokens", CallConvs = [typeof(CallConvCdecl)])]
    public static int EncoderMaxTokens(nint encoder, int* tokens) => Read<DocumentEncoder, int>(encoder, "encoder", tokens, "tokens", t => t.MaxTokens);

    [UnmanagedCallersOnly(EntryPoint = "lfm_document_encoder_tokenizer", CallConvs = [typeof(CallConvCdecl)])]
    public static int EncoderTokenizer(nint encoder, nint* tokenizer) => Read<DocumentEncoder, nint>(encoder, "encoder", tokenizer, "tokenizer", t => Handles.Add(t.Tokenizer));

    [UnmanagedCallersOnly(EntryPoint = "lfm_question_answerer_max_tokens", CallConvs = [typeof(CallConvCdecl)])]
    public static int AnswererMaxTokens(nint answerer, int* tokens) => Read<QuestionAnswerer, int>(answerer, "answerer", tokens, "tokens", t => t.MaxTokens);

    [UnmanagedCallersOnly(EntryPoint = "lfm_question_answerer_tokenizer", CallConvs = [typeof(CallConvCdecl)])]
    public static int AnswererTokenizer(nint answerer, nint* tokenizer) => Read<QuestionAnswerer, nint>(answerer, "answerer", tokenizer, "tokenizer", t => Handles.Add(t.Tokenizer));

    [UnmanagedCallersOnly(EntryPoint = "lfm_text_classifier_max_tokens", CallConvs = [typeof(CallConvCdecl)])]
    public static int ClassifierMaxTokens(nint classifier, int* tokens) => Read<TaskHandle<TextClassifier>, int>(classifier, "classifier", tokens, "tokens", t => t.Task.MaxTokens);

    [UnmanagedCallersOnly(EntryPoint = "lfm_text_classifier_tokenizer", CallConvs = [typeof(CallConvCdecl)])]
    public static int ClassifierTokenizer(nint classifier, nint* tokenizer) => Read<TaskHandle<TextClassifier>, nint>(classifier, "classifier", tokenizer, "tokenizer", t => Handles.Add(t.Task.Tokenizer));

    [UnmanagedCallersOnly(EntryPoint = "lfm_token_classifier_max_tokens", CallConvs = [typeof(CallConvCdecl)])]
    public static int TaggerMaxTokens(nint classifier, int* tokens) => Read<TaskHandle<TokenClassifier>, int>(classifier, "classifier", tokens, "tokens", t => t.Task.MaxTokens);

    [UnmanagedCallersOnly(EntryPoint = "lfm_token_classifier_tokenizer", CallConvs = [typeof(CallConvCdecl)])]
    public static int TaggerTokenizer(nint classifier, nint* tokenizer) => Read<TaskHandle<TokenClassifier>, nint>(classifier, "classifier", tokenizer, "tokenizer", t => Handles.Add(t.Task.Tokenizer));

    [UnmanagedCallersOnly(EntryPoint = "lfm_multiple_choice_max_tokens", CallConvs = [typeof(CallConvCdecl)])]
    public static int ChoiceMaxTokens(nint model, int* tokens) => Read<MultipleChoice, int>(model, "model", tokens, "tokens", t => t.MaxTokens);

    [UnmanagedCallersOnly(EntryPoint = "lfm_multiple_choice_tokenizer", CallConvs = [typeof(CallConvCdecl)])]
    public static int ChoiceTokenizer(nint model, nint* tokenizer) => Read<MultipleChoice, nint>(model, "model", tokenizer, "tokenizer", t => Handles.Add(t.Tokenizer));

    [UnmanagedCallersOnly(EntryPoint = "lfm_mask_filler_max_tokens", CallConvs = [typeof(CallConvCdecl)])]
    public static int FillerMaxTokens(nint filler, int* tokens) => Read<TaskHandle<MaskFiller>, int>(filler, "filler", tokens, "tokens", t => t.Task.MaxTokens);

    [UnmanagedCallersOnly(EntryPoint = "lfm_mask_filler_tokenizer", CallConvs = [typeof(CallConvCdecl)])]
    public static int FillerTokenizer(nint filler, nint* tokenizer) => Read<TaskHandle<MaskFiller>, nint>(filler, "filler", tokenizer, "tokenizer", t => Handles.Add(t.Task.Tokenizer));

    [UnmanagedCallersOnly(EntryPoint = "lfm_summarizer_max_tokens", CallConvs = [typeof(CallConvCdecl)])]
    public static int SummarizerMaxTokens(nint summarizer, int* tokens) => Read<Summarizer, int>(summarizer, "summarizer", tokens, "tokens", t => t.MaxTokens);

    [UnmanagedCallersOnly(EntryPoint = "lfm_summarizer_tokenizer", CallConvs = [typeof(CallConvCdecl)])]
    public static int SummarizerTokenizer(nint summarizer, nint* tokenizer) => Read<Summarizer, nint>(summarizer, "summarizer", tokenizer, "tokenizer", t => Handles.Add(t.Tokenizer));

    [UnmanagedCallersOnly(EntryPoint = "lfm_text_classifier_label_count", CallConvs = [typeof(CallConvCdecl)])]
    public static int ClassifierLabelCount(nint classifier, nuint* count) => Read<TaskHandle<TextClassifier>, nuint>(classifier, "classifier", count, "count", 
        t => (nuint)t.Task.Labels.Count);

    [UnmanagedCallersOnly(EntryPoint = "lfm_text_classifier_label", CallConvs = [typeof(CallConvCdecl)])]
    public static int ClassifierLabel(nint classifier, nuint index, nint* label) => Read<TaskHandle<TextClassifier>, nint>(classifier, "classifier", label, "label",
        t => Label(t, t.Task.Labels, index));

    [UnmanagedCallersOnly(EntryPoint = "lfm_token_classifier_label_count", CallConvs = [typeof(CallConvCdecl)])]
    public static int TaggerLabelCount(nint classifier, nuint* count) => Read<TaskHandle<TokenClassifier>, nuint>(classifier, "classifier", count, "count", 
        t => (nuint)t.Task.Labels.Count);

    [UnmanagedCallersOnly(EntryPoint = "lfm_token_classifier_label", CallConvs = [typeof(CallConvCdecl)])]
    public static int TaggerLabel(nint classifier, nuint index, nint* label) => Read<TaskHandle<TokenClassifier>, nint>(classifier, "classifier", label, "label",
        t => Label(t, t.Task.Labels, index));

    [UnmanagedCallersOnly(EntryPoint = "lfm_text_classifier_problem_type", CallConvs = [typeof(CallConvCdecl)])]
    public static int ClassifierProblemType(nint classifier, nint* type) => Read<TaskHandle<TextClassifier>, nint>(classifier, "classifier", type, "type",
        t => (nint)t.Text(TaskText.ProblemType, 0, t.Task.ProblemType));

    [UnmanagedCallersOnly(EntryPoint = "lfm_mask_filler_mask_text", CallConvs = [typeof(CallConvCdecl)])]
    public static int FillerMaskText(nint filler, nint* text) => Read<TaskHandle<MaskFiller>, nint>(filler, "filler", text, "text",
        t => (nint)t.Text(TaskText.Mask, 0, t.Task.MaskText));

    private static nint Label<T>(TaskHandle<T> task, IReadOnlyList<string> labels, nuint index) where T : class, IDisposable
    {
        int item = Native.Index(index, labels.Count, "index");
        return (nint)task.Text(TaskText.Label, item, labels[item]);
    }

    private static int Read<THandle, T>(nint handle, string name, T* output, string argument, Func<THandle, T> read) where THandle : class where T : unmanaged =>
        TaskExports.Read(handle, name, output, argument, read);
}
