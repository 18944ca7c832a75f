using System.Text.Json;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>
/// Attention cases. Which kind a case is follows from its configuration: the whole attention through the operators, or one of
/// the reference's raw window products.
/// </summary>
internal sealed class AttentionGroup : ParityGroup
{
    private enum Kind
    {
        Unknown,
        Dense,
        SlidingChunks,
        DilatedColumns,
        NoOverlap,
        MaskInvalidLocations,
        PadToWindowSize,
    }

    internal override string Name => "attention";

    internal override string? SkipReason(ParityCase parityCase) =>
        KindOf(parityCase) == Kind.Unknown ? "an attention case of a kind not built yet" : null;

    internal override bool DependsOnImplementation(ParityCase parityCase) => KindOf(parityCase) == Kind.Dense;

    internal override void Run(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        Dictionary<string, Tensor> inputs = parityCase.Inputs()
            .ToDictionary(i => i.Key, i => KindOf(parityCase) == Kind.Dense ? i.Value : i.Value.To(call.Device));
        switch (KindOf(parityCase))
        {
            case Kind.Dense:
                RunDense(parityCase, inputs, call, report);
                break;
            case Kind.SlidingChunks:
                RunSlidingChunks(inputs, parityCase.Integer("window_one_side"), report);
                break;
            case Kind.DilatedColumns:
                RunDilated(parityCase, inputs, report);
                break;
            case Kind.NoOverlap:
                RunNoOverlap(inputs, parityCase.Integer("block"), report);
                break;
            case Kind.MaskInvalidLocations:
                RunMask(parityCase, inputs, report);
                break;
            default:
                RunPadding(parityCase, inputs, report);
                break;
        }
    }

    private static Kind KindOf(ParityCase parityCase)
    {
        if (parityCase.Has("left") && parityCase.Has("right"))
            return Kind.Dense;
        if (parityCase.Has("block"))
            return Kind.NoOverlap;
        if (parityCase.Has("window_one_side"))
            return parityCase.Has("dilation") ? Kind.DilatedColumns : Kind.SlidingChunks;
        // One set of parameters per tensor.
        JsonElement first = parityCase.Configuration.ValueKind == JsonValueKind.Object
            ? parityCase.Configuration.EnumerateObject().Select(p => p.Value).FirstOrDefault()
            : default;
        if (first.ValueKind != JsonValueKind.Object || !first.TryGetProperty("window_one_side", out _))
            return Kind.Unknown;
        return first.TryGetProperty("pad_token_id", out _) ? Kind.PadToWindowSize
            : first.TryGetProperty("autoregressive", out _) ? Kind.MaskInvalidLocations
            : Kind.Unknown;
    }

    private static void RunDense(ParityCase parityCase, Dictionary<string, Tensor> inputs, ParityCall call, ParityReport report)
    {
        PaddedAttention attention = new(parityCase, inputs["mask"], call.Attention, call.Device);
        (Tensor q, Tensor k, Tensor v) = (Input("q"), Input("k"), Input("v"));
        (Tensor globalQ, Tensor globalK, Tensor globalV) = (Global("q_global", q), Global("k_global", k), Global("v_global", v));
        report.Compare("out", attention.Run(q, k, v, globalQ, globalK, globalV));
        if (report.Expects("probs"))
            report.Compare("probs", attention.Probabilities(q, k, globalQ, globalK));

        Tensor Input(string name) => inputs[name].To(call.Device);
        Tensor Global(string name, Tensor shared) => inputs.TryGetValue(name, out Tensor? own) ? own.To(call.Device) : shared;
    }

    private static void RunSlidingChunks(Dictionary<string, Tensor> inputs, int window, ParityReport report)
    {
        Tensor scores = WindowProducts.SlidingChunksScores(inputs["q"], inputs["k"], window);
        Tensor probabilities = scores.Softmax(-1);
        report.Compare("scores", scores);
        report.Compare("probs", probabilities);
        report.Compare("context", WindowProducts.SlidingChunksContext(probabilities, inputs["v"], window));
    }

    private static void RunDilated(ParityCase parityCase, Dictionary<string, Tensor> inputs, ParityReport report)
    {
        int window = parityCase.Integer("window_one_side");
        bool causal = parityCase.Has("autoregressive") && parityCase.Configuration.GetProperty("autoregressive").GetBoolean();
        int right = causal ? 0 : window;
        int[] dilation = ParityCase.Integers(parityCase.Configuration, "dilation");
        Tensor scores = WindowProducts.DilatedScores(inputs["q"], inputs["k"], window, right, dilation);
        Tensor masked = WindowProducts.MaskInvalidLocations(scores, window, dilation, causal);
        Tensor probabilities = masked.Softmax(-1);
        report.Compare("scores", scores);
        report.Compare("scores_masked", masked);
        report.Compare("probs", probabilities);
        report.Compare("context", WindowProducts.DilatedContext(probabilities, inputs["v"], window, right, dilation));
    }

    private static void RunNoOverlap(Dictionary<string, Tensor> inputs, int block, ParityReport report)
    {
        Tensor scores = WindowProducts.NoOverlapScores(inputs["q"], inputs["k"], block);
        Tensor masked = WindowProducts.MaskInvalidLocations(scores, block, [1], autoregressive: false);
        Tensor probabilities = masked.Softmax(-1);
        report.Compare("scores", scores);
        report.Compare("scores_masked", masked);
        report.Compare("probs", probabilities);
        report.Compare("context", WindowProducts.NoOverlapContext(probabilities, inputs["v"], block));
    }

    private static void RunMask(ParityCase parityCase, Dictionary<string, Tensor> inputs, ParityReport report)
    {
        foreach (JsonProperty parameters in parityCase.Configuration.EnumerateObject())
        {
            report.Compare(parameters.Name, WindowProducts.MaskInvalidLocations(inputs[parameters.Name],
                ParityCase.Integer(parameters.Value, "window_one_side"), ParityCase.Integers(parameters.Value, "dilation"),
                parameters.Value.GetProperty("autoregressive").GetBoolean()));
        }
    }

    private static void RunPadding(ParityCase parityCase, Dictionary<string, Tensor> inputs, ParityReport report)
    {
        foreach (JsonProperty parameters in parityCase.Configuration.EnumerateObject())
        {
            (Tensor ids, Tensor mask) = WindowProducts.PadToWindowSize(inputs[$"ids{parameters.Name}"], inputs[$"mask{parameters.Name}"],
                ParityCase.Integer(parameters.Value, "window_one_side"), ParityCase.Integer(parameters.Value, "pad_token_id"));
            report.Compare($"ids{parameters.Name}", ids);
            report.Compare($"mask{parameters.Name}", mask);
        }
    }
}
