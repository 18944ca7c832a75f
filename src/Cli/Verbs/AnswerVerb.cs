using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LongformerInterop.Cli.Output;
using LongformerInterop.Corpora;
using LongformerInterop.Tasks;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer answer</c>: extractive question answering over documents of any length.</summary>
internal static class AnswerVerb
{
    internal static Command Create()
    {
        Command command = new("answer", "Extractive question answering: the spans of the document that answer the question.");
        ModelOptions model = new(command);
        TextOptions text = new(command);
        Option<string?> question = new("--question") { Description = "The question (a JSON line may bring its own)", HelpName = "TEXT" };
        Option<int> top = TaskVerb.Count("--top", "How many answers", 1);
        Option<int> longest = TaskVerb.Count("--max-answer-tokens", "Longest answer in tokens", new AnswerOptions().MaxAnswerTokens);
        Option<int> overlap = TaskVerb.Count("--overlap", "Tokens shared by neighboring windows of a long document", new AnswerOptions().Overlap);
        Option<bool> none = new("--no-answer") { Description = "\"No answer\" is an answer too (SQuAD 2): an empty text, with its score" };
        command.Add(none);
        command.Add(question);
        command.Add(top);
        command.Add(longest);
        command.Add(overlap);
        CorpusOptionsOfVerb corpus = new(command, text);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            AnswerOptions options = new()
            {
                Truncate = text.Truncate(parsed),
                Global = text.Global(parsed),
                MaxAnswerTokens = parsed.GetValue(longest),
                Overlap = parsed.GetValue(overlap),
                NoAnswer = parsed.GetValue(none),
            };
            string? asked = parsed.GetValue(question);
            if (corpus.IsGiven(parsed))
            {
                string all = asked ?? throw new UsageException("--corpus needs --question TEXT, the question to every document");
                return corpus.Run(parsed, model, load =>
                {
                    QuestionAnswerer loaded = QuestionAnswerer.Load(model.Folder(parsed), load);
                    return (loaded, CorpusTask.Answer(loaded, all, options));
                }, cancellation);
            }
            List<Document> documents = text.Read(parsed);
            if (documents.Find(d => d.Question is null && asked is null) is { } silent)
                throw new UsageException($"{silent.Source}: no question: give --question TEXT, or \"question\" in the JSON line");
            using QuestionAnswerer answerer = QuestionAnswerer.Load(model.Folder(parsed), model.Load(parsed));
            return TaskVerb.Run(model, documents, parsed,
                d => (Question: d.Question ?? asked!,
                    Answers: answerer.Answer(d.Question ?? asked!, d.Text, parsed.GetValue(top), options, cancellation)),
                result =>
                {
                    foreach (Answer answer in result.Answers)
                    {
                        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                            $"{answer.Score:F4}  [{answer.Start}..{answer.End}]  "
                            + $"{(answer.Text.Length == 0 ? "(no answer)" : CommandFailure.OneLine(answer.Text))}"));
                    }
                },
                (json, result) => Write(json, result.Question, result.Answers),
                cancellation);
        }));
        return command;
    }

    private static void Write(Utf8JsonWriter json, string question, IReadOnlyList<Answer> answers)
    {
        json.WriteString("question", question);
        json.WriteStartArray("answers");
        foreach (Answer answer in answers)
        {
            json.WriteStartObject();
            json.WriteString("text", answer.Text);
            json.WriteNumber("start", answer.Start);
            json.WriteNumber("end", answer.End);
            json.WriteFinite("score", answer.Score);
            json.WriteFinite("logit", answer.Logit);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}
