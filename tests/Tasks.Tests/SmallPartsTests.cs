using System.Text;
using System.Text.Json;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Tests;

[TestFixture]
public class SmallPartsTests
{
    [TestCase("none", 5, new int[0])]
    [TestCase("first", 5, new[] { 0 })]
    [TestCase("3,1, 1", 5, new[] { 1, 3 })]
    public void Global_positions_are_read_from_text(string text, int length, int[] expected) =>
        Assert.That(GlobalTokens.Parse(text).Resolve(length, [4], "x"), Is.EqualTo(expected));

    [TestCase("")]
    [TestCase("all")]
    [TestCase("1,,2")]
    [TestCase("-1")]
    [TestCase("1.5")]
    [TestCase("99999999999")]
    public void Other_text_for_global_positions_is_refused(string text) =>
        Assert.That(() => GlobalTokens.Parse(text), Throws.TypeOf<InputException>().With.Message.Contains("expected none, first, positions such as"));

    [Test]
    public void The_tasks_own_global_tokens_are_the_default() =>
        Assert.That(GlobalTokens.TaskDefault.Resolve(9, [2, 3], "x"), Is.EqualTo(new[] { 2, 3 }));

    [Test]
    public void A_global_position_past_the_end_is_refused_with_both_numbers() =>
        Assert.That(() => GlobalTokens.At(7).Resolve(5, [], "documents[2]"),
            Throws.TypeOf<InputException>().With.Message.Contains("7").And.Message.Contains("documents[2]").And.Message.Contains("5 tokens"));

    [TestCase(0.25f, "0.25")]
    [TestCase(float.NaN, "null")]
    [TestCase(float.PositiveInfinity, "null")]
    public void An_entity_is_written_as_json_with_null_for_a_score_that_json_lacks(float score, string written)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
            new Entity("LOC", "Paris", 3, 8, score).WriteTo(json);
        Assert.That(Encoding.UTF8.GetString(stream.ToArray()),
            Is.EqualTo($$"""{"label":"LOC","text":"Paris","start":3,"end":8,"score":{{written}}}"""));
    }

    [Test]
    public void Softmax_holds_for_large_and_infinite_logits()
    {
        Assert.That(Scores.Softmax([1000, 1000]), Is.EqualTo(new[] { 0.5f, 0.5f }).Within(1e-6));
        Assert.That(Scores.Softmax([float.NegativeInfinity, 3]), Is.EqualTo(new[] { 0f, 1f }));
    }

    [Test]
    public void Top_gives_the_largest_first_and_keeps_the_order_of_equal_ones()
    {
        Assert.That(Scores.Top([1, 3, 2, 3, float.NaN], 3), Is.EqualTo(new[] { 1, 3, 2 }));
        Assert.That(Scores.Top([1, 2], 10), Is.EqualTo(new[] { 1, 0 }));
    }

    [Test]
    public void Normalizing_makes_length_one_and_leaves_zero_alone()
    {
        float[] values = [3, 4, 0, 0];
        DocumentEncoder.Normalize(values, 2);
        Assert.That(values, Is.EqualTo(new[] { 0.6f, 0.8f, 0, 0 }).Within(1e-6));
    }

    [Test]
    public void Labels_are_scored_by_the_problem_type()
    {
        float[] logits = [0, 2];
        string[] labels = ["a", "b"];
        Assert.That(TextClassifier.Score(logits, "single_label_classification", labels).Select(l => l.Label), Is.EqualTo(new[] { "b", "a" }));
        Assert.That(TextClassifier.Score(logits, "single_label_classification", labels).Sum(l => l.Score), Is.EqualTo(1f).Within(1e-6));
        Assert.That(TextClassifier.Score(logits, "multi_label_classification", labels)[1].Score, Is.EqualTo(0.5f));
        Assert.That(TextClassifier.Score(logits, "regression", labels).Select(l => l.Score), Is.EqualTo(logits));
    }
}
