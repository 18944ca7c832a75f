using System.Text;
using LongformerInterop.Torch;
using nietras.SeparatedValues;

namespace LongformerInterop.Training.Data;

/// <summary>Records of a table whose first line names the columns; texts with separators or line ends in them are in quotes.</summary>
internal static class SeparatedRows
{
    public static IEnumerable<DataRow> Read(string file, Stream stream, char separator)
    {
        SepReader? reader = null;
        int line = 1;
        DataRow? Next()
        {
            try
            {
                // Opened here, since the first line is read on opening.
                reader ??= Sep.New(separator).Reader(o => o with { Unescape = true }).From(new StreamReader(stream,
                    new UTF8Encoding(false, throwOnInvalidBytes: true)));
                // The line that a complaint is about: behind the header, or behind the last row.
                line = Math.Max(line, 2);
                if (!reader.MoveNext())
                    return null;
                SepReader.Row row = reader.Current;
                Dictionary<string, object?> values = new(StringComparer.Ordinal);
                foreach (string column in reader.Header.ColNames)
                {
                    string text = row[column].ToString();
                    values[column] = text.Length == 0 ? null : text;
                }
                line = row.LineNumberToExcl;
                return new DataRow($"{file}:{row.LineNumberFrom}", values);
            }
            catch (DecoderFallbackException e)
            {
                throw new InputException($"{file}: not UTF-8 text", e);
            }
            catch (Exception e)
                when (e is InvalidDataException or ArgumentException or InvalidOperationException or KeyNotFoundException or NotSupportedException)
            {
                throw new InputException($"{file}:{line}: not a table of columns separated by {(separator == '\t' ? "tabs" : "commas")}: "
                    + $"{e.Message.ReplaceLineEndings(" ")}", e);
            }
        }
        try
        {
            while (Next() is { } row)
                yield return row;
        }
        finally
        {
            reader?.Dispose();
            stream.Dispose();
        }
    }
}
