namespace LongformerInterop.Corpora;

/// <summary>A row of the input that is not read yet.</summary>
/// <param name="Source">Its place: the file, and the line or row.</param>
/// <param name="Length">About how many characters it has.</param>
/// <param name="Read">Reads it.</param>
internal sealed record PendingRow(string Source, int Length, Func<CorpusRow> Read);

/// <summary>A row of the input.</summary>
/// <param name="Text">The text; null where there is none.</param>
/// <param name="Problem">Why there is no text.</param>
/// <param name="Carried">The values that are carried along, by column: null, string, a number, a truth, a date, or (of JSON lines) a
/// JsonElement.</param>
internal sealed record CorpusRow(string? Text, string? Problem, IReadOnlyList<KeyValuePair<string, object?>> Carried)
{
    public static CorpusRow Bad(string problem) => new(null, problem, []);
}

/// <summary>The rows of files, one after the other.</summary>
internal interface ICorpusReader
{
    /// <summary>The columns that are carried along, with their types; null where the files have none.</summary>
    IReadOnlyList<CorpusColumn>? Carried { get; }

    /// <summary>How much of the files is read, from 0 to 1.</summary>
    double Fraction { get; }

    /// <summary>All rows, in order.</summary>
    IEnumerable<PendingRow> Rows();
}
