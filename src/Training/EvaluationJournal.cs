using System.Globalization;
using System.Text.Json;
using LongformerInterop.Torch;

namespace LongformerInterop.Training;

/// <summary>
/// The finished part of an evaluation, an object a line in a file that is flushed after every batch: a long one that was stopped continues behind
/// it. The first line says what it belongs to. A last line that was not written to its end is forgotten.
/// </summary>
internal sealed class EvaluationJournal : IDisposable
{
    private readonly StreamWriter _writer;

    /// <summary>Opens a journal, or begins one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="belongsTo">Data, model and settings: a journal of others is refused.</param>
    /// <exception cref="InputException">It belongs to another evaluation, or cannot be read or written.</exception>
    public EvaluationJournal(string path, string belongsTo)
    {
        try
        {
            List<string> kept = [];
            if (File.Exists(path))
            {
                string whole = File.ReadAllText(path);
                string[] lines = whole[..(whole.LastIndexOf('\n') + 1)].Split('\n', StringSplitOptions.RemoveEmptyEntries);
                if (lines.Length > 0 && lines[0] != belongsTo)
                {
                    throw new InputException($"{path}: the evaluation was begun with other data, another model or other settings; delete it to "
                        + "begin anew");
                }
                kept.AddRange(lines.Skip(1));
            }
            Done = kept.ConvertAll(line =>
            {
                using JsonDocument json = JsonDocument.Parse(line);
                return json.RootElement.Clone();
            });
            // The same bytes on every system.
            WholeFile.Write(path, string.Concat(kept.Prepend(belongsTo).Select(line => line + "\n")));
            _writer = new StreamWriter(new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new InputException($"{path}: cannot go on with this journal: {e.Message}", e);
        }
    }

    /// <summary>The lines of earlier batches.</summary>
    public IReadOnlyList<JsonElement> Done { get; }

    /// <summary>Adds lines and sees to it that they are on the disk.</summary>
    public void Add(IEnumerable<string> lines)
    {
        foreach (string line in lines)
            _writer.Write(line + "\n");
        _writer.Flush();
        ((FileStream)_writer.BaseStream).Flush(flushToDisk: true);
    }

    public void Dispose() => _writer.Dispose();

    /// <summary>The first line of a journal.</summary>
    public static string Belonging(params ReadOnlySpan<object?> values)
    {
        List<string> texts = [];
        foreach (object? value in values)
            texts.Add(System.Convert.ToString(value, CultureInfo.InvariantCulture) ?? "");
        return TrainingLog.Json(json => json.WriteString("of", string.Join('|', texts)));
    }
}
