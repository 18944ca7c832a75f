using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Metrics;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>A paragraph of a question of HotpotQA.</summary>
/// <param name="Title">Its title.</param>
/// <param name="Sentences">Its sentences, as the file has them.</param>
internal sealed record HotpotParagraph(string Title, IReadOnlyList<string> Sentences)
{
    /// <summary>The sentences behind one another.</summary>
    public string Body { get; } = string.Concat(Sentences);
}

/// <summary>A question of HotpotQA's files.</summary>
internal sealed record HotpotQuestion
{
    public required string Id { get; init; }

    public required string Question { get; init; }

    /// <summary>Null in a file without answers.</summary>
    public string? Answer { get; init; }

    public required IReadOnlyList<SupportingFact> Facts { get; init; }

    public required IReadOnlyList<HotpotParagraph> Paragraphs { get; init; }

    /// <summary>Reads a record.</summary>
    /// <exception cref="InputException">A field is missing or of another kind; the message names record and field.</exception>
    public static HotpotQuestion Of(DataRow row)
    {
        HotpotQuestion question = new()
        {
            Id = row.Text("_id"), Question = row.Text("question"), Answer = row.Has("answer") ? row.Text("answer") : null,
            Facts = !row.Has("supporting_facts") ? [] : [.. row.List("supporting_facts").Select((item, i) =>
                item is IReadOnlyList<object?> { Count: 2 } pair && pair[0] is string title && DataRow.AsInteger(pair[1]) is >= 0 and <= int.MaxValue
                    ? new SupportingFact(title, (int)DataRow.AsInteger(pair[1])!.Value)
                    : throw new InputException($"{row.Source}: supporting_facts[{i}]: expected [title, number of a sentence]"))],
            Paragraphs = [.. row.List("context").Select((item, i) =>
                item is IReadOnlyList<object?> { Count: 2 } pair && pair[0] is string title && pair[1] is IReadOnlyList<object?> sentences
                    ? new HotpotParagraph(title, [.. sentences.Select((s, j) => s as string
                        ?? throw new InputException($"{row.Source}: context[{i}]: sentence {j}: expected a text"))])
                    : throw new InputException($"{row.Source}: context[{i}]: expected [title, [sentence, ...]]"))],
        };
        return question.Paragraphs.Count > 0 ? question
            : throw new InputException($"{row.Source}: context: expected at least one paragraph, given none");
    }
}

/// <summary>
/// A question as the model reads it:
/// <c>&lt;s&gt; [q] question [/q] &lt;t&gt; title &lt;/t&gt; sentence [s] sentence [s] &lt;t&gt; ... &lt;/s&gt;</c>, cut at the most tokens. Global
/// are the first token, the question, and every <c>&lt;t&gt;</c> and <c>[s]</c>.
/// </summary>
internal sealed class HotpotInput
{
    public const string Question = "[q]", QuestionEnd = "[/q]", Title = "<t>", TitleEnd = "</t>", Sentence = "[s]";

    private readonly List<int> _ids = [];
    private readonly List<int> _globals = [];
    private readonly List<Piece> _pieces = [];
    private readonly int _room;

    private HotpotInput(int room) => _room = room;

    /// <summary>Token ids.</summary>
    public int[] Ids => [.. _ids];

    /// <summary>Places of the global tokens.</summary>
    public int[] Globals => [.. _globals];

    /// <summary>The marker of each paragraph that was not cut away, with the paragraph's number.</summary>
    public List<(int Token, int Paragraph)> Paragraphs { get; } = [];

    /// <summary>The marker of each sentence that was not cut away, with its numbers.</summary>
    public List<(int Token, int Paragraph, int Sentence)> Sentences { get; } = [];

    /// <summary>For each token the text that it is of; those of no paragraph have the paragraph -1.</summary>
    public IReadOnlyList<Piece> Pieces => _pieces;

    /// <summary>Makes the input.</summary>
    public static HotpotInput Of(HotpotQuestion question, ExampleText text, (int Begin, int End) frame, Func<string, int> idOf)
    {
        HotpotInput input = new(text.MaxTokens - 1);
        input.Add(frame.Begin, true);
        input.Add(idOf(Question), true);
        input.AddText(text, question.Question, -1, false, 0, global: true);
        input.Add(idOf(QuestionEnd), true);
        for (int p = 0; p < question.Paragraphs.Count; p++)
        {
            HotpotParagraph paragraph = question.Paragraphs[p];
            if (input.Add(idOf(Title), true))
                input.Paragraphs.Add((input._ids.Count - 1, p));
            input.AddText(text, paragraph.Title, p, true, 0);
            input.Add(idOf(TitleEnd), false);
            int from = 0;
            for (int s = 0; s < paragraph.Sentences.Count; s++)
            {
                input.AddText(text, paragraph.Sentences[s], p, false, from);
                from += paragraph.Sentences[s].Length;
                if (input.Add(idOf(Sentence), true))
                    input.Sentences.Add((input._ids.Count - 1, p, s));
            }
        }
        input._ids.Add(frame.End);
        input._pieces.Add(Piece.None);
        return input;
    }

    /// <summary>The tokens of every place of a text in titles and sentences of some paragraphs.</summary>
    public List<(int First, int Last)> Find(HotpotQuestion question, string answer, Func<int, bool> wanted)
    {
        List<(int, int)> found = [];
        if (answer.Length == 0)
            return found;
        for (int p = 0; p < question.Paragraphs.Count; p++)
        {
            if (!wanted(p))
                continue;
            foreach (bool title in (bool[])[true, false])
            {
                string text = title ? question.Paragraphs[p].Title : question.Paragraphs[p].Body;
                for (int at = text.IndexOf(answer, StringComparison.Ordinal); at >= 0; at = text.IndexOf(answer, at + 1, StringComparison.Ordinal))
                {
                    int first = _pieces.FindIndex(t => t.Paragraph == p && t.IsTitle == title && t.End > at);
                    int last = _pieces.FindLastIndex(t => t.Paragraph == p && t.IsTitle == title && t.Start < at + answer.Length);
                    // What was cut away has no token.
                    if (first >= 0 && last >= first && _pieces[last].End >= at + answer.Length)
                        found.Add((first, last));
                }
            }
        }
        return found;
    }

    /// <summary>The text from one token to another of the same paragraph, both of its title or both of its sentences.</summary>
    public string TextOf(HotpotQuestion question, int first, int last)
    {
        Piece piece = _pieces[first];
        HotpotParagraph paragraph = question.Paragraphs[piece.Paragraph];
        return (piece.IsTitle ? paragraph.Title : paragraph.Body)[piece.Start.._pieces[last].End].Trim();
    }

    private bool Add(int id, bool global, Piece? piece = null)
    {
        if (_ids.Count >= _room)
            return false;
        if (global)
            _globals.Add(_ids.Count);
        _ids.Add(id);
        _pieces.Add(piece ?? Piece.None);
        return true;
    }

    private void AddText(ExampleText text, string content, int paragraph, bool isTitle, int from, bool global = false)
    {
        Encoding encoding = PaperInputs.Encode(text, content, leadingSpace: true);
        ReadOnlySpan<int> ids = encoding.Ids.Span;
        ReadOnlySpan<TextRange> ranges = encoding.Offsets.Span;
        for (int i = 0; i < ids.Length; i++)
            Add(ids[i], global, paragraph < 0 ? null : new Piece(paragraph, isTitle, from + ranges[i].Start, from + ranges[i].End));
    }

    /// <summary>The text of a token: characters of a title, or of a paragraph's sentences behind one another.</summary>
    internal readonly record struct Piece(int Paragraph, bool IsTitle, int Start, int End)
    {
        public static Piece None => new(-1, false, 0, 0);
    }
}
