using System.Diagnostics;
using LongformerInterop.Cli.Output;
using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;
using LongformerInterop.Training;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Optimization;

namespace LongformerInterop.Cli.Bench;

/// <summary>The work of a step: documents of these lengths in one step; of an LED each with a target of so many tokens.</summary>
internal sealed record TrainCase(IReadOnlyList<int> Lengths, int TargetTokens, int? Window, DType DType, int Threads, bool Recompute)
{
    /// <summary>The first layers alone are run again; null: all.</summary>
    public int? RecomputeLayers { get; init; }

    /// <summary>Of all documents together.</summary>
    public int Tokens => Lengths.Sum();

    /// <summary>Whether not all documents are of one length.</summary>
    public bool IsMixed => Lengths.Distinct().Skip(1).Any();
}

/// <summary>The result of one case.</summary>
/// <param name="Case">The case.</param>
/// <param name="Window">The window of the largest layer, both sides.</param>
/// <param name="Load">Seconds until the model was ready.</param>
/// <param name="First">Seconds of the first step, which makes the optimizer's state.</param>
/// <param name="Runs">Seconds of every measured step.</param>
/// <param name="Flops">Useful arithmetic of a step: forward once, backward twice that of the products and 2.5 times that of the attention; 0 for an
/// LED.</param>
/// <param name="Stages">The parts of one further, profiled step, the largest first.</param>
/// <param name="PeakBytes">Peak resident memory of the measured steps.</param>
/// <param name="KeptBytes">What the forward pass keeps for the backward pass.</param>
/// <param name="StateBytes">Weights, masters and the optimizer's state, which stay between two steps.</param>
/// <param name="Apart">Where the documents are of unequal lengths: the sum of their best times when each is a step of its own.</param>
internal sealed record TrainResult(TrainCase Case, int Window, double Load, double First, IReadOnlyList<double> Runs, double Flops,
    IReadOnlyList<Stage> Stages,
    long PeakBytes, long KeptBytes, long StateBytes, double? Apart)
{
    public double Best => Runs.Min();

    public double Median => Runs.Order().ElementAt(Runs.Count / 2);

    public double TokensPerSecond => Case.Tokens / Best;

    public double GigaflopsPerSecond => Flops / Best * 1e-9;
}

/// <summary>
/// Times steps of training: masked LM with 15% of the tokens hidden, or an LED from documents to targets; dropouts as the checkpoint has them, AdamW,
/// the norm of the gradient clipped.
/// </summary>
internal static class TrainBenchmark
{
    private const double Hidden = 0.15;

    /// <summary>The class that is trained on a checkpoint of either family.</summary>
    public static string ArchitectureOf(bool led) => led ? "LEDForConditionalGeneration" : "LongformerForMaskedLM";

    /// <summary>Measures one case with a freshly loaded model.</summary>
    public static TrainResult Run(string folder, LoadOptions options, TrainCase c, int runs, CancellationToken cancellation)
    {
        TorchRuntime.ThreadCount = c.Threads;
        long start = Stopwatch.GetTimestamp();
        using TrainingHead head = TrainingHead.Of(PretrainedModel.Load(folder, options with { DType = c.DType, Trainable = true }));
        double load = Stopwatch.GetElapsedTime(start).TotalSeconds;
        using AdamW optimizer = new();
        using TrainingStep step =
            new(head, new ParameterPlan { WeightDecay = 0.01 }, optimizer, new Schedule { LearningRate = 3e-5, TotalSteps = 1000 },
            recompute: c.Recompute, recomputeLayers: c.RecomputeLayers);
        long number = 0;
        double One(IReadOnlyList<int> lengths)
        {
            cancellation.ThrowIfCancellationRequested();
            TrainingExample[] examples = Examples(head.Model.Configuration, lengths, c.TargetTokens);
            long begun = Stopwatch.GetTimestamp();
            step.Run(number, [examples], [++number], cancellation);
            TorchRuntime.Synchronize(head.Model.Device);
            return Stopwatch.GetElapsedTime(begun).TotalSeconds;
        }
        double first = One(c.Lengths);
        GC.Collect();
        ProcessMemory.ResetPeak();
        double[] seconds = [.. Enumerable.Range(0, runs).Select(_ => One(c.Lengths))];
        long peak = ProcessMemory.PeakBytes();
        double? apart = c.IsMixed ? c.Lengths.Sum(length => Enumerable.Range(0, runs + 1).Min(_ => One([length]))) : null;
        List<Stage> stages = [];
        using (OperatorProfile profile = OperatorProfile.Start(head.Model.Device))
        {
            double whole = One(c.Lengths);
            stages.AddRange(profile.Costs.GroupBy(cost => Name(cost, head.Model.Configuration))
                .Select(g => new Stage(g.Key, g.Sum(cost => cost.Time.TotalSeconds), g.Sum(cost => cost.Calls))));
            stages.Add(new Stage("between the operators", Math.Max(0, whole - stages.Sum(s => s.Seconds)), 0));
        }
        long state = optimizer.State.Values.Sum(t => t.ByteCount) + head.Model.NamedParameters.Sum(p => p.Tensor.ByteCount)
            + step.Parameters.Sum(p => p.MasterBytes);
        double flops = head.Model.Configuration is LongformerConfiguration longformer ? UsefulFlops(longformer, c) : 0;
        int window = head.Model.Configuration is LongformerConfiguration l
            ? l.LargestWindow
            : ((LedConfiguration)head.Model.Configuration).AttentionWindow.Max();
        return new TrainResult(c, window, load, first, seconds, flops, [.. stages.OrderByDescending(s => s.Seconds)], peak,
            Kept(head, c, cancellation), state, apart);
    }

    /// <summary>Random ids; every seventh token or so is to be found.</summary>
    private static TrainingExample[] Examples(ModelConfiguration configuration, IReadOnlyList<int> lengths, int targetTokens)
    {
        Random random = new(0);
        int[] Ids(int length) => [.. Enumerable.Range(0, length)
            .Select(_ => random.Next(Math.Min(5, configuration.VocabSize - 1), configuration.VocabSize))];
        return [.. lengths.Select(length =>
        {
            int[] ids = Ids(length);
            return configuration is LedConfiguration
                ? new TrainingExample { Ids = ids, Globals = [0], Labels = Ids(targetTokens), Source = "random" }
                : new TrainingExample { Ids = ids, Labels = Array.ConvertAll(ids, id => random.NextDouble() < Hidden ? id : TrainingExample.Ignored),
                    Source = "random" };
        })];
    }

    private static long Kept(TrainingHead head, TrainCase c, CancellationToken cancellation)
    {
        using TensorScope scope = new();
        using GradientSet gradients = head.Model.CreateGradients();
        using GradientTape tape = new(gradients) { RecomputesLayers = c.Recompute, RecomputedLayers = c.RecomputeLayers };
        head.LossSum(Examples(head.Model.Configuration, c.Lengths, c.TargetTokens), 1, cancellation);
        return tape.KeptBytes;
    }

    private static double UsefulFlops(LongformerConfiguration c, TrainCase measured)
    {
        (double linear, double attention) = EncodeBenchmark.UsefulFlops(c, measured.Lengths);
        double labels = Hidden * measured.Tokens;
        linear += 2 * labels * c.HiddenSize * (c.HiddenSize + (double)c.VocabSize);
        return (3 * linear) + (3.5 * attention);
    }

    private static string Name(OperatorCost cost, ModelConfiguration c) => cost.Operator switch
    {
        "longformer::banded_attention" => "attention forward",
        "longformer::banded_attention_backward" => "attention backward",
        "longformer::_dense_attention" or "longformer::_dense_attention_backward" => "cross attention, both ways",
        "longformer::folded_global_attention" or "longformer::global_attention" => "global attention forward",
        "longformer::_folded_global_attention_backward" or "longformer::_global_attention_backward" => "global attention backward",
        "longformer::linear" or "longformer::_linear_into" => cost.Weight?[0] == c.VocabSize ? "vocabulary forward" : "linear forward",
        "longformer::_linear_backward" or "longformer::_linear_backward_into" or "longformer::_activated_linear_backward" => "linear backward",
        "longformer::activation" or "longformer::_activation_backward" => "activation, both ways",
        "longformer::hidden_dropout" => "dropout, both ways",
        "longformer::add_layer_norm" or "longformer::_dropout_add_layer_norm" or "longformer::_dropout_add_layer_norm_over" => "layer norm forward",
        "longformer::_add_layer_norm_backward" or "longformer::_dropout_add_layer_norm_backward"
            or "longformer::_dropout_add_layer_norm_over_backward" => "layer norm backward",
        "longformer::embed" or "longformer::_embed_backward" or "aten::embedding" or "aten::embedding_dense_backward" => "embeddings, both ways",
        "aten::_fused_adamw_" => "optimizer",
        "aten::norm_except_dim" => "norm of the gradient",
        "aten::_log_softmax" or "aten::_log_softmax.out" or "aten::log_softmax" or "aten::nll_loss_forward" or "aten::exp_"
            => "softmax of the vocabulary",
        var other => other,
    };
}
