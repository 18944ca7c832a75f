using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>
/// Gradients: of the attention with respect to queries, keys and values (loss = sum(out * grad_out)), and of a model's loss with
/// respect to every parameter and to the word embedding of every input position.
/// </summary>
internal sealed class GradientsGroup : ParityGroup
{
    internal override string Name => "gradients";

    internal override void Run(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        if (IsAttention(parityCase))
            RunAttention(parityCase, call, report);
        else
            RunModel(parityCase, call, report);
    }

    private static bool IsAttention(ParityCase parityCase) => parityCase.Has("left") && parityCase.Has("right");

    private static void RunAttention(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        Dictionary<string, Tensor> inputs = parityCase.Inputs();
        Dictionary<string, Tensor> leaves = inputs.Where(i => i.Key is not ("mask" or "grad_out"))
            .ToDictionary(i => i.Key, i => i.Value.To(call.Device));
        using GradientSet gradients = new(leaves.Values);
        using GradientTape tape = new(gradients);
        PaddedAttention attention = new(parityCase, inputs["mask"], call.Attention, call.Device);
        Tensor output = attention.Run(leaves["q"], leaves["k"], leaves["v"],
            leaves.GetValueOrDefault("q_global", leaves["q"]), leaves.GetValueOrDefault("k_global", leaves["k"]),
            leaves.GetValueOrDefault("v_global", leaves["v"]));
        report.Compare("out", output);
        tape.Backward(output, inputs["grad_out"].To(call.Device));
        foreach ((string name, Tensor leaf) in leaves)
            report.Compare($"grad_{name}", gradients[leaf] ?? leaf.ZerosLike());
    }

    private static void RunModel(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        using PretrainedModel model = PretrainedModel.Load(parityCase.Folder, call.Load with { Trainable = true });
        Dictionary<string, Tensor> results = new(model.LossAndGradients(parityCase.Inputs()));
        // A parameter that the loss does not depend on has no gradient here and zeros in the reference.
        foreach (NamedParameter parameter in model.NamedParameters)
        {
            if (report.Expects($"grad.{parameter.Name}"))
                results.TryAdd($"grad.{parameter.Name}", Tensor.Zeros(parameter.Tensor.Shape, DType.Float32, call.Device));
        }
        report.Compare(results.Where(r => report.Expects(r.Key)));
    }
}
