using LongformerInterop.Models.Coreference;
using LongformerInterop.Tasks;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Tests;

/// <summary>Documents cut into tokens and segments, plain text into words, and clusters back into characters.</summary>
public sealed class CoreferenceTests
{
    private static readonly string[] Genres = ["nw", "bc"];

    private static CoreferenceDocument Document(int words, int perSentence) => new()
    {
        Sentences = [.. Enumerable.Range(0, words).Select(i => $"word{i * 7}").Chunk(perSentence).Select(s => (IReadOnlyList<string>)s)],
        Speakers = [.. Enumerable.Range(0, words).Select(i => $"speaker {i / 3}")],
        Genre = "bc",
    };

    private static CoreferenceSegments Cut(CoreferenceDocument document, int most) =>
        CoreferenceSegments.Of(document, Tokenizer.Load(TinyCheckpoints.TokenizerFolder), Genres, most, "here");

    [Test]
    public void Segments_end_with_a_sentence_and_hold_every_word_once([Values(20, 40, 96, 4096)] int most)
    {
        Tokenizer tokenizer = Tokenizer.Load(TinyCheckpoints.TokenizerFolder);
        CoreferenceDocument document = Document(60, 3);
        CoreferenceSegments cut = Cut(document, most);
        Assert.That(cut.Segments.Max(s => s.Length), Is.LessThanOrEqualTo(most));
        Assert.That(cut.Segments.Count == 1, Is.EqualTo(most == 4096));
        int from = 0;
        string[] words = [.. document.Sentences.SelectMany(s => s)];
        int[] sentenceOf = [.. document.Sentences.SelectMany((s, i) => s.Select(_ => i))];
        foreach (int[] segment in cut.Segments)
        {
            int[] inside = [.. Enumerable.Range(from, segment.Length)];
            Assert.That((cut.Words[inside[0]], cut.Words[inside[^1]]), Is.EqualTo((-1, -1)));
            Assert.That((cut.Words[inside[^2]] + 1) % 3, Is.Zero, "the segment ends with a sentence");
            foreach (IGrouping<int, int> word in inside[1..^1].GroupBy(t => cut.Words[t]))
            {
                Assert.That(tokenizer.Decode(word.Select(t => segment[t - from]).ToArray()).Trim(), Is.EqualTo(words[word.Key]));
                Assert.That(word.Select(t => cut.Tokens.Sentences[t]).Distinct(), Is.EqualTo(new[] { sentenceOf[word.Key] }));
            }
            from += segment.Length;
        }
        Assert.That(cut.Words.Where(w => w >= 0).Distinct(), Is.EqualTo(Enumerable.Range(0, 60)));
        Assert.That(cut.Tokens.Sentences, Is.Ordered);
        Assert.That(cut.Tokens.Speakers.Max(), Is.EqualTo(20), "speakers beyond the twentieth are one");
    }

    [Test]
    public void A_sentence_that_is_too_long_is_cut_behind_a_word_and_a_word_inside()
    {
        CoreferenceSegments sentences = Cut(Document(60, 60), 30);
        int from = 0;
        foreach (int[] segment in sentences.Segments.SkipLast(1))
        {
            from += segment.Length;
            Assert.That(sentences.Words[from + 1], Is.EqualTo(sentences.Words[from - 2] + 1));
        }
        CoreferenceSegments word = Cut(new CoreferenceDocument { Sentences = [[new string('x', 200)]] }, 12);
        Assert.That(word.Segments.All(s => s.Length <= 12), Is.True);
        Assert.That(word.Words.Where(w => w >= 0), Is.All.Zero);
    }

    [Test]
    public void Clusters_go_to_tokens_and_back([Values(30, 4096)] int most)
    {
        IReadOnlyList<MentionSpan>[] clusters = [[new(0, 1), new(7, 7), new(30, 32)], [new(4, 4), new(50, 51)]];
        CoreferenceSegments cut = Cut(Document(60, 3) with { Clusters = clusters }, most);
        Assert.That(CoreferenceSegments.ToWords(cut.Tokens.Clusters!, cut.Words), Is.EqualTo(clusters));
        // Clusters that share a mention are one.
        CoreferenceSegments merged = Cut(Document(60, 3) with { Clusters = [.. clusters, [new(7, 7), new(4, 4), new(4, 4)]] }, most);
        Assert.That(CoreferenceSegments.ToWords(merged.Tokens.Clusters!, merged.Words),
            Is.EqualTo(new[] { (MentionSpan[])[new(0, 1), new(4, 4), new(7, 7), new(30, 32), new(50, 51)] }));
        // A special token at the end of a mention falls away; one that is nothing else too.
        Assert.That(CoreferenceSegments.ToWords([[new(0, 1), new(0, 0), new(cut.Words.Count - 2, cut.Words.Count - 1)]], cut.Words),
            Is.EqualTo(new[] { (MentionSpan[])[new(0, 0), new(59, 59)] }));
    }

    [Test]
    public void What_does_not_fit_is_said()
    {
        void Refused(CoreferenceDocument document, string message) =>
            Assert.That(() => Cut(document, 96), Throws.TypeOf<InputException>().With.Message.EqualTo(message));
        Refused(new CoreferenceDocument { Sentences = [[]] }, "here: expected a document with at least one word, given none");
        Refused(Document(6, 3) with { Speakers = ["a"] }, "here: speakers: expected 6, one for each word, given 1");
        Refused(Document(6, 3) with { Genre = "xx" }, "here: genre: expected one of nw, bc, given \"xx\"");
        Refused(Document(6, 3) with { Clusters = [[new(2, 6)]] },
            "here: clusters: expected mentions of the 6 words, first not behind last, given 2..6");
    }

    [Test]
    public void Plain_text_is_cut_into_sentences_and_words()
    {
        const string text = "Dr. Ada N. Byron didn't sleep. \"It's late!\" she said (at 10:30 p.m.).\n\nNo end here\n\nThe U.S. won... Really?";
        string[] cut = [.. PlainText.Sentences(text).Select(s => string.Join(' ', s.Select(w => text[w.Start..w.End])))];
        Assert.That(cut[0], Is.EqualTo("Dr . Ada N . Byron did n't sleep ."));
        Assert.That(cut[1], Does.StartWith("\" It 's late ! \" she said ( at 10:30"));
        Assert.That(cut, Has.Some.EqualTo("No end here"));
        Assert.That(cut[^1], Is.EqualTo("Really ?"));
        Assert.That(PlainText.Sentences(" \n "), Is.Empty);
        // A character of two units is one word.
        Assert.That(PlainText.Sentences("\U0001f600 Ada")[0], Is.EqualTo(new[] { (0, 2), (3, 6) }));
    }

    [Test]
    public void Every_character_that_is_no_space_is_in_one_word([Range(1, 10)] int seed)
    {
        Random random = new(seed);
        const string alphabet = "ab. 'n\"t?!Ü ß\n1,9-’e\u0301";
        string text = string.Concat(Enumerable.Range(0, 300).Select(_ => alphabet[random.Next(alphabet.Length)]));
        int at = 0;
        foreach ((int start, int end) in PlainText.Sentences(text).SelectMany(s => s))
        {
            Assert.That(text[at..start].Trim(), Is.Empty);
            Assert.That(end, Is.GreaterThan(start));
            at = end;
        }
        Assert.That(text[at..].Trim(), Is.Empty);
    }

    [Test]
    public void A_text_longer_than_the_model_gives_clusters_of_its_characters()
    {
        using CoreferenceResolver resolver = CoreferenceResolver.Load(TinyCheckpoints.Coreference);
        string text = string.Join(' ', Enumerable.Range(0, 60).Select(i => $"Ada saw number {i}. She sang with it."));
        IReadOnlyList<CoreferenceCluster> clusters = resolver.Resolve(text);
        Assert.That(clusters, Is.Not.Empty, "random weights link something");
        foreach (CoreferenceCluster cluster in clusters)
        {
            Assert.That(cluster.Mentions, Has.Count.GreaterThan(1));
            foreach (CoreferenceMention mention in cluster.Mentions)
                Assert.That(mention.Text, Is.EqualTo(text[mention.Start..mention.End]).And.Not.Empty);
        }
        Assert.That(clusters.SelectMany(c => c.Mentions).Max(m => m.End), Is.GreaterThan(text.Length / 2));
        Assert.That(() => resolver.Resolve(" "), Throws.TypeOf<InputException>().With.Message.Contains("at least one word"));
        Assert.That(() => resolver.Resolve(text, "xx"), Throws.TypeOf<InputException>().With.Message.Contains("genre: expected one of nw, bc"));
    }
}
