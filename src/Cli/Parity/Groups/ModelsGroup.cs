using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>Whole models: arguments and results under the names of the reference.</summary>
internal sealed class ModelsGroup : ParityGroup
{
    internal override string Name => "models";

    internal override void Run(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        using PretrainedModel model = PretrainedModel.Load(parityCase.Folder, call.Load);
        IReadOnlyDictionary<string, Tensor> Run() => model.Run(parityCase.Inputs(), report.ExpectsAny("hidden_states."),
            report.ExpectsAny("attentions.") || report.ExpectsAny("global_attentions."));
        for (int i = 1; i < call.Repeat; i++)
        {
            using TensorScope earlier = new();
            Run();
        }
        report.Compare(Run());
    }
}
