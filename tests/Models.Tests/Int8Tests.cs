using System.Text.Json.Nodes;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Conversion;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Models whose products have weights of eight bits: what they compute, what they save, what they refuse.</summary>
public class Int8Tests
{
    private static readonly LoadOptions Int8 = new() { DType = DType.Int8 };

    private static readonly LedConfiguration Led = new()
    {
        VocabSize = 90, DModel = 32, EncoderLayers = 2, DecoderLayers = 2, EncoderAttentionHeads = 4, DecoderAttentionHeads = 4, EncoderFfnDim = 48,
        DecoderFfnDim = 48, MaxEncoderPositionEmbeddings = 64, MaxDecoderPositionEmbeddings = 24, AttentionWindow = [8, 16],
    };

    private static LongformerInputs Inputs => TinyModels.Pad([TinyModels.Document(60, 1), TinyModels.Document(33, 2)],
        [[1, .. new byte[59]], new byte[33]]);

    private static IEnumerable<string> Architectures => Architecture.All.Select(a => a.Name);

    private static void Write(string folder, string architecture, int seed = 7)
    {
        bool isLed = Architecture.All.First(a => a.Name == architecture).Family == ModelFamily.Led;
        ModelConfiguration configuration = isLed ? Led : TinyModels.Configuration;
        RandomCheckpoint.Write(folder, configuration, seed, architecture);
    }

    private static double Cosine(Tensor x, Tensor y)
    {
        (Tensor a, Tensor b) = (x.To(DType.Float64).Reshape(-1), y.To(DType.Float64).Reshape(-1));
        return (a * b).Sum().ToDouble() / Math.Sqrt((a * a).Sum().ToDouble() * (b * b).Sum().ToDouble());
    }

    [Test]
    public void An_encoder_gives_nearly_what_it_gives_in_float32_and_not_the_same()
    {
        using LongformerModel plain = TinyModels.Load(LongformerModel.Load), int8 = TinyModels.Load(LongformerModel.Load, options: Int8);
        using TensorScope scope = new();
        (Tensor expected, Tensor given) = (plain.Forward(Inputs).LastHiddenState, int8.Forward(Inputs).LastHiddenState);
        Assert.That((int8.IsInt8, int8.DType, plain.IsInt8), Is.EqualTo((true, DType.Float32, false)));
        Assert.That(given.DType, Is.EqualTo(DType.Float32));
        Assert.That(Cosine(expected, given), Is.GreaterThan(0.999).And.LessThan(1 - 1e-9));
    }

    [Test]
    public void Only_the_products_of_layers_have_eight_bits_each_with_its_scales()
    {
        using LongformerForSequenceClassification model = TinyModels.Load(LongformerForSequenceClassification.Load, options: Int8);
        string[] int8 = [.. model.NamedParameters.Where(p => p.Tensor.DType == DType.Int8).Select(p => p.Name)];
        // query, key, value, their global ones, the output projection and two feed-forward products.
        Assert.That(int8, Has.Length.EqualTo(9 * TinyModels.Configuration.NumHiddenLayers));
        Assert.That(int8, Has.All.Contains(".encoder.layer.").And.All.EndsWith(".weight"));
        Dictionary<string, Tensor> all = model.NamedParameters.ToDictionary(p => p.Name, p => p.Tensor);
        foreach (string name in int8)
            Assert.That(all[name + "_scale"].Shape, Is.EqualTo(new[] { all[name].Size(0), 1 }), name);
        Assert.That(model.NamedParameters.Count(p => p.Name.EndsWith("_scale", StringComparison.Ordinal)), Is.EqualTo(int8.Length));
        Assert.That(model.NamedParameters.Where(p => p.Tensor.DType != DType.Int8).Select(p => p.Tensor.DType), Is.All.EqualTo(DType.Float32));
    }

    [Test]
    public void The_result_is_that_of_a_model_whose_weights_were_rounded_up_to_the_rounding_of_activations()
    {
        using TestFolder folder = new();
        Write(folder["float"], nameof(LongformerModel));
        using (LongformerModel model = LongformerModel.Load(folder["float"], Int8))
            model.Save(folder["int8"]);
        // Dequantized, the checkpoint of eight bits is a model in float32 like any other.
        using LongformerModel rounded = LongformerModel.Load(folder["int8"], new LoadOptions { DType = DType.Float32 });
        using LongformerModel int8 = LongformerModel.Load(folder["int8"]);
        using LongformerModel plain = LongformerModel.Load(folder["float"]);
        using TensorScope scope = new();
        Tensor of = plain.Forward(Inputs).LastHiddenState;
        Assert.That((rounded.IsInt8, int8.IsInt8), Is.EqualTo((false, true)));
        Assert.That(rounded.NamedParameters.Select(p => p.Name), Is.EqualTo(plain.NamedParameters.Select(p => p.Name)));
        Assert.That(Cosine(rounded.Forward(Inputs).LastHiddenState, int8.Forward(Inputs).LastHiddenState), Is.GreaterThan(0.999));
        Assert.That(Cosine(rounded.Forward(Inputs).LastHiddenState, of), Is.GreaterThan(0.999).And.LessThan(1 - 1e-9));
    }

    [Test]
    public void Every_class_saves_and_converts_to_one_checkpoint_which_saves_itself_again([ValueSource(nameof(Architectures))] string architecture)
    {
        using TestFolder folder = new();
        Write(folder["float"], architecture);
        using (PretrainedModel model = PretrainedModel.Load(folder["float"], Int8))
            model.Save(folder["saved"]);
        ConversionResult result = CheckpointConverter.Convert(folder["float"], folder["converted"],
            new ConversionOptions { To = ConversionTarget.Safetensors, Int8 = true });
        Assert.That(result.Notes, Has.Some.Contains("eight bits"));
        using TensorScope scope = new();
        using (Checkpoint saved = Checkpoint.Open(folder["saved"]), converted = Checkpoint.Open(folder["converted"]))
        {
            Assert.That(converted.Names, Is.EquivalentTo(saved.Names));
            Assert.That(saved.Names.Count(n => saved.Entry(n).Type == StoredType.I8), Is.GreaterThan(10));
            foreach (string name in saved.Names)
                Assert.That(converted.Get(name).AsBytes().SequenceEqual(saved.Get(name).AsBytes()), Is.True, name);
        }
        foreach (string kind in (string[])["saved", "converted"])
        {
            JsonNode quantization = JsonNode.Parse(File.ReadAllText(folder[kind + "/config.json"]))!["quantization_config"]!;
            Assert.That(quantization["quant_method"]!.GetValue<string>(), Is.EqualTo("compressed-tensors"));
            using PretrainedModel again = PretrainedModel.Load(folder[kind]);
            Assert.That((again.IsInt8, again.Architecture), Is.EqualTo((true, architecture)));
            again.Save(folder[kind + " again"]);
            (byte[] first, byte[] second) = (File.ReadAllBytes(folder[kind + "/model.safetensors"]),
                File.ReadAllBytes(folder[kind + " again/model.safetensors"]));
            Assert.That(second.AsSpan().SequenceEqual(first), Is.True);
        }
    }

    [Test]
    public void A_float_save_of_a_checkpoint_of_eight_bits_says_nothing_of_them()
    {
        using TestFolder folder = new();
        Write(folder["float"], nameof(LongformerModel));
        using (LongformerModel model = LongformerModel.Load(folder["float"], Int8))
            model.Save(folder["int8"]);
        using (LongformerModel model = LongformerModel.Load(folder["int8"], new LoadOptions { DType = DType.BFloat16 }))
            model.Save(folder["bfloat16"]);
        Assert.That(File.ReadAllText(folder["bfloat16/config.json"]), Does.Not.Contain("quantization_config"));
        using Checkpoint checkpoint = Checkpoint.Open(folder["bfloat16"]);
        Assert.That(checkpoint.Names.Select(n => checkpoint.Entry(n).Type), Is.All.EqualTo(StoredType.BF16));
    }

    [Test]
    public void An_led_gives_nearly_what_it_gives_in_float32_from_end_to_end()
    {
        using TestFolder folder = new();
        Write(folder.Path, "LEDForConditionalGeneration");
        using LedForConditionalGeneration plain = LedForConditionalGeneration.Load(folder.Path);
        using LedForConditionalGeneration int8 = LedForConditionalGeneration.Load(folder.Path, Int8);
        using TensorScope scope = new();
        LedInputs inputs = new()
        {
            InputIds = Tensor.From<long>([.. TinyModels.Document(40, 1).Select(i => (long)i)], 1, 40),
            DecoderInputIds = Tensor.From<long>([.. TinyModels.Document(12, 2).Select(i => (long)i)], 1, 12),
        };
        Assert.That(Cosine(plain.Forward(inputs).Logits, int8.Forward(inputs).Logits), Is.GreaterThan(0.995).And.LessThan(1 - 1e-9));
    }

    [Test]
    public void The_windows_attention_may_round_as_bfloat16_does_and_its_probabilities_are_given_in_float32(
        [Values(AttentionMode.SlidingChunks, AttentionMode.Tvm, AttentionMode.SlidingChunksNoOverlap, AttentionMode.FullAttention)]
        AttentionMode mode)
    {
        using TestFolder folder = new();
        RandomCheckpoint.Write(folder.Path, TinyModels.Configuration with { OneSidedWindows = true, AttentionMode = mode }, 7,
            nameof(LongformerModel));
        using LongformerModel plain = LongformerModel.Load(folder.Path), int8 = LongformerModel.Load(folder.Path, Int8);
        using LongformerModel loop = LongformerModel.Load(folder.Path, Int8 with { Attention = AttentionImplementation.Loop });
        using TensorScope scope = new();
        Tensor expected = loop.Forward(Inputs).LastHiddenState, given = int8.Forward(Inputs).LastHiddenState;
        Assert.That(given.DType, Is.EqualTo(DType.Float32));
        // Which integer an activation becomes changes with the last bit of what was rounded before.
        Assert.That(Cosine(expected, given), Is.GreaterThan(mode is AttentionMode.SlidingChunks or AttentionMode.Tvm ? 0.9995 : 1 - 1e-12));
        Assert.That(Cosine(plain.Forward(Inputs).LastHiddenState, given), Is.GreaterThan(0.999));
        if (mode is not (AttentionMode.SlidingChunks or AttentionMode.Tvm))
            return;
        BaseModelOutputs traced = int8.Forward(Inputs with { OutputAttentions = true });
        Assert.That(Cosine(traced.LastHiddenState, given), Is.GreaterThan(1 - 1e-9));
        IReadOnlyList<Tensor> from = plain.Forward(Inputs with { OutputAttentions = true }).Attentions!;
        foreach ((Tensor exact, Tensor rounded) in from.Zip(traced.Attentions!))
        {
            Assert.That(rounded.DType, Is.EqualTo(DType.Float32));
            Assert.That(Cosine(exact, rounded), Is.GreaterThan(0.999));
        }
    }

    [Test]
    public void Training_gradients_and_other_devices_are_refused()
    {
        using TestFolder folder = new();
        Write(folder["float"], nameof(LongformerModel));
        Assert.That(() => LongformerModel.Load(folder["float"], Int8 with { Trainable = true }),
            Throws.TypeOf<InputException>().With.Message.Contains("expected Float32 or BFloat16 to train in").And.Message.Contains("given Int8"));
        using LongformerModel model = LongformerModel.Load(folder["float"], Int8);
        model.Save(folder["int8"]);
        Assert.That(() => LongformerModel.Load(folder["int8"], new LoadOptions { Trainable = true }),
            Throws.TypeOf<InputException>().With.Message.Contains("to train in"));
        using (LongformerModel trained = LongformerModel.Load(folder["int8"], new LoadOptions { Trainable = true, DType = DType.Float32 }))
            Assert.That(trained.NamedParameters.All(p => p.Tensor.DType == DType.Float32 && p.IsTrained), Is.True);
        using TensorScope scope = new();
        Tensor words = model.WordEmbeddings(Tensor.From<long>([0, 5, 2], 1, 3));
        using GradientSet gradients = model.CreateGradients();
        using GradientTape tape = new(gradients);
        tape.Watch(words);
        Assert.That(() => model.Forward(new LongformerInputs { InputsEmbeds = words }),
            Throws.InvalidOperationException.With.Message.Contains("eight bits gives no gradients"));
    }

    [Test]
    public void Int8_is_refused_off_the_cpu_and_by_a_character_model()
    {
        using TestFolder folder = new();
        Write(folder.Path, nameof(LongformerModel));
        Assert.That(() => LongformerModel.Load(folder.Path, Int8 with { Device = Device.Cuda(0) }),
            Throws.TypeOf<InputException>().With.Message.Contains("Int8 is computed on the CPU"));
    }

    /// <summary>A broken checkpoint of eight bits, made of a good one, and the words of its refusal.</summary>
    private static IEnumerable<TestCaseData> Broken()
    {
        const string weight = "encoder.layer.1.output.dense.weight", scale = weight + "_scale";
        TestCaseData Case(string name, string[] words, Func<TensorSource, Checkpoint, TensorSource?> change) =>
            new TestCaseData(change, words).SetArgDisplayNames(name);
        yield return Case("no scales", [weight, "with the scales of its rows in", "no scales"], (t, _) => t.Name == scale ? null : t);
        yield return Case("scales of another shape", [scale, "expected [32, 1], found [32]"],
            (t, c) => t.Name == scale ? TensorSource.From(scale, c.Get(scale).View(32)) : t);
        yield return Case("scales that are integers", [scale, "expected floating-point scales, given Int32"],
            (t, c) => t.Name == scale ? TensorSource.From(scale, c.Get(scale).To(DType.Int32)) : t);
        yield return Case("a scale that is not a number", [scale, "expected finite scales of at least 0, given NaN"],
            (t, c) => t.Name == scale ? TensorSource.From(scale, c.Get(scale) * double.NaN) : t);
        yield return Case("a negative scale", [scale, "expected finite scales of at least 0, given -"],
            (t, c) => t.Name == scale ? TensorSource.From(scale, c.Get(scale) * -1.0) : t);
        yield return Case("scales beside floats", [weight, "has scales", "expected I8", "given Float32"],
            (t, c) => t.Name == weight ? TensorSource.From(weight, c.Get(weight).To(DType.Float32)) : t);
        yield return Case("a weight of another shape", [weight, "expected [32, 48], found [48, 32]"],
            (t, c) => t.Name == weight ? TensorSource.From(weight, c.Get(weight).Transpose(0, 1).Contiguous()) : t);
        yield return Case("a vector of eight bits", ["LayerNorm.weight", "is I8", "1 dimensions"],
            (t, c) => t.Name == "encoder.layer.0.output.LayerNorm.weight" ? TensorSource.From(t.Name, c.Get(t.Name).To(DType.Int8)) : t);
    }

    [TestCaseSource(nameof(Broken))]
    public void A_malformed_checkpoint_is_refused_by_one_message(Func<TensorSource, Checkpoint, TensorSource?> change, string[] words)
    {
        using TestFolder folder = new();
        Write(folder["float"], nameof(LongformerModel));
        using (LongformerModel model = LongformerModel.Load(folder["float"], Int8))
            model.Save(folder["good"]);
        Directory.CreateDirectory(folder["broken"]);
        File.Copy(folder["good/config.json"], folder["broken/config.json"]);
        using (TensorScope scope = new())
        using (Checkpoint good = Checkpoint.Open(folder["good"]))
            ShardedWriter.Write(folder["broken"], good.Names.Select(n => change(TensorSource.From(n, good, n), good)).OfType<TensorSource>());
        foreach (LoadOptions options in (LoadOptions[])[new(), Int8, new() { DType = DType.Float32 }])
        {
            CheckpointException? refused = Assert.Throws<CheckpointException>(() => LongformerModel.Load(folder["broken"], options).Dispose());
            foreach (string word in words)
                Assert.That(refused!.Message, Does.Contain(word));
        }
    }

    [TestCase("""{"quant_method": "bitsandbytes", "load_in_8bit": true}""", "quant_method bitsandbytes")]
    [TestCase("""{"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {}}""", "format pack-quantized")]
    [TestCase(
        """{"quant_method": "compressed-tensors", "format": "int-quantized", "config_groups": {"g": {"weights": {"num_bits": 4, "type": "int"}}}}""",
        "of 8 bits per channel")]
    [TestCase("7", "quant_method none")]
    public void A_form_that_is_not_served_is_refused(string quantization, string words)
    {
        using TestFolder folder = new();
        Write(folder.Path, nameof(LongformerModel));
        string path = folder["config.json"];
        JsonNode configuration = JsonNode.Parse(File.ReadAllText(path))!;
        configuration["quantization_config"] = JsonNode.Parse(quantization);
        File.WriteAllText(path, configuration.ToJsonString());
        Assert.That(() => LongformerModel.Load(folder.Path),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("quantization_config").And.Message.Contains(words));
        // Converting would drop the scales: refused too.
        Assert.That(() => CheckpointConverter.Convert(folder.Path, folder["out"], new ConversionOptions { To = ConversionTarget.Safetensors }),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("quantized"));
    }

    [Test]
    public void A_weight_that_is_not_finite_is_named()
    {
        using TestFolder folder = new();
        Write(folder["float"], nameof(LongformerModel));
        const string name = "encoder.layer.2.attention.self.value.weight";
        using (TensorScope scope = new())
        using (Checkpoint good = Checkpoint.Open(folder["float"]))
        {
            Directory.CreateDirectory(folder["nan"]);
            File.Copy(folder["float/config.json"], folder["nan/config.json"]);
            ShardedWriter.Write(folder["nan"], good.Names.Select(n => n == name
                ? TensorSource.From(n, good.Get(n) * double.NaN)
                : TensorSource.From(n, good, n)));
        }
        Assert.That(() => LongformerModel.Load(folder["nan"], Int8),
            Throws.TypeOf<CheckpointException>().With.Message.Contains(name).And.Message.Contains("must be finite"));
    }

    [Test]
    public void Nothing_is_left_when_a_model_is_disposed()
    {
        using TestFolder folder = new();
        Write(folder.Path, "LEDForConditionalGeneration");
        long before = TorchRuntime.LiveTensorCount;
        using (TensorScope scope = new())
        using (LedForConditionalGeneration model = LedForConditionalGeneration.Load(folder.Path, Int8))
        {
            model.Forward(new LedInputs
            {
                InputIds = Tensor.From<long>([0, 7, 8, 9, 2], 1, 5), GlobalAttentionMask = Tensor.From<long>([1, 0, 0, 0, 0], 1, 5),
                DecoderInputIds = Tensor.From<long>([2, 0, 5], 1, 3),
            });
        }
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }
}
