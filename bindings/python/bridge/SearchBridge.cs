using System.Text.Json;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Search;
using LongformerInterop.Torch;
using LongformerInterop.Training;

namespace LongformerInterop.PythonNet;

/// <summary>Indexes of corpora in terms that pythonnet can pass.</summary>
public static class SearchBridge
{
    /// <summary>Makes an index: documents, passages, and documents whose vectors were there.</summary>
    public static long[] Build(string path, DocumentEncoder? encoder, string[] sources, string[] documents, string settings, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(watch);
        using JsonSettings given = new(settings);
        IndexOptions how = new() { Encoding = new EmbeddingOptions { PromptName = given.Text("prompt_name") } };
        how = how with { PassageTokens = (int)(given.Integer("passage_tokens") ?? how.PassageTokens) };
        given.Finish("index");
        IndexResult made = SearchIndex.Build(path, sources.Zip(documents, (s, d) => new SearchDocument(s, d)), encoder, how,
            new DocumentProgress(watch, documents.Length), watch.Token);
        return [made.Documents, made.Passages, made.Reused];
    }

    /// <summary>Searches: a JSON array of a row for each passage: rank, name, score, text, first and last place in code points, the passage's
    /// score.</summary>
    public static string Search(string path, DocumentEncoder? encoder, string question, string settings, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(watch);
        using JsonSettings given = new(settings);
        SearchOptions defaults = new();
        SearchOptions how = defaults with
        {
            By = given.Text("by") is not { } by ? null : Enum.TryParse(by, ignoreCase: true, out SearchBy way) ? way
                : throw new InputException("by", "meaning, words, both", $"\"{by}\""),
            Top = (int)(given.Integer("top") ?? defaults.Top), Passages = (int)(given.Integer("passages") ?? defaults.Passages),
            MeaningWeight = given.Number("meaning_weight") ?? defaults.MeaningWeight,
                Encoding = new EmbeddingOptions { PromptName = given.Text("prompt_name") },
        };
        given.Finish("search");
        using SearchIndex index = SearchIndex.Open(path);
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
        {
            json.WriteStartArray();
            foreach ((int rank, SearchResult result) in index.Search(question, encoder, how, watch.Token).Index())
            {
                string text = index.TextOf(result.Document);
                foreach (FoundPassage passage in result.Passages)
                {
                    json.WriteStartArray();
                    json.WriteNumberValue(rank);
                    json.WriteStringValue(result.Source);
                    json.WriteNumberValue(result.Score);
                    json.WriteStringValue(passage.Text);
                    json.WriteNumberValue(CodePoints(text.AsSpan(0, passage.Start)));
                    json.WriteNumberValue(CodePoints(text.AsSpan(0, passage.End)));
                    json.WriteNumberValue(passage.Score);
                    json.WriteEndArray();
                }
            }
            json.WriteEndArray();
        }
        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }

    private static int CodePoints(ReadOnlySpan<char> text)
    {
        int count = text.Length;
        for (int i = 1; i < text.Length; i++)
            count -= char.IsSurrogatePair(text[i - 1], text[i]) ? 1 : 0;
        return count;
    }

    private sealed class DocumentProgress(PythonCall watch, int total) : IProgress<int>
    {
        public void Report(int value) => watch.OnProgress?.Invoke(value, total, 0);
    }
}
