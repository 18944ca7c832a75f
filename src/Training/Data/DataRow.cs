using System.Globalization;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Data;

/// <summary>
/// One record of a data file: a JSON line, a line of a table, a row of a Parquet file. Values are texts, numbers (long or double), truth values,
/// lists of values, records of values, or null. A table of text has texts only, which are read as numbers where numbers are wanted.
/// </summary>
/// <param name="source">File and line, for messages.</param>
/// <param name="values">The values by column.</param>
public sealed class DataRow(string source, IReadOnlyDictionary<string, object?> values)
{
    /// <summary>File and line.</summary>
    public string Source { get; } = source;

    /// <summary>The columns.</summary>
    public IEnumerable<string> Columns => values.Keys;

    /// <summary>Whether there is a value in a column.</summary>
    public bool Has(string column) => values.TryGetValue(column, out object? value) && value is not null;

    /// <summary>A value.</summary>
    /// <exception cref="InputException">There is no such column, or it is empty here.</exception>
    public object Get(string column) => values.TryGetValue(column, out object? value)
        ? value ?? throw new InputException($"{Source}: the column \"{column}\" is empty")
        : throw new InputException($"{Source}: no column \"{column}\"; there are {string.Join(", ", Columns.Select(c => $"\"{c}\""))}");

    /// <summary>A text; a number is written as one.</summary>
    /// <exception cref="InputException">There is none.</exception>
    public string Text(string column) => AsText(Get(column)) ?? throw Wrong(column, "a text");

    /// <summary>An integer.</summary>
    /// <exception cref="InputException">There is none.</exception>
    public long Integer(string column) => AsInteger(Get(column)) ?? throw Wrong(column, "an integer");

    /// <summary>A number.</summary>
    /// <exception cref="InputException">There is none.</exception>
    public double Number(string column) => AsNumber(Get(column)) ?? throw Wrong(column, "a number");

    /// <summary>A list.</summary>
    /// <exception cref="InputException">There is none.</exception>
    public IReadOnlyList<object?> List(string column) => Get(column) as IReadOnlyList<object?> ?? throw Wrong(column, "a list");

    /// <summary>A list of texts.</summary>
    /// <exception cref="InputException">There is none.</exception>
    public string[] Texts(string column) => [.. List(column).Select(item => AsText(item) ?? throw Wrong(column, "a list of texts"))];

    /// <summary>The record in a column, as its own row.</summary>
    /// <exception cref="InputException">There is none.</exception>
    public DataRow Record(string column) => Get(column) is IReadOnlyDictionary<string, object?> record ? new DataRow(Source, record)
        : throw Wrong(column, "a record");

    /// <summary>The records in a column, as rows.</summary>
    /// <exception cref="InputException">There are none.</exception>
    public DataRow[] Records(string column) =>
        [.. List(column).Select(item => item is IReadOnlyDictionary<string, object?> record ? new DataRow(Source, record)
            : throw Wrong(column, "a list of records"))];

    /// <summary>A value as text; null for a list or a record.</summary>
    public static string? AsText(object? value) => value switch
    {
        string text => text,
        long number => number.ToString(CultureInfo.InvariantCulture),
        double number => number.ToString(CultureInfo.InvariantCulture),
        bool truth => truth ? "true" : "false",
        _ => null,
    };

    /// <summary>A value as an integer; null where it is none.</summary>
    public static long? AsInteger(object? value) => value switch
    {
        long number => number,
        double number when number == Math.Floor(number) && Math.Abs(number) < 1L << 53 => (long)number,
        string text when long.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite,
            CultureInfo.InvariantCulture, out long number) => number,
        bool truth => truth ? 1 : 0,
        _ => null,
    };

    /// <summary>A value as a number; null where it is none.</summary>
    public static double? AsNumber(object? value) => value switch
    {
        long number => number,
        double number => number,
        string text when double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) => number,
        bool truth => truth ? 1 : 0,
        _ => null,
    };

    private InputException Wrong(string column, string wanted) =>
        new($"{Source}: expected {wanted} in the column \"{column}\", given {Describe(Get(column))}");

    private static string Describe(object value) => AsText(value) is { } text ? $"\"{(text.Length > 60 ? text[..60] : text)}\""
        : value is IReadOnlyList<object?> ? "a list" : "a record";
}
