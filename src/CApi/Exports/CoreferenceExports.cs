using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Tasks;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class CoreferenceExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_coreference_resolver_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int Load(byte* folder, nint options, nint* resolver) =>
        Loading.Task(folder, options, resolver, "resolver", CoreferenceResolver.Load);

    [UnmanagedCallersOnly(EntryPoint = "lfm_coreference_resolver_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int Free(nint resolver) => Failure.Run(() => Handles.FreeTask<CoreferenceResolver>(resolver, "resolver"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_coreference_resolver_resolve", CallConvs = [typeof(CallConvCdecl)])]
    public static int Resolve(nint resolver, byte* text, nuint length, nint options, nint* answer) => Failure.Run(() =>
    {
        CMemory.Out(answer, "answer");
        using TaskLease<CoreferenceResolver> used = new(resolver, "resolver");
        using TaskCall call = new(options);
        string? genre = call.Reader.Text("genre");
        CallContext watch = call.Start("lf_coreference_resolver_resolve");
        string source = CMemory.Text(text, length, "text");
        IReadOnlyList<CoreferenceCluster> clusters = used.Task.Resolve(source, genre, watch.Token);
        watch.Finish();
        *answer = Handles.Add(new AnswerHandle([.. clusters.SelectMany((cluster, i) => cluster.Mentions.Select(m => new AnswerItem
        {
            Text = m.Text, Range = (m.Start, m.End), Group = i,
        }))], source));
    });
}
