using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

public sealed class LedModelTests
{
    private static Golden Case(string name) => Golden.Open("led", name);

    [Test]
    public void A_packed_batch_gives_what_each_document_gives_alone()
    {
        using TensorScope scope = new();
        using LedForConditionalGeneration model = LedForConditionalGeneration.Load(Case("seq2seq_no_masks").Folder);
        long[][] documents = [[0, 5, 9, 33, 2], [0, .. Enumerable.Range(3, 40).Select(i => (long)i), 2], [0, 77, 2]];
        long[] decoder = [2, 0, 17];
        long[] offsets = [0, .. documents.Select((_, i) => documents.Take(i + 1).Sum(d => (long)d.Length))];
        Tensor packed = model.Forward(new LedInputs
        {
            InputIds = Tensor.From<long>(documents.SelectMany(d => d).ToArray(), offsets[^1]),
            GlobalAttentionMask = Tensor.From<byte>([.. documents.SelectMany(d => d.Select((_, i) => i == 0 ? (byte)1 : (byte)0))], offsets[^1]),
            SequenceOffsets = offsets,
            DecoderInputIds = Tensor.From<long>([.. decoder, .. decoder, .. decoder], 3, 3),
        }).Logits;
        for (int d = 0; d < documents.Length; d++)
        {
            Tensor alone = model.Forward(new LedInputs
            {
                InputIds = Tensor.From<long>(documents[d], 1, documents[d].Length),
                GlobalAttentionMask = Tensor.From<byte>([1, .. new byte[documents[d].Length - 1]], 1, documents[d].Length),
                DecoderInputIds = Tensor.From<long>(decoder, 1, 3),
            }).Logits;
            Golden.AssertClose(packed.Narrow(0, d, 1).Contiguous(), alone, 1e-5, 1e-5, $"document {d}");
        }
    }

    [Test]
    public void Trailing_padding_changes_nothing()
    {
        using TensorScope scope = new();
        using LedForConditionalGeneration model = LedForConditionalGeneration.Load(Case("seq2seq_no_masks").Folder);
        long[] ids = [0, 8, 15, 16, 23, 42, 2];
        LedInputs Padded(int padding) => new()
        {
            InputIds = Tensor.From<long>([.. ids, .. Enumerable.Repeat(1L, padding)], 1, ids.Length + padding),
            AttentionMask = Tensor.From<long>([.. ids.Select(_ => 1L), .. new long[padding]], 1, ids.Length + padding),
            DecoderInputIds = Tensor.From<long>([2, 4, 6], 1, 3),
        };
        Golden.AssertClose(model.Forward(Padded(20)).Logits, model.Forward(Padded(0)).Logits, 1e-5, 1e-5, "logits");
    }

    [Test]
    public void The_checkpoint_that_allenais_conversion_leaves_gives_the_same_logits()
    {
        Golden golden = Golden.Open("conversion", "bart_to_led");
        using TensorScope scope = new();
        using TestFolder folder = new();
        File.Copy(Path.Combine(golden.Folder, "allenai.config.json"), folder["config.json"]);
        File.Copy(Path.Combine(golden.Folder, "allenai.safetensors"), folder["model.safetensors"]);
        Dictionary<string, Tensor> expected = golden.Expected();
        using PretrainedModel model = PretrainedModel.Load(folder.Path);
        IReadOnlyDictionary<string, Tensor> outputs = model.Run(golden.Inputs());
        foreach ((string output, Tensor tensor) in expected)
            golden.AssertMatches(output, outputs[output], tensor);
    }

    [Test]
    public void A_saved_model_is_read_back_as_it_was()
    {
        Golden golden = Case("seq2seq_no_masks");
        using TensorScope scope = new();
        using TestFolder folder = new();
        using PretrainedModel model = PretrainedModel.Load(golden.Folder);
        model.Save(folder.Path);
        using PretrainedModel again = PretrainedModel.Load(folder.Path);
        Assert.That(again.GetType(), Is.EqualTo(model.GetType()));
        Assert.That(again.Run(golden.Inputs())["logits"].ToArray<float>(), Is.EqualTo(model.Run(golden.Inputs())["logits"].ToArray<float>()));
    }

    [Test]
    public void Sequence_classification_reads_the_decoder_at_the_last_end_token()
    {
        Golden golden = Case("model");
        using TensorScope scope = new();
        using TestFolder folder = new();
        using LedModel body = LedModel.Load(golden.Folder);
        int size = body.Configuration.DModel;
        Random random = new(3);
        Tensor dense = Tensor.Randn([size, size], random), denseBias = Tensor.Randn([size], random), output = Tensor.Randn([3, size], random),
            outputBias = Tensor.Randn([3], random);
        SafetensorsWriter.Write(folder["model.safetensors"],
        [
            .. body.NamedParameters.Select(p => TensorSource.From("led." + p.Name, p.Tensor)),
            TensorSource.From("classification_head.dense.weight", dense), TensorSource.From("classification_head.dense.bias", denseBias),
            TensorSource.From("classification_head.out_proj.weight", output), TensorSource.From("classification_head.out_proj.bias", outputBias),
        ]);
        File.WriteAllText(folder["config.json"], (body.Configuration with
        {
            Architectures = ["LEDForSequenceClassification"], Id2Label = ["a", "b", "c"],
        }).ToJson());
        using LedForSequenceClassification model = (LedForSequenceClassification)PretrainedModel.Load(folder.Path);

        // Two documents with different numbers of </s>, the second with padding behind.
        Tensor ids = Tensor.From<long>([0, 7, 2, 9, 2, 0, 8, 2, 1, 1], 2, 5);
        Tensor mask = Tensor.From<long>([1, 1, 1, 1, 1, 1, 1, 1, 0, 0], 2, 5);
        LedLogitsOutputs outputs = model.Forward(new LedInputs { InputIds = ids, AttentionMask = mask, Labels = Tensor.From<long>([2, 0], 2) });

        Tensor states = body.Forward(new LedInputs { InputIds = ids, AttentionMask = mask }).LastHiddenState;
        Tensor pooled = Tensor.Stack([states.Select(0, 0).Select(0, 4), states.Select(0, 1).Select(0, 2)], 0);
        Tensor expected = LongformerOps.Linear(LongformerOps.Linear(pooled, dense, denseBias).Tanh(), output, outputBias);
        Golden.AssertClose(outputs.Logits, expected, 1e-4, 1e-5, "logits");
        Golden.AssertClose(outputs.Loss!, Functional.CrossEntropy(expected, Tensor.From<long>([2, 0], 2)), 1e-4, 1e-5, "loss");
        Assert.That(() => model.Forward(new LedInputs { InputIds = Tensor.From<long>([0, 7], 1, 2) }),
            Throws.InstanceOf<InputException>().With.Message.Contains("expected at least one </s> (id 2)"));
    }

    [Test]
    public void Everything_a_pass_made_is_freed()
    {
        Golden golden = Case("seq2seq_loss");
        long before = TorchRuntime.LiveTensorCount;
        using (PretrainedModel model = PretrainedModel.Load(golden.Folder))
        {
            using TensorScope scope = new();
            model.Run(golden.Inputs(), true, false);
        }
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    private static LedInputs Ids(params long[] ids) => new() { InputIds = Tensor.From<long>(ids, 1, ids.Length) };

    [Test]
    public void Wrong_inputs_are_named()
    {
        using TensorScope scope = new();
        using LedForConditionalGeneration model = LedForConditionalGeneration.Load(Case("seq2seq_no_masks").Folder);
        void Refused(LedInputs inputs, string message) =>
            Assert.That(() => model.Forward(inputs), Throws.InstanceOf<InputException>().With.Message.Contains(message));
        LedInputs two = Ids(0, 2);

        Refused(new LedInputs(), "input_ids, inputs_embeds: expected one of the two, given neither");
        Refused(Ids(0, 101), "input_ids[0, 1]: expected an id of the vocabulary, 0..100, given 101");
        Refused(Ids([.. Enumerable.Repeat(5L, 129)]),
            "expected at most 128 tokens per document, the encoder positions of this checkpoint, given 129");
        Refused(two with { DecoderInputIds = Tensor.From<long>(new long[49], 1, 49) },
            "expected 1 to 48 tokens, the decoder positions of this checkpoint, given 49");
        Refused(Ids([.. Enumerable.Repeat(5L, 60)]), "given 60 (the document's ids, shifted right)");
        Refused(two with { DecoderInputIds = Tensor.From<long>([2, 3], 2, 1) }, "decoder_input_ids: expected shape [1, length], given [2, 1]");
        Refused(two with { DecoderInputIds = Tensor.From<long>([2, -3], 1, 2) }, "decoder_input_ids[0, 1]: expected an id of the vocabulary");
        Refused(two with { Labels = Tensor.From<long>([2, 200], 1, 2) },
            "labels[0, 1]: expected an id of the vocabulary, 0..100, or -100 to ignore, given 200");
        Refused(two with { DecoderInputIds = Tensor.From<long>([2], 1, 1), DecoderAttentionMask = Tensor.From<long>([1, 1], 1, 2) },
            "decoder_attention_mask: expected shape [1, 1] like the decoder's tokens, given [1, 2]");
        Refused(two with { DecoderInputIds = Tensor.From<long>([2], 1, 1), DecoderAttentionMask = Tensor.From<long>([4], 1, 1) },
            "decoder_attention_mask[0, 0]: expected 0 or 1, given 4");
        Refused(two with { DecoderInputsEmbeds = Tensor.Zeros([1, 3, 5]) }, "decoder_inputs_embeds: expected shape [1, length, 32], given [1, 3, 5]");
        Refused(new LedInputs { InputIds = Tensor.From<long>([0, 5, 2], 3), SequenceOffsets = [0, 3] },
            "decoder_input_ids: expected the decoder's tokens, given none");
        Refused(two with { DecoderInputIds = Tensor.From<long>([2], 1, 1), DecoderInputsEmbeds = Tensor.Zeros([1, 3, 32]) },
            "at most one of the two, given both");
    }

    [TestCase("{\"model_type\": \"led\", \"d_model\": 30, \"encoder_attention_heads\": 4}",
        "d_model 30 is not a multiple of encoder_attention_heads 4")]
    [TestCase("{\"model_type\": \"led\", \"encoder_layers\": 2, \"attention_window\": [4]}", "")]
    [TestCase("{\"model_type\": \"led\", \"encoder_layers\": 3, \"attention_window\": [4, 4]}", "attention_window has 2 values for 3 encoder layers")]
    [TestCase("{\"model_type\": \"led\", \"attention_window\": 5}", "attention_window of layer 0 counts both sides and must be even, given 5")]
    [TestCase("{\"model_type\": \"bart\", \"encoder_layers\": 12, \"attention_window\": 5}", "")]
    [TestCase("{\"model_type\": \"bart\", \"encoder_layers\": 12}", "expected an LED")]
    [TestCase("{\"model_type\": \"longformer\", \"attention_window\": 4}", "expected an LED")]
    [TestCase("{\"model_type\": \"bart\", \"encoder_layers\": 12, \"attention_window\": 5, \"normalize_before\": true}", "")]
    [TestCase("{\"model_type\": \"bart\", \"encoder_layers\": 12, \"attention_window\": 5, \"normalize_embedding\": false}",
        "normalize_embedding is false")]
    [TestCase("{\"model_type\": \"led\", \"pad_token_id\": 70000}", "pad_token_id 70000 is outside the vocabulary of 50265")]
    [TestCase("{\"model_type\": \"led\", \"activation_function\": \"mish\"}", "activation_function \"mish\" is unknown")]
    [TestCase("[1]", "must hold a JSON object")]
    [TestCase("{", "not valid JSON")]
    public void Configurations_are_checked(string json, string message)
    {
        if (message.Length == 0)
            Assert.That(() => LedConfiguration.Parse(json), Throws.Nothing);
        else
            Assert.That(() => LedConfiguration.Parse(json), Throws.InstanceOf<CheckpointException>().With.Message.Contains(message));
    }

    [Test]
    public void One_sided_windows_of_allenai_are_written_as_HFs_two_sided()
    {
        LedConfiguration allenai = LedConfiguration.Parse("{\"model_type\": \"bart\", \"encoder_layers\": 2, \"attention_window\": [8, 4]}");
        LedConfiguration written = LedConfiguration.Parse(allenai.ToJson());
        Assert.That(written.AttentionWindow, Is.EqualTo(new[] { 16, 8 }));
        Assert.That(written.OneSidedWindows, Is.False);
    }

    [Test]
    public void Missing_and_misshaped_weights_are_listed_together()
    {
        Golden golden = Case("seq2seq_no_masks");
        using TensorScope scope = new();
        using TestFolder folder = new();
        using (SafetensorsFile file = SafetensorsFile.Open(Path.Combine(golden.Folder, "model.safetensors")))
        {
            SafetensorsWriter.Write(folder["model.safetensors"],
                file.Entries.Keys.Where(n => !n.EndsWith("layers.1.fc1.bias", StringComparison.Ordinal))
                .Select(n => TensorSource.From(n == "led.encoder.layernorm_embedding.bias" ? "led.encoder.stray" : n, file.Get(n))));
        }
        File.Copy(Path.Combine(golden.Folder, "config.json"), folder["config.json"]);
        Assert.That(() => PretrainedModel.Load(folder.Path), Throws.InstanceOf<CheckpointException>()
            .With.Message.Contains("led.encoder.layers.1.fc1.bias").And.Message.Contains("led.decoder.layers.1.fc1.bias")
            .And.Message.Contains("led.encoder.layernorm_embedding.bias").And.Message.Contains("led.encoder.stray"));
        Assert.That(() => LedForQuestionAnswering.Load(golden.Folder),
            Throws.InstanceOf<CheckpointException>().With.Message.Contains("does not hold the head"));
    }
}
