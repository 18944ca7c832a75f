using LongformerInterop.Checkpoints;
using LongformerInterop.Tests;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Tests;

[TestFixture]
public class TextTaskTests
{
    private const string Text = "Ada Lovelace wrote the first program. She worked with Charles Babbage \U0001F600 in London.";

    [Test]
    public void Answers_are_spans_of_the_document_best_first()
    {
        using QuestionAnswerer answerer = QuestionAnswerer.Load(TinyCheckpoints.QuestionAnswering);
        IReadOnlyList<Answer> answers = answerer.Answer("Who wrote it?", Text, top: 5);
        Assert.That(answers, Has.Count.EqualTo(5));
        Assert.That(answers.Select(a => a.Text), Is.EqualTo(answers.Select(a => Text[a.Start..a.End])));
        Assert.That(answers.Select(a => a.Score), Is.Ordered.Descending);
        Assert.That(answers.Select(a => (a.Start, a.End)), Is.Unique);
        Assert.That(answers.Select(a => a.Score), Is.All.InRange(0f, 1f));
    }

    [Test]
    public void The_longest_answer_is_kept()
    {
        using QuestionAnswerer answerer = QuestionAnswerer.Load(TinyCheckpoints.QuestionAnswering);
        IReadOnlyList<Answer> answers = answerer.Answer("Who?", Text, top: 10, new AnswerOptions { MaxAnswerTokens = 1 });
        Assert.That(answers.Select(a => answerer.Tokenizer.Encode(a.Text).Count), Is.All.LessThanOrEqualTo(2 + 4),
            "one token, re-encoded without its space");
    }

    [Test]
    public void A_document_beyond_the_positions_is_read_in_windows()
    {
        using QuestionAnswerer answerer = QuestionAnswerer.Load(TinyCheckpoints.QuestionAnswering);
        string document = string.Concat(Enumerable.Range(0, 60).Select(i => $"Sentence {i} has its number. "));
        Assert.That(answerer.Tokenizer.Encode(document).Count, Is.GreaterThan(3 * TinyCheckpoints.MaxTokens));
        IReadOnlyList<Answer> answers = answerer.Answer("Which?", document, top: 20, new AnswerOptions { Overlap = 16 });
        Assert.That(answers.Select(a => a.Text), Is.EqualTo(answers.Select(a => document[a.Start..a.End])));
        Assert.That(answers.Select(a => (a.Start, a.End)), Is.Unique);
        Assert.That(answers.Max(a => a.End), Is.GreaterThan(document.Length / 2), "an answer from a later window");
        // Only the first window is read when asked to cut.
        IReadOnlyList<Answer> cut = answerer.Answer("Which?", document, top: 20, new AnswerOptions { Truncate = true });
        Assert.That(cut.Max(a => a.End), Is.LessThan(document.Length / 2));
    }

    [Test]
    public void A_question_that_fills_the_positions_is_refused()
    {
        using QuestionAnswerer answerer = QuestionAnswerer.Load(TinyCheckpoints.QuestionAnswering);
        Assert.That(() => answerer.Answer(string.Concat(Enumerable.Repeat("why ", 200)), Text),
            Throws.TypeOf<InputException>().With.Message.StartsWith("question:").And.Message.Contains($"{TinyCheckpoints.MaxTokens}"));
    }

    [TestCase("", "text", "question: the text is empty")]
    [TestCase("what?", "", "document: the text is empty")]
    [TestCase("what?", "</s>", "document: the text consists of special tokens only")]
    public void An_empty_question_or_document_is_refused(string question, string document, string message)
    {
        using QuestionAnswerer answerer = QuestionAnswerer.Load(TinyCheckpoints.QuestionAnswering);
        Assert.That(() => answerer.Answer(question, document), Throws.TypeOf<InputException>().With.Message.EqualTo(message));
    }

    [Test]
    public void A_classifier_gives_every_label_with_a_probability()
    {
        using TextClassifier classifier = TextClassifier.Load(TinyCheckpoints.Classifier);
        IReadOnlyList<LabelScore> labels = classifier.Classify(Text);
        Assert.That(labels.Select(l => l.Label), Is.EquivalentTo(new[] { "bad", "neutral", "good" }));
        Assert.That(labels.Sum(l => l.Score), Is.EqualTo(1f).Within(1e-5));
        Assert.That(classifier.ProblemType, Is.EqualTo("single_label_classification"));
        IReadOnlyList<IReadOnlyList<LabelScore>> batch = classifier.Classify([Text, "short"]);
        Assert.That(batch[0].Select(l => l.Score), Is.EqualTo(labels.Select(l => l.Score)).Within(1e-5));
    }

    [Test]
    public void Several_labels_and_regression_are_scored_by_their_own_rules()
    {
        using TextClassifier multi = TextClassifier.Load(TinyCheckpoints.MultiLabel);
        LabelScore label = multi.Classify(Text)[0];
        Assert.That(label.Score, Is.EqualTo(1 / (1 + Math.Exp(-label.Logit))).Within(1e-6));
        using TextClassifier regression = TextClassifier.Load(TinyCheckpoints.Regression);
        LabelScore value = regression.Classify(Text).Single();
        Assert.That((value.Label, value.Score), Is.EqualTo(("value", value.Logit)));
        // One label without problem_type: the text classification pipeline of transformers takes the sigmoid.
        using TextClassifier one = TextClassifier.Load(TinyCheckpoints.OneLabel);
        LabelScore relevant = one.Classify(Text).Single();
        Assert.That(relevant.Score, Is.EqualTo(1 / (1 + Math.Exp(-relevant.Logit))).Within(1e-6));
    }

    [Test]
    public void A_tagger_gives_the_tokens_that_are_no_O()
    {
        using TokenClassifier tagger = TokenClassifier.Load(TinyCheckpoints.Tagger);
        IReadOnlyList<Entity> tokens = tagger.Tag(Text, new TagOptions { Aggregation = TagAggregation.None });
        Assert.That(tokens.Select(t => t.Text), Is.EqualTo(tokens.Select(t => Text[t.Start..t.End])));
        Assert.That(tokens.Select(t => t.Label), Is.All.Not.EqualTo("O"), "as the pipeline of transformers leaves it out");
        foreach (TagAggregation aggregation in Enum.GetValues<TagAggregation>())
            Assert.That(tagger.Tag(Text, new TagOptions { Aggregation = aggregation }).Select(e => e.Score), Is.All.InRange(0f, 1f));
    }

    [Test]
    public void Choices_are_ranked_and_do_not_depend_on_each_other()
    {
        using MultipleChoice chooser = MultipleChoice.Load(TinyCheckpoints.MultipleChoice);
        string[] choices = ["In Paris", "In London, as the text says", "Nowhere"];
        IReadOnlyList<ChoiceScore> scores = chooser.Choose(Text, choices, "Where?");
        Assert.That(scores.Select(s => s.Score), Is.Ordered.Descending);
        Assert.That(scores.Sum(s => s.Score), Is.EqualTo(1f).Within(1e-5));
        IReadOnlyList<ChoiceScore> fewer = chooser.Choose(Text, choices[..2], "Where?");
        Assert.That(fewer.Single(s => s.Index == 1).Logit, Is.EqualTo(scores.Single(s => s.Index == 1).Logit).Within(1e-5));
        Assert.That(() => chooser.Choose(Text, ["one"]), Throws.TypeOf<InputException>().With.Message.Contains("at least 2"));
        Assert.That(() => chooser.Choose(Text, ["one", ""]), Throws.TypeOf<InputException>().With.Message.StartsWith("choices[1]"));
    }

    [Test]
    public void Given_spans_are_classified_each_by_itself()
    {
        using SpanClassifier classifier = SpanClassifier.Load(TinyCheckpoints.Spans);
        (int, int)[] spans = [(0, 3), (4, 12), (0, 12)];
        IReadOnlyList<ClassifiedSpan> found = classifier.Classify(Text, spans);
        Assert.That(found.Select(s => (s.Start, s.End)), Is.EqualTo(spans));
        Assert.That(found.Select(s => s.Text), Is.EqualTo(spans.Select(s => Text[s.Item1..s.Item2])));
        Assert.That(classifier.Labels, Is.EqualTo(new[] { "PER", "ORG", "LOC" }));
        foreach (ClassifiedSpan span in found)
        {
            Assert.That(span.Labels.Sum(l => l.Score), Is.EqualTo(1f).Within(1e-5));
            Assert.That(span.Labels.Select(l => l.Score), Is.Ordered.Descending);
            IReadOnlyList<LabelScore> alone = classifier.Classify(Text, [(span.Start, span.End)])[0].Labels;
            Assert.That(alone.Select(l => l.Logit), Is.EqualTo(span.Labels.Select(l => l.Logit)).Within(1e-5));
        }
        Assert.That(found[0].Labels[0].Logit, Is.Not.EqualTo(found[1].Labels[0].Logit));
    }

    [TestCase(0, 0, "spans[1]: expected a range of at least one of the text's")]
    [TestCase(-1, 3, "given -1..3")]
    [TestCase(5, 500, "given 5..500")]
    [TestCase(3, 4, "spans[1]: expected a range that holds text of a token")]
    public void A_span_that_is_none_is_named(int start, int end, string message)
    {
        using SpanClassifier classifier = SpanClassifier.Load(TinyCheckpoints.Spans);
        InputException e = Assert.Throws<InputException>(() => classifier.Classify("Ada  Lovelace", [(0, 3), (start, end)]))!;
        Assert.That(e.Message, Does.Contain(message));
        Assert.That((e.Argument!.Value.Name, e.Argument.Value.Index[0]), Is.EqualTo(("spans", 1L)));
        Assert.That(() => classifier.Classify("Ada", []),
            Throws.TypeOf<InputException>().With.Message.EqualTo("spans: expected at least one, given none"));
    }

    [Test]
    public void Every_mask_gets_its_own_candidates()
    {
        using MaskFiller filler = MaskFiller.Load(TinyCheckpoints.MaskedLm);
        const string text = "The capital of <mask> is <mask>.";
        IReadOnlyList<FilledMask> masks = filler.Fill(text, top: 3);
        Assert.That(masks.Select(m => text[m.Start..m.End]), Is.EqualTo(new[] { "<mask>", "<mask>" }));
        Assert.That(masks.Select(m => m.Candidates.Count), Is.All.EqualTo(3));
        Assert.That(masks[0].Candidates.Select(c => c.Score), Is.Ordered.Descending);
        Assert.That(masks[0].Candidates.Select(c => c.Id), Is.Not.EqualTo(masks[1].Candidates.Select(c => c.Id)));
        Assert.That(() => filler.Fill("no mask here"), Throws.TypeOf<InputException>().With.Message.Contains("<mask>"));
        Assert.That(filler.Fill("<mask>"), Has.Count.EqualTo(1));
    }

    [Test]
    public void A_checkpoint_without_the_head_is_refused_by_every_task()
    {
        string folder = TinyCheckpoints.Base;
        Assert.That(() => QuestionAnswerer.Load(folder),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("LongformerForQuestionAnswering"));
        Assert.That(() => TextClassifier.Load(folder),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("LongformerForSequenceClassification"));
        Assert.That(() => TokenClassifier.Load(folder),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("LongformerForTokenClassification"));
        Assert.That(() => MultipleChoice.Load(folder), Throws.TypeOf<CheckpointException>().With.Message.Contains("LongformerForMultipleChoice"));
        Assert.That(() => MaskFiller.Load(folder), Throws.TypeOf<CheckpointException>().With.Message.Contains("LongformerForMaskedLM"));
    }
}
