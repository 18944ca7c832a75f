using LongformerInterop.Torch;
using Parquet;
using Parquet.Data;
using Parquet.Schema;

namespace LongformerInterop.Training.Data;

/// <summary>Records of a Parquet file, a row group at a time: values, lists of values, and records of these, as Hugging Face's data sets are
/// published.</summary>
internal static class ParquetRows
{
    private static readonly Type[] Readable =
    [
        typeof(ReadOnlyMemory<char>), typeof(string), typeof(int), typeof(long), typeof(short), typeof(sbyte), typeof(byte), typeof(ushort),
        typeof(uint), typeof(float), typeof(double), typeof(bool),
    ];

    public static IEnumerable<DataRow> Read(string file, Stream stream)
    {
        using (stream)
        {
            // Parquet.Net's calls are asynchronous; on a file they end where they begin.
            ParquetReader reader = Run(file, () => ParquetReader.CreateAsync(stream));
            long number = 0;
            try
            {
                for (int group = 0; group < reader.RowGroupCount; group++)
                {
                    using ParquetRowGroupReader rows = reader.OpenRowGroupReader(group);
                    int count = checked((int)rows.RowCount);
                    (string Name, object?[] Values)[] columns = [.. reader.Schema.Fields.Where(IsRead).Select(f =>
                        (f.Name, Column(file, rows, f, count)))];
                    for (int i = 0; i < count; i++)
                    {
                        Dictionary<string, object?> values = new(StringComparer.Ordinal);
                        foreach ((string name, object?[] column) in columns)
                            values[name] = column[i];
                        yield return new DataRow($"{file}: row {++number}", values);
                    }
                }
            }
            finally
            {
                reader.DisposeAsync().AsTask().GetAwaiter().GetResult();
            }
        }
    }

    /// <summary>What no example is made of, such as pictures, dates and lists in lists, is passed over.</summary>
    private static bool IsRead(Field field) => field switch
    {
        DataField leaf => leaf.MaxRepetitionLevel <= 1 && Readable.Contains(leaf.ClrType),
        ListField list => IsRead(list.Item),
        StructField record => record.Fields.All(IsRead),
        _ => false,
    };

    private static object?[] Column(string file, ParquetRowGroupReader rows, Field field, int count)
    {
        switch (field)
        {
            case DataField leaf:
                return Leaf(file, rows, leaf, count);
            case ListField list:
                return Column(file, rows, list.Item, count);
            case StructField record:
                (string Name, object?[] Values)[] parts = [.. record.Fields.Select(f => (f.Name, Column(file, rows, f, count)))];
                return [.. Enumerable.Range(0, count).Select(i =>
                    (object?)parts.ToDictionary(p => p.Name, p => p.Values[i], StringComparer.Ordinal))];
            default:
                throw new InputException($"{file}: the column \"{field.Name}\" is of a kind that is not read ({field.SchemaType})");
        }
    }

    /// <summary>A value or a list of values for every row, put together from the repetition and definition levels of the format.</summary>
    private static object?[] Leaf(string file, ParquetRowGroupReader rows, DataField field, int count)
    {
        using RawColumnData raw = Run(file, () => rows.ReadRawColumnDataBaseAsync(field).AsTask());
        object?[] stored = Values(file, field, raw);
        ReadOnlySpan<int> repetitions = field.MaxRepetitionLevel > 0 ? raw.RepetitionLevels : [], definitions = field.MaxDefinitionLevel > 0
            ? raw.DefinitionLevels : [];
        int entries = definitions.Length > 0 ? definitions.Length : repetitions.Length > 0 ? repetitions.Length : stored.Length;
        object?[] result = new object?[count];
        List<object?>? list = null;
        for (int entry = 0, value = 0, row = -1; entry < entries; entry++)
        {
            int defined = definitions.Length > 0 ? definitions[entry] : field.MaxDefinitionLevel;
            object? item = defined == field.MaxDefinitionLevel ? stored[value++] : null;
            if (field.MaxRepetitionLevel == 0)
            {
                result[++row] = item;
                continue;
            }
            if (repetitions[entry] == 0)
                result[++row] = list = [];
            // An empty list has one entry that is defined less deep than an item would be.
            if (defined >= field.MaxDefinitionLevel - (field.IsNullable ? 1 : 0))
                list!.Add(item);
        }
        return result;
    }

    private static object?[] Values(string file, DataField field, RawColumnData raw) => raw switch
    {
        RawColumnData<ReadOnlyMemory<char>> texts => Boxed(texts, v => v.ToString()),
        RawColumnData<int> numbers => Boxed(numbers, v => (long)v),
        RawColumnData<long> numbers => Boxed(numbers, v => v),
        RawColumnData<short> numbers => Boxed(numbers, v => (long)v),
        RawColumnData<sbyte> numbers => Boxed(numbers, v => (long)v),
        RawColumnData<byte> numbers => Boxed(numbers, v => (long)v),
        RawColumnData<ushort> numbers => Boxed(numbers, v => (long)v),
        RawColumnData<uint> numbers => Boxed(numbers, v => (long)v),
        RawColumnData<float> numbers => Boxed(numbers, v => (double)v),
        RawColumnData<double> numbers => Boxed(numbers, v => v),
        RawColumnData<bool> truths => Boxed(truths, v => v),
        _ => throw new InputException($"{file}: the column \"{field.Path}\" holds {field.ClrType.Name}, which is not read"),
    };

    private static object?[] Boxed<T>(RawColumnData<T> raw, Func<T, object> value) where T : struct
    {
        ReadOnlySpan<T> values = raw.Values;
        object?[] boxed = new object?[values.Length];
        for (int i = 0; i < boxed.Length; i++)
            boxed[i] = value(values[i]);
        return boxed;
    }

    private static T Run<T>(string file, Func<Task<T>> call)
    {
        try
        {
            return call().GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            throw new InputException($"{file}: not a Parquet file that can be read: {e.Message}", e);
        }
    }
}
