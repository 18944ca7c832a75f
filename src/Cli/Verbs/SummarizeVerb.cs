using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Corpora;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer summarize</c>: generation with an LED.</summary>
internal static class SummarizeVerb
{
    internal static Command Create()
    {
        Command command = new("summarize", "Summarize long documents with an LED; the checkpoint has the defaults.");
        ModelOptions model = new(command, hasDefault: true);
        TextOptions text = new(command);
        SummarizeOptions generation = new(command);
        CorpusOptionsOfVerb corpus = new(command, text);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            TaskOptions options = new() { Truncate = text.Truncate(parsed), Global = text.Global(parsed) };
            GenerationOptions how = generation.Read(parsed);
            if (corpus.IsGiven(parsed))
            {
                return corpus.Run(parsed, model, load =>
                {
                    Summarizer loaded = Summarizer.Load(model.Folder(parsed), load);
                    return (loaded, CorpusTask.Summarize(loaded, how, options));
                }, cancellation);
            }
            DocumentList documents = text.Read(parsed);
            using Summarizer summarizer = Summarizer.Load(model.Folder(parsed), model.Load(parsed));
            using SummaryProgressBar progress = new();
            // Documents are worked on in batches; their results are taken one by one, in order.
            using IEnumerator<IReadOnlyList<Summary>> results =
                summarizer.Summarize(documents.Skips ? [] : [.. documents.Select(d => d.Text)], how, options, progress, cancellation: cancellation)
                    .GetEnumerator();
            int Tokens(Document d) => summarizer.Tokenizer.Encode(d.Text).Count;
            return TaskVerb.Run(model, documents, parsed,
                // One by one where a document that fails must not end the others.
                d => (Summaries: documents.Skips ? summarizer.Summarize([d.Text], how, options, cancellation: cancellation).Single()
                    : results.MoveNext() ? results.Current : throw new InvalidOperationException("a document without a summary"),
                    Tokens: model.Json(parsed) ? Tokens(d) : 0),
                result =>
                {
                    IReadOnlyList<Summary> summaries = result.Summaries;
                    progress.Clear();
                    for (int i = 0; i < summaries.Count; i++)
                    {
                        if (summaries.Count > 1)
                            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"[{i + 1}] {summaries[i].Sequence.Score:F4}"));
                        Console.WriteLine(summaries[i].Text.Trim());
                    }
                },
                (json, result) =>
                {
                    IReadOnlyList<Summary> summaries = result.Summaries;
                    json.WriteNumber("document_tokens", result.Tokens);
                    json.WriteNumber("tokens", Math.Min(result.Tokens, summarizer.MaxTokens));
                    json.WriteString("summary", summaries[0].Text);
                    json.WriteStartArray("results");
                    foreach (Summary summary in summaries)
                    {
                        json.WriteStartObject();
                        json.WriteString("text", summary.Text);
                        json.WriteFinite("score", summary.Sequence.Score);
                        json.WriteBoolean("ended", summary.Sequence.Ended);
                        json.WriteStartArray("ids");
                        foreach (int id in summary.Sequence.Ids)
                            json.WriteNumberValue(id);
                        json.WriteEndArray();
                        json.WriteEndObject();
                    }
                    json.WriteEndArray();
                },
                cancellation);
        }));
        return command;
    }
}

/// <summary>The options of generation. Each is absent unless given, so that the checkpoint's own value holds.</summary>
internal sealed class SummarizeOptions
{
    // The flag behind each property that a message may name.
    private static readonly (string Property, string Flag)[] Names =
    [
        ("MaxTokens", "--max-tokens"), ("MinTokens", "--min-tokens"), ("Beams", "--beams"), ("NBest", "--n-best"),
        ("LengthPenalty", "--length-penalty"),
        ("NoRepeatNgram", "--no-repeat-ngram"), ("RepetitionPenalty", "--repetition-penalty"), ("Temperature", "--temperature"), ("TopK", "--top-k"),
        ("TopP", "--top-p"), ("Sample", "--sample"),
    ];

    private readonly Option<int?> _beams = Of<int?>("--beams", "Beams of the search; 1 is greedy", "N");
    private readonly Option<int?> _maxTokens = Of<int?>("--max-tokens", "Most tokens to generate (default: the checkpoint's, else 256)", "N");
    private readonly Option<int?> _minTokens = Of<int?>("--min-tokens", "Fewest tokens to generate", "N");
    private readonly Option<double?> _lengthPenalty =
        Of<double?>("--length-penalty", "Score = log-probability / length^P; above 0 favors long results", "P");
    private readonly Option<int?> _noRepeat = Of<int?>("--no-repeat-ngram", "No sequence of N tokens occurs twice", "N");
    private readonly Option<double?> _repetition = Of<double?>("--repetition-penalty", "Scores of tokens that occurred are divided by P", "P");
    private readonly Option<int?> _encoderNoRepeat = Of<int?>("--encoder-no-repeat-ngram", "No sequence of N tokens of the document occurs", "N");
    private readonly Option<double?> _minP = Of<double?>("--min-p", "Sampling: only tokens at least P times as probable as the best", "P");
    private readonly Option<double?> _typicalP = Of<double?>("--typical-p", "Sampling: only the most typical tokens of probability P together", "P");
    private readonly Option<double?> _maxTime = Of<double?>("--max-time", "Seconds after which the text ends with the current token", "S");
    private readonly Option<string[]> _stop =
        new("--stop") { Description = "End with the token that completes this text (repeatable)", HelpName = "TEXT" };
    private readonly Option<string?> _json =
        Of<string?>("--generation",
            "More options as JSON, by the names of generation_config.json: '{\"sequence_bias\": [[[5, 7], -2.0]]}', or a file", "JSON");

    private readonly Option<string?> _early = Of<string?>("--early-stopping", "true, false or never: when a beam search ends", "WHEN");
    private readonly Option<int?> _best = Of<int?>("--n-best", "Results per document", "N");
    private readonly Option<double?> _rerank = Of<double?>("--rerank", "Of all beams take the one of the largest log-probability per word plus W "
        + "times the share of words that the document has; below 0: the search's best", "W");
    private readonly Option<bool> _sample = new("--sample") { Description = "Draw tokens at random" };
    private readonly Option<double?> _temperature = Of<double?>("--temperature", "Sampling: above 1 flatter, below 1 sharper", "T");
    private readonly Option<int?> _topK = Of<int?>("--top-k", "Sampling: only the best K tokens; 0 for all (default 50)", "K");
    private readonly Option<double?> _topP = Of<double?>("--top-p", "Sampling: only the best tokens of probability P together", "P");
    private readonly Option<ulong?> _seed = Of<ulong?>("--seed", "Sampling: the seed (default 0)", "N");

    internal SummarizeOptions(Command command)
    {
        _early.OnlyFrom("true", "false", "never");
        foreach (Option option in (Option[])[_beams, _maxTokens, _minTokens, _lengthPenalty, _noRepeat, _repetition, _early, _best, _rerank, _sample,
            _temperature, _topK,
            _topP, _seed, _encoderNoRepeat, _minP, _typicalP, _maxTime, _stop, _json])
        {
            command.Add(option);
        }
    }

    /// <exception cref="UsageException">The options are impossible for every model.</exception>
    internal GenerationOptions Read(ParseResult parsed)
    {
        GenerationOptions options = new()
        {
            Beams = parsed.GetValue(_beams),
            MaxTokens = parsed.GetValue(_maxTokens),
            MinTokens = parsed.GetValue(_minTokens),
            LengthPenalty = parsed.GetValue(_lengthPenalty),
            NoRepeatNgram = parsed.GetValue(_noRepeat),
            RepetitionPenalty = parsed.GetValue(_repetition),
            EarlyStopping = parsed.GetValue(_early) switch
            {
                "true" => EarlyStopping.AtBeamCount,
                "false" => EarlyStopping.Heuristic,
                "never" => EarlyStopping.Never,
                _ => null,
            },
            NBest = parsed.GetValue(_best),
            Rerank = parsed.GetValue(_rerank),
            Sample = parsed.GetValue(_sample) ? true : null,
            Temperature = parsed.GetValue(_temperature),
            TopK = parsed.GetValue(_topK),
            TopP = parsed.GetValue(_topP),
            Seed = parsed.GetValue(_seed),
            EncoderNoRepeatNgram = parsed.GetValue(_encoderNoRepeat),
            MinP = parsed.GetValue(_minP),
            TypicalP = parsed.GetValue(_typicalP),
            MaxTime = parsed.GetValue(_maxTime),
            StopStrings = parsed.GetValue(_stop) is { Length: > 0 } stop ? stop : null,
        };
        if (parsed.GetValue(_json) is { } json)
        {
            options = options.Over(File.Exists(json)
                ? GenerationOptions.Parse(File.ReadAllText(json), json)
                : GenerationOptions.Parse(json, "--generation"));
        }
        try
        {
            // Options that the checkpoint may still supply are left open: beams for --n-best, the maximum for --min-tokens.
            GenerationOptions alone = options with
            {
                Beams = options.Beams ?? options.NBest, MaxTokens = options.MaxTokens ?? (options.MinTokens is > 0 and int min ? min : null),
            };
            alone.Check();
        }
        catch (InputException e)
        {
            throw new UsageException(e.Rename(argument => Names.FirstOrDefault(n => n.Property == argument.Name).Flag ?? argument).Message);
        }
        return options;
    }

    private static Option<T> Of<T>(string name, string description, string value) => new(name) { Description = description, HelpName = value };
}

/// <summary>One line on standard error that is redrawn while tokens come; silent unless standard error is a terminal.</summary>
internal sealed class SummaryProgressBar : IProgress<SummaryProgress>, IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);
    private readonly bool _visible = !Console.IsErrorRedirected;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private TimeSpan _next;
    private int _drawn;

    public void Report(SummaryProgress value)
    {
        if (!_visible || _clock.Elapsed < _next)
            return;
        _next = _clock.Elapsed + Interval;
        string line = string.Create(CultureInfo.InvariantCulture,
            $"{value.Done}/{value.Total} documents, token {value.Step} of at most {value.MaxSteps}");
        Console.Error.Write($"\r{line.PadRight(_drawn)}");
        _drawn = line.Length;
    }

    internal void Clear()
    {
        if (_drawn > 0)
            Console.Error.Write($"\r{new string(' ', _drawn)}\r");
        _drawn = 0;
    }

    public void Dispose() => Clear();
}
