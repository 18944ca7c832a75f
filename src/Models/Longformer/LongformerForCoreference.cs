using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Coreference;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// Coreference of a whole document: which spans are mentions, and which earlier span each refers to. The model of Joshi et al. (2019,
/// mandarjoshi90/coref), coarse-to-fine span ranking, on the Longformer, as the Longformer paper has it: no token is global, and the sequences of the
/// input are the segments of one document, each encoded by itself. HF has no such class; the head's tensors are called as in lxucs/coref-hoi, below
/// <c>coref.</c>
/// </summary>
public sealed class LongformerForCoreference : LongformerPretrained<CoreferenceOutputs>
{
    private readonly CoreferenceHead _head;

    internal LongformerForCoreference(LongformerLoader loader)
        : base(loader, GlobalRule.None) =>
        _head = new CoreferenceHead(loader.Root / "coref", loader.Configuration.Coreference, loader.Configuration.HiddenSize);

    /// <summary>Loads a coreference model.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForCoreference Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LongformerForCoreference>(folder, options);

    private protected override CoreferenceOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        CoreferenceConfiguration c = Configuration.Coreference;
        if (batch.Visible is not null)
            throw new InputException("attention_mask", "no padding: the segments of a document are packed", "some");
        CoreferenceTokens tokens = inputs.Coreference ?? CoreferenceTokens.OfTensors(inputs, batch.Offsets);
        tokens.Check(batch.TokenCount, c.Genres.Count);
        return _head.Forward(hidden, batch.Offsets, tokens, new Dropout(inputs.DropoutSeed, c.Dropout, 0));
    }
}
