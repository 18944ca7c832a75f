namespace LongformerInterop.Corpora;

/// <summary>How a corpus is worked through.</summary>
public sealed record CorpusOptions
{
    /// <summary>The column with the text; null: <c>text</c>, else <c>document</c>, else <c>context</c>.</summary>
    public string? TextColumn { get; init; }

    /// <summary>
    /// The columns that are carried along; null: all but the text (into Parquet from JSON lines none, since JSON says no types). From JSON lines
    /// into Parquet a column becomes text: a string as it is, anything else as JSON.
    /// </summary>
    public IReadOnlyList<string>? Keep { get; init; }

    /// <summary>The suffix of output files, which decides their form: one of <see cref="CorpusFormats.Suffixes"/>.</summary>
    public string Suffix { get; init; } = ".parquet";

    /// <summary>Rows of a part. A part is written at once, and a run that is stopped may have to do one again; texts are sorted by length in
    /// it.</summary>
    public int RowsPerPart { get; init; } = 2048;

    /// <summary>Characters at which a part ends before it has all its rows, which bounds the memory.</summary>
    public long CharactersPerPart { get; init; } = 32L << 20;

    /// <summary>Which share of the parts this run does, from 1.</summary>
    public int Shard { get; init; } = 1;

    /// <summary>Into how many shares the parts are divided. Runs with other shares may work on the same output at the same time.</summary>
    public int Shards { get; init; } = 1;

    /// <summary>Whether a row that fails is listed aside instead of ending the run.</summary>
    public bool Skip { get; init; }

    /// <summary>Whether an output that was begun is continued.</summary>
    public bool Resume { get; init; }

    /// <summary>The other settings that decide the results, by name (the checkpoint, the options of the task): an output is only continued
    /// under the same.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();
}

/// <summary>How far a run is.</summary>
/// <param name="Fraction">Share of the input that is behind it, from 0 to 1, by the bytes of the files.</param>
/// <param name="Parts">Parts written by this run.</param>
/// <param name="Rows">Rows in them.</param>
/// <param name="Failed">Rows listed aside, those of parts that were there already too.</param>
/// <param name="Tokens">Tokens that went through the model.</param>
/// <param name="Found">Parts that were there already.</param>
public readonly record struct CorpusProgress(double Fraction, int Parts, long Rows, long Failed, long Tokens, int Found);

/// <summary>A column that a task adds.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">string, int, float, or an array of float or string.</param>
public sealed record CorpusColumn(string Name, Type Type);
