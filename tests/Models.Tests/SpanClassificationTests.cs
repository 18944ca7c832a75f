using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

public class SpanClassificationTests
{
    private static LongformerForSpanClassification Load(LoadOptions? options = null) =>
        TinyModels.Load(LongformerForSpanClassification.Load, options: options);

    private static Tensor Row(params long[] values) => Tensor.From<long>(values, 1, values.Length);

    [Test]
    public void The_scores_are_a_product_of_the_states_of_the_first_and_the_last_token()
    {
        using TensorScope scope = new();
        using LongformerForSpanClassification model = Load();
        LongformerInputs inputs = new()
        {
            InputIds = Row([.. TinyModels.Document(20, 1).Select(id => (long)id)]), OutputHiddenStates = true,
            EntityStartPositions = Row(1, 4, 0), EntityEndPositions = Row(3, 4, 19),
        };
        LogitsOutputs outputs = model.Forward(inputs);
        Assert.That(outputs.Logits.Shape, Is.EqualTo([1, 3, 3]));
        float[] states = outputs.HiddenStates![^1].ToArray<float>(), logits = outputs.Logits.ToArray<float>();
        float[] Parameter(string name) => model.NamedParameters.Single(p => p.Name == name).Tensor.ToArray<float>();
        (float[] weight, float[] bias) = (Parameter("span_classifier.weight"), Parameter("span_classifier.bias"));
        const int width = 32;
        (int Start, int End)[] spans = [(1, 3), (4, 4), (0, 19)];
        for (int s = 0; s < spans.Length; s++)
        {
            for (int label = 0; label < 3; label++)
            {
                double expected = bias[label];
                for (int c = 0; c < width; c++)
                {
                    expected += weight[(label * 2 * width) + c] * states[(spans[s].Start * width) + c];
                    expected += weight[(((label * 2) + 1) * width) + c] * states[(spans[s].End * width) + c];
                }
                Assert.That(logits[(s * 3) + label], Is.EqualTo(expected).Within(1e-4));
            }
        }
    }

    [Test]
    public void A_packed_batch_scores_the_spans_of_all_documents()
    {
        using TensorScope scope = new();
        using LongformerForSpanClassification model = Load();
        int[][] documents = [TinyModels.Document(20, 1), TinyModels.Document(9, 2)];
        Tensor packed = model.Forward(LongformerInputs.Pack(documents) with
        {
            EntityStartPositions = Tensor.From<long>([1, 22, 5]), EntityEndPositions = Tensor.From<long>([3, 24, 5]),
        }).Logits;
        Tensor Alone(int document, long start, long end) => model.Forward(LongformerInputs.Pack([documents[document]]) with
        {
            EntityStartPositions = Tensor.From<long>([start]), EntityEndPositions = Tensor.From<long>([end]),
        }).Logits;
        Tensor apart = Tensor.Cat([Alone(0, 1, 3), Alone(1, 2, 4), Alone(0, 5, 5)], 0);
        Assert.That(Golden.MaxDifference(packed, apart), Is.LessThan(1e-5));
    }

    [Test]
    public void Gradients_reach_the_head_and_the_body()
    {
        using TensorScope scope = new();
        using LongformerForSpanClassification model = Load(new LoadOptions { Trainable = true });
        Dictionary<string, Tensor> inputs = new()
        {
            ["input_ids"] = Row(0, 5, 6, 7, 2), ["entity_start_positions"] = Row(1, 2), ["entity_end_positions"] = Row(1, 3),
            ["labels"] = Row(2, -100),
        };
        IReadOnlyDictionary<string, Tensor> gradients = model.LossAndGradients(inputs);
        Assert.That(gradients["loss"].ToDouble(), Is.GreaterThan(0));
        // Of one labeled span the gradient of the bias is softmax minus one-hot.
        float[] logits = model.Run(inputs.Where(i => i.Key != "labels").ToDictionary())["logits"].ToArray<float>()[..3];
        double sum = logits.Sum(l => Math.Exp(l));
        Assert.That(gradients["grad.span_classifier.bias"].ToArray<float>(),
            Is.EqualTo(logits.Select((l, i) => (float)(Math.Exp(l) / sum) - (i == 2 ? 1 : 0))).Within(1e-5));
        Assert.That(gradients["grad.longformer.embeddings.word_embeddings.weight"].Abs().Max().ToDouble(), Is.GreaterThan(0));
    }

    private static IEnumerable<TestCaseData> Wrong()
    {
        TestCaseData Case(Tensor? start, Tensor? end, string message) => new TestCaseData(start, end, message).SetArgDisplayNames(message);

        yield return Case(null, Row(1), "entity_start_positions: expected the first token of every span, given none");
        yield return Case(Row(1), null, "entity_end_positions: expected the last token of every span, given none");
        yield return Case(Row(1), Row(1, 2), "entity_end_positions: expected shape [1, 1] like entity_start_positions, given [1, 2]");
        yield return Case(Tensor.From<long>([1]), Tensor.From<long>([1]),
            "entity_start_positions: expected shape [1, spans] of at least one span, given [1]");
        yield return Case(Row(1, 5), Row(1, 5), "entity_start_positions[0, 1]: expected a token, 0..4, given 5");
        yield return Case(Row(2), Row(1), "entity_end_positions[0, 0]: expected a token from the span's first on, 2..4, given 1");
        yield return Case(Tensor.From<float>([1], 1, 1), Row(1), "entity_start_positions: expected int64 positions, given Float32");
    }

    [TestCaseSource(nameof(Wrong))]
    public void A_wrong_span_is_named(Tensor? start, Tensor? end, string message)
    {
        using TensorScope scope = new();
        using LongformerForSpanClassification model = Load();
        Assert.That(() => model.Forward(new LongformerInputs { InputIds = Row(0, 5, 6, 7, 2), EntityStartPositions = start,
            EntityEndPositions = end }),
            Throws.TypeOf<InputException>().With.Message.Contains(message));
    }

    [Test]
    public void A_span_does_not_leave_its_document()
    {
        using TensorScope scope = new();
        using LongformerForSpanClassification model = Load();
        Assert.That(() => model.Forward(LongformerInputs.Pack([[0, 5, 2], [0, 6, 2]]) with
        {
            EntityStartPositions = Tensor.From<long>([1]), EntityEndPositions = Tensor.From<long>([4]),
        }), Throws.TypeOf<InputException>().With.Message.Contains(
            "entity_end_positions[0]: expected a token of the document that the span begins in"));
    }
}
