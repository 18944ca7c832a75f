using System.Text;
using System.Text.RegularExpressions;
using LongformerInterop.Tokenizers.ByteLevelBpe;

namespace LongformerInterop.Tokenizers.Tests;

/// <summary>Properties of every text, on texts made at random (fixed seeds).</summary>
[TestFixture]
public partial class PropertyTests
{
    private static readonly EncodeOptions Bare = new() { AddSpecialTokens = false };

    private static IEnumerable<Tokenizer> All() => [Goldens.Roberta, Goldens.Tiny, Goldens.WordPiece];

    [TestCase("roberta")]
    [TestCase("tiny")]
    public void Decoding_what_was_encoded_gives_the_text_back(string folder)
    {
        Tokenizer tokenizer = Goldens.Of(folder);
        RandomText random = new(1);
        for (int i = 0; i < 2000; i++)
        {
            string text = random.Next(60);
            Assert.That(tokenizer.Decode(tokenizer.Encode(text, options: Bare).Ids.Span), Is.EqualTo(text));
        }
    }

    [Test]
    public void Offsets_of_ascii_text_slice_the_token_out_of_it()
    {
        RandomText random = new(2);
        for (int i = 0; i < 1000; i++)
        {
            string text = random.NextAscii(80);
            foreach (Tokenizer tokenizer in new[] { Goldens.Roberta, Goldens.Tiny })
            {
                Encoding encoding = tokenizer.Encode(text, options: Bare);
                for (int t = 0; t < encoding.Count; t++)
                {
                    TextRange range = encoding.Offsets.Span[t];
                    Assert.That(text[range.Start..range.End], Is.EqualTo(tokenizer.Decode([encoding.Ids.Span[t]]).Trim(' ')), text);
                }
            }
        }
    }

    [Test]
    public void Offsets_of_WordPiece_slice_the_token_out_of_lower_case_text()
    {
        Encoding encoding = Goldens.WordPiece.Encode("unaffable embeddings, tokenised!", options: Bare);
        IEnumerable<string> slices = encoding.Offsets.ToArray().Select(r => "unaffable embeddings, tokenised!"[r.Start..r.End]);
        IEnumerable<string> tokens = encoding.Ids.ToArray()
            .Select(id => Goldens.WordPiece.IdToToken(id)!.Replace("##", "", StringComparison.Ordinal));
        Assert.That(slices, Is.EqualTo(tokens));
    }

    [TestCaseSource(nameof(All))]
    public void Any_string_of_chars_is_encoded_with_sound_offsets(Tokenizer tokenizer)
    {
        RandomText random = new(3);
        for (int i = 0; i < 3000; i++)
        {
            string text = random.NextChars(50);
            Encoding encoding = tokenizer.Encode(text, options: new EncodeOptions { AddPrefixSpace = i % 2 == 0 });
            int last = 0;
            foreach (TextRange range in encoding.Offsets.Span[1..^1])
            {
                Assert.That(range.Start, Is.InRange(0, range.End), text);
                Assert.That(range.End, Is.InRange(last, text.Length), text);
                Assert.That(IsInsidePair(text, range.Start) || IsInsidePair(text, range.End), Is.False, text);
                last = range.Start;
            }
        }
    }

    [TestCaseSource(nameof(All))]
    public void What_a_tokenizer_is_asked_for_in_vain_is_the_callers_mistake(Tokenizer tokenizer)
    {
        Assert.That(() => tokenizer.Decode([5, -1]),
            Throws.TypeOf<TokenizerInputException>().With.Message.EqualTo("ids[1]: expected an id of 0 or more, given -1"));
        Assert.That(() => tokenizer.Encode("a", options: new EncodeOptions { MaxLength = 1 }),
            Throws.TypeOf<TokenizerInputException>().With.Message.Contains("MaxLength"));
        Assert.That(() => tokenizer.EncodeBatch(["a", "b"], ["c"]), Throws.TypeOf<TokenizerInputException>().With.Message.Contains("pairs"));
    }

    [TestCaseSource(nameof(All))]
    public void Half_a_surrogate_pair_is_read_as_the_replacement_character(Tokenizer tokenizer)
    {
        foreach (string lone in new[] { "\ud83d", "\udc4d", "a\ud83db", "a\udc4d\ud83d", " \ud83d\ud83d\udc4d" })
        {
            string replaced = System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(lone));
            Assert.That(tokenizer.Encode(lone).Ids.ToArray(), Is.EqualTo(tokenizer.Encode(replaced).Ids.ToArray()), replaced);
            Assert.That(tokenizer.Encode(lone).GetOffsets(OffsetUnit.Utf8), Is.EqualTo(tokenizer.Encode(replaced).GetOffsets(OffsetUnit.Utf8)));
        }
    }

    [Test]
    public void Merging_is_that_of_the_plain_definition_for_words_of_any_length()
    {
        using TestFolder folder = new();
        Random random = new(4);
        string[] merges = ["a a", "a b", "aa aa", "ab a", "aaaa a", "b aa", "\u0120 a", "aa ab", "baa b"];
        System.Text.Json.Nodes.JsonObject vocabulary = SmallBpe.Vocabulary();
        foreach (string merge in merges)
            vocabulary[merge.Replace(" ", "", StringComparison.Ordinal)] = vocabulary.Count;
        Tokenizer tokenizer = Tokenizer.Load(SmallBpe.Write(folder, vocabulary, merges));
        for (int i = 0; i < 600; i++)
        {
            string word = string.Concat(Enumerable.Range(0, random.Next(1, 300)).Select(_ => random.Next(3) == 0 ? 'b' : 'a'));
            string[] tokens = [.. tokenizer.Encode(word, options: Bare).Ids.ToArray().Select(id => tokenizer.IdToToken(id)!)];
            Assert.That(tokens, Is.EqualTo(MergePlainly(word, merges)), word);
        }
    }

    [Test]
    public void A_word_of_a_million_letters_is_encoded_and_given_back()
    {
        string word = new('a', 1_000_000);
        Encoding encoding = Goldens.Roberta.Encode(word, options: Bare);
        Assert.That(Goldens.Roberta.Decode(encoding.Ids.Span), Is.EqualTo(word));
        Assert.That(encoding.Offsets.Span[^1].End, Is.EqualTo(word.Length));
        Assert.That(Goldens.WordPiece.Encode(word).Ids.ToArray(), Is.EqualTo(new[] { 101, 100, 102 }));
    }

    [Test]
    public void Ascii_is_split_as_the_regular_expression_splits_it()
    {
        RandomText random = new(5);
        for (int i = 0; i < 5000; i++)
        {
            string text = random.NextAscii(60);
            List<string> pieces = [];
            for (int at = 0; at < text.Length;)
            {
                int end = Gpt2Splitter.PieceEnd(text, at);
                pieces.Add(text[at..end]);
                at = end;
            }

            Assert.That(pieces, Is.EqualTo(Gpt2Pattern().Matches(text).Select(m => m.Value)), text);
        }
    }

    [TestCaseSource(nameof(All))]
    public void A_batch_is_its_texts_one_by_one(Tokenizer tokenizer)
    {
        RandomText random = new(6);
        string[] texts = [.. Enumerable.Range(0, 400).Select(_ => random.Next(200))];
        string[] pairs = [.. Enumerable.Range(0, 400).Select(_ => random.Next(200))];
        IReadOnlyList<Encoding> batch = tokenizer.EncodeBatch(texts, pairs);
        for (int i = 0; i < texts.Length; i++)
        {
            Encoding single = tokenizer.Encode(texts[i], pairs[i]);
            Assert.That(batch[i].Ids.ToArray(), Is.EqualTo(single.Ids.ToArray()));
            Assert.That(batch[i].Offsets.ToArray(), Is.EqualTo(single.Offsets.ToArray()));
        }
    }

    [TestCaseSource(nameof(All))]
    public void Threads_share_a_tokenizer(Tokenizer tokenizer)
    {
        RandomText random = new(7);
        string[] texts = [.. Enumerable.Range(0, 200).Select(_ => random.Next(300))];
        int[][] expected = [.. texts.Select(t => tokenizer.Encode(t).Ids.ToArray())];
        Tokenizer fresh = Tokenizer.Load(Goldens.Folder(tokenizer == Goldens.Roberta ? "roberta" : tokenizer == Goldens.Tiny ? "tiny" : "wordpiece"));
        Parallel.For(0, 8, worker =>
        {
            for (int i = 0; i < texts.Length; i++)
            {
                int at = (i + (worker * 25)) % texts.Length;
                if (!fresh.Encode(texts[at]).Ids.Span.SequenceEqual(expected[at]))
                    throw new InvalidOperationException($"worker {worker}, text {at}: other tokens than alone");
            }
        });
    }

    private static bool IsInsidePair(string text, int position) =>
        position > 0 && position < text.Length && char.IsHighSurrogate(text[position - 1]) && char.IsLowSurrogate(text[position]);

    private static List<string> MergePlainly(string word, string[] merges)
    {
        List<string> symbols = [.. word.Select(c => c.ToString())];
        while (true)
        {
            int rank = Enumerable.Range(0, merges.Length)
                .FirstOrDefault(r => Enumerable.Range(0, symbols.Count - 1).Any(i => $"{symbols[i]} {symbols[i + 1]}" == merges[r]), -1);
            if (rank < 0)
                return symbols;
            int at = Enumerable.Range(0, symbols.Count - 1).First(i => $"{symbols[i]} {symbols[i + 1]}" == merges[rank]);
            symbols[at] += symbols[at + 1];
            symbols.RemoveAt(at + 1);
        }
    }

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\t-\r A-Za-z0-9]+|[\t-\r ]+(?![^\t-\r ])|[\t-\r ]+")]
    private static partial Regex Gpt2Pattern();
}
