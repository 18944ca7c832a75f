using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using LongformerInterop.Torch;

namespace LongformerInterop.Training;

/// <summary>A line of <c>log.jsonl</c>: a step, or an evaluation behind one.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Epoch">Epochs done, with the part of the one at hand.</param>
public sealed record LogLine(long Step, double Epoch)
{
    /// <summary>Of a step: the mean loss over its labels.</summary>
    public double? Loss { get; init; }

    /// <summary>Of a step.</summary>
    public double? LearningRate { get; init; }

    /// <summary>Of a step: before clipping.</summary>
    public double? GradientNorm { get; init; }

    /// <summary>Of a step: how many tokens went through the model.</summary>
    public long? Tokens { get; init; }

    /// <summary>Of a step: how long it took.</summary>
    public double? Seconds { get; init; }

    /// <summary>Of an evaluation.</summary>
    public IReadOnlyDictionary<string, double>? Metrics { get; init; }
}

/// <summary>The log of a run, a JSON object a line.</summary>
internal sealed class TrainingLog : IDisposable
{
    private readonly FileStream _file;
    private readonly List<LogLine> _lines = [];

    /// <summary>Opens the log; lines of later steps than <paramref name="steps"/> are dropped: the run continues from there.</summary>
    public TrainingLog(string path, long steps)
    {
        if (File.Exists(path))
        {
            foreach (string line in File.ReadLines(path))
            {
                if (Parse(line) is { } parsed && parsed.Step <= steps)
                    _lines.Add(parsed);
            }
        }
        _file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read);
        foreach (LogLine line in _lines)
            Write(line);
        _file.Flush();
    }

    public IReadOnlyList<LogLine> Lines => _lines;

    public void Add(LogLine line)
    {
        _lines.Add(line);
        Write(line);
        _file.Flush();
    }

    public void Dispose() => _file.Dispose();

    private void Write(LogLine line)
    {
        using (Utf8JsonWriter json = new(_file))
        {
            json.WriteStartObject();
            json.WriteNumber("step", line.Step);
            json.WriteNumber("epoch", Math.Round(line.Epoch, 6));
            Number(json, "loss", line.Loss);
            Number(json, "learning_rate", line.LearningRate);
            Number(json, "grad_norm", line.GradientNorm);
            Number(json, "tokens", line.Tokens);
            Number(json, "seconds", line.Seconds);
            if (line.Metrics is not null)
                Metrics(json, "eval", line.Metrics);
            json.WriteEndObject();
        }
        _file.WriteByte((byte)'\n');
    }

    /// <summary>A JSON object on one line.</summary>
    internal static string Json(Action<Utf8JsonWriter> write)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    /// <summary>Metrics by name.</summary>
    internal static void Metrics(Utf8JsonWriter json, string name, IReadOnlyDictionary<string, double> metrics)
    {
        json.WriteStartObject(name);
        foreach ((string metric, double value) in metrics)
            Number(json, metric, value);
        json.WriteEndObject();
    }

    /// <summary>Writes a number; one that JSON lacks as null.</summary>
    internal static void Number(Utf8JsonWriter json, string name, double? value)
    {
        if (value is not { } number)
            return;
        if (double.IsFinite(number))
            json.WriteNumber(name, number);
        else
            json.WriteNull(name);
    }

    /// <summary>Null for a line that was cut off.</summary>
    private static LogLine? Parse(string line)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement json = document.RootElement;
            double? Of(string name) => json.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble()
                : null;
            return new LogLine(json.GetProperty("step").GetInt64(), Of("epoch") ?? 0)
            {
                Loss = Of("loss"), LearningRate = Of("learning_rate"), GradientNorm = Of("grad_norm"), Tokens = (long?)Of("tokens"),
                Seconds = Of("seconds"),
                Metrics = json.TryGetProperty("eval", out JsonElement eval)
                    ? eval.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.ValueKind == JsonValueKind.Number ? p.Value.GetDouble()
                        : double.NaN) : null,
            };
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return null;
        }
    }
}
