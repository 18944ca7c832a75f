using LongformerInterop.Models;
using LongformerInterop.Models.CharacterLm;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>
/// The character language model: one attention layer (<c>hidden</c> to <c>out</c>), or a whole model (<c>ids</c> and <c>targets</c> to hidden states,
/// negative log-likelihoods and the gradients of the bits per character).
/// </summary>
internal sealed class CharacterGroup : ParityGroup
{
    internal override string Name => "charlm";

    internal override void Run(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        if (parityCase.Has("n_layer"))
            RunModel(parityCase, call, report);
        else
            RunAttention(parityCase, call, report);
    }

    private static void RunAttention(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        using RelativeAttentionModule layer = RelativeAttentionModule.Load(parityCase.Folder, call.Load);
        report.Compare("out", layer.Forward(parityCase.Inputs()["hidden"]));
    }

    private static void RunModel(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        Dictionary<string, Tensor> inputs = parityCase.Inputs();
        (Tensor ids, Tensor targets) = (inputs["ids"], inputs["targets"]);
        using (CharacterLanguageModel model = CharacterLanguageModel.Load(parityCase.Folder, call.Load))
        {
            List<Tensor> states = [];
            Tensor hidden = model.Forward(ids, states: states), nll = model.NegativeLogLikelihood(ids, targets), loss = nll.Mean();
            report.Compare("hidden", hidden);
            report.Compare("logits", model.Logits(hidden));
            report.Compare("nll", nll);
            report.Compare("loss", loss);
            report.Compare("bits_per_character", loss / Math.Log(2));
            for (int i = 0; i < states.Count; i++)
                report.Compare($"hidden_states.{i}", states[i]);
        }
        if (!report.ExpectsAny("grad."))
            return;
        using CharacterLanguageModel trained = CharacterLanguageModel.Load(parityCase.Folder, call.Load with { Trainable = true });
        using GradientSet gradients = trained.CreateGradients();
        using (GradientTape tape = new(gradients))
        {
            Tensor sum = trained.LossSum(ids, targets);
            tape.Backward(sum, Tensor.Full([], 1 / (Math.Log(2) * ids.ElementCount), sum.DType, sum.Device));
        }
        foreach (NamedParameter parameter in trained.NamedParameters)
            report.Compare($"grad.{parameter.Name}", gradients[parameter.Tensor] ?? parameter.Tensor.ZerosLike());
    }
}
