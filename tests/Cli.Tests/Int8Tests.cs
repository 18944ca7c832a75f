using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Tests;

namespace LongformerInterop.Cli.Tests;

/// <summary><c>--dtype int8</c>, and checkpoints of eight bits from <c>convert</c>.</summary>
[TestFixture]
[Parallelizable(ParallelScope.None)]
public class Int8Tests
{
    private TestFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TestFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    private string TextFile()
    {
        string file = _folder["text.txt"];
        File.WriteAllText(file, string.Join(' ', Enumerable.Repeat("Ada Lovelace wrote the first program.", 3)));
        return file;
    }

    private static float[] Embedding(params string[] arguments) =>
        [.. Longformer.Succeeds([.. arguments, "--normalize", "--json"]).Json.GetProperty("documents")[0].GetProperty("embedding").EnumerateArray()
            .Select(e => e.GetSingle())];

    [Test]
    public void A_converted_checkpoint_gives_what_the_option_gives_near_float32_in_less_room()
    {
        string file = TextFile();
        float[] plain = Embedding("encode", TinyCheckpoints.Base, "--input", file), int8 = Embedding("encode", TinyCheckpoints.Base, "--input", file,
            "--dtype", "int8");
        Assert.That(plain.Zip(int8, (a, b) => a * b).Sum(), Is.GreaterThan(0.998));
        Assert.That(int8, Is.Not.EqualTo(plain));
        Longformer.Result made = Longformer.Succeeds(
            "convert", TinyCheckpoints.Base, "--to", "safetensors", "--dtype", "int8", "--output", _folder["int8"]);
        Assert.That(made.Output, Does.Contain("products of the layers have eight bits"));
        Assert.That(Embedding("encode", _folder["int8"], "--input", file), Is.EqualTo(int8));
        using (Checkpoint before = Checkpoint.Open(TinyCheckpoints.Base), after = Checkpoint.Open(_folder["int8"]))
        {
            long Layers(Checkpoint c) => c.Names.Where(n => n.Contains(".layer.", StringComparison.Ordinal)).Sum(n => c.Entry(n).ByteCount);
            Assert.That(Layers(after), Is.LessThan(Layers(before) * 0.5));
        }
        JsonElement info = Longformer.Succeeds("info", _folder["int8"], "--json").Json;
        Assert.That(info.GetProperty("dtypes").EnumerateArray().Select(d => d.GetString()), Has.Some.StartsWith("I8"));
        Assert.That(info.GetProperty("parameters").GetInt64(),
            Is.EqualTo(Longformer.Succeeds("info", TinyCheckpoints.Base, "--json").Json.GetProperty("parameters").GetInt64()));
        Assert.That(Longformer.Fails(1, "convert", _folder["int8"], "--to", "longformer", "--positions", "512", "--output", _folder["long"]),
            Does.Contain("its weights are quantized").And.Contain("expected the checkpoint that it was made of"));
    }

    [Test]
    public void Every_task_takes_it_and_a_summary_is_written()
    {
        string file = TextFile();
        Longformer.Succeeds("classify", TinyCheckpoints.Classifier, "--input", file, "--dtype", "int8");
        Longformer.Succeeds("tag", TinyCheckpoints.Tagger, "--input", file, "--dtype", "int8");
        Longformer.Succeeds("answer", TinyCheckpoints.QuestionAnswering, "--input", file, "--question", "Who?", "--dtype", "int8");
        Longformer.Succeeds("random", _folder["led"], "--size", "led-tiny", "--tokenizer", TinyCheckpoints.TokenizerFolder);
        Longformer.Succeeds("summarize", _folder["led"], "--input", file, "--dtype", "int8", "--max-tokens", "8");
    }

    [Test]
    public void It_is_measured_but_not_trained()
    {
        JsonElement bench = Longformer.Succeeds("bench", TinyCheckpoints.Base, "--tokens", "64", "--dtype", "int8", "--runs", "1", "--json").Json;
        Assert.That(bench.GetRawText(), Does.Contain("\"int8\"").And.Contain("linear: feed-forward in"));
        string file = _folder["data.jsonl"];
        File.WriteAllText(file, """{"text": "a b c", "label": "x"}""" + "\n");
        Assert.That(Longformer.Fails(2, "train", "classify", TinyCheckpoints.Base, "--data", file, "--output", _folder["out"], "--dtype", "int8"),
            Does.Contain("dtype").And.Contain("float32, bfloat16").And.Contain("int8"));
        Assert.That(Longformer.Fails(2, "parity", _folder.Path, "--dtype", "int8"), Does.Contain("int8"));
    }
}
