using LongformerInterop.Models;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>One attention layer of allenai's, with its projections: hidden states and a mask of -10000, 0, 10000 to <c>out</c>.</summary>
internal sealed class SelfAttentionGroup : ParityGroup
{
    internal override string Name => "self_attention";

    internal override void Run(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        Dictionary<string, Tensor> inputs = parityCase.Inputs();
        using LongformerSelfAttentionModule layer = LongformerSelfAttentionModule.Load(parityCase.Folder, call.Load);
        report.Compare("out", layer.Forward(inputs["hidden_states"].To(call.Device), inputs.GetValueOrDefault("attention_mask")));
    }
}
