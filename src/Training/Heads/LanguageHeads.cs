using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Heads;

/// <summary>Masked LM: the hidden tokens are to be found. Only they pass through the vocabulary.</summary>
public sealed class MaskedLanguageHead : TrainingHead
{
    private readonly LongformerForMaskedLM _model;

    internal MaskedLanguageHead(LongformerForMaskedLM model) : base(model) => _model = model;

    /// <inheritdoc/>
    public override Tensor LossSum(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        using TensorScope scope = new();
        LogitsOutputs outputs = _model.Forward(Pack(batch, seed) with { Labels = Labels(batch),
            TrainingLoss = new TrainingLoss { LabelSmoothing = LabelSmoothing } }, cancellation);
        return scope.Keep(outputs.Loss!);
    }

    /// <inheritdoc/>
    public override long LabelCount(TrainingExample example) => LabelsOf(example).Count(label => label != TrainingExample.Ignored);
}

/// <summary>An LED that writes: every token of the target from those before it. Documents are packed, targets padded.</summary>
public sealed class WritingHead : TrainingHead
{
    private readonly LedForConditionalGeneration _model;

    internal WritingHead(LedForConditionalGeneration model) : base(model) => _model = model;

    /// <inheritdoc/>
    public override Tensor LossSum(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using TensorScope scope = new();
        int longest = batch.Max(e => LabelsOf(e).Length);
        long[] labels = new long[batch.Count * longest];
        Array.Fill(labels, TrainingExample.Ignored);
        for (int i = 0; i < batch.Count; i++)
            LabelsOf(batch[i]).Select(label => (long)label).ToArray().CopyTo(labels, i * longest);
        List<long> offsets = new() { 0 };
        foreach (TrainingExample example in batch)
            offsets.Add(offsets[^1] + example.Ids.Length);
        LedLogitsOutputs outputs = _model.Forward(new LedInputs
        {
            InputIds = Tensor.From<long>([.. batch.SelectMany(e => e.Ids).Select(id => (long)id)]),
            GlobalAttentionMask = Tensor.From<byte>([.. batch.SelectMany(Mask)]),
            SequenceOffsets = offsets,
            Labels = Tensor.From<long>(labels, batch.Count, longest),
            TrainingLoss = new TrainingLoss { LabelSmoothing = LabelSmoothing },
            DropoutSeed = seed,
        }, cancellation);
        return scope.Keep(outputs.Loss!);
    }

    /// <inheritdoc/>
    public override long LabelCount(TrainingExample example) => LabelsOf(example).Count(label => label != TrainingExample.Ignored);
}
