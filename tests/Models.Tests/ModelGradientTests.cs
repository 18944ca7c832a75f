using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>
/// The gradients of whole models against finite differences in Float64, where no reference gives them: allenai's two modes, LayerNorm in front of
/// the sublayers, every activation, the losses of every head. An operator that is not recorded would show here.
/// </summary>
public sealed class ModelGradientTests
{
    private static readonly LoadOptions Doubles = new() { Trainable = true, DType = DType.Float64 };

    private static LongformerInputs Batch(bool packed)
    {
        int[][] documents = [TinyModels.Document(21, 1), TinyModels.Document(14, 2)];
        byte[][] globals = [[1, .. new byte[20]], [1, 0, 1, .. new byte[11]]];
        return packed ? LongformerInputs.Pack(documents, globals) : TinyModels.Pad(documents, globals);
    }

    /// <summary>Along a random direction through all parameters at once, and one through each.</summary>
    private static void AssertGradients(PretrainedModel model, Func<Tensor> loss)
    {
        using GradientSet gradients = model.CreateGradients();
        using (new TensorScope())
        using (GradientTape tape = new(gradients))
            tape.Backward(loss());
        Random random = new(3);
        const double step = 1e-5;
        foreach (NamedParameter parameter in model.NamedParameters.Where(p => p.IsTrained))
        {
            using TensorScope scope = new();
            Tensor along = Tensor.From<double>([.. Enumerable.Range(0, (int)parameter.Tensor.ElementCount).Select(_ => random.NextDouble() - 0.5)],
                parameter.Tensor.Shape);
            double At(double scale)
            {
                using TensorScope inner = new();
                parameter.Tensor.AddInPlace(along, scale);
                return loss().ToDouble();
            }
            double numeric = (At(step) - At(-2 * step)) / (2 * step);
            parameter.Tensor.AddInPlace(along, step);
            double analytic = gradients[parameter.Tensor] is { } gradient ? (gradient * along).Sum().ToDouble() : 0;
            Assert.That(analytic, Is.EqualTo(numeric).Within(1e-6 * (1 + Math.Abs(numeric))), parameter.Name);
        }
    }

    [Test]
    public void Modes_and_layouts(
        [Values(AttentionMode.SlidingChunks, AttentionMode.FullAttention, AttentionMode.SlidingChunksNoOverlap)] AttentionMode mode,
        [Values] bool packed, [Values(null, 5L)] long? seed)
    {
        LongformerConfiguration configuration = TinyModels.Configuration with
        {
            NumHiddenLayers = 2, AttentionWindow = [4, 4], OneSidedWindows = true, AttentionMode = mode, HiddenDropoutProb = 0.1,
            AttentionProbsDropoutProb = 0.1,
        };
        using LongformerForTokenClassification model = TinyModels.Load(LongformerForTokenClassification.Load, configuration, Doubles);
        using TensorScope scope = new();
        LongformerInputs inputs = Batch(packed) with { DropoutSeed = seed };
        // Padding has no label: it would depend on the padding row of the word table, which is held still.
        Tensor labels = Tensor.From<long>([.. Enumerable.Range(0, packed ? 35 : 42).Select(i => i % 5 == 2 || i >= 35 ? -100L : i % 3)],
            packed ? [35] : [2, 21]);
        Assert.That(model.Configuration.AttentionMode, Is.EqualTo(mode));
        AssertGradients(model, () => model.Forward(inputs with { Labels = labels }).Loss!);
    }

    [Test]
    public void Activations([Values] HiddenActivation activation)
    {
        using LongformerForSequenceClassification model = TinyModels.Load(
            LongformerForSequenceClassification.Load,
            TinyModels.Configuration with { NumHiddenLayers = 1, AttentionWindow = [8], HiddenAct = activation }, Doubles);
        using TensorScope scope = new();
        LongformerInputs inputs = Batch(packed: true) with { Labels = Tensor.From<long>([2, 0]) };
        AssertGradients(model, () => model.Forward(inputs).Loss!);
    }

    [Test]
    public void Heads()
    {
        LongformerConfiguration small = TinyModels.Configuration with { NumHiddenLayers = 1, AttentionWindow = [8] };
        using TensorScope scope = new();
        LongformerInputs inputs = Batch(packed: true);
        using LongformerForMaskedLM language = TinyModels.Load(LongformerForMaskedLM.Load, small, Doubles);
        Tensor tokens = Tensor.From<long>([.. Enumerable.Range(0, 35).Select(i => i % 3 == 0 ? (long)i : -100)]);
        AssertGradients(language, () => language.Forward(inputs with { Labels = tokens }).Loss!);
        using LongformerForQuestionAnswering answering = TinyModels.Load(LongformerForQuestionAnswering.Load, small, Doubles);
        AssertGradients(answering, () =>
            answering.Forward(inputs with { StartPositions = Tensor.From<long>([3, 14]), EndPositions = Tensor.From<long>([5, 9]) }).Loss!);
        using LongformerForMultipleChoice choosing = TinyModels.Load(LongformerForMultipleChoice.Load, small, Doubles);
        AssertGradients(choosing, () => choosing.Forward(inputs with { Choices = 2, Labels = Tensor.From<long>([1]) }).Loss!);
        using LongformerForSequenceClassification regression = TinyModels.Load(
            LongformerForSequenceClassification.Load,
            small with { ProblemType = "regression", Id2Label = ModelConfiguration.GenericLabels(1) }, Doubles);
        AssertGradients(regression, () => regression.Forward(inputs with { Labels = Tensor.From<float>([0.5f, -1]) }).Loss!);
        using LongformerForSequenceClassification labels = TinyModels.Load(LongformerForSequenceClassification.Load, small, Doubles);
        AssertGradients(labels, () => labels.Forward(inputs with { Labels = Tensor.From<float>([0, 1, 1, 1, 0, 0], 2, 3) }).Loss!);
    }

    [Test]
    public void Led_with_every_head([Values] bool normalizeBefore, [Values(null, 5L)] long? seed)
    {
        LedConfiguration configuration = new()
        {
            VocabSize = 40, DModel = 16, EncoderLayers = 1, DecoderLayers = 1, EncoderAttentionHeads = 2, DecoderAttentionHeads = 4,
            EncoderFfnDim = 24, DecoderFfnDim = 20,
            MaxEncoderPositionEmbeddings = 32, MaxDecoderPositionEmbeddings = 16, AttentionWindow = [4],
            Id2Label = ModelConfiguration.GenericLabels(3),
            NormalizeBefore = normalizeBefore, AddFinalLayerNorm = normalizeBefore, Dropout = 0.1, AttentionDropout = 0.1, ActivationDropout = 0.1,
            ClassifierDropout = 0.1,
        };
        using TensorScope scope = new();
        LedInputs inputs = new()
        {
            InputIds = Tensor.From<long>([0, 9, 8, 7, 2, 0, 5, 6, 2, 1], 2, 5),
            AttentionMask = Tensor.From<long>([1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 2, 5),
            GlobalAttentionMask = Tensor.From<long>([1, 0, 0, 0, 0, 1, 0, 1, 0, 0], 2, 5), DropoutSeed = seed,
        };
        using LedForConditionalGeneration writing = Load(LedForConditionalGeneration.Load, configuration);
        AssertGradients(writing, () => writing.Forward(inputs with { Labels = Tensor.From<long>([7, 2, -100, 5, 6, 2], 2, 3) }).Loss!);
        using LedForQuestionAnswering answering = Load(LedForQuestionAnswering.Load, configuration);
        AssertGradients(answering, () =>
            answering.Forward(inputs with { StartPositions = Tensor.From<long>([1, 2]), EndPositions = Tensor.From<long>([3, 9]) }).Loss!);
        using LedForSequenceClassification classifying = Load(LedForSequenceClassification.Load, configuration);
        AssertGradients(classifying, () => classifying.Forward(inputs with { Labels = Tensor.From<long>([1, 0]) }).Loss!);

        static T Load<T>(Func<string, LoadOptions?, T> load, LedConfiguration configuration)
        {
            using TestFolder folder = new();
            RandomCheckpoint.Write(folder.Path, configuration, 7, typeof(T).Name.Replace("Led", "LED", StringComparison.Ordinal));
            return load(folder.Path, Doubles);
        }
    }
}
