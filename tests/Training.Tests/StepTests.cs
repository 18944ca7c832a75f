using LongformerInterop.Models;
using LongformerInterop.Tests;
using LongformerInterop.Torch;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Optimization;

namespace LongformerInterop.Training.Tests;

/// <summary>Steps: batches together or apart, layers kept or run again, frozen parts, and everything that a step refuses.</summary>
public sealed class StepTests
{
    private static readonly Schedule Steady = new() { LearningRate = 0.002, Kind = ScheduleKind.Constant };

    private static TrainingHead Load(string folder, DType? dtype = null) =>
        TrainingHead.Of(PretrainedModel.Load(folder, new LoadOptions { Trainable = true, DType = dtype }));

    private static int[] Document(int length, int seed) => [0, .. Enumerable.Range(1, length - 2).Select(i => 5 + ((i * seed) % 90)), 2];

    private static TrainingExample[] Masked() =>
    [
        .. new[] { 30, 12, 21 }.Select((length, n) => new TrainingExample
        {
            Ids = Document(length, n + 3),
            Labels = [.. Enumerable.Range(0, length).Select(i => i % (n + 3) == 1 ? 7 + i : TrainingExample.Ignored)],
            Source = $"documents[{n}]",
        }),
    ];

    private static float[] Weights(TrainingHead head) => [.. head.Model.NamedParameters.SelectMany(p => p.Tensor.To(DType.Float32).ToArray<float>())];

    private static (StepResult Result, float[] Weights) Run(Func<TrainingStep, StepResult> run, ParameterPlan? plan = null, bool recompute = false,
        DType? dtype = null)
    {
        using TrainingHead head = Load(TinyCheckpoints.MaskedLm, dtype);
        using AdamW optimizer = new(new AdamWOptions { Epsilon = 1e-3 });
        using TrainingStep step = new(head, plan ?? new ParameterPlan(), optimizer, Steady, 1, recompute);
        StepResult result = run(step);
        return (result, Weights(head));
    }

    [Test]
    public void Batches_apart_are_batches_together()
    {
        TrainingExample[] examples = Masked();
        (StepResult whole, float[] together) = Run(s => s.Run(0, [examples]));
        (StepResult parts, float[] apart) = Run(s => s.Run(0, [[examples[0]], [examples[1], examples[2]]]));
        Assert.That(whole.Labels, Is.EqualTo(examples.Sum(e => e.Labels!.Count(l => l >= 0))));
        Assert.That(whole.Tokens, Is.EqualTo(63));
        Assert.That(parts.Loss, Is.EqualTo(whole.Loss).Within(1e-5));
        Assert.That(parts.GradientNorm, Is.EqualTo(whole.GradientNorm).Within(1e-4));
        Assert.That(apart, Is.EqualTo(together).Within(1e-4f));
    }

    [Test]
    public void Layers_that_run_again_give_the_same_bits()
    {
        TrainingExample[] examples = Masked();
        (StepResult kept, float[] first) = Run(s => s.Run(0, [examples], [77]));
        (StepResult again, float[] second) = Run(s => s.Run(0, [examples], [77]), recompute: true);
        Assert.That(again, Is.EqualTo(kept));
        Assert.That(second, Is.EqualTo(first));
        Assert.That(Run(s => s.Run(0, [examples], [78])).Result.Loss, Is.Not.EqualTo(kept.Loss));
    }

    [Test]
    public void Half_precision_learns_too()
    {
        TrainingExample[] examples = Masked();
        (StepResult wide, _) = Run(s => s.Run(0, [[examples[0]], [examples[1], examples[2]]]));
        (StepResult half, _) = Run(s => s.Run(0, [[examples[0]], [examples[1], examples[2]]]), dtype: DType.BFloat16);
        Assert.That(half.Loss, Is.EqualTo(wide.Loss).Within(0.05));
        Assert.That(half.GradientNorm, Is.EqualTo(wide.GradientNorm).Within(0.1 * wide.GradientNorm));
        double After(DType dtype) => Run(s => Enumerable.Range(0, 20).Select(i => s.Run(i, [examples])).ToArray()[^1], dtype: dtype).Result.Loss;
        double later = After(DType.BFloat16);
        Assert.That(later, Is.LessThan(half.Loss * 0.8));
        Assert.That(later, Is.EqualTo(After(DType.Float32)).Within(0.1));
    }

    [Test]
    public void The_gradients_of_an_only_batch_in_half_precision_give_the_same_bits_as_their_sum_in_float32()
    {
        TrainingExample[] examples = Masked();
        // A batch without a label is passed over, but the step then has two and adds up in Float32.
        TrainingExample none = examples[0] with { Labels = [.. examples[0].Ids.Select(_ => TrainingExample.Ignored)] };
        (StepResult alone, float[] first) = Run(s => s.Run(0, [examples], [5]), dtype: DType.BFloat16);
        (StepResult summed, float[] second) = Run(s => s.Run(0, [examples, [none]], [5, 6]), dtype: DType.BFloat16);
        Assert.That((summed.Loss, summed.GradientNorm), Is.EqualTo((alone.Loss, alone.GradientNorm)));
        Assert.That(alone.GradientNorm, Is.GreaterThan(1), "the gradients are scaled down");
        Assert.That(second, Is.EqualTo(first));
    }

    [Test]
    public void Only_the_added_positions_move()
    {
        using TrainingHead head = Load(TinyCheckpoints.MaskedLm);
        Dictionary<string, float[]> before = head.Model.NamedParameters.ToDictionary(p => p.Name, p => p.Tensor.ToArray<float>());
        using AdamW optimizer = new();
        using TrainingStep step = new(head, new ParameterPlan { Frozen = FrozenPart.AllButAddedPositions, FirstAddedPosition = 10,
            WeightDecay = 0.1 }, optimizer, Steady);
        step.Run(0, [Masked()]);
        foreach (NamedParameter parameter in head.Model.NamedParameters)
        {
            float[] now = parameter.Tensor.ToArray<float>(), was = before[parameter.Name];
            if (!parameter.Name.EndsWith("position_embeddings.weight", StringComparison.Ordinal))
            {
                Assert.That(now, Is.EqualTo(was), parameter.Name);
                continue;
            }
            Assert.That(now[..320], Is.EqualTo(was[..320]));
            Assert.That(now[320..640], Is.Not.EqualTo(was[320..640]));
        }
    }

    [Test]
    public void Every_head_learns()
    {
        (string Folder, TrainingExample[] Examples)[] heads =
        [
            (TinyCheckpoints.MaskedLm, Masked()),
            (TinyCheckpoints.Classifier, [new() { Ids = Document(20, 3), Labels = [2] }, new() { Ids = Document(9, 5), Labels = [0] }]),
            (TinyCheckpoints.MultiLabel, [new() { Ids = Document(20, 3), Targets = [1, 0] }, new() { Ids = Document(9, 5), Targets = [1, 1] }]),
            (TinyCheckpoints.Regression, [new() { Ids = Document(20, 3), Targets = [2.5f] }, new() { Ids = Document(9, 5), Targets = [-1] }]),
            (TinyCheckpoints.Tagger, [new() { Ids = Document(6, 3), Labels = [-100, 1, 2, 0, 0, -100] },
                new() { Ids = Document(4, 5), Labels = [-100, 0, 1, -100] }]),
            (TinyCheckpoints.QuestionAnswering, [new() { Ids = [0, 9, 8, 2, 2, .. Document(9, 5)[1..]], Starts = [6, 8], Ends = [7, 8] },
                new() { Ids = [0, 9, 2, 2, 7, 2], Starts = [0], Ends = [0] }]),
            (TinyCheckpoints.MultipleChoice, [new() { Ids = [0, 9, 2, 2, 7, 2, 0, 9, 2, 2, 8, 2], Lengths = [6, 6], Labels = [1] },
                new() { Ids = [0, 9, 2, 2, 7, 2, 0, 9, 2, 2, 8, 2, 0, 5, 2, 2, 6, 2], Lengths = [6, 6, 6], Labels = [2] }]),
        ];
        foreach ((string folder, TrainingExample[] examples) in heads)
        {
            using TrainingHead head = Load(folder);
            using AdamW optimizer = new();
            using TrainingStep step = new(head, new ParameterPlan(), optimizer, Steady);
            StepResult first = step.Run(0, [examples]), last = first;
            for (int i = 1; i < 40; i++)
                last = step.Run(i, [examples]);
            Assert.That(last.Loss, Is.LessThan(first.Loss * 0.5), head.GetType().Name);
        }
    }

    [Test]
    public void What_does_not_fit_is_refused_by_name()
    {
        using TrainingHead head = Load(TinyCheckpoints.Classifier);
        using AdamW optimizer = new();
        using TrainingStep step = new(head, new ParameterPlan(), optimizer, Steady);
        float[] before = Weights(head);
        Assert.That(() => step.Run(0, [[new TrainingExample { Ids = Document(5, 2), Labels = [3], Source = "a.jsonl:7" }]]),
            Throws.TypeOf<InputException>().With.Message.EqualTo("a.jsonl:7: expected a label 0..2, given 3"));
        Assert.That(() => step.Run(0, [[new TrainingExample { Ids = Document(5, 2), Source = "a.jsonl:8" }]]),
            Throws.TypeOf<InputException>().With.Message.Contains("a.jsonl:8"));
        head.Model.NamedParameters[^1].Tensor.FillInPlace(double.NaN);
        Assert.That(() => step.Run(4, [[new TrainingExample { Ids = Document(5, 2), Labels = [1], Source = "a.jsonl:9" }]]),
            Throws.TypeOf<DivergedException>().With.Message.EqualTo("step 5: the loss is NaN on a.jsonl:9"));
        head.Model.NamedParameters[^1].Tensor.FillInPlace(0);
        Assert.That(Weights(head)[..^3], Is.EqualTo(before[..^3]));
        Assert.That(() => new TrainingStep(head, new ParameterPlan(), optimizer, Steady with { LearningRate = 0 }), Throws.TypeOf<InputException>());
        Assert.That(() => TrainingHead.Of(LongformerModel.Load(TinyCheckpoints.Base)),
            Throws.TypeOf<InputException>().With.Message.Contains("LongformerModel"));
    }

    [Test]
    public void A_step_leaves_no_tensor_behind()
    {
        using TrainingHead head = Load(TinyCheckpoints.MaskedLm);
        using AdamW optimizer = new();
        using TrainingStep step = new(head, new ParameterPlan(), optimizer, Steady, recompute: true);
        step.Run(0, [Masked()], [1]);
        long before = TorchRuntime.LiveTensorCount;
        step.Run(1, [Masked()], [2]);
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }
}
