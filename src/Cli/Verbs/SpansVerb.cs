using System.CommandLine;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Tasks;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer spans</c>: classification of given spans.</summary>
internal static class SpansVerb
{
    internal static Command Create()
    {
        Command command = new("spans", "Span classification: a probability for every label of each given span of the text.");
        ModelOptions model = new(command);
        TextOptions text = new(command);
        Option<string[]> span = new("--span")
        {
            Description = "Characters START..END of the text, half-open (repeatable; a JSON line may bring \"spans\": [[START, END], ...])",
            HelpName = "START..END",
            Arity = ArgumentArity.OneOrMore,
        };
        command.Add(span);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            TaskOptions options = new() { Truncate = text.Truncate(parsed), Global = text.Global(parsed) };
            (int, int)[] given = [.. (parsed.GetValue(span) ?? []).Select(Parse)];
            List<Document> documents = text.Read(parsed);
            if (documents.Find(d => d.Spans is null && given.Length == 0) is { } bare)
                throw new UsageException($"{bare.Source}: no spans: give --span START..END, or \"spans\" in the JSON line");
            using SpanClassifier classifier = SpanClassifier.Load(model.Folder(parsed), model.Load(parsed));
            return TaskVerb.Run(model, documents, parsed,
                d => classifier.Classify(d.Text, d.Spans ?? given, options, cancellation),
                spans =>
                {
                    foreach (ClassifiedSpan found in spans)
                    {
                        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                            $"[{found.Start}..{found.End}]  {CommandFailure.OneLine(found.Text)}"));
                        foreach (LabelScore label in found.Labels)
                            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {label.Score:F4}  {label.Label}"));
                    }
                },
                (json, spans) =>
                {
                    json.WriteStartArray("spans");
                    foreach (ClassifiedSpan found in spans)
                    {
                        json.WriteStartObject();
                        json.WriteNumber("start", found.Start);
                        json.WriteNumber("end", found.End);
                        json.WriteString("text", found.Text);
                        ClassifyVerb.WriteLabels(json, found.Labels);
                        json.WriteEndObject();
                    }
                    json.WriteEndArray();
                },
                cancellation);
        }));
        return command;
    }

    private static (int, int) Parse(string text)
    {
        string[] parts = text.Split("..");
        return parts.Length == 2 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int start)
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int end)
            ? (start, end) : throw new UsageException($"--span: expected START..END such as 4..9, given {text}");
    }
}
