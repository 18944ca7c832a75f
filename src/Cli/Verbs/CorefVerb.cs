using System.CommandLine;
using System.Globalization;
using LongformerInterop.Tasks;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer coref</c>: clusters of mentions that mean the same.</summary>
internal static class CorefVerb
{
    internal static Command Create()
    {
        Command command = new("coref", "Coreference: which mentions of a text mean the same, as clusters of character ranges.");
        ModelOptions model = new(command);
        TextOptions text = new(command);
        Option<string?> genre = new("--genre")
        {
            Description = "Genre of the text, one of the checkpoint's: bc, bn, mz, nw, pt, tc, wb of OntoNotes (default: nw)", HelpName = "NAME",
        };
        command.Add(genre);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            if (text.Truncate(parsed))
                throw new UsageException("--truncate: a text of any length is read in one pass");
            List<Document> documents = text.Read(parsed);
            using CoreferenceResolver resolver = CoreferenceResolver.Load(model.Folder(parsed), model.Load(parsed));
            return TaskVerb.Run(model, documents, parsed,
                d => resolver.Resolve(d.Text, parsed.GetValue(genre), cancellation),
                clusters =>
                {
                    foreach ((CoreferenceCluster cluster, int number) in clusters.Select((c, i) => (c, i + 1)))
                    {
                        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{number}"));
                        foreach (CoreferenceMention mention in cluster.Mentions)
                        {
                            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                                $"  [{mention.Start}..{mention.End}]  {CommandFailure.OneLine(mention.Text)}"));
                        }
                    }
                },
                (json, clusters) =>
                {
                    json.WriteStartArray("clusters");
                    foreach (CoreferenceCluster cluster in clusters)
                    {
                        json.WriteStartArray();
                        foreach (CoreferenceMention mention in cluster.Mentions)
                        {
                            json.WriteStartObject();
                            json.WriteNumber("start", mention.Start);
                            json.WriteNumber("end", mention.End);
                            json.WriteString("text", mention.Text);
                            json.WriteEndObject();
                        }
                        json.WriteEndArray();
                    }
                    json.WriteEndArray();
                },
                cancellation);
        }));
        return command;
    }
}
