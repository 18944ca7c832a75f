using LongformerInterop.Tasks.Answering;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.Tasks.Tests;

[TestFixture]
public class SpanSearchTests
{
    private static List<TokenSpan> BruteForce(float[] start, float[] end, bool[] allowed, int count, int maxTokens) =>
    [
        .. from s in Enumerable.Range(0, start.Length)
           from e in Enumerable.Range(s, start.Length - s)
           where allowed[s] && allowed[e] && e - s < maxTokens
           let logit = (double)start[s] + end[e]
           orderby logit descending, s, e
           select new TokenSpan(s, e, logit),
    ];

    [TestCase(1, 1)]
    [TestCase(3, 4)]
    [TestCase(20, 30)]
    [TestCase(1000, 1000)]
    public void The_search_finds_what_trying_every_span_finds(int count, int maxTokens)
    {
        Random random = new(count + maxTokens);
        for (int round = 0; round < 50; round++)
        {
            int length = random.Next(1, 25);
            // Few distinct values, so that ties occur.
            float[] start = [.. Enumerable.Range(0, length).Select(_ => (float)random.Next(-3, 4))];
            float[] end = [.. Enumerable.Range(0, length).Select(_ => (float)random.Next(-3, 4))];
            bool[] allowed = [.. Enumerable.Range(0, length).Select(_ => random.Next(4) > 0)];
            List<TokenSpan> expected = [.. BruteForce(start, end, allowed, count, maxTokens).Take(count)];
            Assert.That(SpanSearch.Best(start, end, allowed, count, maxTokens), Is.EqualTo(expected));
        }
    }

    [Test]
    public void Logits_that_are_not_numbers_are_passed_over()
    {
        List<TokenSpan> spans = SpanSearch.Best([float.NaN, 1, 0], [0, float.NaN, 2], [true, true, true], 5, 3);
        Assert.That(spans, Is.EqualTo(new[] { new TokenSpan(1, 2, 3), new TokenSpan(2, 2, 2) }));
    }

    [Test]
    public void No_allowed_token_gives_no_span() =>
        Assert.That(SpanSearch.Best([1, 2], [1, 2], [false, false], 3, 3), Is.Empty);

    [Test]
    public void The_longest_answer_may_be_longer_than_any_document() =>
        Assert.That(SpanSearch.Best([1, 2], [1, 5], [true, true], 1, int.MaxValue), Is.EqualTo(new[] { new TokenSpan(1, 1, 7) }));

    [Test]
    public void Overlapping_windows_give_the_same_characters_once_with_the_better_score()
    {
        const string document = "alpha beta";
        TextRange[] offsets = [new(0, 0), new(0, 5), new(6, 10)];
        bool[] isDocument = [false, true, true];
        AnswerMerger merger = new();
        merger.Add([0, 4, 0], [0, 4, 1], offsets, isDocument, 3, 5);
        merger.Add([0, 5, 0], [0, 5, 1], offsets, isDocument, 3, 5);
        List<Answer> answers = merger.Finish(document, 10);
        Assert.That(answers.Select(a => a.Text), Is.EqualTo(new[] { "alpha", "alpha beta", "beta" }));
        Assert.That(answers[0].Logit, Is.EqualTo(10f));
        Assert.That(answers.Sum(a => a.Score), Is.LessThan(1f));
    }

    [Test]
    public void The_score_of_one_window_is_the_product_of_two_softmaxes()
    {
        AnswerMerger merger = new();
        merger.Add([1, 9, 2, 3], [0, 9, 1, 4], [new(0, 0), new(0, 1), new(0, 3), new(4, 6)], [false, false, true, true], 1, 5);
        Answer best = merger.Finish("abc de", 1)[0];
        // The first token and the document count; the question (position 1) does not.
        double start = Math.Exp(3) / (Math.Exp(1) + Math.Exp(2) + Math.Exp(3));
        double end = Math.Exp(4) / (Math.Exp(0) + Math.Exp(1) + Math.Exp(4));
        Assert.That(best.Score, Is.EqualTo((float)(start * end)).Within(1e-6));
        Assert.That((best.Start, best.End, best.Text), Is.EqualTo((4, 6, "de")));
    }

    [Test]
    public void Tokens_that_share_a_character_do_not_crowd_out_other_answers()
    {
        // Three tokens of one emoji, then a word: nine spans of the emoji come first and are one answer.
        TextRange[] offsets = [new(0, 2), new(0, 2), new(0, 2), new(3, 5)];
        AnswerMerger merger = new();
        merger.Add([9, 9, 9, 0], [9, 9, 9, 0], offsets, [true, true, true, true], 2, 5);
        Assert.That(merger.Finish("\U0001F600 ab", 2).Select(a => (a.Start, a.End)), Is.EqualTo(new[] { (0, 2), (0, 5) }));
    }
}
