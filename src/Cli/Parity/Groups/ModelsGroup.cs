using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>Whole models: arguments and results under the names of the reference.</summary>
internal sealed class ModelsGroup : ParityGroup
{
    internal override string Name => "models";

    internal override void Run(ParityCase parityCase, AttentionImplementation implementation, Device device, ParityReport report)
    {
        using IDisposable inference = TorchRuntime.InferenceMode();
        using PretrainedModel model = PretrainedModel.Load(parityCase.Folder, new LoadOptions { Device = device, Attention = implementation });
        report.Compare(model.Run(parityCase.Inputs(), report.ExpectsAny("hidden_states."),
            report.ExpectsAny("attentions.") || report.ExpectsAny("global_attentions.")));
    }
}
