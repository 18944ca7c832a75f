using System.Globalization;
using System.Text;
using System.Text.Json;
using Parquet;
using Parquet.Schema;

namespace LongformerInterop.Corpora.Tests;

/// <summary>Corpora for tests.</summary>
internal static class CorpusFiles
{
    private static readonly string[] Words = ["ada", "wrote", "the", "first", "program", "in", "london", "long", "ago", "café"];

    internal static string[] Texts(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(
            _ => string.Join(' ', Enumerable.Range(0, random.Next(1, 24)).Select(_ => Words[random.Next(Words.Length)])))];
    }

    /// <summary>Texts with their numbers as <c>id</c>, in the form that the name says; JSON lines have a list beside.</summary>
    internal static string WriteCorpus(string file, string?[] texts, int rowsOfGroup = int.MaxValue)
    {
        if (CorpusFormats.IsParquet(file))
        {
            string[] ids = [.. texts.Select((_, i) => i.ToString(CultureInfo.InvariantCulture))];
            using FileStream parquet = File.Create(file);
            (DataField id, DataField text) = (new("id", typeof(string), false), new("text", typeof(string), true));
            ParquetWriter writer = ParquetWriter.CreateAsync(new ParquetSchema(id, text), parquet).GetAwaiter().GetResult();
            foreach (int[] rows in Enumerable.Range(0, texts.Length).Chunk(rowsOfGroup))
            {
                using ParquetRowGroupWriter group = writer.CreateRowGroup();
                group.WriteAsync(id, (IReadOnlyCollection<string>)[.. rows.Select(r => ids[r])]).GetAwaiter().GetResult();
                group.WriteAsync(text, (IReadOnlyCollection<string>)[.. rows.Select(r => texts[r]!)]).GetAwaiter().GetResult();
            }
            writer.DisposeAsync().AsTask().GetAwaiter().GetResult();
            return file;
        }
        using FileStream stream = File.Create(file);
        Stream lines = CorpusFormats.Compress(file, stream);
        foreach ((int i, string? text) in texts.Index())
            lines.Write(Encoding.UTF8.GetBytes($"{JsonSerializer.Serialize(new { id = i, text, more = new[] { i } })}\n"));
        if (lines != stream)
            lines.Dispose();
        return file;
    }

    /// <summary>A row group of columns.</summary>
    internal static void WriteParquet(string file, (DataField Field, Action<ParquetRowGroupWriter, DataField> Write)[] columns)
    {
        using FileStream stream = File.Create(file);
        ParquetWriter writer = ParquetWriter.CreateAsync(new ParquetSchema([.. columns.Select(c => c.Field)]), stream).GetAwaiter().GetResult();
        using (ParquetRowGroupWriter group = writer.CreateRowGroup())
        {
            foreach ((DataField field, Action<ParquetRowGroupWriter, DataField> write) in columns)
                write(group, field);
        }
        writer.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    /// <summary>The bytes of all parts of a folder, in their order.</summary>
    internal static byte[] Content(string output) =>
        [.. Directory.GetFiles(output, "part-*").Order(StringComparer.Ordinal).SelectMany(File.ReadAllBytes)];
}
