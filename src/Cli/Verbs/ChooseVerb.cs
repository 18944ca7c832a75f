using System.CommandLine;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Tasks;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer choose</c>: multiple choice.</summary>
internal static class ChooseVerb
{
    internal static Command Create()
    {
        Command command = new("choose", "Multiple choice: which of the choices fits the document.");
        ModelOptions model = new(command);
        TextOptions text = new(command);
        Option<string[]> choice =
            new("--choice") { Description = "A choice (give it at least twice)", HelpName = "TEXT", Arity = ArgumentArity.OneOrMore };
        Option<string?> question = new("--question") { Description = "A question, put in front of every choice", HelpName = "TEXT" };
        command.Add(choice);
        command.Add(question);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            TaskOptions options = new() { Truncate = text.Truncate(parsed), Global = text.Global(parsed) };
            List<Document> documents = text.Read(parsed);
            string[] given = parsed.GetValue(choice) ?? [];
            string? asked = parsed.GetValue(question);
            foreach (Document document in documents)
            {
                if ((document.Choices?.Count ?? given.Length) is < 2 and int count)
                {
                    throw new UsageException(
                        $"{document.Source}: at least two choices are needed, given {count}: --choice TEXT --choice TEXT, or \"choices\" in "
                        + "the JSON line");
                }
            }
            using MultipleChoice chooser = MultipleChoice.Load(model.Folder(parsed), model.Load(parsed));
            return TaskVerb.Run(model, documents, parsed,
                d => chooser.Choose(d.Text, d.Choices ?? given, d.Question ?? asked, options, cancellation),
                scores =>
                {
                    foreach (ChoiceScore score in scores)
                    {
                        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                            $"{score.Score:F4}  {score.Index}  {CommandFailure.OneLine(score.Choice)}"));
                    }
                },
                (json, scores) =>
                {
                    json.WriteStartArray("choices");
                    foreach (ChoiceScore score in scores)
                    {
                        json.WriteStartObject();
                        json.WriteNumber("index", score.Index);
                        json.WriteString("choice", score.Choice);
                        json.WriteFinite("score", score.Score);
                        json.WriteFinite("logit", score.Logit);
                        json.WriteEndObject();
                    }
                    json.WriteEndArray();
                },
                cancellation);
        }));
        return command;
    }
}
