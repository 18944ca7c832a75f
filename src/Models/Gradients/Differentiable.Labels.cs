using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

// Losses of training: sums over labels, which the caller divides by the labels of a whole step.
public static partial class Differentiable
{
    /// <summary>
    /// The sum of the cross entropies of rows of a product with a vocabulary, each with its label: (1 - e) nll + e * mean over the vocabulary of
    /// -log p. The rows go through the vocabulary in blocks. Where a gradient is recorded, it is computed at once, block by block, so that no
    /// logits are kept for the way back. With fewer rows than columns the logits' gradient is smaller than the weight's, which is then made of it
    /// when all else has had its backward.
    /// </summary>
    /// <param name="hidden">[M, C].</param>
    /// <param name="weight">[V, C].</param>
    /// <param name="bias">[V], or null.</param>
    /// <param name="labels">Int64 [M], each 0..V-1; none is ignored.</param>
    /// <param name="smoothing">e, from 0 to below 1.</param>
    /// <param name="rowsPerBlock">Rows whose logits exist at one time.</param>
    /// <returns>A Float32 number (Float64 for Float64 rows); 0 where there is no row.</returns>
    public static Tensor VocabularyLoss(Tensor hidden, Tensor weight, Tensor? bias, Tensor labels, double smoothing = 0, int rowsPerBlock = 512)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(rowsPerBlock, 1);
        bool records = Recording(out GradientTape tape, [hidden, weight, bias]);
        (GradientSum? ofHidden, GradientSum? ofWeight, GradientSum? ofBias) =
            records ? (tape.Find(hidden), tape.Find(weight), bias is null ? null : tape.Find(bias)) : default;
        using TensorScope scope = new();
        long rows = hidden.Size(0);
        Tensor loss = scope.Keep(Tensor.Zeros([], WideOf(hidden.DType), hidden.Device));
        Tensor? hiddenGradient = ofHidden is null ? null : hidden.ZerosLike(), weightGradient = null, biasGradient = null;
        bool waits = ofWeight is not null && !tape.IsMade(weight) && rows < hidden.Size(1);
        List<Tensor> waiting = [];
        // Blocks of nearly one size: none is so small that it wastes the units.
        long blocks = (rows + rowsPerBlock - 1) / rowsPerBlock;
        for (long i = 0; i < blocks; i++)
        {
            using TensorScope block = new();
            long from = rows * i / blocks, count = (rows * (i + 1) / blocks) - from;
            Tensor part = hidden.Narrow(0, from, count);
            Tensor sum, gradient;
            using (Tensor logits = LongformerOps.Linear(part, weight, bias))
            {
                (sum, gradient) = Functional.CrossEntropyAndGradient(logits, labels.Narrow(0, from, count), smoothing, withGradient: records,
                    overwrites: true);
            }
            loss.AddInPlace(sum);
            if (!records)
                continue;
            gradient = gradient.To(hidden.DType);
            if (weightGradient is not null)
                LongformerOps.LinearBackwardInto(gradient, part, weight, null, weightGradient);
            (Tensor? x, Tensor? w, Tensor? b) = LongformerOps.LinearBackward(
                gradient, part, weight, ofHidden is not null, ofWeight is not null && weightGradient is null && !waits, ofBias is not null);
            if (x is not null)
                hiddenGradient!.Narrow(0, from, count).CopyInPlace(x);
            weightGradient = Summed(weightGradient, w);
            biasGradient = Summed(biasGradient, b);
            if (waits)
                waiting.AddRange([gradient.MoveToOuterScope(), part.MoveToOuterScope()]);
        }
        if (!records)
            return loss;
        tape.Record(loss, [hiddenGradient, weightGradient, biasGradient, weight, .. waiting], (gradient, saved) =>
        {
            double factor = gradient.Tensor.ToDouble();
            AddScaled(ofHidden, saved[0], factor);
            AddScaled(ofWeight, saved[1], factor);
            AddScaled(ofBias, saved[2], factor);
            if (waits)
                tape.Postpone(gradient, saved.AsSpan(3), (_, kept) => AddScaled(ofWeight, OfWeight(kept), factor));
        });
        return loss;
    }

    /// <summary>The gradient of a weight of pairs of the product's gradient and its input, block by block.</summary>
    /// <param name="saved">The weight, then the pairs.</param>
    private static Tensor? OfWeight(Tensor[] saved)
    {
        Tensor? sum = null;
        for (int i = 1; i < saved.Length; i += 2)
        {
            if (sum is null)
                sum = LongformerOps.LinearBackward(saved[i], saved[i + 1], saved[0], false, true, false).Weight;
            else
                LongformerOps.LinearBackwardInto(saved[i], saved[i + 1], saved[0], null, sum);
        }
        return sum;
    }

    /// <summary>The sum of the cross entropies of logits with labels, smoothed as <see cref="VocabularyLoss"/>'s.</summary>
    /// <param name="logits">[M, classes].</param>
    /// <param name="labels">Int64 [M], each 0..classes-1; none is ignored.</param>
    /// <param name="smoothing">From 0 to below 1.</param>
    /// <returns>A Float32 number (Float64 for Float64 logits); 0 where there is no row.</returns>
    public static Tensor LabelLoss(Tensor logits, Tensor labels, double smoothing = 0)
    {
        using TensorScope scope = new();
        bool records = Recording(out GradientTape tape, [logits]);
        (Tensor loss, Tensor of) = Functional.CrossEntropyAndGradient(logits, labels, smoothing, records);
        scope.Keep(loss);
        if (!records)
            return loss;
        GradientSum into = tape.Find(logits)!;
        DType dtype = logits.DType;
        tape.Record(loss, [of], (gradient, saved) => AddScaled(into, saved[0].To(dtype), gradient.Tensor.ToDouble()));
        return loss;
    }

    /// <summary>
    /// The sum over the sequences of -log of the probability that any of several positions gets, by a softmax over the sequence's tokens: the OR loss
    /// of Clark and Gardner (2017). A sequence without a position gives 0.
    /// </summary>
    /// <param name="logits">[N].</param>
    /// <param name="offsets">S + 1 offsets of the S sequences in N.</param>
    /// <param name="positions">For each sequence its positions, each inside it; one that comes twice counts once.</param>
    /// <returns>A Float32 number (Float64 for Float64 logits).</returns>
    public static Tensor AnyPositionLoss(Tensor logits, IReadOnlyList<long> offsets, IReadOnlyList<long[]> positions)
    {
        ArgumentNullException.ThrowIfNull(offsets);
        ArgumentNullException.ThrowIfNull(positions);
        if (positions.Count != offsets.Count - 1)
            throw new InputException($"positions: expected {offsets.Count - 1} lists, one for each sequence, given {positions.Count}");
        using TensorScope scope = new();
        DType wide = WideOf(logits.DType);
        Tensor loss = Tensor.Zeros([], wide, logits.Device), of = Tensor.Zeros([logits.Size(0)], wide, logits.Device);
        for (int s = 0; s < positions.Count; s++)
        {
            using TensorScope one = new();
            (long from, long length) = (offsets[s], offsets[s + 1] - offsets[s]);
            long[] gold = [.. positions[s].Distinct()];
            if (gold.Length == 0)
                continue;
            foreach (long position in gold)
            {
                if (position < 0 || position >= length)
                    throw new InputException($"positions[{s}]: expected 0..{length - 1}, given {position}");
            }
            Tensor likelihood = logits.Narrow(0, from, length).To(wide).LogSoftmax(0);
            Tensor index = HostBuffer.Upload(gold, logits.Device);
            Tensor some = likelihood.IndexSelect(0, index);
            // log-sum-exp of the gold ones; the part of each is its share of the gradient.
            Tensor largest = some.Max(), shares = (some - largest).Exp(), total = shares.Sum();
            loss.SubInPlace(largest + total.Log());
            of.Narrow(0, from, length).AddInPlace(likelihood.Exp()).IndexAddInPlace(0, index, -(shares / total));
        }
        scope.Keep(loss);
        if (!Recording(out GradientTape tape, [logits]))
            return loss;
        GradientSum into = tape.Find(logits)!;
        DType dtype = logits.DType;
        tape.Record(loss, [of], (gradient, saved) => AddScaled(into, saved[0].To(dtype), gradient.Tensor.ToDouble()));
        return loss;
    }

    private static DType WideOf(DType dtype) => dtype == DType.Float64 ? DType.Float64 : DType.Float32;

    private static Tensor? Summed(Tensor? sum, Tensor? more) => more is null ? sum : sum is null ? more.MoveToOuterScope() : sum.AddInPlace(more);

    private static void AddScaled(GradientSum? into, Tensor? gradient, double factor)
    {
        if (into is not null && gradient is not null)
            into.Add(factor == 1 ? gradient.Alias() : gradient.MulInPlace(factor).Alias());
    }
}
