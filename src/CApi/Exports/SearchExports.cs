using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Search;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class SearchExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_search_index_build", CallConvs = [typeof(CallConvCdecl)])]
    public static int Build(byte* path, nint encoder, byte** sources, byte** documents, nuint* lengths, nuint count, nint options, nint* result) =>
        Failure.Run(() =>
    {
        CMemory.Give(result, 0);
        using OptionalEncoder used = new(encoder);
        using TaskCall call = new(options);
        IndexOptions how = new() { Encoding = new EmbeddingOptions { PromptName = call.Reader.Text("prompt_name") } };
        how = how with { PassageTokens = call.Reader.Int("passage_tokens") ?? how.PassageTokens };
        CallContext watch = call.Start("lf_search_index_build");
        string[] names = CMemory.Documents(sources, null, count, "sources"), texts = CMemory.Documents(documents, lengths, count, "documents");
        IndexResult made = SearchIndex.Build(TrainingExports.Path(path, "path"), names.Zip(texts, (s, t) => new SearchDocument(s, t)), used.Task, how,
            new IndexProgress(watch, texts.Length), watch.Token);
        watch.Finish();
        if (result is null)
            return;
        AnswerItem Number(string name, double value) => new() { Label = name, Score = value };
        *result = Handles.Add(new AnswerHandle([Number("documents", made.Documents), Number("passages", made.Passages), Number("reused",
            made.Reused)]));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_search_index_search", CallConvs = [typeof(CallConvCdecl)])]
    public static int Search(byte* path, nint encoder, byte* question, nuint questionLength, nint options, nint* answer) => Failure.Run(() =>
    {
        CMemory.Out(answer, "answer");
        using OptionalEncoder used = new(encoder);
        using TaskCall call = new(options);
        SearchOptions defaults = new();
        SearchOptions how = defaults with
        {
            By = call.Reader.Choice<SearchBy?>("by", null, ("meaning", SearchBy.Meaning), ("words", SearchBy.Words), ("both", SearchBy.Both)),
            Top = call.Reader.Int("top") ?? defaults.Top, Passages = call.Reader.Int("passages") ?? defaults.Passages,
            MeaningWeight = call.Reader.Float("meaning_weight") ?? defaults.MeaningWeight,
            Encoding = new EmbeddingOptions { PromptName = call.Reader.Text("prompt_name") },
        };
        CallContext watch = call.Start("lf_search_index_search");
        using SearchIndex index = SearchIndex.Open(TrainingExports.Path(path, "path"));
        IReadOnlyList<SearchResult> found = index.Search(CMemory.Text(question, questionLength, "question"), used.Task, how, watch.Token);
        watch.Finish();
        List<AnswerItem> items = [];
        foreach ((int rank, SearchResult result) in found.Index())
        {
            string source = index.TextOf(result.Document);
            items.AddRange(result.Passages.Select(p => new AnswerItem
            {
                Text = p.Text, Label = result.Source, Range = (p.Start, p.End), Source = source, Score = result.Score, Logit = p.Score, Group = rank,
                Id = result.Document,
            }));
        }
        *answer = Handles.Add(new AnswerHandle(items));
    });

    /// <summary>An encoder that may be absent.</summary>
    private readonly struct OptionalEncoder(nint handle) : IDisposable
    {
        private readonly TaskLease<DocumentEncoder>? _lease = handle == 0 ? null : new TaskLease<DocumentEncoder>(handle, "encoder");

        public DocumentEncoder? Task => _lease?.Task;

        public void Dispose() => _lease?.Dispose();
    }

    private sealed class IndexProgress(IProgress<TaskProgress> watch, int total) : IProgress<int>
    {
        public void Report(int value) => watch.Report(new TaskProgress(value, total, 0));
    }
}
