using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LongformerInterop.Cli.Output;
using LongformerInterop.Corpora;
using LongformerInterop.Tasks;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer classify</c>: sequence classification.</summary>
internal static class ClassifyVerb
{
    internal static Command Create()
    {
        Command command = new("classify", "Sequence classification: a probability for every label of the checkpoint.");
        ModelOptions model = new(command);
        TextOptions text = new(command);
        Option<int?> top = new("--top") { Description = "How many labels (default: all)", HelpName = "N" };
        top.AtLeastOne();
        CorpusOptionsOfVerb corpus = new(command, text);
        command.Add(top);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            TaskOptions options = new() { Truncate = text.Truncate(parsed), Global = text.Global(parsed) };
            int count = parsed.GetValue(top) ?? int.MaxValue;
            if (corpus.IsGiven(parsed))
            {
                return corpus.Run(parsed, model, load =>
                {
                    TextClassifier loaded = TextClassifier.Load(model.Folder(parsed), load);
                    return (loaded, CorpusTask.Classify(loaded, CorpusOptionsOfVerb.Fit(options, load)));
                }, cancellation);
            }
            List<Document> documents = text.Read(parsed);
            using TextClassifier classifier = TextClassifier.Load(model.Folder(parsed), model.Load(parsed));
            return TaskVerb.Run(model, documents, parsed,
                d => classifier.Classify(d.Text, options, cancellation),
                labels =>
                {
                    foreach (LabelScore label in labels.Take(count))
                        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{label.Score:F4}  {label.Label}"));
                },
                (json, labels) =>
                {
                    json.WriteString("problem_type", classifier.ProblemType);
                    WriteLabels(json, labels.Take(count));
                },
                cancellation);
        }));
        return command;
    }

    /// <summary>Labels with their scores as an array of the property <c>labels</c>.</summary>
    internal static void WriteLabels(Utf8JsonWriter json, IEnumerable<LabelScore> labels)
    {
        json.WriteStartArray("labels");
        foreach (LabelScore label in labels)
        {
            json.WriteStartObject();
            json.WriteString("label", label.Label);
            json.WriteFinite("score", label.Score);
            json.WriteFinite("logit", label.Logit);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}
