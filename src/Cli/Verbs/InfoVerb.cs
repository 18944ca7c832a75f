using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LongformerInterop.Cli.Checkpoints;
using LongformerInterop.Cli.Output;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer info</c>: what a checkpoint is, and whether every tensor of it is sound.</summary>
internal static class InfoVerb
{
    internal static Command Create()
    {
        Command command = new("info", "Architecture, sizes, windows and tasks of any checkpoint, and whose names it has; checks every tensor.");
        Argument<string> folder = new("checkpoint") { Description = "Checkpoint folder, or its file with the weights", HelpName = "FOLDER" };
        Option<bool> json = new("--json") { Description = "Print machine-readable results" };
        command.Add(folder);
        command.Add(json);
        command.SetAction(parsed => Program.Run(cancellation => Run(parsed.GetRequiredValue(folder), parsed.GetValue(json), cancellation)));
        return command;
    }

    private static int Run(string folder, bool asJson, CancellationToken cancellation)
    {
        if (!Directory.Exists(folder) && !File.Exists(folder))
            throw new IOException($"{folder}: no such file or folder");
        CheckpointReport report = new();
        CheckpointDescription.Describe(folder, report, cancellation);
        report.Set("libtorch", TorchRuntime.Version);
        if (asJson)
            JsonOutput.Print(writer => Write(writer, folder, report));
        else
            Print(folder, report);
        if (report.Problems.Count == 0)
            return 0;
        Console.Error.WriteLine($"longformer: {folder}: {report.Problems.Count} problem{(report.Problems.Count == 1 ? "" : "s")}, first: "
            + $"{CommandFailure.OneLine(report.Problems[0])}");
        return CommandFailure.Failed;
    }

    private static void Print(string folder, CheckpointReport report)
    {
        Console.WriteLine(folder);
        foreach ((string name, object value) in report.Facts)
            Console.WriteLine($"  {name.Replace('_', ' '),-18} {Text(value)}");
        Console.WriteLine($"  {"tasks",-18} {(report.Tasks.Count == 0 ? "none" : string.Join(", ", report.Tasks))}");
        if (report.Problems.Count == 0)
            Console.WriteLine($"  {"problems",-18} none: every tensor is there, has its shape and is finite");
        foreach (string problem in report.Problems)
            Console.WriteLine($"  {"problem",-18} {CommandFailure.OneLine(problem)}");
    }

    private static string Text(object value) => value switch
    {
        long number => number.ToString("N0", CultureInfo.InvariantCulture),
        List<long> numbers when numbers.Distinct().Count() == 1 =>
            string.Create(CultureInfo.InvariantCulture, $"{numbers[0]} ({numbers.Count} layers)"),
        List<long> numbers => string.Join(", ", numbers),
        List<string> texts => string.Join(
            texts.Any(t => t.Contains(", ", StringComparison.Ordinal)) ? "; " : ", ", texts.Select(CommandFailure.OneLine)),
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    private static void Write(Utf8JsonWriter json, string folder, CheckpointReport report)
    {
        json.WriteString("checkpoint", folder);
        foreach ((string name, object value) in report.Facts)
        {
            switch (value)
            {
                case long number:
                    json.WriteNumber(name, number);
                    break;
                case List<long> numbers:
                    json.WriteStartArray(name);
                    foreach (long number in numbers)
                        json.WriteNumberValue(number);
                    json.WriteEndArray();
                    break;
                case List<string> texts:
                    WriteTexts(json, name, texts);
                    break;
                default:
                    json.WriteString(name, Text(value));
                    break;
            }
        }
        WriteTexts(json, "tasks", report.Tasks);
        WriteTexts(json, "problems", report.Problems);
    }

    private static void WriteTexts(Utf8JsonWriter json, string name, List<string> texts)
    {
        json.WriteStartArray(name);
        foreach (string text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }
}
