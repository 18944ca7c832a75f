using LongformerInterop.Tasks.Tagging;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.Tasks.Tests;

[TestFixture]
public class EntityGrouperTests
{
    private const string Text = "Ada Lovelace met Bob";
    private static readonly string[] Labels = ["O", "B-PER", "I-PER"];
    private static readonly TextRange[] Offsets = [new(0, 3), new(4, 8), new(8, 12), new(13, 16), new(17, 20)];

    private static float[] Row(int label, float score) =>
        [.. Enumerable.Range(0, 3).Select(l => l == label ? score : (1 - score) / 2)];

    private static IEnumerable<(string, string, int, int)> Group(TagAggregation aggregation, params float[][] rows) =>
        EntityGrouper.Group(Text, Offsets, rows, Labels, aggregation).Select(e => (e.Label, e.Text, e.Start, e.End));

    [Test]
    public void Without_aggregation_every_token_of_an_entity_is_given_with_its_label() =>
        Assert.That(Group(TagAggregation.None, Row(1, 0.9f), Row(2, 0.8f), Row(2, 0.8f), Row(0, 0.9f), Row(1, 0.7f)), Is.EqualTo(new[]
        {
            ("B-PER", "Ada", 0, 3), ("I-PER", "Love", 4, 8), ("I-PER", "lace", 8, 12), ("B-PER", "Bob", 17, 20),
        }));

    [Test]
    public void Neighbors_of_one_label_are_joined_and_B_begins_anew()
    {
        Assert.That(Group(TagAggregation.Simple, Row(1, 0.9f), Row(2, 0.8f), Row(2, 0.8f), Row(0, 0.9f), Row(1, 0.7f)),
            Is.EqualTo(new[] { ("PER", "Ada Lovelace", 0, 12), ("PER", "Bob", 17, 20) }));
        Assert.That(Group(TagAggregation.Simple, Row(1, 0.9f), Row(1, 0.8f), Row(2, 0.8f), Row(0, 0.9f), Row(0, 0.7f)),
            Is.EqualTo(new[] { ("PER", "Ada", 0, 3), ("PER", "Lovelace", 4, 12) }));
    }

    [Test]
    public void The_score_of_an_entity_is_the_mean_of_its_tokens()
    {
        Entity entity = EntityGrouper.Group(Text, Offsets,
            [Row(1, 0.9f), Row(2, 0.6f), Row(2, 0.6f), Row(0, 0.9f), Row(0, 0.7f)], Labels, TagAggregation.Simple).Single();
        Assert.That(entity.Score, Is.EqualTo(0.7f).Within(1e-6));
    }

    [Test]
    public void A_word_takes_the_label_of_its_first_token() =>
        Assert.That(Group(TagAggregation.First, Row(0, 0.9f), Row(1, 0.6f), Row(0, 0.9f), Row(0, 0.9f), Row(0, 0.7f)),
            Is.EqualTo(new[] { ("PER", "Lovelace", 4, 12) }));

    [Test]
    public void A_word_takes_the_label_of_its_most_certain_token() =>
        Assert.That(Group(TagAggregation.Max, Row(0, 0.9f), Row(1, 0.6f), Row(0, 0.9f), Row(0, 0.9f), Row(0, 0.7f)), Is.Empty);

    [Test]
    public void A_word_takes_the_label_with_the_highest_mean()
    {
        Assert.That(Group(TagAggregation.Average, Row(0, 0.9f), Row(1, 0.95f), Row(0, 0.6f), Row(0, 0.9f), Row(0, 0.7f)),
            Is.EqualTo(new[] { ("PER", "Lovelace", 4, 12) }));
    }
}
