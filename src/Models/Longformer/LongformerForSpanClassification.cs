using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// Scores of every label for given spans of a text: a product of the states of each span's first and last token, joined. No token is global by
/// default. HF has no such class for Longformer; the names of the arguments are those of its LUKE.
/// </summary>
public sealed class LongformerForSpanClassification : LongformerPretrained<LogitsOutputs>
{
    private readonly Linear _classifier;

    internal LongformerForSpanClassification(LongformerLoader loader)
        : base(loader, GlobalRule.None) =>
        _classifier = Linear.Load(loader.Root / "span_classifier", loader.Configuration.NumLabels, 2 * loader.Configuration.HiddenSize);

    /// <summary>Loads a span classifier.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForSpanClassification Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LongformerForSpanClassification>(folder, options);

    private protected override LogitsOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        (long[] starts, long[] ends, long[] shape) = ReadSpans(inputs, batch);
        // Rows of starts and ends in turn: [2M, C] is [M, 2C] to the product.
        long[] rows = new long[2 * starts.Length];
        for (int i = 0; i < starts.Length; i++)
            (rows[2 * i], rows[(2 * i) + 1]) = (starts[i], ends[i]);
        Tensor both = Differentiable.Reshape(Differentiable.SelectRows(hidden, HostBuffer.Upload(rows, hidden.Device)), starts.Length,
            2L * Configuration.HiddenSize);
        Tensor logits = _classifier.Forward(dropout.Apply(both, Configuration.NumHiddenLayers, 0));
        Tensor? loss = inputs.Labels is null ? null : Losses.Classes(logits, inputs.Labels, shape, Configuration.NumLabels);
        return new LogitsOutputs { Logits = batch.IsPacked
            ? logits
            : Differentiable.Reshape(logits, [.. shape, Configuration.NumLabels]), Loss = loss };
    }

    /// <summary>The spans as rows in N, checked, and the shape that they were given in.</summary>
    private static (long[] Starts, long[] Ends, long[] Shape) ReadSpans(LongformerInputs inputs, SequenceBatch batch)
    {
        const string startName = "entity_start_positions", endName = "entity_end_positions";
        Tensor start = inputs.EntityStartPositions ?? throw new InputException(startName, "the first token of every span", "none");
        Tensor end = inputs.EntityEndPositions ?? throw new InputException(endName, "the last token of every span", "none");
        bool fits = batch.IsPacked ? start.Rank == 1 : start.Rank == 2 && start.Size(0) == batch.SequenceCount;
        if (!fits || start.ElementCount == 0)
        {
            throw new InputException(startName, $"shape {(batch.IsPacked ? "[spans]" : $"[{batch.SequenceCount}, spans]")} of at least one span",
                InputReader.Show(start.Shape));
        }
        if (!end.Shape.SequenceEqual(start.Shape))
            throw new InputException(endName, $"shape {InputReader.Show(start.Shape)} like {startName}", InputReader.Show(end.Shape));
        foreach ((Tensor tensor, string name) in ((Tensor, string)[])[(start, startName), (end, endName)])
        {
            if (tensor.DType is not (DType.Int64 or DType.Int32))
                throw new InputException(name, "int64 positions", $"{tensor.DType}");
        }
        (long[] starts, long[] ends) = (HostValues.ToInt64(start), HostValues.ToInt64(end));
        long perSequence = start.Size(-1);
        for (int i = 0; i < starts.Length; i++)
        {
            long[] place = batch.IsPacked ? [i] : [i / perSequence, i % perSequence];
            (long from, long length) = batch.IsPacked ? (0, batch.TokenCount) : (batch.Offsets[place[0]], batch.TokenShape[1]);
            if ((ulong)starts[i] >= (ulong)length)
                throw new InputException(new ArgumentName(startName, place), $"a token, 0..{length - 1}", $"{starts[i]}");
            if (ends[i] < starts[i] || ends[i] >= length)
            {
                throw new InputException(new ArgumentName(endName, place),
                    $"a token from the span's first on, {starts[i]}..{length - 1}", $"{ends[i]}");
            }
            if (batch.IsPacked && SequenceOf(batch, starts[i]) != SequenceOf(batch, ends[i]))
                throw new InputException(new ArgumentName(endName, place), "a token of the document that the span begins in", $"{ends[i]}");
            starts[i] += from;
            ends[i] += from;
        }
        return (starts, ends, start.Shape);
    }

    private static int SequenceOf(SequenceBatch batch, long row)
    {
        int at = Array.BinarySearch(batch.Offsets, row);
        return at < 0 ? ~at - 1 : at;
    }
}
