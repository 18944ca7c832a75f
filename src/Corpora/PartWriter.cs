using System.Globalization;
using System.IO.Compression;
using System.Text.Encodings.Web;
using System.Text.Json;
using Parquet;
using Parquet.Schema;

namespace LongformerInterop.Corpora;

/// <summary>A row that is done.</summary>
/// <param name="Carried">What is carried along.</param>
/// <param name="Added">The task's values, in the order of its columns.</param>
internal sealed record FinishedRow(IReadOnlyList<KeyValuePair<string, object?>> Carried, object?[] Added);

/// <summary>Writes a part.</summary>
internal static class PartWriter
{
    private static readonly JsonWriterOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes rows as the suffix says.</summary>
    /// <param name="stream">Where to.</param>
    /// <param name="suffix">One of <see cref="CorpusFormats.Suffixes"/>.</param>
    /// <param name="carried">Types of the carried columns, for Parquet.</param>
    /// <param name="added">The task's columns.</param>
    /// <param name="rows">The rows.</param>
    public static void Write(Stream stream, string suffix, IReadOnlyList<CorpusColumn> carried, IReadOnlyList<CorpusColumn> added,
        IReadOnlyList<FinishedRow> rows)
    {
        if (CorpusFormats.IsParquet(suffix))
        {
            WriteParquet(stream, carried, added, rows);
            return;
        }
        Stream lines = CorpusFormats.Compress(suffix, stream);
        foreach (FinishedRow row in rows)
            WriteLine(lines, json => Properties(json, row, added));
        if (lines != stream)
            lines.Dispose();
    }

    /// <summary>Writes an object and a line feed.</summary>
    public static void WriteLine(Stream stream, Action<Utf8JsonWriter> properties)
    {
        using (Utf8JsonWriter json = new(stream, Relaxed))
        {
            json.WriteStartObject();
            properties(json);
            json.WriteEndObject();
        }
        stream.Write("\n"u8);
    }

    private static void Properties(Utf8JsonWriter json, FinishedRow row, IReadOnlyList<CorpusColumn> added)
    {
        foreach ((string name, object? value) in row.Carried)
        {
            // A column of the task replaces one of the same name.
            if (added.Any(c => c.Name == name))
                continue;
            json.WritePropertyName(name);
            Value(json, value);
        }
        for (int i = 0; i < added.Count; i++)
        {
            json.WritePropertyName(added[i].Name);
            Value(json, row.Added[i]);
        }
    }

    private static void Value(Utf8JsonWriter json, object? value)
    {
        switch (value)
        {
            case null:
                json.WriteNullValue();
                break;
            case JsonElement element:
                element.WriteTo(json);
                break;
            case string text:
                json.WriteStringValue(text);
                break;
            case bool truth:
                json.WriteBooleanValue(truth);
                break;
            case DateTime date:
                json.WriteStringValue(date);
                break;
            case float number:
                Number(json, number);
                break;
            case double number when double.IsFinite(number):
                json.WriteNumberValue(number);
                break;
            case double:
                json.WriteNullValue();
                break;
            case float[] numbers:
                json.WriteStartArray();
                foreach (float number in numbers)
                    Number(json, number);
                json.WriteEndArray();
                break;
            case string[] texts:
                json.WriteStartArray();
                foreach (string text in texts)
                    json.WriteStringValue(text);
                json.WriteEndArray();
                break;
            default:
                json.WriteRawValue(Convert.ToString(value, CultureInfo.InvariantCulture)!);
                break;
        }
    }

    private static void Number(Utf8JsonWriter json, float number)
    {
        if (float.IsFinite(number))
            json.WriteNumberValue(number);
        else
            json.WriteNullValue();
    }

    private static void WriteParquet(Stream stream, IReadOnlyList<CorpusColumn> carried, IReadOnlyList<CorpusColumn> added,
        IReadOnlyList<FinishedRow> rows)
    {
        CorpusColumn[] own = [.. carried.Where(c => added.All(a => a.Name != c.Name))];
        List<(DataField Field, Type Type, Func<FinishedRow, object?> Value)> columns = [];
        for (int i = 0; i < carried.Count; i++)
        {
            int at = i;
            if (own.Contains(carried[i]))
                columns.Add((new DataField(carried[i].Name, carried[i].Type, isNullable: true), carried[i].Type, row => row.Carried[at].Value));
        }
        for (int i = 0; i < added.Count; i++)
        {
            int at = i;
            Type type = added[i].Type;
            columns.Add((new DataField(added[i].Name, type.IsArray ? type.GetElementType()! : type, isNullable: !type.IsArray, isArray: type.IsArray),
                type,
                row => row.Added[at]));
        }
        ParquetSchema schema = new([.. columns.Select(c => c.Field)]);
        // Vectors hardly get smaller however hard one tries: the library's default, the smallest size, took a tenth of a small model's time.
        ParquetOptions options = new() { CompressionMethod = CompressionMethod.Zstd, CompressionLevel = CompressionLevel.Optimal };
        ParquetWriter writer = ParquetWriter.CreateAsync(schema, stream, options).GetAwaiter().GetResult();
        using (ParquetRowGroupWriter group = writer.CreateRowGroup())
        {
            foreach ((DataField field, Type type, Func<FinishedRow, object?> value) in columns)
                WriteColumn(group, field, type, [.. rows.Select(value)]).GetAwaiter().GetResult();
        }
        writer.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    private static Task WriteColumn(ParquetRowGroupWriter group, DataField field, Type type, object?[] values)
    {
        if (type.IsArray)
            return type == typeof(string[]) ? Texts(group, field, values) : Floats(group, field, values);
        return type == typeof(string) ? group.WriteAsync(field, (IReadOnlyCollection<string>)[.. values.Select(v => Text(v)!)])
            : type == typeof(bool) ? Plain<bool>(group, field, values)
            : type == typeof(sbyte) ? Plain<sbyte>(group, field, values)
            : type == typeof(byte) ? Plain<byte>(group, field, values)
            : type == typeof(short) ? Plain<short>(group, field, values)
            : type == typeof(ushort) ? Plain<ushort>(group, field, values)
            : type == typeof(int) ? Plain<int>(group, field, values)
            : type == typeof(uint) ? Plain<uint>(group, field, values)
            : type == typeof(long) ? Plain<long>(group, field, values)
            : type == typeof(ulong) ? Plain<ulong>(group, field, values)
            : type == typeof(float) ? Plain<float>(group, field, values)
            : type == typeof(double) ? Plain<double>(group, field, values)
            : Plain<DateTime>(group, field, values);
    }

    private static string? Text(object? value) => value switch
    {
        null or string => (string?)value,
        JsonElement { ValueKind: JsonValueKind.String } element => element.GetString(),
        JsonElement { ValueKind: JsonValueKind.Null } => null,
        JsonElement element => element.GetRawText(),
        _ => Convert.ToString(value, CultureInfo.InvariantCulture),
    };

    private static Task Plain<T>(ParquetRowGroupWriter group, DataField field, object?[] values) where T : struct
    {
        T?[] typed = [.. values.Select(v => (T?)v)];
        return group.WriteAsync<T>(field, (ReadOnlyMemory<T?>)typed);
    }

    private static Task Floats(ParquetRowGroupWriter group, DataField field, object?[] values) =>
        group.WriteAsync<float>(field, (ReadOnlyMemory<float>)Joined<float>(values), Repetitions(values));

    private static Task Texts(ParquetRowGroupWriter group, DataField field, object?[] values) =>
        group.WriteAsync(field, (IReadOnlyCollection<string>)Joined<string>(values), Repetitions(values));

    /// <summary>The elements of all lists, one after the other.</summary>
    private static T[] Joined<T>(object?[] values)
    {
        T[] all = new T[values.Sum(v => ((T[])v!).Length)];
        int at = 0;
        foreach (T[] list in values.Cast<T[]>())
        {
            list.CopyTo(all, at);
            at += list.Length;
        }
        return all;
    }

    /// <summary>0 where a list begins, 1 where it continues.</summary>
    private static ReadOnlyMemory<int> Repetitions(object?[] values)
    {
        int[] all = new int[values.Sum(v => ((Array)v!).Length)];
        Array.Fill(all, 1);
        int at = 0;
        foreach (Array list in values.Cast<Array>())
        {
            if (list.Length > 0)
                all[at] = 0;
            at += list.Length;
        }
        return all;
    }
}
