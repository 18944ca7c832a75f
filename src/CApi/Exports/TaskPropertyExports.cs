using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Tasks;

namespace LongformerInterop.CApi.Exports;

// Properties of tasks: lf_task_* for all of them, the others for one class.
internal static unsafe class TaskPropertyExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_task_max_tokens", CallConvs = [typeof(CallConvCdecl)])]
    public static int MaxTokens(nint task, int* tokens) => TaskExports.Read<TaskHandle, int>(task, "task", tokens, "tokens", t => t.Task.MaxTokens);

    [UnmanagedCallersOnly(EntryPoint = "lfm_task_tokenizer", CallConvs = [typeof(CallConvCdecl)])]
    public static int Tokenizer(nint task, nint* tokenizer) =>
        TaskExports.Read<TaskHandle, nint>(task, "task", tokenizer, "tokenizer", t => Handles.Add(t.Task.Tokenizer));

    [UnmanagedCallersOnly(EntryPoint = "lfm_task_label_count", CallConvs = [typeof(CallConvCdecl)])]
    public static int LabelCount(nint task, nuint* count) =>
        TaskExports.Read<TaskHandle, nuint>(task, "task", count, "count", t => (nuint)t.Task.Labels.Count);

    [UnmanagedCallersOnly(EntryPoint = "lfm_task_label", CallConvs = [typeof(CallConvCdecl)])]
    public static int Label(nint task, nuint index, nint* label) => TaskExports.Read<TaskHandle, nint>(task, "task", label, "label", t =>
    {
        int item = CMemory.Index(index, t.Task.Labels.Count, "index");
        return (nint)t.Text(TaskText.Label, item, t.Task.Labels[item]);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_task_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int Free(nint task) => Failure.Run(() => Handles.Free<TaskHandle>(task, "task"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_text_classifier_problem_type", CallConvs = [typeof(CallConvCdecl)])]
    public static int ProblemType(nint classifier, nint* type) => Read<TextClassifier, nint>(classifier, "classifier", type, "type",
        (classifier, handle) => (nint)handle.Text(TaskText.ProblemType, 0, classifier.ProblemType));

    [UnmanagedCallersOnly(EntryPoint = "lfm_mask_filler_mask_text", CallConvs = [typeof(CallConvCdecl)])]
    public static int MaskText(nint filler, nint* text) => Read<MaskFiller, nint>(filler, "filler", text, "text",
        (filler, handle) => (nint)handle.Text(TaskText.Mask, 0, filler.MaskText));

    /// <summary>Reads a property of a task of one class.</summary>
    internal static int Read<TTask, T>(nint task, string name, T* output, string argument, Func<TTask, TaskHandle, T> read)
        where TTask : TextTask where T : unmanaged => Failure.Run(() =>
    {
        CMemory.NotNull(output, argument);
        using TaskLease<TTask> used = new(task, name);
        *output = read(used.Task, used.Handle);
    });
}
