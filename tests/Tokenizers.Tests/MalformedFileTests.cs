using System.Text.Json.Nodes;

namespace LongformerInterop.Tokenizers.Tests;

/// <summary>Damaged files and impossible requests: one clear message each, naming file, place, expected and given.</summary>
[TestFixture]
public class MalformedFileTests
{
    private TestFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TestFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void A_folder_that_is_not_there() => Refused(Path.Combine(_folder.Path, "nowhere"), "nowhere: expected a folder", "there is none");

    [Test]
    public void A_file_instead_of_a_folder() => Refused(_folder.Write("model.bin", ""), "model.bin: expected a folder", "given a file");

    [Test]
    public void A_folder_without_a_tokenizer() => Refused(_folder.Path, "tokenizer.json, or vocab.json and merges.txt, or vocab.txt");

    [TestCase("vocab.json")]
    [TestCase("merges.txt")]
    public void One_of_two_files_missing(string missing)
    {
        SmallBpe.Write(_folder);
        File.Delete(_folder[missing]);
        Refused(_folder.Path, $"{missing}: expected a file, but there is none");
    }

    [TestCase("{\"<s>\": 0,, \"a\": 1}", "vocab.json: line 1, byte 11: expected complete, well-formed JSON")]
    [TestCase("{\"<s>\": 0, \"a\"", "vocab.json: line 1")]
    [TestCase("", "vocab.json: line 1")]
    [TestCase("[1, 2]", "vocab.json: expected a JSON object, given [1, 2]")]
    [TestCase("{}", "expected at least one token, given none")]
    [TestCase("{\"a\": 0, \"b\": 0}", "expected one token per id, given 'a' and 'b' both with id 0")]
    [TestCase("{\"a\": 0, \"b\": 2000000000}", "expected ids that an embedding table can have, up to 16777215, given 'b' with id 2000000000")]
    [TestCase("{\"a\": -1}", "vocab.json: a: expected an integer from 0 to 2147483647, given -1")]
    [TestCase("{\"a\": 99999999999}", "given 99999999999")]
    [TestCase("{\"a\": 1.5}", "given 1.5")]
    [TestCase("{\"a\": \"0\"}", "given \"0\"")]
    [TestCase("{\"\\ud800\": 0}", "vocab.json: expected keys of valid Unicode")]
    public void A_vocabulary_that_is_none(string content, string message)
    {
        SmallBpe.Write(_folder, merges: []);
        _folder.Write("vocab.json", content);
        Refused(_folder.Path, message);
    }

    [TestCase("h e\nhe", "merges.txt: line 3: expected two tokens with one space between them, given 'he'")]
    [TestCase("h e l", "merges.txt: line 2")]
    [TestCase("h  e", "merges.txt: line 2")]
    [TestCase("h xyz", "merges.txt: line 2: expected tokens of the vocabulary, given 'h xyz': it lacks 'xyz'")]
    [TestCase("e h", "merges.txt: line 2: expected tokens of the vocabulary, given 'e h': it lacks 'eh'")]
    public void Merges_that_are_none(string merges, string message) => Refused(SmallBpe.Write(_folder, merges: merges.Split('\n')), message);

    [TestCase("vocab.json")]
    [TestCase("merges.txt")]
    public void A_file_that_is_not_utf8(string file)
    {
        SmallBpe.Write(_folder);
        File.WriteAllBytes(_folder[file], [(byte)'{', 0xC3, 0x28]);
        Refused(_folder.Path, $"{file}: expected UTF-8, given an invalid byte sequence at byte 1");
    }

    [Test]
    public void A_file_of_absurd_size()
    {
        SmallBpe.Write(_folder);
        using (FileStream stream = new(_folder["vocab.json"], FileMode.Create))
            stream.SetLength(1L << 40);
        Refused(_folder.Path, "vocab.json: expected a tokenizer file of at most 268435456 bytes, given 1099511627776");
    }

    [TestCase("special_tokens_map.json", """{"pad_token": 1}""", "special_tokens_map.json: pad_token: expected a JSON object")]
    [TestCase("tokenizer_config.json", """{"tokenizer_class": "T5Tokenizer"}""",
        "tokenizer_config.json: tokenizer_class: expected a tokenizer of the kinds")]
    [TestCase("tokenizer_config.json", """{"added_tokens_decoder": {"x": {"content": "<s>"}}}""",
        "added_tokens_decoder: expected ids as keys, given 'x'")]
    [TestCase("tokenizer_config.json", """{"add_prefix_space": "yes"}""", "add_prefix_space: expected true or false, given \"yes\"")]
    public void Configuration_that_contradicts_the_vocabulary(string file, string content, string message)
    {
        SmallBpe.Write(_folder);
        _folder.Write(file, content);
        Refused(_folder.Path, message);
    }

    [TestCase("", "vocab.txt: expected one token per line, given an empty file")]
    public void A_word_piece_vocabulary_that_is_none(string content, string message)
    {
        _folder.Write("vocab.txt", content);
        Refused(_folder.Path, message);
    }

    [TestCase("\"model\"", "\"modell\"", "tokenizer.json: expected the key 'model'")]
    [TestCase("\"normalizer\": null", "\"normalizer\": {\"type\": \"Precompiled\"}", "tokenizer.json: normalizer: expected NFC, NFD",
        "given Precompiled, which is not supported")]
    [TestCase("\"normalizer\": null", "\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"x\"}, \"content\": \"\"}",
        "regular expressions in normalizers are not supported")]
    [TestCase("\"type\": \"BPE\"", "\"type\": \"Unigram\"", "tokenizer.json: model.type: expected BPE or WordPiece, given Unigram")]
    [TestCase("{\"type\": \"ByteLevel\", \"add_prefix_space\": false", "{\"type\": \"Metaspace\", \"add_prefix_space\": false",
        "pre_tokenizer: expected ByteLevel, given Metaspace, which is not supported")]
    [TestCase("RobertaProcessing", "T5Processing",
        "post_processor: expected RobertaProcessing, BertProcessing, TemplateProcessing or ByteLevel, given T5Processing")]
    [TestCase("[\"</s>\", 2]", "[\"</s>\", 3]", "post_processor.sep[1]: expected the id of '</s>' in the vocabulary, 2, given 3")]
    [TestCase("\"dropout\": null", "\"dropout\": 0.1", "model.dropout: expected no dropout")]
    [TestCase("\"fuse_unk\": false", "\"byte_fallback\": true", "model.byte_fallback: expected false, given true")]
    [TestCase("\"unk_token\": null", "\"unk_token\": \"[UNK]\"", "model.unk_token: expected a token of the vocabulary, given \"[UNK]\"")]
    [TestCase("\"end_of_word_suffix\": \"\"", "\"end_of_word_suffix\": \"</w>\"", "model.end_of_word_suffix: expected none, given \"</w>\"")]
    public void A_tokenizer_json_that_asks_for_what_is_not_done(string was, string now, params string[] messages)
    {
        string json = SmallBpe.Json();
        Assert.That(json, Does.Contain(was), "the test replaces something");
        _folder.Write("tokenizer.json", json.Replace(was, now, StringComparison.Ordinal));
        Refused(_folder.Path, messages);
    }

    [Test]
    public void Mutated_files_are_loaded_or_refused_but_nothing_else()
    {
        Random random = new(11);
        byte[] original = System.Text.Encoding.UTF8.GetBytes(SmallBpe.Json());
        int refused = 0;
        for (int i = 0; i < 400; i++)
        {
            byte[] bytes = [.. original];
            for (int n = random.Next(1, 4); n > 0; n--)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            File.WriteAllBytes(_folder["tokenizer.json"], i % 3 == 0 ? bytes[..random.Next(bytes.Length)] : bytes);
            try
            {
                Tokenizer.Load(_folder.Path).Encode("hello <mask> world");
            }
            catch (TokenizerException)
            {
                refused++;
            }
        }

        Assert.That(refused, Is.GreaterThan(200));
    }

    [Test]
    public void Requests_that_cannot_be_met()
    {
        Tokenizer tokenizer = Goldens.Roberta;
        Refused(() => tokenizer.Decode([0, -1]), "ids[1]: expected an id of 0 or more, given -1");
        Refused(() => tokenizer.Encode("a b c", options: new EncodeOptions { MaxLength = 1 }), "MaxLength: expected at least 2");
        Refused(() => tokenizer.Encode("a", options: new EncodeOptions { MaxLength = 9, Stride = -1 }), "Stride: expected 0 or more, given -1");
        Refused(() => tokenizer.Encode("a b c d", options: new EncodeOptions { MaxLength = 5, Stride = 3 }), "expected a stride below the 3 tokens");
        Refused(
            () => tokenizer.Encode("a b c d", options: new EncodeOptions { MaxLength = 5, Truncation = TruncationStrategy.OnlySecond }),
            "expected a second text");
        Refused(
            () => tokenizer.Encode("a", "b c d e", new EncodeOptions { MaxLength = 6, Truncation = TruncationStrategy.OnlyFirst }),
            "expected a first text of more than 3 tokens");
        Refused(() => tokenizer.EncodeBatch(["a"], ["b", "c"]), "expected 1 second texts, one for each text, given 2");
        Assert.That(() => tokenizer.EncodeBatch(["a", null!]), Throws.ArgumentNullException.With.Message.Contains("text 1"));
        Assert.That(() => tokenizer.Encode(null!), Throws.ArgumentNullException);
    }

    [Test]
    public void Padding_without_a_padding_token()
    {
        SmallBpe.Write(_folder);
        _folder.Write("tokenizer_config.json", """{"pad_token": null}""");
        Tokenizer tokenizer = Tokenizer.Load(_folder.Path);
        Refused(() => tokenizer.Encode("a", options: new EncodeOptions { Padding = new PaddingOptions { Length = 9 } }),
            "Padding: expected a tokenizer with a padding token");
    }

    [Test]
    public void A_word_that_word_piece_cannot_spell_without_an_unknown_token()
    {
        _folder.Write("vocab.txt", "[CLS]\n[SEP]\na");
        Tokenizer tokenizer = Tokenizer.Load(_folder.Path);
        Assert.That(tokenizer.Encode("a").Ids.ToArray(), Is.EqualTo(new[] { 0, 2, 1 }));
        Refused(() => tokenizer.Encode("a b"), "no unknown token in it, given 'b'");
    }

    private static void Refused(string folder, params string[] parts) => Refused(() => _ = Tokenizer.Load(folder), parts);

    private static void Refused(Action action, params string[] parts)
    {
        TokenizerException error = Assert.Catch<TokenizerException>(() => action())!;
        foreach (string part in parts)
            Assert.That(error.Message, Does.Contain(part));
        Assert.That(error.Message, Does.Not.Contain("\n"));
    }
}
