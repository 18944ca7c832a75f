using LongformerInterop.Models.Coreference;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;
using LongformerInterop.Training.Metrics;
using LongformerInterop.Training.Paper;

namespace LongformerInterop.Training.Tests.Paper;

/// <summary>CoNLL-2012 files: read, written, read again; their oddities; and what is said of malformed ones.</summary>
public sealed class ConllTests
{
    private static string Row(int number, string word, string coreference, string speaker = "-") =>
        $"bc/made/up_0001   0   {number}   {word}   NN   (TOP*   -   -   -   {speaker}   *   {coreference}";

    private static ConllDocument[] Read(params string[] lines)
    {
        using TestFolder folder = new();
        string file = folder["x.v4_gold_conll"];
        File.WriteAllLines(file, lines);
        return [.. ConllDocument.Read(file)];
    }

    [Test]
    public void A_file_is_read_with_words_speakers_genre_and_clusters()
    {
        ConllDocument[] documents = Read("#begin document (bc/made/up_0001); part 003", Row(0, "Ada", "(7", "A#1"), Row(1, "Byron", "7)|(9)", "A#1"),
            "", Row(0, "she", "(7)", "B#2") + "  ", Row(1, "/.", "-", "B#2"), "", "#end document", "", "#begin document (nw/x); part 000",
            "nw/x\t0\t0\tone\tCD\t*\t-\t-\t-\t-\t*\t(ARG0*)\t-", "#end document");
        Assert.That(documents, Has.Length.EqualTo(2));
        (CoreferenceDocument first, CoreferenceDocument second) = (documents[0].Document, documents[1].Document);
        Assert.That(documents[0].Part, Is.EqualTo(3));
        Assert.That(first.Sentences.Select(s => string.Join(' ', s)), Is.EqualTo(new[] { "Ada Byron", "she ." }));
        Assert.That(first.Speakers, Is.EqualTo(new[] { "A#1", "A#1", "B#2", "B#2" }));
        Assert.That((first.Genre, second.Genre), Is.EqualTo(("bc", "nw")));
        Assert.That(first.Clusters, Is.EqualTo(new[] { new MentionSpan[] { new(0, 1), new(2, 2) }, [new(1, 1)] }));
        Assert.That(second.Sentences[0], Is.EqualTo(new[] { "one" }));
        Assert.That(documents[0].With([[new(0, 1), new(2, 2)], [new(1, 1)]]).Split('\n').Select(line => line.Split(' ')[^1]),
            Is.EqualTo(new[] { "003", "(0", "0)|(1)", "", "(0)", "-", "", "document", "" }));
    }

    [Test]
    public void What_is_written_is_read_again([Range(1, 20)] int seed)
    {
        Random random = new(seed);
        int words = random.Next(20, 40);
        ConllDocument document = Read(["#begin document (bc/made/up_0001); part 000",
            .. Enumerable.Range(0, words).SelectMany(i => i % 7 == 6 ? (string[])[Row(i % 7, $"w{i}", "-"), ""] : [Row(i % 7, $"w{i}", "-")]),
            "#end document"])[0];
        // Spans of which no two cross, as the model keeps them.
        List<MentionSpan> spans = [];
        for (int i = 0; i < 25; i++)
        {
            int first = random.Next(words), last = Math.Min(words - 1, first + random.Next(0, 6));
            if (!spans.Contains(new(first, last)) && !spans.Any(s => s.Crosses(new MentionSpan(first, last))))
                spans.Add(new MentionSpan(first, last));
        }
        IReadOnlyList<MentionSpan>[] clusters = [.. spans.GroupBy(_ => random.Next(4)).Select(g => (IReadOnlyList<MentionSpan>)[.. g])];
        ConllDocument again = Read(document.With(clusters).Split('\n'))[0];
        Assert.That(again.Rows, Is.EqualTo(document.Rows));
        Assert.That(again.Document.Clusters!.Select(c => c.Order()), Is.EquivalentTo(clusters.Select(c => c.Order())));
        Assert.That(CoreferenceScorer.Score([new CoreferenceClusters(clusters, again.Document.Clusters!)]).PrintedAverage,
            Is.EqualTo(clusters.Any(c => c.Count > 1) ? 100 : CoreferenceScorer.Score([new CoreferenceClusters(clusters, clusters)]).PrintedAverage));
    }

    [TestCase("line 2: expected at least 12 columns, given 3", "#begin document (a); part 0", "a 0 0")]
    [TestCase("line 2: word number (column 3): expected a number, given \"x\"", "#begin document (a); part 0", "a 0 x w N * - - - - * -")]
    [TestCase("line 2: word (column 4): the skeleton without words", "#begin document (a); part 0", "a 0 0 [WORD] N * - - - - * -")]
    [TestCase("line 2: coreference (column 12): expected (7, 7), (7), joined by |, or -, given \"7\"", "#begin document (a); part 0",
        "a 0 0 w N * - - - - * 7")]
    [TestCase("line 2: coreference (column 12): expected (7, 7), (7)", "#begin document (a); part 0", "a 0 0 w N * - - - - * (")]
    [TestCase("line 2: coreference (column 12): 7) closes a mention that is not open", "#begin document (a); part 0", "a 0 0 w N * - - - - * 7)")]
    [TestCase("the mention (7 of line 2 is never closed", "#begin document (a); part 0", "a 0 0 w N * - - - - * (7", "#end document")]
    [TestCase("line 1: expected #begin document before the first word", "a 0 0 w N * - - - - * -")]
    [TestCase("line 1: expected \"#begin document (name); part 000\"", "#begin document a")]
    [TestCase("line 2: #end document without #begin document", "", "#end document")]
    [TestCase("line 2: expected #end document of a before", "#begin document (a); part 0", "#begin document (b); part 0")]
    [TestCase("the file ends inside of the document a", "#begin document (a); part 0", "a 0 0 w N * - - - - * -")]
    [TestCase("line 2: expected a document with at least one word", "#begin document (a); part 0", "#end document")]
    [TestCase("no document in it", "")]
    public void A_malformed_file_is_named_with_its_line(string message, params string[] lines) =>
        Assert.That(() => Read(lines), Throws.TypeOf<InputException>().With.Message.Contains(message).And.Message.Contains("x.v4_gold_conll"));
}
