using System.CommandLine;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Tasks;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer fill-mask</c>: masked language modeling.</summary>
internal static class FillMaskVerb
{
    internal static Command Create()
    {
        Command command = new("fill-mask", "Masked language modeling: the likeliest tokens for every <mask> in the text.");
        ModelOptions model = new(command);
        TextOptions text = new(command);
        Option<int> top = TaskVerb.Count("--top", "How many tokens for each mask", 5);
        command.Add(top);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            TaskOptions options = new() { Truncate = text.Truncate(parsed), Global = text.Global(parsed) };
            List<Document> documents = text.Read(parsed);
            using MaskFiller filler = MaskFiller.Load(model.Folder(parsed), model.Load(parsed));
            return TaskVerb.Run(model, documents, parsed,
                d => filler.Fill(d.Text, parsed.GetValue(top), options, cancellation),
                masks =>
                {
                    foreach (FilledMask mask in masks)
                    {
                        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"[{mask.Start}..{mask.End}]"));
                        foreach (MaskCandidate candidate in mask.Candidates)
                        {
                            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                                $"  {candidate.Score:F4}  \"{CommandFailure.OneLine($"x{candidate.Text}")[1..]}\""));
                        }
                    }
                },
                (json, masks) =>
                {
                    json.WriteStartArray("masks");
                    foreach (FilledMask mask in masks)
                    {
                        json.WriteStartObject();
                        json.WriteNumber("start", mask.Start);
                        json.WriteNumber("end", mask.End);
                        json.WriteNumber("position", mask.Position);
                        json.WriteStartArray("candidates");
                        foreach (MaskCandidate candidate in mask.Candidates)
                        {
                            json.WriteStartObject();
                            json.WriteString("text", candidate.Text);
                            json.WriteNumber("id", candidate.Id);
                            json.WriteFinite("score", candidate.Score);
                            json.WriteEndObject();
                        }
                        json.WriteEndArray();
                        json.WriteEndObject();
                    }
                    json.WriteEndArray();
                },
                cancellation);
        }));
        return command;
    }
}
