using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Heads;

/// <summary>
/// A model together with what its head learns: the sum of the losses of a batch, and the number of labels that a mean divides it by. So the mean of a
/// step over several batches is the one over all its labels.
/// </summary>
public abstract class TrainingHead : IDisposable
{
    private protected TrainingHead(PretrainedModel model) => Model = model;

    /// <summary>The model; it is disposed with the head.</summary>
    public PretrainedModel Model { get; }

    /// <summary>Part of the probability that is spread over all classes, from 0 to below 1. Evaluations have none.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>The sum of the losses, a Float32 number (Float64 for a Float64 model).</summary>
    /// <param name="batch">The examples.</param>
    /// <param name="seed">Of the dropouts; null: none, for an evaluation.</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    /// <exception cref="InputException">An example does not fit the model.</exception>
    public abstract Tensor LossSum(IReadOnlyList<TrainingExample> batch, long? seed = null, CancellationToken cancellation = default);

    /// <summary>How many labels an example adds to what the loss is divided by.</summary>
    public abstract long LabelCount(TrainingExample example);

    /// <summary>The head of a model.</summary>
    /// <param name="model">Loaded with <see cref="LoadOptions.Trainable"/> where it is to learn; it belongs to the head from now on.</param>
    /// <param name="labelSmoothing">See <see cref="LabelSmoothing"/>.</param>
    /// <exception cref="InputException">Nothing can be trained on this architecture.</exception>
    public static TrainingHead Of(PretrainedModel model, double labelSmoothing = 0)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (labelSmoothing is not (>= 0 and < 1))
            throw new InputException($"label smoothing: expected 0 to below 1, given {labelSmoothing}");
        return model switch
        {
            LongformerForMaskedLM m => new MaskedLanguageHead(m) { LabelSmoothing = labelSmoothing },
            LongformerForSequenceClassification m => new SequenceHead(m) { LabelSmoothing = labelSmoothing },
            LongformerForTokenClassification m => new TokenHead(m) { LabelSmoothing = labelSmoothing },
            LongformerForQuestionAnswering m when labelSmoothing == 0 => new SpanHead(m),
            LongformerForHotpotQA m when labelSmoothing == 0 => new HotpotHead(m),
            LongformerForCoreference m when labelSmoothing == 0 => new CoreferenceTrainingHead(m),
            LongformerForCandidateScoring m => new CandidateHead(m) { LabelSmoothing = labelSmoothing },
            LongformerForMultipleChoice m => new ChoiceHead(m) { LabelSmoothing = labelSmoothing },
            LedForConditionalGeneration m => new WritingHead(m) { LabelSmoothing = labelSmoothing },
            LongformerForQuestionAnswering or LongformerForHotpotQA or LongformerForCoreference =>
                throw new InputException("label smoothing: expected 0 for question answering and coreference, whose answers may be several, "
                    + $"given {labelSmoothing}"),
            _ => throw new InputException($"training: expected a model with a head that learns, given {model.Architecture}"),
        };
    }

    /// <summary>
    /// The head for an evaluation: without label smoothing, so that the loss is that of the labels and the perplexity that of the text. It has the
    /// same model, which still belongs to this head; it is not to be disposed.
    /// </summary>
    internal TrainingHead ForEvaluation() => LabelSmoothing == 0 ? this : Of(Model);

    /// <summary>Frees the model.</summary>
    public void Dispose()
    {
        Model.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>The examples behind one another; the tensors join the current scope.</summary>
    private protected static LongformerInputs Pack(IReadOnlyList<TrainingExample> batch, long? seed)
    {
        List<int[]> ids = [];
        List<byte[]>? masks = batch.Any(e => e.Globals is not null) ? [] : null;
        foreach (TrainingExample example in batch)
        {
            if (masks is not null && example.Globals is null)
                throw new InputException($"{example.Source}: expected global positions, as other examples of the batch have them, given none");
            byte[]? mask = masks is null ? null : Mask(example);
            int from = 0;
            foreach (int length in example.Lengths ?? [example.Ids.Length])
            {
                ids.Add(example.Ids[from..(from + length)]);
                masks?.Add(mask![from..(from + length)]);
                from += length;
            }
        }
        return LongformerInputs.Pack(ids, masks) with { DropoutSeed = seed };
    }

    /// <summary>1 at the global tokens of an example.</summary>
    private protected static byte[] Mask(TrainingExample example)
    {
        byte[] mask = new byte[example.Ids.Length];
        foreach (int position in example.Globals ?? [])
        {
            mask[position] = (uint)position < (uint)mask.Length ? (byte)1
                : throw new InputException($"{example.Source}: expected global positions of its {mask.Length} tokens, given {position}");
        }
        return mask;
    }

    /// <summary>Labels of all examples, one after the other.</summary>
    private protected static Tensor Labels(IReadOnlyList<TrainingExample> batch) =>
        Tensor.From<long>([.. batch.SelectMany(LabelsOf).Select(label => (long)label)]);

    private protected static int[] LabelsOf(TrainingExample example) =>
        example.Labels ?? throw new InputException($"{example.Source}: expected labels, given none");
}
