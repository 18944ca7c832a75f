using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Corpora;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Search;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer index</c>: the passages of a corpus with their vectors and words, to be searched.</summary>
internal static class IndexVerb
{
    internal static Command Create()
    {
        Command command = new("index", "Index a corpus for search: passages, their vectors by any encoder, and their words, in one file.");
        ModelOptions model = new(command, hasDefault: true);
        CorpusToSearch corpus = new(command);
        Option<string?> output = new("--output") { Description = "The index (default: the corpus's name with .lfindex)", HelpName = "FILE" };
        command.Add(output);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            string file = parsed.GetValue(output) ?? CorpusToSearch.DefaultIndex(corpus.Path(parsed));
            long started = Stopwatch.GetTimestamp();
            using DocumentEncoder? encoder = corpus.WordsOnly(parsed) ? null : DocumentEncoder.Load(model.Folder(parsed), model.Load(parsed));
            SearchCorpus read = corpus.Open(parsed);
            IndexResult result = corpus.Build(file, read, encoder, parsed, cancellation);
            double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
            if (model.Json(parsed))
            {
                JsonOutput.Print(json =>
                {
                    json.WriteString("index", file);
                    json.WriteNumber("documents", result.Documents);
                    json.WriteNumber("passages", result.Passages);
                    json.WriteNumber("reused", result.Reused);
                    json.WriteStartArray("skipped");
                    foreach (string skipped in read.Skipped.Concat(result.Empty.Select(e => $"{e}: no words")))
                        json.WriteStringValue(skipped);
                    json.WriteEndArray();
                    json.WriteFinite("seconds", seconds);
                    json.WriteNumber("peak_memory_bytes", ProcessMemory.PeakBytes());
                });
                return 0;
            }
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{file}: {result.Documents} documents ({result.Reused} as they were), {result.Passages} passages in {seconds:F1} s"));
            return 0;
        }));
        return command;
    }
}
