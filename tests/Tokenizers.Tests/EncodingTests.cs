namespace LongformerInterop.Tokenizers.Tests;

/// <summary>Truncation, padding, special tokens and offsets by example.</summary>
[TestFixture]
public class EncodingTests
{
    private const string Mixed = "né 👍 x";

    [Test]
    public void Offsets_count_units_code_points_or_bytes()
    {
        Encoding encoding = Goldens.Roberta.Encode("x", Mixed, new EncodeOptions { AddSpecialTokens = false });
        TextRange last = new(Mixed.Length - 1, Mixed.Length);
        Assert.That(encoding.GetOffsets(OffsetUnit.Utf16)[^1], Is.EqualTo(last));
        Assert.That(encoding.GetOffsets(OffsetUnit.CodePoint)[^1], Is.EqualTo(new TextRange(5, 6)));
        Assert.That(encoding.GetOffsets(OffsetUnit.Utf8)[^1], Is.EqualTo(new TextRange(9, 10)));
        Assert.That(encoding.GetOffsets(OffsetUnit.Utf16), Is.EqualTo(encoding.Offsets.ToArray()));
    }

    [Test]
    public void Overflowing_parts_cover_the_whole_text_and_repeat_the_stride()
    {
        string text = string.Join(' ', Enumerable.Range(0, 500));
        int[] all = Goldens.Roberta.Encode(text, options: new EncodeOptions { AddSpecialTokens = false }).Ids.ToArray();
        Encoding encoding = Goldens.Roberta.Encode(text, options: new EncodeOptions { MaxLength = 34, Stride = 5 });
        List<int> joined = [.. encoding.Ids.ToArray()[1..^1]];
        foreach (Encoding part in encoding.Overflowing)
        {
            int[] ids = part.Ids.ToArray()[1..^1];
            Assert.That(part.Count, Is.LessThanOrEqualTo(34));
            Assert.That(ids[..5], Is.EqualTo(joined[^5..]));
            joined.AddRange(ids[5..]);
        }

        Assert.That(joined, Is.EqualTo(all));
    }

    [Test]
    public void Truncation_on_the_left_keeps_the_end()
    {
        Encoding encoding = Goldens.Roberta.Encode("one two three four", options: new EncodeOptions { MaxLength = 4, TruncationSide = Side.Left });
        Assert.That(Goldens.Roberta.Decode(encoding.Ids.Span), Is.EqualTo("<s> three four</s>"));
        Assert.That(encoding.Overflowing, Has.Count.EqualTo(1));
    }

    [Test]
    public void Nothing_is_cut_when_truncation_is_off()
    {
        EncodeOptions options = new() { MaxLength = 3, Truncation = TruncationStrategy.DoNotTruncate };
        Assert.That(Goldens.Roberta.Encode("one two three four", options: options).Count, Is.EqualTo(6));
    }

    [Test]
    public void Padding_is_marked_in_every_mask()
    {
        EncodeOptions options = new() { Padding = new PaddingOptions { MultipleOf = 6, Side = Side.Left } };
        Encoding encoding = Goldens.WordPiece.Encode("a", "b", options);
        Assert.That(encoding.Ids.ToArray(), Is.EqualTo(new[] { 0, 101, 1037, 102, 1038, 102 }));
        Assert.That(encoding.AttentionMask.ToArray(), Is.EqualTo(new[] { 0, 1, 1, 1, 1, 1 }));
        Assert.That(encoding.SpecialTokensMask.ToArray(), Is.EqualTo(new[] { 1, 1, 0, 1, 0, 1 }));
        Assert.That(encoding.TypeIds.ToArray(), Is.EqualTo(new[] { 0, 0, 0, 0, 1, 1 }));
        Assert.That(encoding.SequenceIds.ToArray(), Is.EqualTo(new[] { -1, -1, 0, -1, 1, -1 }));
    }

    [Test]
    public void A_special_token_in_the_text_is_one_token_unless_it_shall_be_split()
    {
        Assert.That(Goldens.Roberta.Encode("a <mask>").Ids.ToArray(), Is.EqualTo(new[] { 0, 102, 50264, 2 }));
        Assert.That(Goldens.Roberta.Encode("a <mask>", options: new EncodeOptions { SplitSpecialTokens = true }).Count, Is.GreaterThan(4));
    }

    [Test]
    public void Special_ids_are_those_of_the_checkpoint()
    {
        Assert.That(Goldens.Roberta.SpecialTokens, Is.EqualTo(new SpecialTokenIds
        {
            Begin = 0, Classifier = 0, Padding = 1, End = 2, Separator = 2, Unknown = 3, Mask = 50264,
        }));
        Assert.That(Goldens.WordPiece.SpecialTokens, Is.EqualTo(new SpecialTokenIds
        {
            Padding = 0, Unknown = 100, Classifier = 101, Separator = 102, Mask = 103,
        }));
        Assert.That((Goldens.Roberta.VocabularySize, Goldens.Roberta.Kind), Is.EqualTo((50265, "byte-level BPE")));
        Assert.That((Goldens.WordPiece.VocabularySize, Goldens.WordPiece.Kind), Is.EqualTo((30522, "WordPiece")));
        Assert.That(Goldens.Roberta.AddedTokenCount(pair: true), Is.EqualTo(4));
    }

    [Test]
    public void Tokens_and_ids_are_each_others_inverse()
    {
        Assert.That(Goldens.Roberta.TokenToId("\u0120the"), Is.EqualTo(5));
        Assert.That(Goldens.Roberta.IdToToken(5), Is.EqualTo("\u0120the"));
        Assert.That(Goldens.Roberta.TokenToId("no such token"), Is.Null);
        Assert.That(Goldens.Roberta.IdToToken(50265), Is.Null);
        Assert.That(Goldens.Roberta.IdToToken(-1), Is.Null);
        Assert.That(Goldens.Roberta.IsSpecial(2) && !Goldens.Roberta.IsSpecial(5) && !Goldens.Roberta.IsSpecial(-1));
    }

    [Test]
    public void Configuration_files_name_added_tokens_and_roles()
    {
        using TestFolder folder = new();
        SmallBpe.Write(folder);
        folder.Write("added_tokens.json", """{"<doc-sep>": 265}""");
        folder.Write("special_tokens_map.json", """{"sep_token": "<doc-sep>", "mask_token": {"content": "<mask>", "lstrip": false}}""");
        folder.Write("tokenizer_config.json", """{"model_max_length": 1e30, "add_prefix_space": true, "tokenizer_class": "LongformerTokenizer"}""");
        Tokenizer tokenizer = Tokenizer.Load(folder.Path);
        Assert.That(tokenizer.SpecialTokens.Separator, Is.EqualTo(265));
        Assert.That(tokenizer.ModelMaxLength, Is.Null);
        Encoding encoding = tokenizer.Encode("hell<doc-sep> <mask>");
        Assert.That(
            encoding.Ids.ToArray().Select(tokenizer.IdToToken),
            Is.EqualTo(new[] { "<s>", "\u0120hell", "<doc-sep>", "\u0120", "<mask>", "<doc-sep>" }));
    }

    [Test]
    public void Clean_up_is_a_choice_when_decoding_WordPiece()
    {
        int[] ids = Goldens.WordPiece.Encode("Don't stop, now.", options: new EncodeOptions { AddSpecialTokens = false }).Ids.ToArray();
        Assert.That(Goldens.WordPiece.Decode(ids), Is.EqualTo("don ' t stop, now."));
        Assert.That(Goldens.WordPiece.Decode(ids, cleanUp: false), Is.EqualTo("don ' t stop , now ."));
    }

    [Test]
    public void Case_and_accents_are_choices_when_loading_WordPiece()
    {
        TokenizerOptions cased = new() { LowerCase = false };
        Assert.That(Tokenizer.Load(Goldens.Folder("wordpiece"), cased).Encode("É").Ids.ToArray(), Is.EqualTo(new[] { 101, 100, 102 }));
        Assert.That(Goldens.WordPiece.Encode("É").Ids.ToArray(), Is.EqualTo(Goldens.WordPiece.Encode("e").Ids.ToArray()));
    }

    [Test]
    public void Bytes_that_are_not_utf8_decode_to_the_replacement_character()
    {
        int[] ids = Goldens.Roberta.Encode("👍", options: new EncodeOptions { AddSpecialTokens = false }).Ids.ToArray();
        Assert.That(Goldens.Roberta.Decode(ids.AsSpan(0, 1)), Does.Contain("\ufffd"));
    }
}
