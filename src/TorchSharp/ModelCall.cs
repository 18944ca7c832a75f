using LongformerInterop.Models;
using LongformerInterop.Models.Coreference;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp;

/// <summary>A forward pass of a model of any class, with the seed of its dropouts.</summary>
internal static class ModelCall
{
    /// <summary>Runs a model on tensors under HF's names; its outputs join the current scope.</summary>
    public static IReadOnlyDictionary<string, Tensor> Run(PretrainedModel model, Dictionary<string, Tensor> named, bool hiddenStates,
        bool attentions, long? seed)
    {
        if (model.Configuration.Family == ModelFamily.Led)
        {
            LedInputs led = LedInputs.FromNames(named) with { OutputHiddenStates = hiddenStates, OutputAttentions = attentions, DropoutSeed = seed };
            return (model switch
            {
                LedPretrained<LedModelOutputs> bare => (ModelOutputs)bare.Forward(led),
                LedPretrained<LedLogitsOutputs> scores => scores.Forward(led),
                LedPretrained<LedSpanOutputs> spans => spans.Forward(led),
                _ => throw new NotSupportedException($"{model.Architecture} is served by no module"),
            }).ToDictionary();
        }
        LongformerInputs inputs =
            LongformerInputs.FromNames(named) with { OutputHiddenStates = hiddenStates, OutputAttentions = attentions, DropoutSeed = seed };
        return (model switch
        {
            LongformerPretrained<BaseModelOutputs> bare => (ModelOutputs)bare.Forward(inputs),
            LongformerPretrained<LogitsOutputs> scores => scores.Forward(inputs),
            LongformerPretrained<SpanOutputs> spans => spans.Forward(inputs),
            LongformerPretrained<HotpotOutputs> questions => questions.Forward(inputs),
            LongformerPretrained<CoreferenceOutputs> mentions => mentions.Forward(inputs),
            _ => throw new NotSupportedException($"{model.Architecture} is served by no module"),
        }).ToDictionary();
    }
}
