using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Heads;

/// <summary>
/// HotpotQA: paragraphs, sentences, answer and its type together. <see cref="TrainingExample.Labels"/> are laid out as <see cref="HotpotLabels"/>
/// says; <see cref="TrainingExample.Starts"/> and <see cref="TrainingExample.Ends"/> are the places of the answer.
/// </summary>
public sealed class HotpotHead : TrainingHead
{
    private readonly LongformerForHotpotQA _model;

    internal HotpotHead(LongformerForHotpotQA model) : base(model) => _model = model;

    /// <summary>The scores of one example.</summary>
    public HotpotOutputs Forward(TrainingExample example, long? seed = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(example);
        HotpotLabels labels = HotpotLabels.Of(example);
        using TensorScope scope = new();
        HotpotOutputs outputs = _model.Forward(Pack([example], seed) with
        {
            ParagraphPositions = Positions(labels.Paragraphs), SentencePositions = Positions(labels.Sentences),
        }, cancellation);
        scope.Keep(outputs.ToDictionary().Values);
        return outputs;
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
            long? own = seed is null ? null : Data.Mixing.Seed(seed.Value, i, 0, 13);
            Tensor loss = Loss(Forward(batch[i], own, cancellation), batch[i]);
            sum = sum is null ? loss : Differentiable.Add(sum, loss);
        }
        return scope.Keep(sum!);
    }

    /// <inheritdoc/>
    public override long LabelCount(TrainingExample example) => 1;

    /// <summary>The loss of scores that are there already: the answer's span, its type, and the means over sentences and over paragraphs.</summary>
    internal static Tensor Loss(HotpotOutputs outputs, TrainingExample example)
    {
        using TensorScope scope = new();
        HotpotLabels labels = HotpotLabels.Of(example);
        Tensor loss = Differentiable.LabelLoss(outputs.TypeLogits, Tensor.From<long>([(long)labels.Type], 1).To(outputs.TypeLogits.Device));
        foreach ((Tensor logits, IReadOnlyList<HotpotMarker> markers) in ((Tensor, IReadOnlyList<HotpotMarker>)[])
            [(outputs.ParagraphLogits, labels.Paragraphs), (outputs.SentenceLogits, labels.Sentences)])
        {
            if (markers.Count == 0)
                continue;
            float[] targets = [.. markers.Select(m => m.IsGold ? 1f : 0)];
            Tensor entropy = Differentiable.BinaryCrossEntropyWithLogits(logits,
                Tensor.From<float>(targets, targets.Length).To(logits.Device).To(logits.DType));
            loss = Differentiable.Add(loss, Differentiable.To(entropy, loss.Device, loss.DType));
        }
        if (example.Starts is { Length: > 0 } starts)
        {
            long[] offsets = [0, example.Ids.Length];
            Tensor Of(Tensor logits, int[] gold) => Differentiable.AnyPositionLoss(logits, offsets, [Array.ConvertAll(gold, p => (long)p)]);
            loss = Differentiable.Add(loss,
                Differentiable.Scale(Differentiable.Add(Of(outputs.StartLogits, starts), Of(outputs.EndLogits, example.Ends!)), 0.5));
        }
        return scope.Keep(loss);
    }

    private static Tensor Positions(IReadOnlyList<HotpotMarker> markers) =>
        Tensor.From<long>([.. markers.Select(m => (long)m.Token)], markers.Count);
}

/// <summary>The kind of an answer.</summary>
public enum HotpotAnswerType
{
    /// <summary>The word yes.</summary>
    Yes,
    /// <summary>The word no.</summary>
    No,
    /// <summary>A stretch of the text.</summary>
    Span,
}

/// <summary>A marker of a paragraph or a sentence.</summary>
/// <param name="Token">Its place.</param>
/// <param name="IsGold">Whether what it marks is (or holds) a supporting fact.</param>
internal readonly record struct HotpotMarker(int Token, bool IsGold);

/// <summary>The labels of an example of HotpotQA: its type, how many paragraphs there are, and two numbers for each paragraph and each
/// sentence.</summary>
internal sealed record HotpotLabels(HotpotAnswerType Type, IReadOnlyList<HotpotMarker> Paragraphs, IReadOnlyList<HotpotMarker> Sentences)
{
    /// <summary>As numbers.</summary>
    public int[] ToNumbers() =>
        [(int)Type, Paragraphs.Count, .. Paragraphs.Concat(Sentences).SelectMany(m => (int[])[m.Token, m.IsGold ? 1 : 0])];

    /// <summary>Those of an example.</summary>
    public static HotpotLabels Of(TrainingExample example)
    {
        int[] numbers = example.Labels ?? throw new InputException($"{example.Source}: expected labels, given none");
        HotpotMarker[] markers = [.. Enumerable.Range(0, (numbers.Length - 2) / 2).Select(i =>
            new HotpotMarker(numbers[2 + (2 * i)], numbers[3 + (2 * i)] != 0))];
        return new HotpotLabels((HotpotAnswerType)numbers[0], markers[..numbers[1]], markers[numbers[1]..]);
    }
}
