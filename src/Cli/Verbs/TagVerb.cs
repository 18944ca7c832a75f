using System.CommandLine;
using System.Globalization;
using LongformerInterop.Cli.Output;
using LongformerInterop.Corpora;
using LongformerInterop.Tasks;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer tag</c>: token classification.</summary>
internal static class TagVerb
{
    internal static Command Create()
    {
        Command command = new("tag", "Token classification: the labeled stretches of the text.");
        ModelOptions model = new(command);
        TextOptions text = new(command);
        Option<string> aggregation = new("--aggregation")
        {
            Description = "How tokens become entities: none, simple, first, average or max",
            HelpName = "RULE",
            DefaultValueFactory = _ => "simple",
        };
        aggregation.OnlyFrom("none", "simple", "first", "average", "max");
        command.Add(aggregation);
        CorpusOptionsOfVerb corpus = new(command, text);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            TagOptions options = new()
            {
                Truncate = text.Truncate(parsed),
                Global = text.Global(parsed),
                Aggregation = parsed.GetValue(aggregation) switch
                {
                    "none" => TagAggregation.None,
                    "first" => TagAggregation.First,
                    "average" => TagAggregation.Average,
                    "max" => TagAggregation.Max,
                    _ => TagAggregation.Simple,
                },
            };
            if (corpus.IsGiven(parsed))
            {
                return corpus.Run(parsed, model, load =>
                {
                    TokenClassifier loaded = TokenClassifier.Load(model.Folder(parsed), load);
                    return (loaded, CorpusTask.Tag(loaded, options));
                }, cancellation);
            }
            List<Document> documents = text.Read(parsed);
            using TokenClassifier tagger = TokenClassifier.Load(model.Folder(parsed), model.Load(parsed));
            return TaskVerb.Run(model, documents, parsed,
                d => tagger.Tag(d.Text, options, cancellation),
                entities =>
                {
                    foreach (Entity entity in entities)
                    {
                        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                            $"{entity.Score:F4}  {entity.Label}  [{entity.Start}..{entity.End}]  {CommandFailure.OneLine(entity.Text)}"));
                    }
                },
                (json, entities) =>
                {
                    json.WriteStartArray("entities");
                    foreach (Entity entity in entities)
                        entity.WriteTo(json);
                    json.WriteEndArray();
                },
                cancellation);
        }));
        return command;
    }
}
