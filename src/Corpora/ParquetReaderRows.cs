using LongformerInterop.Torch;
using Parquet;
using Parquet.Data;
using Parquet.Schema;

namespace LongformerInterop.Corpora;

/// <summary>Parquet files, a row group at a time. All have the same carried columns.</summary>
internal sealed class ParquetReaderRows : ICorpusReader
{
    private static readonly string[] Usual = ["text", "document", "context"];
    private static readonly Type[] Simple =
    [
        typeof(string), typeof(bool), typeof(sbyte), typeof(byte), typeof(short), typeof(ushort), typeof(int), typeof(uint), typeof(long),
        typeof(ulong), typeof(float), typeof(double), typeof(DateTime),
    ];

    private readonly IReadOnlyList<string> _files;
    private readonly string? _textColumn;
    private readonly IReadOnlyList<string>? _keep;
    private int _file;
    private double _within;

    public ParquetReaderRows(IReadOnlyList<string> files, string? textColumn, IReadOnlyList<string>? keep)
    {
        (_files, _textColumn, _keep) = (files, textColumn, keep);
        foreach (string file in files)
        {
            using Source source = Open(file);
            IReadOnlyList<CorpusColumn> own = [.. CarriedFields(source).Select(f => new CorpusColumn(f.Name, TypeOf(f)))];
            _ = TextField(source);
            if (Carried is not null && !Carried.SequenceEqual(own))
            {
                throw new InputException(
                    $"{file}: expected the columns of {files[0]} ({Names(Carried)}), given {Names(own)}; --keep chooses those that all have");
            }
            Carried = own;
        }
    }

    public IReadOnlyList<CorpusColumn>? Carried { get; private set; }

    public double Fraction => Math.Min(1, (_file + _within) / _files.Count);

    public IEnumerable<PendingRow> Rows()
    {
        for (_file = 0; _file < _files.Count; _file++)
        {
            using Source source = Open(_files[_file]);
            DataField text = TextField(source);
            DataField[] carried = CarriedFields(source);
            long before = 0;
            for (int group = 0; group < source.Reader.RowGroupCount; group++)
            {
                _within = group / (double)source.Reader.RowGroupCount;
                string where = $"{source.File}: row group {group + 1}";
                Column[]? columns = null;
                string problem = "";
                long rows = 0;
                try
                {
                    using ParquetRowGroupReader reader = source.Reader.OpenRowGroupReader(group);
                    rows = reader.RowCount;
                    columns = [.. carried.Prepend(text).Select(f => Column.Read(reader, f))];
                }
                catch (Exception e) when (e is not OutOfMemoryException)
                {
                    problem = $"cannot be read: {e.Message}";
                }
                if (columns is null)
                {
                    yield return new PendingRow($"{where} ({rows} rows)", 0, () => CorpusRow.Bad(problem));
                    before += rows;
                    continue;
                }
                for (int row = 0; row < rows; row++)
                {
                    int at = row;
                    Column[] now = columns;
                    yield return new PendingRow($"{source.File}: row {before + row + 1}", now[0].LengthOf(at), () => now[0][at] is string value
                        ? new CorpusRow(value, null, [.. carried.Select((f, i) => KeyValuePair.Create(f.Name, now[i + 1][at]))])
                        : CorpusRow.Bad($"the column \"{text.Name}\" holds null, expected a text"));
                }
                before += rows;
            }
            _within = 0;
        }
    }

    private DataField TextField(Source source)
    {
        string? name = _textColumn ?? Array.Find(Usual, u => source.Fields.Any(f => f.Name == u));
        Field? field = Array.Find(source.Fields, f => f.Name == name);
        return field is DataField { MaxRepetitionLevel: 0 } leaf && TypeOf(leaf) == typeof(string) ? leaf
            : throw new InputException(field is null
                ? $"{source.File}: no column \"{name ?? "text"}\"; there are {string.Join(", ", source.Fields.Select(f => $"\"{f.Name}\""))}"
                : $"{source.File}: the column \"{name}\" holds {(field as DataField)?.ClrType.Name ?? $"{field.SchemaType}"}, expected texts");
    }

    private DataField[] CarriedFields(Source source)
    {
        string text = TextField(source).Name;
        if (_keep is null)
            return [.. source.Fields.OfType<DataField>().Where(f => f.Name != text && CanCarry(f))];
        return [.. _keep.Select(name => Array.Find(source.Fields, f => f.Name == name) switch
        {
            DataField field when CanCarry(field) => field,
            null => throw new InputException(
                $"{source.File}: no column \"{name}\"; there are {string.Join(", ", source.Fields.Select(f => $"\"{f.Name}\""))}"),
            _ => throw new InputException(
                $"{source.File}: the column \"{name}\" is of a kind that cannot be carried along: expected texts, numbers, truths or dates"),
        })];
    }

    private static bool CanCarry(DataField field) => field.MaxRepetitionLevel == 0 && Simple.Contains(TypeOf(field));

    // Parquet.Net reads texts as ranges of one buffer.
    private static Type TypeOf(DataField field) => field.ClrType == typeof(ReadOnlyMemory<char>) ? typeof(string) : field.ClrType;

    private static string Names(IEnumerable<CorpusColumn> columns) => string.Join(", ", columns.Select(c => $"{c.Name} {c.Type.Name}"));

    private static Source Open(string file)
    {
        FileStream? stream = null;
        try
        {
            stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
            // Parquet.Net's calls are asynchronous; on a file they end where they begin.
            ParquetReader reader = ParquetReader.CreateAsync(stream).GetAwaiter().GetResult();
            return new Source(file, stream, reader, [.. reader.Schema.Fields]);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            stream?.Dispose();
            throw new InputException($"{file}: not a Parquet file that can be read: {e.Message}", e);
        }
    }

    private sealed record Source(string File, FileStream Stream, ParquetReader Reader, Field[] Fields) : IDisposable
    {
        public void Dispose()
        {
            Reader.DisposeAsync().AsTask().GetAwaiter().GetResult();
            Stream.Dispose();
        }
    }

    /// <summary>One column of a row group. A text is made when it is asked for.</summary>
    private sealed class Column(Func<int, object?> value, Func<int, int> length)
    {
        public object? this[int row] => value(row);

        public int LengthOf(int row) => length(row);

        public static Column Read(ParquetRowGroupReader reader, DataField field)
        {
            RawColumnData raw = reader.ReadRawColumnDataBaseAsync(field).AsTask().GetAwaiter().GetResult();
            int[]? place = Places(raw, field);
            int At(int row) => place is null ? row : place[row];
            return raw switch
            {
                RawColumnData<ReadOnlyMemory<char>> texts => new Column(
                    row => At(row) is >= 0 and int i ? texts.Values[i].ToString() : null, row => At(row) is >= 0 and int i
                        ? texts.Values[i].Length : 0),
                RawColumnData<int> v => Plain(v, At),
                RawColumnData<long> v => Plain(v, At),
                RawColumnData<short> v => Plain(v, At),
                RawColumnData<sbyte> v => Plain(v, At),
                RawColumnData<byte> v => Plain(v, At),
                RawColumnData<ushort> v => Plain(v, At),
                RawColumnData<uint> v => Plain(v, At),
                RawColumnData<ulong> v => Plain(v, At),
                RawColumnData<float> v => Plain(v, At),
                RawColumnData<double> v => Plain(v, At),
                RawColumnData<bool> v => Plain(v, At),
                RawColumnData<DateTime> v => Plain(v, At),
                _ => throw new InputException($"the column \"{field.Name}\" holds {field.ClrType.Name}, which is not read"),
            };
        }

        private static Column Plain<T>(RawColumnData<T> raw, Func<int, int> at) where T : struct =>
            new(row => at(row) is >= 0 and int i ? raw.Values[i] : null, _ => 0);

        /// <summary>The index of each row's value, -1 for null; null where none is null.</summary>
        private static int[]? Places(RawColumnData raw, DataField field)
        {
            if (field.MaxDefinitionLevel == 0 || raw.DefinitionLevels.Length == 0)
                return null;
            ReadOnlySpan<int> levels = raw.DefinitionLevels;
            int[] place = new int[levels.Length];
            for (int row = 0, next = 0; row < place.Length; row++)
                place[row] = levels[row] == field.MaxDefinitionLevel ? next++ : -1;
            return place;
        }
    }
}
