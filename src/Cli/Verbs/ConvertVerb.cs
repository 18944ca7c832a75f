using System.CommandLine;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Models.Conversion;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer convert</c>: short models into long ones, other names and formats into HF's, weights into eight bits.</summary>
internal static class ConvertVerb
{
    internal static Command Create()
    {
        Command command = new("convert",
            "RoBERTa and BERT to Longformer, BART and mBART to LED, a long model to a longer one, allenai's names and torch's files to "
            + "HF's.");
        Argument<string> source = new("checkpoint") { Description = "Checkpoint folder, or its file with the weights (safetensors, .bin, .pt, .ckpt)",
            HelpName = "FOLDER" };
        Option<string> to = new("--to") { Description = "longformer, led, or safetensors (the same model in another format)", HelpName = "KIND",
            Required = true };
        to.OnlyFrom("longformer", "led", "safetensors");
        Option<int?> positions = new("--positions")
        {
            Description = "Tokens that a document may have (default: 4096; of an LED 16 times BART's; of a long model its own)",
            HelpName = "N",
        };
        Option<string?> window = new("--window")
        {
            Description = "Attention window, both sides together, or one per layer as 64,128,... (default: 512, of an LED 1024; of a long model "
                + "its own)",
            HelpName = "W",
        };
        Option<int?> basePositions = new("--base-positions")
        {
            Description = "Copy only the first N positions, where the model was trained on fewer than its table holds",
            HelpName = "N",
        };
        Option<string?> dtype = new("--dtype") { Description = "int8: the weights of the layers' products in eight bits (default: as stored)",
            HelpName = "DTYPE" };
        dtype.OnlyFrom("int8");
        Option<string> output = new("--output") { Description = "The new checkpoint folder", HelpName = "FOLDER", Required = true };
        Option<bool> overwrite = new("--overwrite") { Description = "Replace a checkpoint that is there already" };
        Option<bool> json = new("--json") { Description = "Print machine-readable results" };
        command.Add(source);
        foreach (Option option in new Option[] { to, positions, window, basePositions, dtype, output, overwrite, json })
            command.Add(option);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            ConversionOptions options = new()
            {
                To = parsed.GetValue(to) switch { "led" => ConversionTarget.Led, "safetensors" => ConversionTarget.Safetensors,
                    _ => ConversionTarget.Longformer },
                Positions = Positive("--positions", parsed.GetValue(positions)),
                BasePositions = Positive("--base-positions", parsed.GetValue(basePositions)),
                Window = Windows(parsed.GetValue(window)),
                Int8 = parsed.GetValue(dtype) is not null,
                Overwrite = parsed.GetValue(overwrite),
            };
            if (options.To == ConversionTarget.Safetensors && (options.Positions ?? options.BasePositions ?? options.Window?.Count) is not null)
                throw new UsageException("--positions, --base-positions and --window change the model: they go with --to longformer or --to led");
            ConversionResult result =
                CheckpointConverter.Convert(parsed.GetRequiredValue(source), parsed.GetRequiredValue(output), options, cancellation);
            if (parsed.GetValue(json))
                PrintJson(result);
            else
                Print(result);
            return 0;
        }));
        return command;
    }

    private static int? Positive(string option, int? value) => value is < 1
        ? throw new UsageException($"{option} must be at least 1, given {value}")
        : value;

    private static List<int>? Windows(string? text)
    {
        if (text is null)
            return null;
        List<int> windows = [];
        foreach (string part in text.Split(','))
        {
            if (!int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int window) || window < 2 || window % 2 != 0)
                throw new UsageException($"--window must be an even number of at least 2, or one per layer with commas, given {text}");
            windows.Add(window);
        }
        return windows;
    }

    private static void Print(ConversionResult result)
    {
        string tokens = result.Positions is { } count ? string.Create(CultureInfo.InvariantCulture, $", {count:N0} tokens") : "";
        Console.WriteLine($"{CommandFailure.OneLine(result.Folder)}: {CommandFailure.OneLine(result.Architecture ?? "weights")}{tokens}");
        foreach (string finding in result.Source)
            Console.WriteLine($"  source  {CommandFailure.OneLine(finding)}");
        foreach (string note in result.Notes)
            Console.WriteLine($"  note    {CommandFailure.OneLine(note)}");
        Console.WriteLine($"  files   {CommandFailure.OneLine(string.Join(", ", result.Files))}");
    }

    private static void PrintJson(ConversionResult result) => JsonOutput.Print(json =>
    {
        json.WriteString("output", result.Folder);
        json.WriteString("architecture", result.Architecture);
        if (result.Positions is { } count)
            json.WriteNumber("max_tokens", count);
        foreach ((string name, IReadOnlyList<string> values) in new[] { ("source", result.Source), ("notes", result.Notes), ("files", result.Files) })
        {
            json.WriteStartArray(name);
            foreach (string value in values)
                json.WriteStringValue(value);
            json.WriteEndArray();
        }
    });
}
