using System.Diagnostics;
using LongformerInterop.Cli.Output;
using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Bench;

/// <summary>One case of the measurement: documents of these lengths, packed behind one another without padding.</summary>
internal sealed record EncodeCase(IReadOnlyList<int> Lengths, int? Window, DType DType, int Threads)
{
    /// <summary>Of all documents together.</summary>
    public int Tokens => Lengths.Sum();

    /// <summary>Whether not all documents are of one length.</summary>
    public bool IsMixed => Lengths.Distinct().Skip(1).Any();
}

/// <summary>The share of one part of the forward pass.</summary>
internal sealed record Stage(string Name, double Seconds, int Calls);

/// <summary>The result of one case.</summary>
/// <param name="Case">The case.</param>
/// <param name="Window">The window of the largest layer, both sides.</param>
/// <param name="Load">Seconds until the model was ready.</param>
/// <param name="First">Seconds of the first pass, which packs the weights.</param>
/// <param name="Runs">Seconds of every measured pass.</param>
/// <param name="Flops">Useful arithmetic of a pass: the products of the layers and, in the attention, the pairs inside the window.</param>
/// <param name="Stages">The parts of one further, profiled pass, the largest first.</param>
/// <param name="PeakBytes">Peak resident memory of the measured passes.</param>
/// <param name="BeyondBytes">That above what was resident once the model had run on 64 tokens and its whole embedding tables were read: beyond the
/// weights.</param>
/// <param name="WeightBytes">The weights as stored.</param>
/// <param name="Apart">Where the documents are of unequal lengths: the sum of their best times when each is alone.</param>
/// <param name="DeviceBytes">Memory of a GPU that this process took for the case; 0 on the CPU.</param>
internal sealed record EncodeResult(EncodeCase Case, int Window, double Load, double First, IReadOnlyList<double> Runs, double Flops,
    IReadOnlyList<Stage> Stages, long PeakBytes, long BeyondBytes, long WeightBytes, double? Apart, long DeviceBytes)
{
    public double Best => Runs.Min();

    public double Median => Runs.Order().ElementAt(Runs.Count / 2);

    public double TokensPerSecond => Case.Tokens / Best;

    public double GigaflopsPerSecond => Flops / Best * 1e-9;
}

/// <summary>Times the forward pass of a Longformer, one global token a document, as HF's own would be called.</summary>
internal static class EncodeBenchmark
{
    private const int ShortTokens = 64;

    /// <summary>Measures one case with a freshly loaded model.</summary>
    public static EncodeResult Run(string folder, LoadOptions options, EncodeCase c, int runs, CancellationToken cancellation)
    {
        TorchRuntime.ThreadCount = c.Threads;
        long free = TorchRuntime.DeviceMemory(options.Device).Free;
        long start = Stopwatch.GetTimestamp();
        using LongformerModel model = LongformerModel.Load(folder, options with { DType = c.DType });
        double load = Stopwatch.GetElapsedTime(start).TotalSeconds;
        start = Stopwatch.GetTimestamp();
        Pass(model, [Math.Min(ShortTokens, c.Lengths.Max())], cancellation);
        double first = Stopwatch.GetElapsedTime(start).TotalSeconds;
        ReadEmbeddings(model);
        GC.Collect();
        // What loading and the measurement of the machine have left would serve the measured passes and count as nobody's.
        TorchRuntime.ReleaseMemory();
        long resident = ProcessMemory.ResidentBytes();
        ProcessMemory.ResetPeak();
        Pass(model, c.Lengths, cancellation);
        List<double> seconds = Passes(model, c.Lengths, runs, cancellation);
        long peak = ProcessMemory.PeakBytes();
        double? apart = c.IsMixed ? c.Lengths.Sum(length => Passes(model, [length], runs, cancellation).Min()) : null;
        long left = TorchRuntime.DeviceMemory(options.Device).Free;
        LongformerConfiguration configuration = model.Configuration;
        List<Stage> stages = Stages(model, c, cancellation);
        (double linear, double attention) = UsefulFlops(configuration, c.Lengths);
        return new EncodeResult(c, configuration.LargestWindow, load, first, seconds, linear + attention, stages, peak, Math.Max(0, peak - resident),
            model.NamedParameters.Sum(p => p.Tensor.ElementCount * p.Tensor.DType.ElementSize()), apart, free - left);
    }

    private static List<double> Passes(LongformerModel model, IReadOnlyList<int> lengths, int runs, CancellationToken cancellation)
    {
        List<double> seconds = [];
        for (int i = 0; i < runs; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            seconds.Add(Pass(model, lengths, cancellation));
        }
        return seconds;
    }

    /// <summary>
    /// Brings the whole tables into memory. They are in the mapped file, and the system maps what surrounds a row that is read along with it:
    /// pages of the weights, which a measured pass would count as its own.
    /// </summary>
    private static void ReadEmbeddings(LongformerModel model)
    {
        using TensorScope scope = new();
        foreach (NamedParameter parameter in model.NamedParameters)
        {
            if (parameter.Name.Contains("_embeddings.", StringComparison.Ordinal))
                parameter.Tensor.Sum();
        }
    }

    private static double Pass(LongformerModel model, IReadOnlyList<int> lengths, CancellationToken cancellation)
    {
        using TensorScope scope = new();
        LongformerInputs inputs = Inputs(model, lengths);
        long start = Stopwatch.GetTimestamp();
        model.Forward(inputs, cancellation);
        TorchRuntime.Synchronize(model.Device);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Random ids, the first token of every document global, the documents behind one another.</summary>
    private static LongformerInputs Inputs(LongformerModel model, IReadOnlyList<int> lengths)
    {
        LongformerConfiguration configuration = model.Configuration;
        Random random = new(0);
        int[] Ids(int length) => [.. Enumerable.Range(0, length)
            .Select(_ => random.Next(Math.Min(5, configuration.VocabSize - 1), configuration.VocabSize))];
        return new LongformerInputs { Documents = [.. lengths.Select(length => new DocumentTokens(Ids(length), [0]))] };
    }

    /// <summary>Of a forward pass over documents: that of the products with weights, and that of the pairs of tokens inside the windows.</summary>
    internal static (double Linear, double Attention) UsefulFlops(LongformerConfiguration c, IReadOnlyList<int> lengths)
    {
        double linear = 0, attention = 0, n = lengths.Sum();
        for (int layer = 0; layer < c.NumHiddenLayers; layer++)
        {
            linear += 2 * n * c.HiddenSize * (4.0 * c.HiddenSize + 2.0 * c.IntermediateSize);
            LayerWindow window = c.Window(layer);
            for (int head = 0; head < c.NumAttentionHeads; head++)
            {
                int dilation = window.Dilation is null ? 1 : window.Dilation[window.Dilation.Count == 1 ? 0 : head];
                attention += 4.0 * c.HeadSize * lengths.Sum(length => Pairs(length, window, dilation));
            }
        }
        return (linear, attention);
    }

    private static long Pairs(long tokens, LayerWindow window, int dilation)
    {
        long pairs = 0;
        for (long i = 0; i < tokens; i++)
            pairs += 1 + Math.Min(window.Left, i / dilation) + Math.Min(window.Right, (tokens - 1 - i) / dilation);
        return pairs;
    }

    private static List<Stage> Stages(LongformerModel model, EncodeCase c, CancellationToken cancellation)
    {
        using TensorScope scope = new();
        LongformerInputs inputs = Inputs(model, c.Lengths);
        using OperatorProfile profile = OperatorProfile.Start(model.Device);
        long start = Stopwatch.GetTimestamp();
        model.Forward(inputs, cancellation);
        TorchRuntime.Synchronize(model.Device);
        double whole = Stopwatch.GetElapsedTime(start).TotalSeconds;
        List<Stage> stages =
        [
            .. profile.Costs.GroupBy(cost => Name(cost, model.Configuration))
                .Select(g => new Stage(g.Key, g.Sum(cost => cost.Time.TotalSeconds), g.Sum(cost => cost.Calls))),
        ];
        stages.Add(new Stage("between the operators", Math.Max(0, whole - stages.Sum(s => s.Seconds)), 0));
        return [.. stages.OrderByDescending(s => s.Seconds)];
    }

    private static string Name(OperatorCost cost, LongformerConfiguration c) => cost.Operator switch
    {
        "longformer::banded_attention" => "window attention",
        "longformer::global_attention" or "longformer::folded_global_attention" => "global attention",
        "longformer::add_layer_norm" or "longformer::_add_layer_norm_into" or "aten::layer_norm" => "layer norm",
        "longformer::_feed_forward_" => "behind the attention",
        "longformer::embed" or "aten::embedding" => "embeddings",
        "longformer::linear_pack" or "longformer::_int8_pack" => "packing weights",
        "longformer::linear" or "longformer::_linear_into" or "longformer::_int8_linear" or "longformer::_int8_linear_into" =>
            (cost.Weight?[0], cost.Weight?[1]) switch
        {
            var (o, i) when o == 3L * c.HiddenSize && i == c.HiddenSize => "linear: query, key, value",
            var (o, i) when o == c.HiddenSize && i == c.HiddenSize => "linear: hidden to hidden",
            var (o, i) when o == c.IntermediateSize && i == c.HiddenSize => "linear: feed-forward in",
            var (o, i) when o == c.HiddenSize && i == c.IntermediateSize => "linear: feed-forward out",
            _ => "linear: other",
        },
        _ => "other operators",
    };
}
