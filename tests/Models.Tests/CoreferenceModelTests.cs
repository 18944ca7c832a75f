using LongformerInterop.Models.Coreference;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>The coreference model against one written out in loops (<see cref="SlowCoreference"/>), its gradients against differences.</summary>
public sealed class CoreferenceModelTests
{
    private static LongformerConfiguration Configuration { get; } = TinyModels.Configuration with
    {
        Coreference = new CoreferenceConfiguration
        {
            FeedForwardSize = 17, FeatureSize = 5, MaxSpanWidth = 6, MaxTopAntecedents = 7, MaxTrainingSegments = 2, Genres = ["nw", "bc"],
        },
    };

    private static LongformerForCoreference Load(CoreferenceConfiguration? head = null, LoadOptions? options = null) => TinyModels.Load(
        LongformerForCoreference.Load, Configuration with { Coreference = head ?? Configuration.Coreference },
        options ?? new LoadOptions { DType = DType.Float64, Trainable = true });

    /// <summary>Two segments of one document.</summary>
    private static LongformerInputs Document(bool gold = true)
    {
        int[][] segments = [TinyModels.Document(31, 1), TinyModels.Document(22, 2)];
        return LongformerInputs.Pack(segments) with
        {
            Coreference = new CoreferenceTokens
            {
                Sentences = [.. Enumerable.Range(0, 53).Select(t => t < 9 ? 0 : t < 20 ? 1 : t < 31 ? 2 : t < 40 ? 3 : 4)],
                Speakers = [.. Enumerable.Range(0, 53).Select(t => t / 9 % 3)],
                Genre = 1,
                Clusters = gold ? [[new(1, 2), new(10, 10), new(33, 35)], [new(4, 4), new(41, 41)]] : null,
            },
        };
    }

    [Test]
    public void Scores_and_loss_are_those_of_the_loops([Values(1, 2, 3)] int depth)
    {
        using TensorScope scope = new();
        using LongformerForCoreference model = Load(Configuration.Coreference with { Depth = depth });
        LongformerInputs inputs = Document();
        CoreferenceOutputs outputs = model.Forward(inputs with { OutputHiddenStates = true });
        SlowCoreference slow = new(model, outputs.HiddenStates![^1], [0, 31, 53], inputs.Coreference!);
        Assert.That(outputs.Spans, Is.EqualTo(slow.Spans));
        Assert.That(outputs.Spans, Has.Count.EqualTo(21));
        for (int i = 0; i < slow.Spans.Count; i++)
            Assert.That(outputs.Antecedents[i].Where(j => j >= 0), Is.EqualTo(slow.Antecedents[i]), $"span {i}");
        Assert.That(outputs.MentionScores.ToArray<double>(), Is.EqualTo(slow.MentionScores).Within(1e-9));
        double[] scores = outputs.AntecedentScores.ToArray<double>();
        int width = outputs.Antecedents[0].Length + 1;
        for (int i = 0; i < slow.Spans.Count; i++)
        {
            Assert.That(scores[i * width], Is.Zero);
            for (int a = 0; a < slow.Antecedents[i].Length; a++)
                Assert.That(scores[(i * width) + 1 + a], Is.EqualTo(slow.Scores[i][a]).Within(1e-9), $"span {i}, antecedent {a}");
            for (int a = slow.Antecedents[i].Length; a < width - 1; a++)
                Assert.That(scores[(i * width) + 1 + a], Is.EqualTo(double.NegativeInfinity));
        }
        Assert.That(outputs.Loss!.ToDouble(), Is.EqualTo(slow.Loss).Within(1e-8));
        Assert.That(outputs.Clusters().Select(c => c.Order()), Is.EquivalentTo(slow.Clusters().Select(c => c.Order())));
    }

    [Test]
    public void Gradients_are_those_of_differences([Values] bool dropout, [Values] bool recompute)
    {
        using TensorScope scope = new();
        using LongformerForCoreference model = Load();
        LongformerInputs inputs = Document() with { DropoutSeed = dropout ? 5 : null };
        using GradientSet gradients = model.CreateGradients();
        CoreferenceOutputs outputs;
        using (GradientTape tape = new(gradients) { RecomputesLayers = recompute })
        {
            outputs = model.Forward(inputs);
            tape.Backward(outputs.Loss!);
        }
        Random random = new(3);
        foreach (NamedParameter parameter in model.NamedParameters.Where(p => p.Name.StartsWith("coref.", StringComparison.Ordinal)
            || p.Name.EndsWith("embeddings.LayerNorm.weight", StringComparison.Ordinal)
            || p.Name.EndsWith("2.output.dense.bias", StringComparison.Ordinal)))
        {
            Assert.That(gradients[parameter.Tensor], Is.Not.Null, parameter.Name);
            using TensorScope one = new();
            Tensor along = Tensor.From<double>([.. Enumerable.Range(0, (int)parameter.Tensor.ElementCount).Select(_ => random.NextDouble() - 0.5)],
                parameter.Tensor.ElementCount).View(parameter.Tensor.Shape);
            const double step = 1e-6;
            double At(double sign)
            {
                using TensorScope inner = new();
                parameter.Tensor.AddInPlace(along, sign * step);
                CoreferenceOutputs moved = model.Forward(inputs);
                parameter.Tensor.AddInPlace(along, -sign * step);
                Assert.That(moved.Spans, Is.EqualTo(outputs.Spans), "the step is too small to change what is chosen");
                return moved.Loss!.ToDouble();
            }
            double numeric = (At(1) - At(-1)) / (2 * step), analytic = (gradients[parameter.Tensor]! * along).Sum().ToDouble();
            Assert.That(analytic, Is.EqualTo(numeric).Within(1e-5 * (1 + Math.Abs(numeric))), parameter.Name);
        }
    }

    [Test]
    public void No_two_kept_spans_cross_and_none_leaves_its_sentence([Range(1, 8)] int seed)
    {
        Random random = new(seed);
        List<(MentionSpan Span, float Score)> candidates = [];
        for (int first = 0; first < 40; first++)
        {
            for (int last = first; last < Math.Min(40, first + 8); last++)
                candidates.Add((new MentionSpan(first, last), (float)random.NextDouble()));
        }
        MentionSpan[] kept = SpanSelection.Prune(candidates, 30, 40);
        Assert.That(kept, Is.Ordered);
        // By hand: the best first, unless it crosses one that is kept.
        List<MentionSpan> slow = [];
        foreach ((MentionSpan span, _) in candidates.OrderByDescending(c => c.Score))
        {
            if (slow.Count < 30 && !slow.Any(s => s.Crosses(span)))
                slow.Add(span);
        }
        Assert.That(kept, Is.EqualTo(slow.Order()));
    }

    [Test]
    public void Distances_fall_into_the_buckets_of_the_paper()
    {
        int[] expected = [0, 1, 2, 3, 4, 5, 5, 5, 6];
        Assert.That(Enumerable.Range(0, 9).Select(SpanSelection.Bucket), Is.EqualTo(expected));
        Assert.That(new[] { 15, 16, 31, 32, 63, 64, 4000 }.Select(SpanSelection.Bucket), Is.EqualTo(new[] { 6, 7, 7, 8, 8, 9, 9 }));
    }

    [Test]
    public void A_document_of_one_span_has_no_antecedent()
    {
        using TensorScope scope = new();
        using LongformerForCoreference model = Load();
        CoreferenceOutputs outputs = model.Forward(LongformerInputs.Pack([[0, 2]]) with
        {
            Coreference = new CoreferenceTokens { Sentences = [0, 0], Speakers = [0, 0], Clusters = [] },
        });
        Assert.That(outputs.Spans, Has.Count.EqualTo(1));
        Assert.That(outputs.Clusters(), Is.Empty);
        Assert.That(outputs.Loss!.ToDouble(), Is.Zero);
    }

    [Test]
    public void What_does_not_fit_is_said()
    {
        using TensorScope scope = new();
        using LongformerForCoreference model = Load();
        LongformerInputs inputs = Document();
        void Refused(CoreferenceTokens tokens, string message) => Assert.That(() => model.Forward(inputs with { Coreference = tokens }),
            Throws.TypeOf<InputException>().With.Message.Contains(message));
        CoreferenceTokens good = inputs.Coreference!;
        Refused(good with { Sentences = [0] }, "coreference.sentences: expected 53, one for each token, given 1");
        Refused(good with { Speakers = [] }, "coreference.speakers: expected 53");
        Refused(good with { Genre = 2 }, "coreference.genre: expected 0..1, given 2");
        Refused(good with { Sentences = [.. good.Sentences.Reverse()] }, "coreference.sentences[");
        Refused(good with { Clusters = [[new(3, 60)]] }, "given 3..60");
    }
}
