using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints.Tests;

/// <summary>LoRA adapters of PEFT merged into their base, against the definition: W + alpha / r * B A.</summary>
[TestFixture]
public class AdapterTests
{
    private const string Query = "longformer.encoder.layer.0.attention.self.query";
    private const string Words = "longformer.embeddings.word_embeddings.weight";

    private TestFolder _folder = null!;
    private TensorScope _scope = null!;
    private string _base = null!, _adapter = null!;
    private readonly float[] _weight = Random(20, 1), _words = Random(24, 2), _a = Random(10, 3), _b = Random(8, 4), _ea = Random(12, 5),
        _eb = Random(8, 6);

    [SetUp]
    public void SetUp()
    {
        _folder = new TestFolder();
        _scope = new TensorScope();
        _base = Directory.CreateDirectory(Path.Combine(_folder.Path, "longformer-base-4096")).FullName;
        _adapter = Directory.CreateDirectory(Path.Combine(_folder.Path, "adapter")).FullName;
        File.WriteAllText(Path.Combine(_base, "config.json"), """{"model_type": "longformer"}""");
        SafetensorsWriter.Write(Path.Combine(_base, "model.safetensors"), new Dictionary<string, Tensor>
        {
            [Query + ".weight"] = Tensor.From<float>(_weight, 4, 5), [Words] = Tensor.From<float>(_words, 6, 4),
            [Query.Replace("query", "query_global", StringComparison.Ordinal) + ".weight"] = Tensor.From<float>(_weight, 4, 5),
            ["classifier.bias"] = Tensor.From<float>([0, 0], 2),
        });
        WriteAdapter(new() { [Name(Query, "lora_A.weight")] = Tensor.From<float>(_a, 2, 5),
            [Name(Query, "lora_B.weight")] = Tensor.From<float>(_b, 4, 2) });
    }

    [TearDown]
    public void TearDown()
    {
        _scope.Dispose();
        _folder.Dispose();
    }

    [TestCase("""{"r": 2, "lora_alpha": 6}""", 3.0)]
    [TestCase("""{"r": 2, "lora_alpha": 6, "use_rslora": true}""", 4.242640687119285)]
    [TestCase("""{"r": 8, "lora_alpha": 6, "rank_pattern": {"query": 2}, "alpha_pattern": {"attention.self.query": 1}}""", 0.5)]
    public void Is_merged_by_its_definition(string settings, double scale)
    {
        Configure(settings);
        using Checkpoint merged = Checkpoint.Open(_adapter);
        Assert.Multiple(() =>
        {
            Assert.That(merged.Get(Query + ".weight").ToArray<float>(), Is.EqualTo(Expected(scale)).Within(1e-6f));
            Assert.That(merged.Get(Words).ToArray<float>(), Is.EqualTo(_words));
            Assert.That(Checkpoint.FolderOf(_adapter), Is.EqualTo(_base));
            Assert.That(Checkpoint.TokenizerFolderOf(_adapter), Is.EqualTo(_base));
        });
    }

    [Test]
    public void Embeddings_and_modules_saved_whole()
    {
        Configure("""{"r": 2, "lora_alpha": 2}""");
        WriteAdapter(new()
        {
            [Name("longformer.embeddings.word_embeddings", "lora_embedding_A")] = Tensor.From<float>(_ea, 2, 6),
            [Name("longformer.embeddings.word_embeddings", "lora_embedding_B")] = Tensor.From<float>(_eb, 4, 2),
            ["base_model.model.classifier.bias"] = Tensor.From<float>([3, 4, 5], 3),
            ["base_model.model.classifier.modules_to_save.weight"] = Tensor.From<float>([1, 2], 1, 2),
        });
        using Checkpoint merged = Checkpoint.Open(_adapter);
        float[] expected = [.. _words];
        for (int row = 0; row < 6; row++)
        {
            for (int column = 0; column < 4; column++)
            {
                for (int k = 0; k < 2; k++)
                    expected[(row * 4) + column] += _ea[(k * 6) + row] * _eb[(column * 2) + k];
            }
        }
        Assert.Multiple(() =>
        {
            Assert.That(merged.Get(Words).ToArray<float>(), Is.EqualTo(expected).Within(1e-6f));
            Assert.That(merged.Get("classifier.bias").ToArray<float>(), Is.EqualTo(new[] { 3f, 4, 5 }));
            Assert.That(merged.Get("classifier.weight").ToArray<float>(), Is.EqualTo(new[] { 1f, 2 }));
        });
    }

    [Test]
    public void A_body_under_another_prefix_and_a_base_given_by_hand()
    {
        Configure("""{"r": 2, "lora_alpha": 6, "base_model_name_or_path": "somewhere/else"}""");
        WriteAdapter(new()
        {
            [Name("encoder.layer.0.attention.self.query", "lora_A.weight")] = Tensor.From<float>(_a, 2, 5),
            [Name("encoder.layer.0.attention.self.query", "lora_B.weight")] = Tensor.From<float>(_b, 4, 2),
        });
        Assert.That(() => Checkpoint.Open(_adapter), Throws.TypeOf<CheckpointException>().With.Message.Contains("without its base 'somewhere/else'"));
        using Checkpoint merged = Checkpoint.Open(_adapter, _base);
        Assert.That(merged.Get(Query + ".weight").ToArray<float>(), Is.EqualTo(Expected(3)).Within(1e-6f));
    }

    [Test]
    public void What_is_merged_is_written_as_it_is_read()
    {
        Configure("""{"r": 2, "lora_alpha": 6}""");
        using Checkpoint merged = Checkpoint.Open(_adapter);
        SafetensorsWriter.Write(_folder["merged.safetensors"], merged.Names.Select(n => TensorSource.From(n, merged, n)));
        using Checkpoint written = Checkpoint.Open(_folder["merged.safetensors"]);
        Assert.That(written.Get(Query + ".weight").ToArray<float>(), Is.EqualTo(merged.Get(Query + ".weight").ToArray<float>()));
    }

    [TestCase("""{"peft_type": "IA3"}""", "peft_type: expected LORA, given IA3")]
    [TestCase("""{"use_dora": true, "r": 2}""", "use_dora: expected none, given true")]
    [TestCase("""{"r": 0, "lora_alpha": 6}""", "r: expected a rank of 1 or more")]
    public void Other_kinds_are_refused_by_name(string settings, string message)
    {
        Configure(settings);
        Assert.That(() => Checkpoint.Open(_adapter), Throws.TypeOf<CheckpointException>().With.Message.Contains(message));
    }

    [Test]
    public void A_base_of_another_size_is_refused()
    {
        Configure("""{"r": 2, "lora_alpha": 6}""");
        WriteAdapter(new() { [Name(Query, "lora_A.weight")] = Tensor.From<float>(_a, 2, 5),
            [Name(Query, "lora_B.weight")] = Tensor.From<float>(_a, 5, 2) });
        Assert.That(() => Checkpoint.Open(_adapter),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("[4, 5]").And.Message.Contains("not the base that the adapter"));
    }

    private static string Name(string module, string part) => $"base_model.model.{module}.{part}";

    private static float[] Random(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)((random.NextDouble() * 2) - 1))];
    }

    private float[] Expected(double scale)
    {
        float[] expected = [.. _weight];
        for (int row = 0; row < 4; row++)
        {
            for (int column = 0; column < 5; column++)
            {
                for (int k = 0; k < 2; k++)
                    expected[(row * 5) + column] += (float)scale * _b[(row * 2) + k] * _a[(k * 5) + column];
            }
        }
        return expected;
    }

    private void Configure(string settings)
    {
        System.Text.Json.Nodes.JsonObject json = System.Text.Json.Nodes.JsonNode.Parse(settings)!.AsObject();
        json.TryAdd("peft_type", "LORA");
        json.TryAdd("base_model_name_or_path", "allenai/longformer-base-4096");
        File.WriteAllText(Path.Combine(_adapter, "adapter_config.json"), json.ToJsonString());
    }

    private void WriteAdapter(Dictionary<string, Tensor> tensors) =>
        SafetensorsWriter.Write(Path.Combine(_adapter, "adapter_model.safetensors"), tensors);
}
