using System.Text.Json;
using System.Text.Json.Nodes;

namespace LongformerInterop.Tokenizers.Tests;

/// <summary>
/// Folders as the field has them, one per kind: unused ids, special tokens named in one file only, normalizers, tokenizer_config.json against
/// tokenizer.json. The ids and texts are transformers' own (parity-tests/generators/field_tokenizers.py).
/// </summary>
[TestFixture]
public class FieldFolderTests
{
    private static readonly JsonObject Golden = JsonNode.Parse(File.ReadAllText(Goldens.Folder("field.json")))!.AsObject();

    public static IEnumerable<TestCaseData> Cases() =>
        Golden["cases"]!.AsArray().Select(c => new TestCaseData(c!["name"]!.GetValue<string>()).SetName("{m}: " + c["name"]));

    [TestCaseSource(nameof(Cases))]
    public void Is_as_in_the_reference(string name)
    {
        JsonNode golden = Golden["cases"]!.AsArray().Single(c => c!["name"]!.GetValue<string>() == name)!;
        using TestFolder folder = new();
        foreach ((string file, JsonNode? content) in golden["files"]!.AsObject())
            folder.Write(file, Expand(file, content!));
        Tokenizer tokenizer = Tokenizer.Load(folder.Path);
        Assert.That(tokenizer.ModelMaxLength, Is.EqualTo(golden["model_max_length"]?.GetValue<int>()));
        foreach (JsonNode? line in golden["lines"]!.AsArray())
        {
            string text = line!["text"]!.GetValue<string>();
            Encoding encoding = tokenizer.Encode(text);
            int[] ids = Numbers(line["ids"]!);
            Assert.Multiple(() =>
            {
                Assert.That(encoding.Ids.ToArray(), Is.EqualTo(ids), text);
                Assert.That(encoding.GetOffsets(OffsetUnit.CodePoint).Select(o => new[] { o.Start, o.End }),
                    Is.EqualTo(line["offsets"]!.AsArray().Select(o => Numbers(o!))), text);
                Assert.That(tokenizer.Decode(ids), Is.EqualTo(line["decoded"]!.GetValue<string>()));
                Assert.That(tokenizer.Decode(ids, skipSpecialTokens: true), Is.EqualTo(line["without_special"]!.GetValue<string>()));
                Assert.That(tokenizer.Encode(text, options: new EncodeOptions { MaxLength = 6 }).Ids.ToArray(),
                    Is.EqualTo(Numbers(line["cut_to_6"]!)));
                if (line["padded_with_a_dot"] is { } padded)
                {
                    IReadOnlyList<Encoding> batch = tokenizer.EncodeBatch([text, "."], options: new EncodeOptions { Padding = new PaddingOptions() });
                    Assert.That(batch[1].Ids.ToArray(), Is.EqualTo(Numbers(padded)));
                }
            });
        }
    }

    [Test]
    public void An_unused_id_and_one_beyond_the_vocabulary_decode_to_nothing()
    {
        using TestFolder folder = new();
        JsonObject vocabulary = SmallBpe.Vocabulary();
        vocabulary["x\u0120y"] = 400;
        Tokenizer tokenizer = Tokenizer.Load(SmallBpe.Write(folder, vocabulary));
        int h = tokenizer.TokenToId("h")!.Value;
        Assert.Multiple(() =>
        {
            Assert.That(tokenizer.VocabularySize, Is.EqualTo(401));
            Assert.That(tokenizer.Decode([h, 300, h, 9999, 400]), Is.EqualTo("hhx y"));
            Assert.That(tokenizer.IdToToken(300), Is.Null);
            Assert.That(tokenizer.IdToToken(9999), Is.Null);
        });
    }

    // transformers before 5 kept what else a tokenizer.json says; 5 builds the class anew. The folder's version decides.
    [TestCase("4.39.3", "the caf\u0113")]
    [TestCase("5.12.1", "The Cafe\u0304")]
    public void The_version_that_made_a_folder_decides_what_its_class_keeps(string version, string read)
    {
        using TestFolder folder = new();
        JsonObject json = JsonNode.Parse(SmallBpe.Json())!.AsObject();
        json["normalizer"] = new JsonObject
        {
            ["type"] = "Sequence",
            ["normalizers"] = new JsonArray(new JsonObject { ["type"] = "NFC" }, new JsonObject { ["type"] = "Lowercase" }),
        };
        folder.Write("tokenizer.json", json.ToJsonString());
        folder.Write("tokenizer_config.json", """{"tokenizer_class": "LongformerTokenizer"}""");
        folder.Write("config.json", $$"""{"model_type": "longformer", "transformers_version": "{{version}}"}""");
        Tokenizer tokenizer = Tokenizer.Load(folder.Path);
        Assert.That(tokenizer.Decode(tokenizer.Encode("The Cafe\u0304").Ids.Span, skipSpecialTokens: true), Is.EqualTo(read));
    }

    [TestCase("\uFEFF{}")]
    [TestCase("{\"model_max_length\": Infinity, \"x\": NaN, \"y\": [-Infinity, \"NaN \\\" Infinity\"]}")]
    [TestCase("{\"model_max_length\": 1e30}  \n\n")]
    public void Json_is_read_as_python_reads_it_and_editors_leave_it(string configuration)
    {
        using TestFolder folder = new();
        SmallBpe.Write(folder);
        folder.Write("tokenizer_config.json", configuration);
        Assert.That(Tokenizer.Load(folder.Path).ModelMaxLength, Is.Null);
    }

    private static int[] Numbers(JsonNode list) => [.. list.AsArray().Select(n => n!.GetValue<int>())];

    private static string Own(string file) => File.ReadAllText(Path.Combine(Goldens.Folder("tiny"), file));

    private static string[] Words() => [.. File.ReadLines(Path.Combine(Goldens.Folder("wordpiece"), "vocab.txt")).Where(w => w.Length > 0)];

    private static string Expand(string file, JsonNode content)
    {
        if (content is JsonValue)
            return content.GetValue<string>() is "@tiny" ? Own(file) : content.GetValue<string>();
        if (content["@tiny"] is { } vocabulary)
            return Vocabulary(vocabulary).ToJsonString();
        if (content["@merges"] is { } merges)
            return Merges(merges);
        if (content["@words"] is { } edits)
        {
            List<string> words = [.. Words()];
            if (edits["again"] is { } again)
                words.Insert(again[0]!.GetValue<int>(), words[again[1]!.GetValue<int>()]);
            return string.Join('\n', words) + edits["tail"]!.GetValue<string>();
        }

        content = content.DeepClone();
        if (file == "tokenizer.json")
        {
            JsonObject model = content["model"]!.AsObject();
            model["vocab"] = model["vocab"] is JsonValue v && v.GetValue<string>() == "@wordpiece"
                ? new JsonObject(Words().Select((w, i) => KeyValuePair.Create(w, (JsonNode?)i)))
                : JsonNode.Parse(Expand("vocab.json", model["vocab"]!));
            if (model["merges"] is { } own)
                model["merges"] = new JsonArray([.. Expand("merges.txt", own).Split('\n')[1..^1].Select(m => (JsonNode)m)]);
        }

        return content.ToJsonString();
    }

    private static JsonObject Vocabulary(JsonNode edits)
    {
        JsonObject result = [];
        foreach ((string token, JsonNode? id) in JsonNode.Parse(Own("vocab.json"))!.AsObject())
        {
            int moved = id!.GetValue<int>();
            foreach (JsonNode? shift in edits["shift"]?.AsArray() ?? [])
                moved += id.GetValue<int>() > shift![0]!.GetValue<int>() ? shift[1]!.GetValue<int>() : 0;
            if (Kept(token, edits))
                result[token] = moved;
        }

        return result;
    }

    private static string Merges(JsonNode edits)
    {
        IEnumerable<string> lines = Own("merges.txt").Split('\n').Skip(1).Where(l => l.Length > 0);
        lines = edits["first"] is { } first ? lines.Take(first.GetValue<int>()) : lines;
        return (edits["head"]?.GetValue<string>() ?? "#version: 0.2\n") + string.Concat(lines.Where(l => Kept(l, edits)).Select(l => l + "\n"));
    }

    private static bool Kept(string text, JsonNode edits) =>
        edits["without"]?.AsArray().Any(p => text.Contains(p!.GetValue<string>(), StringComparison.Ordinal)) != true;
}
