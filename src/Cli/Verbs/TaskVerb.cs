using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using LongformerInterop.Cli.Output;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Verbs;

/// <summary>Shared by the verbs with one result per document: reading, timing, and the two forms of output.</summary>
internal static class TaskVerb
{
    /// <summary>Works through the documents and prints a result for each as soon as it is there (with --json: one object at the end).</summary>
    /// <typeparam name="T">The result of one document.</typeparam>
    /// <param name="model">Model options.</param>
    /// <param name="documents">The documents.</param>
    /// <param name="parsed">The command line.</param>
    /// <param name="work">The result of one document.</param>
    /// <param name="print">Prints it for people.</param>
    /// <param name="write">Writes its JSON properties.</param>
    /// <param name="cancellation">Stops between documents.</param>
    internal static int Run<T>(ModelOptions model, List<Document> documents, ParseResult parsed, Func<Document, T> work,
        Action<T> print, Action<Utf8JsonWriter, T> write, CancellationToken cancellation)
    {
        bool asJson = model.Json(parsed);
        long started = Stopwatch.GetTimestamp();
        List<(Document Document, T Result)> results = [];
        foreach (Document document in documents)
        {
            cancellation.ThrowIfCancellationRequested();
            T result;
            try
            {
                result = Named(document, documents, work);
            }
            catch (InputException e) when (documents is DocumentList { Skips: true } list)
            {
                list.Failures.Add(e.Message);
                continue;
            }
            if (asJson)
            {
                results.Add((document, result));
                continue;
            }
            if (documents.Count > 1)
                Console.WriteLine($"{document.Source}:");
            print(result);
        }
        if (!asJson)
            return Finish(documents);
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        JsonOutput.Print(json =>
        {
            json.WriteString("checkpoint", model.Folder(parsed));
            json.WriteStartArray("documents");
            foreach ((Document document, T result) in results)
            {
                json.WriteStartObject();
                json.WriteString("source", document.Source);
                write(json, result);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            if (documents is DocumentList { Failures.Count: > 0 } list)
            {
                json.WriteStartArray("errors");
                foreach (string failure in list.Failures)
                    json.WriteStringValue(failure);
                json.WriteEndArray();
            }
            json.WriteFinite("seconds", seconds);
            json.WriteNumber("peak_memory_bytes", ProcessMemory.PeakBytes());
        });
        return Finish(documents);
    }

    private static int Finish(List<Document> documents) => documents is DocumentList list ? list.Finish() : 0;

    /// <summary>A failure that names a document by its number names it by the place where it was read.</summary>
    internal static InputException WithSource(InputException e, List<Document> documents) => e.Rename(argument =>
        argument is { Name: "documents", Index: [long index] } && index < documents.Count ? documents[(int)index].Source : argument);

    /// <summary>A failure on one document names it.</summary>
    private static T Named<T>(Document document, List<Document> documents, Func<Document, T> work)
    {
        try
        {
            return work(document);
        }
        catch (InputException e) when (e.Argument is { Name: "documents", Index.Count: 1 })
        {
            throw WithSource(e, documents);
        }
        catch (InputException e)
        {
            throw new InputException($"{document.Source}: {e.Message}", e);
        }
    }

    /// <summary>An option for a count of at least one.</summary>
    internal static Option<int> Count(string name, string description, int value)
    {
        Option<int> option = new(name) { Description = description, HelpName = "N", DefaultValueFactory = _ => value };
        option.AtLeastOne();
        return option;
    }
}
