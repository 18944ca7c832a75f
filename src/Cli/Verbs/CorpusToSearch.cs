using System.CommandLine;
using System.Diagnostics;
using LongformerInterop.Corpora;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Search;

namespace LongformerInterop.Cli.Verbs;

/// <summary>The options of a corpus that is searched.</summary>
internal sealed class CorpusToSearch
{
    internal const string Suffix = ".lfindex";

    private readonly Option<string> _corpus = new("--corpus")
    {
        Description = "A folder of text files at any depth, or JSON lines or Parquet with a document a row", HelpName = "DIR|FILE", Required = true,
    };

    private readonly Option<string?> _column = new("--text-column")
    {
        Description = "Of rows: the column with the text (default: text, document or context)", HelpName = "NAME",
    };

    private readonly Option<string?> _name = new("--name-column")
    {
        Description = "Of JSON lines: the column that names a document (default: file and line)", HelpName = "NAME",
    };

    private readonly Option<int> _tokens = new("--passage-tokens")
    {
        Description = "Most tokens of a passage; 0: whole documents, cut at the encoder's last position", HelpName = "N",
            DefaultValueFactory = _ => new IndexOptions().PassageTokens,
    };

    private readonly Option<bool> _words = new("--words-only") { Description = "No vectors: an index to search by words, without a model" };

    internal CorpusToSearch(Command command)
    {
        command.Add(_corpus);
        command.Add(_column);
        command.Add(_name);
        command.Add(_tokens);
        command.Add(_words);
    }

    internal static string DefaultIndex(string corpus) => System.IO.Path.TrimEndingDirectorySeparator(corpus) + Suffix;

    internal string Path(ParseResult parsed) => parsed.GetValue(_corpus)!;

    internal bool WordsOnly(ParseResult parsed) => parsed.GetValue(_words);

    internal SearchCorpus Open(ParseResult parsed) => new(Path(parsed), parsed.GetValue(_column), parsed.GetValue(_name));

    /// <summary>Makes the index, or brings it up to date.</summary>
    internal IndexResult Build(string file, SearchCorpus corpus, DocumentEncoder? encoder, ParseResult parsed, CancellationToken cancellation)
    {
        using CorpusProgressCount progress = new();
        IndexResult result = SearchIndex.Build(file, corpus.Read(), encoder, new IndexOptions { PassageTokens = parsed.GetValue(_tokens) },
            progress, cancellation);
        foreach (string skipped in corpus.Skipped.Take(5))
            Console.Error.WriteLine(CommandFailure.OneLine($"passed over: {skipped}"));
        if (corpus.Skipped.Count > 5)
            Console.Error.WriteLine($"passed over: {corpus.Skipped.Count - 5} more");
        return result;
    }
}

/// <summary>Documents done so far, on standard error where it is a terminal.</summary>
internal sealed class CorpusProgressCount : IProgress<int>, IDisposable
{
    private readonly bool _visible = !Console.IsErrorRedirected;
    private long _next;

    public void Report(int value)
    {
        if (!_visible || Stopwatch.GetTimestamp() < _next)
            return;
        _next = Stopwatch.GetTimestamp() + (Stopwatch.Frequency / 10);
        Console.Error.Write($"\r{value} documents ");
    }

    public void Dispose()
    {
        if (_visible && _next > 0)
            Console.Error.Write($"\r{new string(' ', 30)}\r");
    }
}
