using System.CommandLine;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Cli.Parity;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer parity</c>: compares with reference values.</summary>
internal static class ParityVerb
{
    internal static Command Create()
    {
        Command command = new("parity",
            "Runs every case folder (a folder with case.json) below the given ones and compares with its expected tensors.");
        Argument<string[]> folders = new("folders") { Description = "Folders with cases", HelpName = "FOLDER", Arity = ArgumentArity.ZeroOrMore };
        Option<string> attention = new("--attention")
        {
            Description = "Implementation of the attention: fused, chunks, loop or all",
            HelpName = "NAME",
            DefaultValueFactory = _ => "fused",
        };
        attention.OnlyFrom([.. ModelOptions.Implementations, "all"]);
        Option<string> device = new("--device") { Description = "cpu, cuda or cuda:N", HelpName = "DEVICE", DefaultValueFactory = _ => "cpu" };
        Option<string?> dtype = new("--dtype") { Description = "Dtype of the models: float32, bfloat16 or float16 (default: as stored)",
            HelpName = "DTYPE" };
        Option<int> repeat = TaskVerb.Count("--repeat",
            "Passes of a model before it is compared: the third uses the records of the second (default 1)", 1);
        Option<bool> operators = new("--operators") {
            Description = "Compare the operators on the device with the CPU's reference too, on random inputs" };
        Option<int?> threads = new("--threads") { Description = "Threads of the CPU operators", HelpName = "N" };
        Option<bool> summary = new("--summary") {
            Description = "Print a line for each kind of case instead of each tensor; failures are printed whole" };
        Option<bool> json = new("--json") { Description = "Print machine-readable results" };
        threads.AtLeastOne();
        dtype.OnlyFrom(ModelOptions.FloatingDTypes);
        command.Validators.Add(result =>
        {
            if (result.GetValue(folders) is null or [] && !result.GetValue(operators))
                result.AddError("expected a folder with cases, or --operators");
        });
        command.Add(folders);
        command.Add(attention);
        command.Add(device);
        command.Add(dtype);
        command.Add(repeat);
        command.Add(operators);
        command.Add(threads);
        command.Add(summary);
        command.Add(json);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            string chosen = parsed.GetValue(attention)!;
            if (parsed.GetValue(threads) is { } count)
                TorchRuntime.ThreadCount = count;
            ParitySettings settings = new(
                chosen == "all"
                    ? [AttentionImplementation.Fused, AttentionImplementation.Chunks, AttentionImplementation.Loop]
                    : [ModelOptions.Implementation(chosen)],
                Device.Parse(parsed.GetValue(device)!), ModelOptions.DTypeOf(parsed.GetValue(dtype)), parsed.GetValue(repeat));
            TorchRuntime.RequireDevice(settings.Device);
            bool everyRow = !parsed.GetValue(summary) && !parsed.GetValue(json);
            List<ParityRow> rows = Run(
                parsed.GetValue(folders) ?? [], parsed.GetValue(operators), settings,
                row => everyRow || (!parsed.GetValue(json) && row.Outcome == ParityOutcome.Fail), cancellation);
            int Count(ParityOutcome outcome) => rows.Count(r => r.Outcome == outcome);
            (int passed, int failed, int skipped) = (Count(ParityOutcome.Pass), Count(ParityOutcome.Fail), Count(ParityOutcome.Skip));
            if (parsed.GetValue(json))
            {
                PrintJson(rows, passed, failed, skipped);
            }
            else
            {
                if (parsed.GetValue(summary))
                    PrintSummary(rows);
                Console.WriteLine($"{passed} passed, {failed} failed, {skipped} skipped");
            }
            return failed > 0 ? CommandFailure.Failed : 0;
        }));
        return command;
    }

    /// <summary>The rows of all cases; those that <paramref name="shown"/> picks are printed as they come.</summary>
    private static List<ParityRow> Run(string[] folders, bool operators, ParitySettings settings, Func<ParityRow, bool> shown,
        CancellationToken cancellation)
    {
        List<string> cases = [.. folders.SelectMany(ParityRunner.FindCases).Distinct()];
        List<ParityRow> rows = [];
        IEnumerable<IEnumerable<ParityRow>> groups = cases.Select(folder => ParityRunner.Run(folder, settings));
        foreach (IEnumerable<ParityRow> group in operators ? groups.Prepend(OperatorCheck.Run(settings)) : groups)
        {
            cancellation.ThrowIfCancellationRequested();
            foreach (ParityRow row in group)
            {
                rows.Add(row);
                if (shown(row))
                    Console.WriteLine(Format(row));
            }
        }
        return rows;
    }

    private static void PrintSummary(List<ParityRow> rows)
    {
        foreach (IGrouping<string, ParityRow> kind in rows.GroupBy(r => r.Case.Split('/', ' ')[0]))
        {
            string text = $"{kind.Key,-16} {kind.Select(r => r.Case).Distinct().Count(),4} cases {kind.Count(),5} tensors";
            ParityRow? closest = kind.Where(r => r.Tolerance > 0 && r.Difference is not null).MaxBy(r => r.Difference / r.Tolerance);
            if (closest is not null)
                text += $"   closest to its tolerance: {Number(closest.Difference)} of {Number(closest.Tolerance)} ({closest.Case}, {closest.Item})";
            Console.WriteLine(text);
        }
    }

    private static string Format(ParityRow row)
    {
        string verdict = row.Outcome switch { ParityOutcome.Pass => "pass", ParityOutcome.Fail => "FAIL", _ => "skipped" };
        string note = row.Note is null ? "" : $"  {row.Note}";
        return $"{row.Case,-46} {row.Item,-34} {Number(row.Difference),9} {Number(row.Tolerance),9}  {verdict}{note}";
    }

    private static string Number(double? value) => value switch
    {
        null => "-",
        0 => "0",
        { } v when double.IsFinite(v) => v.ToString("0.0e+00", CultureInfo.InvariantCulture),
        { } v => v.ToString(CultureInfo.InvariantCulture),
    };

    private static void PrintJson(List<ParityRow> rows, int passed, int failed, int skipped) => JsonOutput.Print(json =>
    {
        json.WriteStartArray("rows");
        foreach (ParityRow row in rows)
        {
            json.WriteStartObject();
            json.WriteString("case", row.Case);
            json.WriteString("tensor", row.Item);
            json.WriteFinite("max_abs_difference", row.Difference ?? double.NaN);
            json.WriteFinite("tolerance", row.Tolerance ?? double.NaN);
            json.WriteString("outcome", row.Outcome switch { ParityOutcome.Pass => "pass", ParityOutcome.Fail => "fail", _ => "skipped" });
            if (row.Note is not null)
                json.WriteString("note", row.Note);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteNumber("passed", passed);
        json.WriteNumber("failed", failed);
        json.WriteNumber("skipped", skipped);
    });
}
