// Measures a pass and a training step through TorchSharp beside our own model and trainer: the same weights, data and settings in one process, the
// two by turns, medians.
//   dotnet build/dotnet/bin/TorchSharpBenchmark/release/TorchSharpBenchmark.dll [--layers 12] [--forward 512] [--step 1024,4096] [--rounds 5]
using System.Diagnostics;
using System.Globalization;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.TorchSharp;
using LongformerInterop.Training;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Optimization;
using TorchSharp;
using Tensor = TorchSharp.torch.Tensor;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
int layers = 12, forward = 512, rounds = 5;
int[] lengths = [1024, 4096];
for (int i = 0; i + 1 < args.Length; i += 2)
{
    switch (args[i])
    {
        case "--layers":
            layers = int.Parse(args[i + 1]);
            break;
        case "--forward":
            forward = int.Parse(args[i + 1]);
            break;
        case "--step":
            lengths = [.. args[i + 1].Split(',').Select(int.Parse)];
            break;
        case "--rounds":
            rounds = int.Parse(args[i + 1]);
            break;
        default:
            Console.Error.WriteLine($"{args[i]}: expected --layers, --forward, --step or --rounds");
            return 2;
    }
}

string folder = Directory.CreateTempSubdirectory("torchsharp-benchmark").FullName;
try
{
    // longformer-base-4096 with a head for two classes, of random weights.
    RandomCheckpoint.Write(folder, new LongformerConfiguration
    {
        VocabSize = 50_265, HiddenSize = 768, NumHiddenLayers = layers, NumAttentionHeads = 12, IntermediateSize = 3072, MaxPositionEmbeddings = 4098,
        TypeVocabSize = 1, AttentionWindow = [.. Enumerable.Repeat(512, layers)], Id2Label = ["bad", "good"],
    }, 1, "LongformerForSequenceClassification");
    Console.WriteLine($"longformer-base with {layers} layers, {Environment.ProcessorCount} cores, libtorch {TorchRuntime.Version}");
    if (forward > 0)
        Forward();
    foreach (int length in lengths)
        Step(length);
    return 0;
}
catch (LongformerException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
finally
{
    Directory.Delete(folder, recursive: true);
}

static long[] Ids(int length) => [0, .. Enumerable.Range(0, length - 2).Select(i => 3L + ((i * 7919L) % 50_000)), 2];

static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

static double Time(Action action)
{
    long start = Stopwatch.GetTimestamp();
    action();
    return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
}

void Report(string what, List<double> ours, List<double> theirs)
{
    (double a, double b) = (Median(ours), Median(theirs));
    Console.WriteLine($"{what}: {a:F1} ms our own, {b:F1} ms through TorchSharp, {100 * ((b / a) - 1):+0.0;-0.0} %");
}

void Forward()
{
    using PretrainedModel model = PretrainedModel.Load(folder);
    using PretrainedModule module = PretrainedModule.Load(folder);
    module.eval();
    long[] ids = Ids(forward);
    using LongformerInterop.Torch.Tensor given = LongformerInterop.Torch.Tensor.From<long>(ids, 1, forward);
    using Tensor same = torch.tensor(ids, [1, forward]);
    Dictionary<string, LongformerInterop.Torch.Tensor> inputs = new() { ["input_ids"] = given };
    List<double> ours = [], theirs = [];
    for (int round = -2; round < 4 * rounds; round++)
    {
        double a = Time(() =>
        {
            using TensorScope scope = new();
            model.Run(inputs);
        });
        double b = Time(() =>
        {
            using DisposeScope scope = torch.NewDisposeScope();
            using IDisposable off = torch.no_grad();
            module.forward(same);
        });
        if (round < 0)
            continue;
        ours.Add(a);
        theirs.Add(b);
    }

    Report($"forward pass of {forward} tokens", ours, theirs);
}

void Step(int length)
{
    long[] ids = Ids(length);
    TrainingExample[][] batch = [[new TrainingExample { Ids = [.. ids.Select(id => (int)id)], Labels = [1] }]];
    using TrainingHead head = TrainingHead.Of(PretrainedModel.Load(folder, new LoadOptions { Trainable = true }));
    using LongformerInterop.Training.Optimization.AdamW own = new();
    using TrainingStep trainer = new(head, new ParameterPlan { WeightDecay = 0.01 }, own,
        new Schedule { LearningRate = 1e-5, Kind = ScheduleKind.Constant });
    using PretrainedModule module = PretrainedModule.Load(folder);
    module.train();
    using Tensor same = torch.tensor(ids, [1, length]), label = torch.tensor(new long[] { 1 });
    foreach ((string name, Func<torch.optim.Optimizer> make) in new (string, Func<torch.optim.Optimizer>)[]
    {
        ("FusedAdamW", () => new FusedAdamW(module.parameters(), 1e-5, weightDecay: 0.01)),
        ("torch.optim.AdamW", () => torch.optim.AdamW(module.parameters(), 1e-5, beta2: 0.999, weight_decay: 0.01)),
    })
    {
        using torch.optim.Optimizer optimizer = make();
        List<double> ours = [], theirs = [], parts = [], updates = [];
        for (int round = -1; round < rounds; round++)
        {
            double a = Time(() => trainer.Run(round + 1, batch, [round + 2L]));
            double pass = 0, update = 0;
            double b = Time(() =>
            {
                using DisposeScope scope = torch.NewDisposeScope();
                Tensor loss = null!;
                pass = Time(() =>
                {
                    loss = module.forward(same, labels: label).Loss!;
                    optimizer.zero_grad();
                    loss.RunBackward();
                });
                update = Time(() =>
                {
                    torch.nn.utils.clip_grad_norm_(module.parameters(), 1);
                    optimizer.step();
                });
            });
            if (round < 0)
                continue;
            ours.Add(a);
            theirs.Add(b);
            parts.Add(pass);
            updates.Add(update);
        }

        Report($"step of {length} tokens with {name}", ours, theirs);
        Console.WriteLine($"  of it passes {Median(parts):F1} ms, clipping and optimizer {Median(updates):F1} ms");
    }
}
