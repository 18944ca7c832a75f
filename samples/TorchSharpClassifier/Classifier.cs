using LongformerInterop.Models;
using LongformerInterop.TorchSharp;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharpClassifier;

/// <summary>
/// A head of one's own on Longformer's body. The names of the fields make the names of the parameters; with these (longformer.*, classifier.dense.*,
/// classifier.out_proj.*) they are those of HF's LongformerForSequenceClassification, so that everybody can load the folder.
/// </summary>
internal sealed class Classifier : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly LongformerModule longformer;
    private readonly Head classifier;

    public Classifier(string checkpoint, int labels)
        : base(nameof(Classifier))
    {
        longformer = LongformerModule.Load(checkpoint);
        classifier = new Head(Configuration.HiddenSize, labels);
        RegisterComponents();
    }

    public LongformerConfiguration Configuration => (LongformerConfiguration)longformer.Configuration;

    /// <summary>Scores [B, labels] of ids and mask [B, T]; the first token is global.</summary>
    public override Tensor forward(Tensor ids, Tensor mask)
    {
        using Tensor global = zeros_like(ids);
        global[TensorIndex.Colon, 0] = 1;
        using ModuleOutputs outputs = longformer.forward(ids, mask, global);
        return classifier.call(outputs.LastHiddenState.select(1, 0));
    }

    private sealed class Head : nn.Module<Tensor, Tensor>
    {
        private readonly Linear dense, out_proj;
        private readonly Dropout dropout = nn.Dropout(0.1);

        public Head(long hidden, long labels)
            : base(nameof(Head))
        {
            dense = nn.Linear(hidden, hidden);
            out_proj = nn.Linear(hidden, labels);
            RegisterComponents();
        }

        public override Tensor forward(Tensor first) => out_proj.call(dropout.call(dense.call(dropout.call(first)).tanh()));
    }
}
