using System.Globalization;
using System.Text.Json;

namespace LongformerInterop.Cli.Parity.Metrics;

/// <summary>
/// A file of inputs of a scorer and of what the official one gave for them. A scorer is a class here and a line in
/// <see cref="All"/>; a folder that holds a file of its name has its cases.
/// </summary>
internal abstract class MetricFile
{
    private const double Tolerance = 1e-9;

    /// <summary>Every scorer that is compared.</summary>
    internal static IReadOnlyList<MetricFile> All { get; } =
        [new TriviaQaMetric(), new SquadMetric(), new RougeMetric(), new EntityMetric(), new CoreferenceMetric(), new HotpotMetric()];

    /// <summary>The name of its files, such as <c>triviaqa.json</c>.</summary>
    internal abstract string FileName { get; }

    /// <summary>The scorer of a file; null: it is none of these.</summary>
    internal static MetricFile? Of(string path) => All.FirstOrDefault(m => m.FileName == Path.GetFileName(path));

    /// <summary>The rows of a file, one for each case.</summary>
    internal IEnumerable<ParityRow> Run(string path)
    {
        string label = $"metrics/{Path.GetFileNameWithoutExtension(FileName)}";
        List<ParityRow> rows = [];
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            foreach (MetricCase one in Cases(document.RootElement))
                rows.Add(Compare(label, string.Create(CultureInfo.InvariantCulture, $"{rows.Count + 1} {one.Note}"), one));
        }
#pragma warning disable CA1031 // A file that cannot be read is a failed row; the next one still runs.
        catch (Exception e)
#pragma warning restore CA1031
        {
            rows.Add(new ParityRow(label, "-", null, null, ParityOutcome.Fail, $"{path}: {CommandFailure.Describe(e)}"));
        }
        return rows.Count > 0 ? rows : [new ParityRow(label, "-", null, null, ParityOutcome.Fail, $"{path}: no case in it")];
    }

    /// <summary>The cases of a file.</summary>
    private protected abstract IEnumerable<MetricCase> Cases(JsonElement root);

    /// <summary>How far a number may be off.</summary>
    /// <param name="name">Its place in the expected values, such as <c>conll.muc.printed.f1</c>.</param>
    private protected virtual double ToleranceOf(string name) => Tolerance;

    private ParityRow Compare(string label, string item, MetricCase one)
    {
        (double worst, double tolerance, List<string> wrong) = (0, Tolerance, []);
        try
        {
            IReadOnlyDictionary<string, object?> computed = one.Compute();
            foreach ((string name, object? expected) in Flatten("", one.Expected))
            {
                if (!computed.TryGetValue(name, out object? value))
                {
                    wrong.Add($"{name} was not computed");
                    continue;
                }
                if (Number(value) is { } given && Number(expected) is { } wanted)
                {
                    double difference = Math.Abs(given - wanted);
                    if (!(difference <= ToleranceOf(name)))
                        wrong.Add(string.Create(CultureInfo.InvariantCulture, $"{name}: {given}, expected {wanted}"));
                    if (difference / ToleranceOf(name) >= worst / tolerance)
                        (worst, tolerance) = (difference, ToleranceOf(name));
                }
                else if (!Equals(value, expected))
                {
                    wrong.Add($"{name}: \"{value}\", expected \"{expected}\"");
                }
            }
        }
#pragma warning disable CA1031 // A scorer that fails is a failed row; the next case still runs.
        catch (Exception e)
#pragma warning restore CA1031
        {
            wrong.Add(CommandFailure.Describe(e));
        }
        return new ParityRow(label, item, worst, tolerance, wrong.Count == 0 ? ParityOutcome.Pass : ParityOutcome.Fail,
            wrong.Count == 0 ? null : string.Join("; ", wrong));
    }

    private static double? Number(object? value) => value switch
    {
        double number => number,
        int number => number,
        _ => null,
    };

    /// <summary>Numbers, texts and nulls by their places: <c>muc.counts.0</c>.</summary>
    private static IEnumerable<(string Name, object? Value)> Flatten(string name, JsonElement value)
    {
        string Under(string part) => name.Length == 0 ? part : $"{name}.{part}";
        return value.ValueKind switch
        {
            JsonValueKind.Object => value.EnumerateObject().SelectMany(p => Flatten(Under(p.Name), p.Value)),
            JsonValueKind.Array => value.EnumerateArray().SelectMany((item, i) => Flatten(Under(i.ToString(CultureInfo.InvariantCulture)), item)),
            JsonValueKind.Number => [(name, value.GetDouble())],
            JsonValueKind.String => [(name, value.GetString())],
            JsonValueKind.True or JsonValueKind.False => [(name, value.GetBoolean() ? 1.0 : 0)],
            _ => [(name, null)],
        };
    }
}

/// <summary>A case of a scorer.</summary>
/// <param name="Note">What it is about.</param>
/// <param name="Expected">The official scorer's values, a JSON object.</param>
/// <param name="Compute">Gives ours: numbers (double or int) and texts by their places in <paramref name="Expected"/>; more than those may be
/// there.</param>
internal sealed record MetricCase(string Note, JsonElement Expected, Func<IReadOnlyDictionary<string, object?>> Compute)
{
    /// <summary>A case of a list of <c>note</c>, <c>input</c>, <c>expected</c>.</summary>
    internal static MetricCase Of(JsonElement json, Func<JsonElement, IReadOnlyDictionary<string, object?>> compute) =>
        new(json.GetProperty("note").GetString()!, json.GetProperty("expected"), () => compute(json.GetProperty("input")));

    internal static string[] Texts(JsonElement list) => [.. list.EnumerateArray().Select(t => t.GetString()!)];
}
