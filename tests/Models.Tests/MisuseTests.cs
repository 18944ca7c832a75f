using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Wrong inputs and wrong checkpoints: one clear message each, naming the argument, the expected and the given.</summary>
public class MisuseTests
{
    private static readonly string[] LanguageModelKeys = ["lm_head.dense.weight", "lm_head.dense.bias"];

    private LongformerModel _model = null!;

    [OneTimeSetUp]
    public void LoadModel() => _model = TinyModels.Load(LongformerModel.Load);

    [OneTimeTearDown]
    public void FreeModel() => _model.Dispose();

    private static Tensor Ids(params long[] ids) => Tensor.From<long>(ids, 1, ids.Length);

    private static Tensor Long(long count, long value, params long[] shape) =>
        Tensor.From<long>(Enumerable.Repeat(value, (int)count).ToArray(), shape);

    private static IEnumerable<TestCaseData> WrongInputs()
    {
        TestCaseData Case(string name, Func<LongformerInputs> inputs, string message) => new TestCaseData(inputs, message).SetArgDisplayNames(name);

        yield return Case("nothing", () => new(), "input_ids, inputs_embeds: expected one of the two, given neither");
        yield return Case("both", () => new() { InputIds = Ids(0, 2), InputsEmbeds = Tensor.Zeros([1, 2, 32]) },
            "expected one of the two, given both");
        yield return Case("rank", () => new() { InputIds = Tensor.From<long>([0, 5, 2]) }, "input_ids: expected shape [batch, length], given [3]");
        yield return Case("empty", () => new() { InputIds = Tensor.Zeros([1, 0], DType.Int64) },
            "input_ids: expected at least one token, given the empty shape [1, 0]");
        yield return Case("no rows", () => new() { InputIds = Tensor.Zeros([0, 4], DType.Int64) }, "given the empty shape [0, 4]");
        yield return Case("float ids", () => new() { InputIds = Tensor.Zeros([1, 4]) }, "input_ids: expected integers, given Float32");
        yield return Case("id too large", () => new() { InputIds = Ids(0, 90, 2) },
            "input_ids[0, 1]: expected an id of the vocabulary, 0..89, given 90");
        yield return Case("negative id", () => new() { InputIds = Ids(0, 7, -1) },
            "input_ids[0, 2]: expected an id of the vocabulary, 0..89, given -1");
        yield return Case("too long", () => new() { InputIds = Long(129, 5, 1, 129) },
            "input_ids: expected at most 128 tokens per sequence, the positions of this checkpoint (max_position_embeddings 130 - padding_idx 1 - "
            + "1), given 129");
        yield return Case("embeddings too long", () => new() { InputsEmbeds = Tensor.Zeros([1, 129, 32]) },
            "inputs_embeds: expected at most 128 tokens");
        yield return Case("embedding width", () => new() { InputsEmbeds = Tensor.Zeros([1, 4, 31]) },
            "inputs_embeds: expected shape [batch, length] and 32 values per token, given [1, 4, 31]");
        yield return Case("mask shape", () => new() { InputIds = Ids(0, 5, 2), AttentionMask = Long(4, 1, 1, 4) },
            "attention_mask: expected shape [1, 3] like input_ids, given [1, 4]");
        yield return Case("global mask shape", () => new() { InputIds = Ids(0, 5, 2), GlobalAttentionMask = Long(3, 1, 3) },
            "global_attention_mask: expected shape [1, 3] like input_ids, given [3]");
        yield return Case("mask value", () => new() { InputIds = Ids(0, 5, 2), AttentionMask = Tensor.From<long>([1, 3, 1], 1, 3) },
            "attention_mask[0, 1]: expected 0 (padding), 1 (token) or 2 (global token), given 3");
        yield return Case("additive mask", () => new() { InputIds = Ids(0, 5), AttentionMask = Tensor.From<float>([0, -10000], 1, 2) },
            "given -10000");
        yield return Case("mask that is not a number",
            () => new() { InputIds = Ids(0, 5), AttentionMask = Tensor.From<float>([1, float.NaN], 1, 2) }, "given NaN");
        yield return Case("global mask value", () => new() { InputIds = Ids(0, 5, 2), GlobalAttentionMask = Tensor.From<long>([1, 2, 0], 1, 3) },
            "global_attention_mask[0, 1]: expected 0 or 1, given 2");
        yield return Case("all-padding row", () =>
            new() { InputIds = Tensor.From<long>([0, 5, 0, 5], 2, 2), AttentionMask = Tensor.From<long>([1, 1, 0, 0], 2, 2) },
            "attention_mask: expected at least one token in sequence 1, given only padding");
        yield return Case("padding ids only", () => new() { InputIds = Tensor.From<long>([1, 1, 0, 5], 2, 2) },
            "input_ids: expected at least one token in sequence 0, given only padding (id 1)");
        yield return Case("position", () => new() { InputIds = Ids(0, 5), PositionIds = Tensor.From<long>([2, 130], 1, 2) },
            "position_ids[0, 1]: expected a row of the position table, 0..129, given 130");
        yield return Case("token type", () => new() { InputIds = Ids(0, 5), TokenTypeIds = Tensor.From<long>([0, 1], 1, 2) },
            "token_type_ids[0, 1]: expected a token type of this checkpoint, 0..0, given 1");
        yield return Case("offsets", () => new() { InputIds = Tensor.From<long>([0, 5, 2]), SequenceOffsets = [0, 2, 2, 3] },
            "SequenceOffsets: expected ascending offsets from 0 to the 3 tokens, without empty sequences, given [0, 2, 2, 3]");
        yield return Case("packed attentions", () => LongformerInputs.Pack([[0, 5, 2]]) with { OutputAttentions = true },
            "OutputAttentions: expected a padded batch");
        yield return Case("no documents", () => LongformerInputs.Pack([]), "documents: expected at least one document");
        yield return Case("empty document", () => LongformerInputs.Pack([[0], []]), "documents[1]: expected at least one token");
        yield return Case("document mask", () => LongformerInputs.Pack([[0, 2]], [[1]]), "globalMasks[0]: expected 2 values");
        yield return Case("unknown name", () => LongformerInputs.FromNames([new("input_idz", Ids(0))]), "input_idz: unknown argument");
    }

    [TestCaseSource(nameof(WrongInputs))]
    public void A_wrong_input_is_named(Func<LongformerInputs> inputs, string message)
    {
        using TensorScope scope = new();
        Assert.That(() => _model.Forward(inputs()), Throws.TypeOf<InputException>().With.Message.Contains(message));
    }

    [Test]
    public void The_longest_possible_document_runs()
    {
        using TensorScope scope = new();
        Assert.That(_model.Forward(new LongformerInputs { InputIds = Long(128, 5, 1, 128) }).LastHiddenState.Shape, Is.EqualTo([1, 128, 32]));
    }

    [Test]
    public void Wrong_labels_are_named()
    {
        using TensorScope scope = new();
        using LongformerForSequenceClassification classifier = TinyModels.Load(LongformerForSequenceClassification.Load);
        using LongformerForTokenClassification tagger = TinyModels.Load(LongformerForTokenClassification.Load);
        using LongformerForQuestionAnswering answerer = TinyModels.Load(LongformerForQuestionAnswering.Load);
        LongformerInputs inputs = new() { InputIds = Ids(0, 5, 2) };
        Assert.Multiple(() =>
        {
            Assert.That(() => classifier.Forward(inputs with { Labels = Tensor.From<long>([3]) }),
                Throws.TypeOf<InputException>().With.Message.Contains("labels: expected class ids 0..2, or -100 to ignore, given 3"));
            Assert.That(() => classifier.Forward(inputs with { Labels = Tensor.From<float>([1, 0], 1, 2) }),
                Throws.TypeOf<InputException>().With.Message.Contains(
                    "labels: expected a value for each of [1, 3] (multi_label_classification), given [1, 2]"));
            Assert.That(() => tagger.Forward(inputs with { Labels = Ids(0, 1) }),
                Throws.TypeOf<InputException>().With.Message.Contains("labels: expected shape [1, 3], given [1, 2]"));
            Assert.That(() => answerer.Forward(inputs with { StartPositions = Ids(0, 1), EndPositions = Ids(1) }),
                Throws.TypeOf<InputException>().With.Message.Contains("start_positions: expected int64 positions [1], given Int64 [1, 2]"));
        });
    }

    [Test]
    public void A_missing_head_is_named_with_its_keys()
    {
        using TestFolder folder = new();
        RandomCheckpoint.Write(folder.Path, TinyModels.Configuration, 1, "LongformerForQuestionAnswering");
        CheckpointException e = Assert.Throws<CheckpointException>(() => LongformerForMaskedLM.Load(folder.Path))!;
        Assert.That(e.Message, Does.Contain("does not hold the head of LongformerForMaskedLM")
            .And.Contain(string.Join(", ", LanguageModelKeys)).And.Contain("its config.json says LongformerForQuestionAnswering"));
    }

    [Test]
    public void Another_architecture_is_named()
    {
        using TestFolder folder = new();
        File.WriteAllText(folder["config.json"], """{"model_type": "big_bird", "architectures": ["BigBirdModel"], "attention_window": [8]}""");
        Assert.That(() => PretrainedModel.Load(folder.Path), Throws.TypeOf<CheckpointException>()
            .With.Message.Contains("describes BigBirdModel of model_type \"big_bird\"; expected a Longformer"));
        File.WriteAllText(folder["config.json"], """{"model_type": "longformer", "architectures": ["LongformerForSummaries"]}""");
        Assert.That(() => PretrainedModel.Load(folder.Path), Throws.TypeOf<CheckpointException>()
            .With.Message.Contains("the architecture LongformerForSummaries is not served"));
    }

    [Test]
    public void Every_weight_that_does_not_fit_is_listed()
    {
        using TestFolder folder = new();
        RandomCheckpoint.Write(folder.Path, TinyModels.Configuration, 1);
        File.WriteAllText(folder["config.json"],
            (TinyModels.Configuration with { NumHiddenLayers = 2, AttentionWindow = [8], VocabSize = 91 }).ToJson());
        CheckpointException e = Assert.Throws<CheckpointException>(() => LongformerModel.Load(folder.Path))!;
        Assert.That(e.Message, Does.Contain("embeddings.word_embeddings.weight").And.Contain("expected [91, 32], found [90, 32]")
            .And.Contain("encoder.layer.2.attention.self.query.weight"));
    }

    [Test]
    public void A_refused_checkpoint_leaves_no_tensor_behind()
    {
        using TestFolder folder = new();
        RandomCheckpoint.Write(folder.Path, TinyModels.Configuration, 1);
        File.WriteAllText(folder["config.json"], (TinyModels.Configuration with { VocabSize = 91 }).ToJson());
        long before = TorchRuntime.LiveTensorCount;
        Assert.That(() => LongformerModel.Load(folder.Path), Throws.TypeOf<CheckpointException>());
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public void An_impossible_dtype_is_named() =>
        Assert.That(() => TinyModels.Load(LongformerModel.Load, options: new LoadOptions { DType = DType.Int64 }),
            Throws.TypeOf<InputException>().With.Message.Contains("DType: expected Float32, BFloat16, Float16, Float64 or Int8, given Int64"));

    [Test]
    public void Gradients_need_a_trainable_model()
    {
        using TensorScope scope = new();
        Assert.That(() => _model.LossAndGradients(new Dictionary<string, Tensor> { ["input_ids"] = Ids(0, 2) }),
            Throws.InvalidOperationException.With.Message.Contains("Trainable"));
    }
}
