using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Corpora;
using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Verbs;

/// <summary>The options of a verb that works through corpora: <c>--corpus FILE... --parts DIR</c>, or <c>--parquet FILE... --parts DIR</c>.</summary>
internal sealed class CorpusOptionsOfVerb
{
    private const int TokensOfSharedWeights = 512;

    private static readonly string[] Passing =
    [
        "--corpus", "--parquet", "--parts", "--shard", "--resume", "--workers", "--report", "--threads", "--json", "--device", "--shared-weights",
        "--on-error",
    ];

    private readonly Option<string[]> _corpus = new("--corpus")
    {
        Description = "Corpus: JSON lines (.jsonl, .gz, .zst) or Parquet, or folders of these (repeatable)", HelpName = "FILE",
            Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<string?> _parts =
        new("--parts") { Description = "The folder for the results of a corpus, written part by part", HelpName = "DIR" };

    private readonly Option<string[]> _keep = new("--keep")
    {
        Description = "A column to carry along (repeatable; default: all but the text)", HelpName = "NAME", Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<string> _format = new("--format")
    {
        Description = "parquet, jsonl, jsonl.gz or jsonl.zst", HelpName = "FORMAT", DefaultValueFactory = _ => "parquet",
    };

    private readonly Option<int> _rows = new("--rows-per-part") { Description = "Rows of a part", HelpName = "N", DefaultValueFactory = _ => 2048 };
    private readonly Option<string?> _shard =
        new("--shard") { Description = "Do every N-th part only, from the I-th on: runs side by side", HelpName = "I/N" };
    private readonly Option<int> _workers = new("--workers")
    {
        Description = "Processes that share the parts (and the cores, unless --threads says how many each has)", HelpName = "N",
            DefaultValueFactory = _ => 1,
    };

    private readonly Option<bool> _shared = new("--shared-weights")
    {
        Description = "Leave the weights in the file, where all processes share them: less memory, slower products",
    };

    private readonly Option<bool> _report = new("--report") { Description = "Tell the progress in lines of JSON", Hidden = true };
    private readonly Option<bool> _resume = new("--resume") { Description = "Go on with an output that is begun" };

    private readonly TextOptions _text;

    internal CorpusOptionsOfVerb(Command command, TextOptions text)
    {
        _text = text;
        _format.OnlyFrom([.. CorpusFormats.Suffixes.Select(s => s[1..])]);
        _rows.AtLeastOne();
        _workers.AtLeastOne();
        command.Add(_corpus);
        command.Add(_parts);
        command.Add(_keep);
        command.Add(_format);
        command.Add(_rows);
        command.Add(_shard);
        command.Add(_resume);
        command.Add(_workers);
        command.Add(_shared);
        command.Add(_report);
    }

    /// <summary>Whether the command line names a corpus.</summary>
    /// <exception cref="UsageException">It has options of corpora without one, or a corpus and other documents.</exception>
    internal bool IsGiven(ParseResult parsed)
    {
        bool corpus = parsed.GetValue(_corpus) is { Length: > 0 };
        if (corpus || (parsed.GetValue(_parts) is not null && _text.Parquet(parsed).Length > 0))
        {
            return !_text.HasFiles(parsed)
                ? true
                : throw new UsageException("--input and --jsonl do not go with --parts: expected --corpus FILE or --parquet FILE");
        }
        Option[] own = [_parts, _keep, _format, _rows, _shard, _resume, _workers, _shared];
        return Array.Find(own, o => parsed.GetResult(o) is { Implicit: false }) is { } lonely
            ? throw new UsageException($"{lonely.Name} needs a corpus: --corpus FILE or --parquet FILE, with --parts DIR")
            : false;
    }

    /// <summary>Works through the corpus.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="model">Model options.</param>
    /// <param name="load">Loads the model and makes the task; called when the options are known to be possible.</param>
    /// <param name="cancellation">Stops between two layers.</param>
    /// <typeparam name="TModel">The model.</typeparam>
    internal int Run<TModel>(ParseResult parsed, ModelOptions model, Func<LoadOptions, (TModel Model, CorpusTask Task)> load,
        CancellationToken cancellation) where TModel : IDisposable
    {
        string output = parsed.GetValue(_parts) ?? throw new UsageException("--corpus needs --parts DIR, the folder for the results");
        IReadOnlyList<string> files = CorpusFormats.Find([.. parsed.GetValue(_corpus) ?? [], .. _text.Parquet(parsed)]);
        (int shard, int shards) = Shard(parsed.GetValue(_shard));
        int workers = parsed.GetValue(_workers);
        long started = Stopwatch.GetTimestamp();
        if (workers > 1)
        {
            if (!parsed.GetValue(_resume) && shards == 1 && File.Exists(Path.Combine(output, "corpus.json")))
                throw new InputException($"{output}: the output was begun already; --resume continues it");
            using CorpusProgressLine line = new();
            CorpusProgress together = CorpusWorkers.Run(parsed, workers, shard, shards, line.Report, cancellation);
            return Print(parsed, model, output, together, started);
        }
        CorpusOptions options = new()
        {
            TextColumn = _text.Column(parsed),
            Keep = parsed.GetValue(_keep) is { Length: > 0 } keep ? keep : null,
            Suffix = $".{parsed.GetValue(_format)}",
            RowsPerPart = parsed.GetValue(_rows),
            Shard = shard,
            Shards = shards,
            Skip = _text.Skips(parsed),
            Resume = parsed.GetValue(_resume),
            Settings = new Dictionary<string, string>
            {
                ["verb"] = parsed.CommandResult.Command.Name,
                ["checkpoint"] = Path.GetFullPath(model.Folder(parsed)),
                ["options"] = Deciding(parsed),
            },
        };
        (TModel loaded, CorpusTask task) = load(model.Load(parsed) with { PackWeights = !parsed.GetValue(_shared) });
        using TModel owned = loaded;
        // Batches have other sizes each time: what they leave behind is not kept beside what the next one takes.
        using IDisposable? held = parsed.GetValue(_shared) ? TorchRuntime.HoldMemory() : null;
        if (parsed.GetValue(_report))
        {
            CorpusWorkers.EndWithParent();
            CorpusProgress own = CorpusRun.Run(files, output, task, options, CorpusWorkers.Tell, cancellation);
            CorpusWorkers.Tell(own);
            return 0;
        }
        CorpusProgress done;
        using (CorpusProgressLine line = new())
            done = CorpusRun.Run(files, output, task, options, line.Report, cancellation);
        return Print(parsed, model, output, done, started);
    }

    /// <summary>
    /// Options for a model as it was loaded. Processes that share the weights in their file are many where memory is short, and then the
    /// activations are what each has for itself: small batches keep them below a tenth of base size's weights.
    /// </summary>
    internal static TOptions Fit<TOptions>(TOptions options, LoadOptions load) where TOptions : TaskOptions =>
        load.PackWeights ? options : options with { TokensPerBatch = TokensOfSharedWeights };

    private static int Print(ParseResult parsed, ModelOptions model, string output, CorpusProgress done, long started)
    {
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        if (model.Json(parsed))
        {
            JsonOutput.Print(json =>
            {
                json.WriteString("output", output);
                json.WriteNumber("parts", done.Parts);
                json.WriteNumber("parts_found", done.Found);
                json.WriteNumber("rows", done.Rows);
                json.WriteNumber("failed", done.Failed);
                json.WriteNumber("tokens", done.Tokens);
                json.WriteFinite("seconds", seconds);
                json.WriteNumber("peak_memory_bytes", ProcessMemory.PeakBytes());
            });
        }
        else
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{done.Rows} rows in {done.Parts} parts ({done.Found} were there), {done.Tokens} tokens in {seconds:F1} s "
                + $"({done.Rows / seconds:F1} rows/s, {done.Tokens / seconds:F0} tokens/s), peak memory "
                + $"{ProcessMemory.PeakBytes() / 1048576.0:F0} MiB "
                + $"to {output}"));
        }
        if (done.Failed > 0)
            Console.Error.WriteLine($"{done.Failed} rows failed: they are listed in {Path.Combine(output, "part-*.failed.jsonl")}");
        return done.Failed > 0 ? 1 : 0;
    }

    /// <summary>The options that were given and decide the results, as text: all but those of where, how fast and how often it runs.</summary>
    private static string Deciding(ParseResult parsed) => string.Join(' ',
        from option in parsed.CommandResult.Children.OfType<OptionResult>()
        where !option.Implicit && !Passing.Contains(option.Option.Name)
        orderby option.Option.Name
        select string.Join('=', option.Tokens.Select(t => t.Value).Prepend(option.Option.Name)));

    private static (int, int) Shard(string? given)
    {
        if (given is null)
            return (1, 1);
        return given.Split('/') is [var i, var n] && int.TryParse(i, NumberStyles.None, CultureInfo.InvariantCulture, out int shard)
            && int.TryParse(n, NumberStyles.None, CultureInfo.InvariantCulture, out int shards) && shard >= 1 && shard <= shards
            ? (shard, shards)
            : throw new UsageException($"--shard: expected I/N with I from 1 to N, given {given}");
    }
}
