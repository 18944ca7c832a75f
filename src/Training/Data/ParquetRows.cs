using LongformerInterop.Torch;
using Parquet;
using Parquet.Schema;

namespace LongformerInterop.Training.Data;

/// <summary>Records of a Parquet file, a row group at a time: values, lists of values, and records of these, as HF's data sets are
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

    /// <summary>Skips columns that no example needs, such as pictures, dates and lists in lists.</summary>
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

    /// <summary>The values of a column of values, by the type that the file has them in. The types are named here and not looked up, since a
    /// program that is compiled ahead of time has no others.</summary>
    private static object?[] Leaf(string file, ParquetRowGroupReader rows, DataField field, int count)
    {
        Type type = field.ClrType;
        if (type == typeof(ReadOnlyMemory<char>) || type == typeof(string))
            return Leaf<ReadOnlyMemory<char>>(file, rows, field, count, v => v.ToString());
        if (type == typeof(int))
            return Leaf<int>(file, rows, field, count, v => (long)v);
        if (type == typeof(long))
            return Leaf<long>(file, rows, field, count, v => v);
        if (type == typeof(short))
            return Leaf<short>(file, rows, field, count, v => (long)v);
        if (type == typeof(sbyte))
            return Leaf<sbyte>(file, rows, field, count, v => (long)v);
        if (type == typeof(byte))
            return Leaf<byte>(file, rows, field, count, v => (long)v);
        if (type == typeof(ushort))
            return Leaf<ushort>(file, rows, field, count, v => (long)v);
        if (type == typeof(uint))
            return Leaf<uint>(file, rows, field, count, v => (long)v);
        if (type == typeof(float))
            return Leaf<float>(file, rows, field, count, v => (double)v);
        if (type == typeof(double))
            return Leaf<double>(file, rows, field, count, v => v);
        if (type == typeof(bool))
            return Leaf<bool>(file, rows, field, count, v => v);
        throw new InputException($"{file}: the column \"{field.Path}\" holds {type.Name}, which is not read");
    }

    /// <summary>A value or a list of values for every row, put together from the repetition and definition levels of the format.</summary>
    private static object?[] Leaf<T>(string file, ParquetRowGroupReader rows, DataField field, int count, Func<T, object> box) where T : struct =>
        Run(file, async () =>
    {
        // As many as the levels: values that are there, those that are not, and empty lists.
        int entries = checked((int)rows.GetMetadata(field)!.MetaData!.NumValues);
        T[] stored = new T[entries];
        int[]? definitions = field.MaxDefinitionLevel > 0 ? new int[entries] : null;
        int[]? repetitions = field.MaxRepetitionLevel > 0 ? new int[entries] : null;
        await rows.ReadRawAsync<T>(field, stored, definitions is null ? default(Memory<int>?) : definitions,
            repetitions is null ? default(Memory<int>?) : repetitions).ConfigureAwait(false);
        object?[] result = new object?[count];
        List<object?>? list = null;
        for (int entry = 0, value = 0, row = -1; entry < entries; entry++)
        {
            int defined = definitions?[entry] ?? field.MaxDefinitionLevel;
            object? item = defined == field.MaxDefinitionLevel ? box(stored[value++]) : null;
            if (repetitions is null)
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
    });

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
