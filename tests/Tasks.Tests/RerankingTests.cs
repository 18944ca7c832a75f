using LongformerInterop.Models;
using LongformerInterop.Models.Led;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Tests;

/// <summary>Of all beams the line whose words are probable and the document's.</summary>
public sealed class RerankingTests
{
    private static readonly string[] Documents =
    [
        "The bridge was closed after a storm damaged two of its cables.", "Engineers said that repairs would take three weeks.",
    ];

    private static Summary Line(string text, params float[] scores) => new(text, new GeneratedSequence
    {
        Ids = [2, .. scores.Select((_, i) => i + 5)], PromptLength = 1, Score = scores.Sum(), TokenScores = scores, Ended = true,
    });

    [TestCase("Don't STOP - 3.5 Äpfel", "don t stop 3 5 äpfel")]
    [TestCase("", "")]
    [TestCase("...", "")]
    [TestCase("tail", "tail")]
    [TestCase("𝒜bc 文字 x", "𝒜bc 文字 x")]
    public void Words_are_runs_of_letters_and_digits(string text, string words) =>
        Assert.That(string.Join(' ', Reranking.Words(text)), Is.EqualTo(words));

    [Test]
    public void The_order_is_by_probability_per_word_and_by_words_of_the_document()
    {
        Summary probable = Line("list tasks", -1, -1), copied = Line("print files", -2, -2), longer = Line("a long list of many tasks", -2, -2);
        Summary[] found = [probable, copied, longer];
        Assert.That(Reranking.Order(found, "Files are printed.", 0), Is.EqualTo(new[] { longer, probable, copied }));
        Assert.That(Reranking.Order(found, "PRINT: files.", 3), Is.EqualTo(new[] { copied, longer, probable }));
        // Without a word, as if there were one; equal ones as they were.
        Assert.That(Reranking.Order([Line("!", -1), Line("?", -1)], "!", 5).Select(s => s.Text), Is.EqualTo(new[] { "!", "?" }));
    }

    [TestCase(0.0)]
    [TestCase(2.5)]
    [TestCase(100.0)]
    public void A_summarizer_takes_the_first_of_all_its_beams(double weight)
    {
        using Summarizer summarizer = Summarizer.Load(TinyCheckpoints.Led);
        GenerationOptions search = new() { Beams = 12, NBest = 12, MaxTokens = 10 };
        IReadOnlyList<Summary>[] beams = [.. summarizer.Summarize(Documents, search)];
        foreach (int wanted in (int[])[1, 4])
        {
            IReadOnlyList<Summary>[] found = [.. summarizer.Summarize(Documents, search with { NBest = wanted, Rerank = weight })];
            for (int i = 0; i < Documents.Length; i++)
            {
                string[] expected = [.. Reranking.Order(beams[i], Documents[i], weight).Take(wanted).Select(s => s.Text)];
                Assert.That(found[i].Select(s => s.Text), Is.EqualTo(expected));
            }
        }
        string[] undone = [.. summarizer.Summarize(Documents, search with { Rerank = -1 }).Select(s => s[0].Text)];
        Assert.That(undone, Is.EqualTo(beams.Select(b => b[0].Text)));
        // One candidate is the choice.
        Assert.That(summarizer.Summarize(Documents[0], new GenerationOptions { Beams = 1, MaxTokens = 10, Rerank = weight }),
            Is.EqualTo(summarizer.Summarize(Documents[0], new GenerationOptions { Beams = 1, MaxTokens = 10 })));
    }

    [Test]
    public void What_is_told_is_the_choice_alone()
    {
        using Summarizer summarizer = Summarizer.Load(TinyCheckpoints.Led);
        GenerationOptions options = new() { Beams = 12, MaxTokens = 10, Rerank = 100 };
        List<string> pieces = [];
        string text = summarizer.Summarize(Documents[0], options, onText: pieces.Add);
        Assert.That(string.Concat(pieces), Is.EqualTo(text));
        Assert.That(text, Is.Not.EqualTo(summarizer.Summarize(Documents[0], options with { Rerank = -1 })), "not the search's best");
        List<GeneratedToken> tokens = [];
        IReadOnlyList<Summary>[] found = [.. summarizer.Summarize(Documents, options, onToken: tokens.Add)];
        for (int i = 0; i < Documents.Length; i++)
        {
            GeneratedSequence best = found[i][0].Sequence;
            Assert.That(tokens.Where(t => t.Document == i && t.Sequence == 0).OrderBy(t => t.Position).Select(t => t.Id),
                Is.EqualTo(best.Ids.Skip(best.PromptLength)));
        }
    }

    [Test]
    public void The_key_of_a_checkpoint_and_its_limits()
    {
        Assert.That(GenerationOptions.Parse("{\"rerank\": 2.5}").Rerank, Is.EqualTo(2.5));
        Assert.That(() => GenerationOptions.Parse("{\"rerank\": true}"),
            Throws.TypeOf<InputException>().With.Message.Contains("rerank must be a number"));
        Assert.That(() => new GenerationOptions { Rerank = double.NaN }.Check(), Throws.TypeOf<InputException>().With.Message.Contains("Rerank"));
        Assert.That(new GenerationOptions { Rerank = -1 }.Over(new GenerationOptions { Rerank = 3 }).Rerank, Is.EqualTo(-1));
        using LedForConditionalGeneration model = LedForConditionalGeneration.Load(TinyCheckpoints.Led);
        GenerationDocument[] documents = [new([0, 5, 6, 2])];
        Assert.That(() => new TextGenerator(model).Generate(documents, new GenerationOptions { Beams = 2, Rerank = 1 }),
            Throws.TypeOf<InputException>().With.Message.Contains("expected a summarizer"));
        // A checkpoint's is for whoever knows the words.
        Assert.That(new TextGenerator(model, new GenerationOptions { Rerank = 1 }).Generate(documents, new GenerationOptions { MaxTokens = 3 }),
            Has.Count.EqualTo(1));
    }
}
