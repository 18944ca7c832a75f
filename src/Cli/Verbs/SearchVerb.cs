using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Corpora;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Search;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer search</c>: the documents and passages of a corpus that fit a question.</summary>
internal static class SearchVerb
{
    private static readonly string[] Ways = ["meaning", "words", "both"];

    internal static Command Create()
    {
        Command command = new("search",
            "Search a corpus by meaning, by words (BM25), or by both; a corpus that is not indexed yet, or changed, is indexed first.");
        ModelOptions model = new(command, hasDefault: true);
        CorpusToSearch corpus = new(command);
        Option<string[]> questions = new("--question")
        {
            Description = "What is sought (repeatable)", HelpName = "TEXT", Required = true, Arity = ArgumentArity.OneOrMore,
        };
        Option<string?> by = new("--by") { Description = "meaning, words or both (default: both; in an index without vectors words)",
            HelpName = "NAME" };
        by.OnlyFrom(Ways);
        Option<double> weight = new("--meaning-weight")
        {
            Description = "Of both: the weight of meaning, 0 to 1", HelpName = "X", DefaultValueFactory = _ => new SearchOptions().MeaningWeight,
        };
        Option<int> top = TaskVerb.Count("--top", "Most documents", 10), passages = TaskVerb.Count("--passages", "Most passages of a document", 1);
        Option<string?> indexFile = new("--index") { Description = "Where the index of the corpus is (default: its name with .lfindex)",
            HelpName = "FILE" };
        foreach (Option option in new Option[] { questions, by, weight, top, passages, indexFile })
            command.Add(option);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            SearchOptions how = new()
            {
                By = parsed.GetValue(by) is { } name ? Enum.Parse<SearchBy>(name, ignoreCase: true) : null, Top = parsed.GetValue(top),
                Passages = parsed.GetValue(passages), MeaningWeight = parsed.GetValue(weight),
            };
            string path = corpus.Path(parsed);
            bool isIndex = path.EndsWith(CorpusToSearch.Suffix, StringComparison.Ordinal) && File.Exists(path);
            string file = isIndex ? path : parsed.GetValue(indexFile) ?? CorpusToSearch.DefaultIndex(path);
            DocumentEncoder? encoder = null;
            // Loaded once, and only where vectors are made or compared.
            DocumentEncoder Encoder(string? folder) => encoder ??= DocumentEncoder.Load(folder ?? model.Folder(parsed), model.Load(parsed));
            try
            {
                if (!isIndex)
                {
                    SearchCorpus read = corpus.Open(parsed);
                    if (!File.Exists(file) || read.ChangedSince(File.GetLastWriteTimeUtc(file)))
                        corpus.Build(file, read, corpus.WordsOnly(parsed) ? null : Encoder(null), parsed, cancellation);
                }
                using SearchIndex index = SearchIndex.Open(file);
                if (how.By == SearchBy.Words || (how.By is null && !index.HasVectors))
                    encoder = null;
                else
                    Encoder(model.IsNamed(parsed) || !Directory.Exists(index.ModelFolder) ? null : index.ModelFolder);
                Print(index, encoder, parsed.GetValue(questions)!, how, model.Json(parsed), cancellation);
                return 0;
            }
            finally
            {
                encoder?.Dispose();
            }
        }));
        return command;
    }

    private static void Print(SearchIndex index, DocumentEncoder? encoder, string[] questions, SearchOptions how, bool asJson,
        CancellationToken cancellation)
    {
        List<(string Question, IReadOnlyList<SearchResult> Results, double Seconds)> all = [];
        foreach (string question in questions)
        {
            long started = Stopwatch.GetTimestamp();
            IReadOnlyList<SearchResult> results = index.Search(question, encoder, how, cancellation);
            double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
            if (asJson)
                all.Add((question, results, seconds));
            else
                Print(question, results, questions.Length > 1);
        }
        if (!asJson)
            return;
        JsonOutput.Print(json =>
        {
            json.WriteNumber("documents", index.DocumentCount);
            json.WriteNumber("passages", index.PassageCount);
            json.WriteStartArray("questions");
            foreach ((string question, IReadOnlyList<SearchResult> results, double seconds) in all)
            {
                json.WriteStartObject();
                json.WriteString("question", question);
                json.WriteFinite("seconds", seconds);
                json.WriteStartArray("results");
                foreach (SearchResult result in results)
                {
                    json.WriteStartObject();
                    json.WriteString("source", result.Source);
                    json.WriteFinite("score", result.Score);
                    json.WriteStartArray("passages");
                    foreach (FoundPassage passage in result.Passages)
                    {
                        json.WriteStartObject();
                        json.WriteNumber("start", passage.Start);
                        json.WriteNumber("end", passage.End);
                        json.WriteFinite("score", passage.Score);
                        json.WriteString("text", passage.Text);
                        json.WriteEndObject();
                    }
                    json.WriteEndArray();
                    json.WriteEndObject();
                }
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndArray();
        });
    }

    private static void Print(string question, IReadOnlyList<SearchResult> results, bool several)
    {
        if (several)
            Console.WriteLine($"{CommandFailure.OneLine(question)}:");
        foreach ((SearchResult result, int rank) in results.Select((r, i) => (r, i + 1)))
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{rank,2}. {result.Source}  {result.Score:F4}"));
            foreach (FoundPassage passage in result.Passages)
            {
                string text = CommandFailure.OneLine(passage.Text);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"    [{passage.Start}..{passage.End}]  {(text.Length > 200 ? text[..200] + "..." : text)}"));
            }
        }
        if (results.Count == 0)
            Console.WriteLine("nothing found");
    }
}
