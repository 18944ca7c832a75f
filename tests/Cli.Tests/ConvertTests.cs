using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Tests;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Tests;

[TestFixture]
[Parallelizable(ParallelScope.None)]
public class ConvertTests
{
    private TestFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TestFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    private string At(string name) => _folder[name];

    [Test]
    public void A_checkpoint_becomes_longer_and_serves_longer_documents()
    {
        string file = At("long.txt");
        File.WriteAllText(file, string.Join(' ', Enumerable.Repeat("a long document", 60)));
        Assert.That(Longformer.Fails(1, "encode", TinyCheckpoints.Base, "--input", file), Does.Contain("positions for 96"));
        Longformer.Result result =
            Longformer.Succeeds("convert", TinyCheckpoints.Base, "--to", "longformer", "--positions", "32768", "--output", At("long"));
        Assert.That(result.Output, Does.Contain("LongformerModel, 32,768 tokens").And.Contain("vocab.json"));
        Longformer.Succeeds("encode", At("long"), "--input", file);
        JsonElement info = Longformer.Succeeds("info", At("long"), "--json").Json;
        Assert.That(info.GetProperty("max_tokens").GetInt32(), Is.EqualTo(32768));
        Assert.That(info.GetProperty("windows").EnumerateArray().Select(w => w.GetInt32()), Is.EqualTo(new[] { 8, 16 }));
    }

    [Test]
    public void The_format_alone_can_be_changed_and_told_as_json()
    {
        JsonElement json = Longformer.Succeeds("convert", TinyCheckpoints.Tagger, "--to", "safetensors", "--output", At("same"), "--json").Json;
        Assert.That(json.GetProperty("architecture").GetString(), Is.EqualTo("LongformerForTokenClassification"));
        Assert.That(json.GetProperty("files").EnumerateArray().Select(f => f.GetString()), Does.Contain("model.safetensors"));
        Assert.That(File.ReadAllBytes(Path.Combine(At("same"), "model.safetensors")),
            Is.EqualTo(File.ReadAllBytes(Path.Combine(TinyCheckpoints.Tagger, "model.safetensors"))));
    }

    [Test]
    public void Wrong_usage_and_what_is_there_already_are_refused_in_one_line()
    {
        string[] start = ["convert", TinyCheckpoints.Base, "--output", At("x"), "--to"];
        Assert.That(Longformer.Fails(2, [.. start, "bert"]), Does.Contain("bert"));
        Assert.That(Longformer.Fails(2, [.. start, "longformer", "--positions", "0"]), Does.Contain("at least 1"));
        Assert.That(Longformer.Fails(2, [.. start, "longformer", "--window", "7"]), Does.Contain("even"));
        Assert.That(Longformer.Fails(2, [.. start, "safetensors", "--positions", "100"]), Does.Contain("--positions"));
        Assert.That(Longformer.Fails(1, [.. start, "led"]), Does.Contain("BART"));
        Assert.That(Longformer.Fails(1, "convert", At("absent"), "--to", "longformer", "--output", At("x")), Does.Contain("no such file or folder"));
        Directory.CreateDirectory(At("x"));
        File.WriteAllText(Path.Combine(At("x"), "config.json"), "{}");
        Assert.That(Longformer.Fails(1, [.. start, "longformer"]), Does.Contain("(overwrite)"));
        Longformer.Succeeds([.. start, "longformer", "--overwrite"]);
    }

    [Test]
    public void A_disk_that_takes_no_more_leaves_the_old_checkpoint_whole()
    {
        Longformer.Succeeds("convert", TinyCheckpoints.Base, "--to", "safetensors", "--output", At("out"));
        Dictionary<string, byte[]> old = Directory.EnumerateFiles(At("out")).ToDictionary(f => f, File.ReadAllBytes);
        Longformer.Result result = Longformer.RunLimited(64, "convert", TinyCheckpoints.Base, "--to", "longformer", "--positions", "9000", "--output",
            At("out"), "--overwrite");
        Assert.That(result.Status, Is.EqualTo(1), result.Error);
        Assert.That(result.Error, Does.Contain("model.safetensors: cannot be written"));
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path), Is.EqualTo(new[] { At("out") }));
        Assert.That(Directory.EnumerateFiles(At("out")), Is.EquivalentTo(old.Keys));
        foreach ((string file, byte[] content) in old)
            Assert.That(File.ReadAllBytes(file), Is.EqualTo(content), file);
    }

    [Test]
    public void Pooling_and_normalization_of_a_sentence_transformers_folder_are_the_defaults()
    {
        Longformer.Succeeds("convert", TinyCheckpoints.Base, "--to", "safetensors", "--output", At("sentence"));
        string file = At("text.txt");
        File.WriteAllText(file, "Some text.");
        string[] encode = ["encode", At("sentence"), "--input", file, "--json"];
        float[] Embedding(params string[] more) =>
            [.. Longformer.Succeeds([.. encode, .. more]).Json.GetProperty("documents")[0].GetProperty("embedding").EnumerateArray()
                .Select(v => v.GetSingle())];
        float[] mean = Embedding(), first = Embedding("--pooling", "cls"), unit = Embedding("--pooling", "cls", "--normalize");
        Directory.CreateDirectory(At("sentence/1_Pooling"));
        File.WriteAllText(At("sentence/1_Pooling/config.json"), """{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}""");
        Assert.That(Embedding(), Is.EqualTo(first));
        File.WriteAllText(At("sentence/modules.json"), """
            [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
             {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
             {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]
            """);
        // sentence-transformers gives the model no global attention, whichever token it pools.
        Assert.That(Embedding(), Is.EqualTo(Embedding("--pooling", "cls", "--normalize", "--global", "none")).Within(1e-6));
        Assert.That(Embedding(), Is.Not.EqualTo(unit).Within(1e-6));
        Assert.That(Embedding("--pooling", "mean", "--normalize", "false"), Is.EqualTo(mean));
        File.WriteAllText(At("sentence/1_Pooling/config.json"), """{"pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": false}""");
        Assert.That(Embedding(), Is.Not.EqualTo(unit).And.Length.EqualTo(unit.Length));
        // sentence-transformers pools the mean too unless the file says no.
        File.WriteAllText(At("sentence/1_Pooling/config.json"), """{"pooling_mode_max_tokens": true}""");
        Assert.That(Embedding(), Has.Length.EqualTo(2 * unit.Length));
        File.WriteAllText(At("sentence/1_Pooling/config.json"), """{"pooling_mode": "median"}""");
        Assert.That(Longformer.Fails(1, encode), Does.Contain("median"));
    }

    [Test]
    public void A_trained_sentence_encoder_gives_the_expected_embeddings_of_whole_documents()
    {
        string source = SharedModel.Folder("all-minilm-l6-v2");
        Longformer.Succeeds("convert", source, "--to", "longformer", "--positions", "4096", "--window", "512", "--output", At("mini"));
        using TensorScope scope = new();
        using SafetensorsFile expected = SafetensorsFile.Open(Path.Combine(source, "expected.safetensors"));
        using JsonDocument texts = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(source, "texts.json")));
        List<int> indices = [];
        using (StreamWriter lines = new(At("texts.jsonl")))
        {
            foreach (JsonElement text in texts.RootElement.EnumerateArray())
            {
                string? whole = text.GetProperty("text").GetString()
                    ?? ReadLicence(text.GetProperty("file").GetString()!);
                if (whole is null)
                    continue;
                indices.Add(text.GetProperty("index").GetInt32());
                lines.WriteLine($"\"{JsonEncodedText.Encode(whole)}\"");
            }
        }
        Longformer.Succeeds("encode", At("mini"), "--jsonl", At("texts.jsonl"), "--pooling", "mean", "--normalize", "--truncate", "--output",
            At("x.safetensors"));
        using SafetensorsFile made = SafetensorsFile.Open(At("x.safetensors"));
        Tensor embeddings = made.Get("embeddings");
        double largest = 0;
        for (int i = 0; i < indices.Count; i++)
        {
            float[] value = embeddings.Select(0, i).ToArray<float>(), wanted = expected.Get($"{indices[i]}.converted.embedding").ToArray<float>();
            largest = Math.Max(largest, value.Zip(wanted, (a, b) => Math.Abs((double)a - b)).Max());
        }
        TestContext.Out.WriteLine($"{indices.Count} texts, largest difference {largest:E2}");
        Assert.That(indices, Has.Count.GreaterThan(5));
        Assert.That(largest, Is.LessThanOrEqualTo(2e-5));
    }

    private static string? ReadLicence(string name)
    {
        string file = Path.Combine("/usr/share/common-licenses", name);
        return File.Exists(file) ? File.ReadAllText(file) : null;
    }
}
