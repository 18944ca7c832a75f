using System.Text;

namespace LongformerInterop.Checkpoints.Tests;

/// <summary>Each way in which a header can be wrong has a message of its own.</summary>
[TestFixture]
public class SafetensorsHeaderTests
{
    private const string One = """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""";

    [Test]
    public void A_good_header_gives_names_types_shapes_and_places()
    {
        byte[] json = Encoding.UTF8.GetBytes(
            """{"__metadata__":{"format":"pt","é":"ü"},"b":{"dtype":"I64","shape":[],"data_offsets":[6,14]},"""
            + """ "a.weight":{"shape":[3,1],"data_offsets":[0,6],"dtype":"BF16"},"none":{"dtype":"U8","shape":[4,0],"data_offsets":[6,6]}}   """);
        SafetensorsHeader header = SafetensorsHeader.Parse(json, 8 + json.Length + 14, "f");
        Assert.Multiple(() =>
        {
            Assert.That(header.Entries.Keys, Is.EqualTo(new[] { "a.weight", "none", "b" }), "in the order of the data");
            Assert.That(header.Metadata, Is.EqualTo(new Dictionary<string, string> { ["format"] = "pt", ["é"] = "ü" }));
            TensorEntry a = header.Entries["a.weight"], b = header.Entries["b"], none = header.Entries["none"];
            Assert.That((a.Type, a.ElementCount, a.ByteCount, a.Begin), Is.EqualTo((StoredType.BF16, 3, 6, 8 + json.Length)));
            Assert.That(a.Shape.ToArray(), Is.EqualTo(new long[] { 3, 1 }));
            Assert.That((b.Type, b.ElementCount, b.Shape.Length, b.Begin), Is.EqualTo((StoredType.I64, 1, 0, 8 + json.Length + 6)));
            Assert.That((none.ElementCount, none.ByteCount), Is.EqualTo((0, 0)));
            Assert.That(a.ToString(), Is.EqualTo("a.weight BF16 [3, 1]"));
        });
    }

    // safetensors 0.8 reads these too: white space around the object, no metadata, a field of a newer writer.
    [TestCase(""" \n\t{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}\r\n  """)]
    [TestCase("""{"__metadata__":null,"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""")]
    [TestCase("""{"a":{"dtype":"F32","scale":[1,{"x":null}],"shape":[2],"data_offsets":[0,8],"note":"new"}}""")]
    public void What_the_reference_reads_is_read(string json)
    {
        SafetensorsHeader header = Parse(System.Text.RegularExpressions.Regex.Unescape(json), 8);
        Assert.That(header.Entries["a"].ToString(), Is.EqualTo("a F32 [2]"));
    }

    [Test]
    public void Names_are_compared_after_their_escapes_are_resolved()
    {
        const string json = """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""";
        Assert.That(() => Parse(json, 2), Throws.TypeOf<CheckpointException>().With.Message.Contains("'a' occurs twice in the header"));
    }

    [TestCase("""[1]""", 0, "not a JSON object")]
    [TestCase("", 0, "not a JSON object")]
    [TestCase("{", 0, "not valid JSON")]
    [TestCase("{}x", 0, "not valid JSON")]
    [TestCase("""{"a":}""", 0, "not valid JSON")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},}""", 8, "not valid JSON")]
    [TestCase("""{"a":{"dtype":"F32","shape":[02],"data_offsets":[0,8]}}""", 8, "not valid JSON")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}""", 16,
        "'a' occurs twice in the header")]
    [TestCase("""{"a":7}""", 0, "'a' is described by a number")]
    [TestCase("""{"a":null}""", 0, "'a' is described by null")]
    [TestCase("""{"a":[[[[[[]]]]]]}""", 0, "'a' is described by an array")]
    [TestCase("""{"\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "not valid text")]
    [TestCase("""{"a":{"shape":[2],"data_offsets":[0,8]}}""", 8, "'a' has no dtype")]
    [TestCase("""{"a":{"dtype":"F32","data_offsets":[0,8]}}""", 8, "'a' has no shape")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2]}}""", 8, "'a' has no data_offsets")]
    [TestCase("""{"a":{}}""", 0, "'a' has no dtype")]
    [TestCase("""{"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}}""", 8, "gives dtype twice")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}""", 8, "gives shape twice")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]}}""", 8, "gives data_offsets twice")]
    [TestCase("""{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}""", 8, "unknown dtype 'F99'")]
    [TestCase("""{"a":{"dtype":"f32","shape":[2],"data_offsets":[0,8]}}""", 8, "unknown dtype 'f32'")]
    [TestCase("""{"a":{"dtype":6,"shape":[2],"data_offsets":[0,8]}}""", 8, "dtype is a number")]
    [TestCase("""{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}""", 8, "shape is a number, not an array")]
    [TestCase("""{"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}""", 8, "shape holds a string")]
    [TestCase("""{"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}}""", 8, "shape holds an array")]
    [TestCase("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "-2, which is negative")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}""", 8, "2.0, which is not an integer")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}""", 8, "2e0, which is not an integer")]
    [TestCase("""{"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]}}""", 8, "does not fit in 63 bits")]
    [TestCase("""{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""", 0, "more elements than memory can address")]
    [TestCase("""{"a":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,1]}}""", 1, "more elements than memory can address")]
    [TestCase("""{"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}""", 0, "more elements than memory can address")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}""", 8, "data_offsets has 1 numbers")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,16]}}""", 8, "data_offsets has more than 2 numbers")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[-1,8]}}""", 8, "data_offsets holds -1, which is negative")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "data_offsets [8, 0] are reversed")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9223372036854775807]}}""", 8, "the file holds 8 bytes of data")]
    [TestCase("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7, "the file holds 7 bytes of data: cut off")]
    [TestCase("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "F32 [3] takes 12 bytes, data_offsets [0, 8] give 8")]
    [TestCase("""{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}""", 2, "do not end on a byte")]
    [TestCase("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}""", 6,
        "'a' and 'b' overlap")]
    [TestCase("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", 4, "overlap")]
    [TestCase("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}}""", 9,
        "bytes 4 to 5 of the data, before tensor 'b', belong to no tensor")]
    [TestCase("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}}""", 5, "bytes 0 to 1 of the data")]
    [TestCase("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", 6, "2 bytes behind the last tensor")]
    [TestCase("""{}""", 3, "3 bytes behind the last tensor")]
    [TestCase("""{"__metadata__":{"a":1}}""", 0, "__metadata__ holds a number under 'a'")]
    [TestCase("""{"__metadata__":{"a":{"b":"c"}}}""", 0, "__metadata__ holds an object under 'a'")]
    [TestCase("""{"__metadata__":"pt"}""", 0, "__metadata__ is a string")]
    [TestCase("""{"__metadata__":{},"__metadata__":{}}""", 0, "__metadata__ occurs twice")]
    [TestCase("""{"__metadata__":{"a":"1","a":"2"}}""", 0, "'a' occurs twice in __metadata__")]
    [TestCase("""{"__metadata__":{"a":"\udfff"}}""", 0, "not valid text")]
    public void A_wrong_header_is_refused_by_its_own_message(string json, int dataLength, string message) =>
        Assert.That(() => Parse(json, dataLength),
            Throws.TypeOf<CheckpointException>().With.Message.StartsWith("the-file: ").And.Message.Contains(message));

    [Test]
    public void Text_that_is_not_utf8_is_refused()
    {
        byte[] json = Encoding.UTF8.GetBytes(One);
        json[2] = 0xff;
        Assert.That(() => SafetensorsHeader.Parse(json, 8 + json.Length + 8, "f"),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("not UTF-8"));
    }

    [Test]
    public void Deep_nesting_ends_at_the_first_level_that_the_format_does_not_have()
    {
        string json = $$$"""{"a":{"dtype":"F32","shape":{{{new string('[', 100_000)}}}""";
        Assert.That(() => Parse(json, 0), Throws.TypeOf<CheckpointException>().With.Message.Contains("shape holds an array"));
    }

    [Test]
    public void More_dimensions_than_libtorch_takes_are_refused()
    {
        string json = $$$"""{"a":{"dtype":"U8","shape":[{{{string.Join(',', Enumerable.Repeat("1", 65))}}}],"data_offsets":[0,1]}}""";
        Assert.That(() => Parse(json, 1), Throws.TypeOf<CheckpointException>().With.Message.Contains("shape has more than 64 numbers"));
    }

    [Test]
    public void Names_are_quoted_harmlessly_in_messages()
    {
        string json = $$$"""{"\u001b[2J{{{new string('x', 300)}}}":7}""";
        Assert.That(() => Parse(json, 0),
            Throws.TypeOf<CheckpointException>().With.Message.Contains(@"'\u001b[2Jx").And.Message.Contains("xxx...'")
                .And.Message.Not.Contains("\u001b"));
    }

    [TestCase(0, "it has 0 bytes")]
    [TestCase(7, "it has 7 bytes")]
    public void A_file_shorter_than_the_length_in_front_is_refused(int length, string message) =>
        Assert.That(() => SafetensorsHeader.ReadLength(new byte[length], length, "f"),
            Throws.TypeOf<CheckpointException>().With.Message.Contains(message));

    [TestCase(100_000_001ul, 1L << 40, "at most 100000000 are allowed")]
    [TestCase(ulong.MaxValue, 1L << 40, "at most 100000000 are allowed")]
    [TestCase(93ul, 100L, "has only 92 after the length: cut off, or not a safetensors file")]
    public void A_header_longer_than_allowed_or_than_the_file_is_refused(ulong length, long fileLength, string message) =>
        Assert.That(() => SafetensorsHeader.ReadLength(BitConverter.GetBytes(length), fileLength, "f"),
            Throws.TypeOf<CheckpointException>().With.Message.Contains(message));

    private static SafetensorsHeader Parse(string json, int dataLength)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(json);
        return SafetensorsHeader.Parse(bytes, 8 + bytes.Length + dataLength, "the-file");
    }
}
