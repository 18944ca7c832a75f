using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Corpora;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer encode</c>: document embeddings.</summary>
internal static class EncodeVerb
{
    internal static Command Create()
    {
        Command command = new("encode", "Document embeddings, to a file or as JSON.");
        ModelOptions model = new(command);
        TextOptions text = new(command);
        Option<string?> pooling = new("--pooling")
        {
            Description = "cls, mean (special tokens included), tokens or sentence (default: as the folder's modules say, else mean)",
            HelpName = "POOLING",
        };
        pooling.OnlyFrom("cls", "mean", "tokens", "sentence");
        Option<string?> prompt = new("--prompt-name") { Description = "A prompt of the folder, put before every document", HelpName = "NAME" };
        command.Add(prompt);
        Option<bool?> normalize = new("--normalize")
        {
            Description = "Scale every vector to length 1, or do not: --normalize false (default: as the checkpoint's modules.json says)",
            HelpName = "true|false",
            Arity = ArgumentArity.ZeroOrOne,
        };
        Option<string?> output = new("--output") { Description = "Where to write: x.safetensors, x.npy or x.jsonl", HelpName = "FILE" };
        command.Add(pooling);
        command.Add(normalize);
        command.Add(output);
        CorpusOptionsOfVerb corpus = new(command, text);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            string folder = model.Folder(parsed);
            EmbeddingOptions options = new()
            {
                Normalize = parsed.GetValue(normalize) ?? (parsed.GetResult(normalize) is not null ? true : null),
                Truncate = text.Truncate(parsed),
                Global = text.Global(parsed),
                PromptName = parsed.GetValue(prompt),
            };
            Pooling? chosen = parsed.GetValue(pooling) switch { "cls" => Pooling.Cls, "tokens" => Pooling.Tokens, "mean" => Pooling.Mean,
                "sentence" => Pooling.Sentence, _ => null };
            if (corpus.IsGiven(parsed))
            {
                return corpus.Run(parsed, model, load =>
                {
                    DocumentEncoder loaded = DocumentEncoder.Load(folder, load);
                    return (loaded, CorpusTask.Encode(loaded, chosen, CorpusOptionsOfVerb.Fit(options, load)));
                }, cancellation);
            }
            return Encode(new Request(folder, chosen, parsed.GetValue(output), model.Json(parsed)), options, model, text, parsed, cancellation);
        }));
        return command;
    }

    /// <param name="Given">The pooling of the command line; null: the checkpoint's.</param>
    private sealed record Request(string Folder, Pooling? Given, string? Output, bool Json)
    {
        internal Pooling Pooling { get; init; }
    }

    /// <summary>Takes out what the model cannot read, before it runs.</summary>
    private static void SkipUnreadable(DocumentList documents, DocumentEncoder encoder, EmbeddingOptions options, CancellationToken cancellation)
    {
        documents.RemoveAll(document =>
        {
            try
            {
                encoder.CountTokens([document.Text], options, cancellation);
                return false;
            }
            catch (InputException e)
            {
                documents.Failures.Add(TaskVerb.WithSource(e, [document]).Message);
                documents.Unread++;
                return true;
            }
        });
    }

    private static int Encode(Request request, EmbeddingOptions options, ModelOptions model, TextOptions text, ParseResult parsed,
        CancellationToken cancellation)
    {
        EmbeddingFormat? format = request.Output is null ? null : EmbeddingOutput.FormatOf(request.Output);
        DocumentList documents = text.Read(parsed);
        if (format == EmbeddingFormat.Npy && request.Given == Pooling.Tokens && documents.Count > 1)
            throw new UsageException(".npy holds one matrix: with --pooling tokens give one document, or write .safetensors or .jsonl");

        long loadStarted = Stopwatch.GetTimestamp();
        using DocumentEncoder encoder = DocumentEncoder.Load(request.Folder, model.Load(parsed));
        double loadSeconds = Stopwatch.GetElapsedTime(loadStarted).TotalSeconds;
        request = request with { Pooling = request.Given ?? encoder.DefaultPooling };
        if (documents.Skips)
            SkipUnreadable(documents, encoder, options, cancellation);
        int width = encoder.WidthOf(request.Pooling);
        options = options with { Normalize = encoder.Normalizes(request.Pooling, options) };

        using EmbeddingOutput? file = format is null
            ? null
            : EmbeddingOutput.Create(request.Output!, format.Value, request.Pooling, width);
        List<DocumentEmbedding> embeddings = [];
        long started = Stopwatch.GetTimestamp();
        using (ProgressBar progress = new())
        {
            try
            {
                foreach (DocumentEmbedding embedding in encoder.EncodeEach([.. documents.Select(d => d.Text)], request.Pooling, options,
                    progress, cancellation))
                {
                    file?.Add(documents[embedding.Index].Source, embedding);
                    // Vectors that went to a file need not stay in memory as well.
                    embeddings.Add(file is null ? embedding : embedding with { Values = [] });
                }
            }
            catch (InputException e)
            {
                throw TaskVerb.WithSource(e, documents);
            }
        }
        file?.Commit();
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        Print(request, options, documents, embeddings, width, loadSeconds, seconds);
        return documents.Finish();
    }

    private static void Print(Request request, EmbeddingOptions options, List<Document> documents, List<DocumentEmbedding> embeddings,
        int hidden, double loadSeconds, double seconds)
    {
        long tokens = embeddings.Sum(e => (long)e.Tokens);
        if (request.Json)
        {
            JsonOutput.Print(json =>
            {
                json.WriteString("checkpoint", request.Folder);
                json.WriteString("pooling", request.Pooling.ToString().ToLowerInvariant());
                json.WriteBoolean("normalized", options.Normalize == true);
                json.WriteNumber("hidden_size", hidden);
                json.WriteStartArray("documents");
                foreach (DocumentEmbedding embedding in embeddings)
                {
                    json.WriteStartObject();
                    EmbeddingOutput.WriteJson(json, documents[embedding.Index].Source, embedding, request.Pooling, hidden, request.Output is null);
                    json.WriteEndObject();
                }
                json.WriteEndArray();
                if (request.Output is not null)
                    json.WriteString("output", request.Output);
                json.WriteNumber("tokens", tokens);
                json.WriteFinite("load_seconds", loadSeconds);
                json.WriteFinite("seconds", seconds);
                json.WriteNumber("peak_memory_bytes", ProcessMemory.PeakBytes());
            });
            return;
        }
        if (request.Output is null)
        {
            foreach (DocumentEmbedding embedding in embeddings)
            {
                string head = string.Join(' ', embedding.Values.Take(6).Select(v => v.ToString("F5", CultureInfo.InvariantCulture)));
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{documents[embedding.Index].Source}: {embedding.Tokens} tokens, [{embedding.Values.Length / hidden}, {hidden}] {head} ..."));
            }
        }
        string where = request.Output is null ? "" : $" to {request.Output}";
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{embeddings.Count} document{(embeddings.Count == 1 ? "" : "s")}, {tokens} tokens in {seconds:F2} s ({tokens / seconds:F0} tokens/s), "
            + $"loaded in {loadSeconds:F2} s, peak memory {ProcessMemory.PeakBytes() / 1048576.0:F0} MiB{where}"));
    }
}
