using LongformerInterop.Models;
using LongformerInterop.Models.Coreference;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Heads;

/// <summary>
/// Coreference: each example is a document. <see cref="TrainingExample.Lengths"/> are its segments; <see cref="TrainingExample.Labels"/> the
/// sentences of all tokens, then their speakers, then the genre; <see cref="TrainingExample.Starts"/> and <see cref="TrainingExample.Ends"/> the gold
/// mentions, <see cref="TrainingExample.Targets"/> the numbers of their clusters.
/// </summary>
public sealed class CoreferenceTrainingHead : TrainingHead
{
    private readonly LongformerForCoreference _model;

    internal CoreferenceTrainingHead(LongformerForCoreference model) : base(model) => _model = model;

    /// <summary>The outputs for one document.</summary>
    public CoreferenceOutputs Forward(TrainingExample document, long? seed = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(document);
        return _model.Forward(Pack([document], seed) with { Choices = null, Coreference = TokensOf(document) }, cancellation);
    }

    /// <inheritdoc/>
    public override Tensor LossSum(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using TensorScope scope = new();
        Tensor? sum = null;
        for (int i = 0; i < batch.Count; i++)
        {
            // Documents of a step drop apart from one another.
            long? own = seed is null ? null : Data.Mixing.Seed(seed.Value, i, 0, 11);
            Tensor loss = Differentiable.To(Forward(batch[i], own, cancellation).Loss!, Device.Cpu, DType.Float32);
            sum = sum is null ? loss : Differentiable.Add(sum, loss);
        }
        return scope.Keep(sum!);
    }

    /// <inheritdoc/>
    public override long LabelCount(TrainingExample example) => 1;

    /// <summary>What a document's example holds besides ids.</summary>
    internal static CoreferenceTokens TokensOf(TrainingExample document)
    {
        (int[] labels, int tokens) = (LabelsOf(document), document.Ids.Length);
        if (labels.Length != (2 * tokens) + 1)
        {
            throw new InputException($"{document.Source}: expected sentences, speakers and a genre for {tokens} tokens, "
                + $"given {labels.Length} numbers");
        }
        int[] starts = document.Starts ?? [], ends = document.Ends ?? [];
        float[] clusters = document.Targets ?? [];
        return new CoreferenceTokens
        {
            Sentences = labels[..tokens], Speakers = labels[tokens..^1], Genre = labels[^1],
            Clusters = [.. Enumerable.Range(0, starts.Length).GroupBy(i => clusters[i]).Select(group =>
                (IReadOnlyList<MentionSpan>)[.. group.Select(i => new MentionSpan(starts[i], ends[i]))])],
        };
    }
}
