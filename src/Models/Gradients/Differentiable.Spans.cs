using LongformerInterop.Models.Coreference;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

// What scores of spans and pairs need beyond the layers: products, gates, softmaxes, and attention inside of spans.
public static partial class Differentiable
{
    // Spans that are near to one another are computed together, as one product with the tokens that they cover.
    private const int SpansPerBlock = 256;

    /// <summary>The product of two tensors of one shape, element by element.</summary>
    public static Tensor Multiply(Tensor left, Tensor right)
    {
        ArgumentNullException.ThrowIfNull(left);
        ArgumentNullException.ThrowIfNull(right);
        if (!left.Shape.AsSpan().SequenceEqual(right.Shape))
            throw new InputException("right", $"shape {InputReader.Show(left.Shape)}, that of the left side", InputReader.Show(right.Shape));
        Tensor product = left * right;
        if (!Recording(out GradientTape tape, [left, right]))
            return product;
        (GradientSum? first, GradientSum? second) = (tape.Find(left), tape.Find(right));
        tape.Record(product, [left, right], (gradient, saved) =>
        {
            first?.Add(gradient.Tensor * saved[1]);
            second?.Add(gradient.Tensor * saved[0]);
        });
        return product;
    }

    /// <summary>The matrix product of [n, k] and [k, m].</summary>
    public static Tensor MatMul(Tensor left, Tensor right)
    {
        ArgumentNullException.ThrowIfNull(left);
        Tensor product = left.MatMul(right);
        if (!Recording(out GradientTape tape, [left, right]))
            return product;
        (GradientSum? first, GradientSum? second) = (tape.Find(left), tape.Find(right));
        tape.Record(product, [left, right], (gradient, saved) =>
        {
            first?.Add(gradient.Tensor.MatMul(saved[1].Transpose(0, 1)));
            second?.Add(saved[0].Transpose(0, 1).MatMul(gradient.Tensor));
        });
        return product;
    }

    /// <summary>1 / (1 + exp(-x)) of every element.</summary>
    public static Tensor Sigmoid(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        Tensor output = input.Sigmoid();
        if (!Recording(out GradientTape tape, [input]))
            return output;
        GradientSum into = tape.Find(input)!;
        tape.Record(output, [output], (gradient, saved) => into.Add(gradient.Tensor * saved[0] * (saved[0].OnesLike() - saved[0])));
        return output;
    }

    /// <summary>The softmax over the last dimension. An element of minus infinity gets 0; not all of a row may be it.</summary>
    public static Tensor Softmax(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        Tensor output = input.Softmax(-1);
        if (!Recording(out GradientTape tape, [input]))
            return output;
        GradientSum into = tape.Find(input)!;
        tape.Record(output, [output], (gradient, saved) => into.Add(SoftmaxBackward(gradient.Tensor, saved[0])));
        return output;
    }

    /// <summary>Tensors that differ in one dimension only, behind one another in it.</summary>
    public static Tensor Concatenate(ReadOnlySpan<Tensor> parts, int dimension)
    {
        Tensor joined = Tensor.Cat(parts, dimension);
        bool recorded = false;
        foreach (Tensor part in parts)
            recorded |= GradientTape.Records(part);
        if (!recorded)
            return joined;
        GradientTape tape = GradientTape.Current!;
        GradientSum?[] sums = new GradientSum?[parts.Length];
        long[] sizes = new long[parts.Length];
        int axis = dimension < 0 ? dimension + joined.Rank : dimension;
        for (int i = 0; i < parts.Length; i++)
            (sums[i], sizes[i]) = (tape.Find(parts[i]), parts[i].Size(axis));
        tape.Record(joined, [], (gradient, _) =>
        {
            long from = 0;
            for (int i = 0; i < sums.Length; i++)
            {
                sums[i]?.Add(gradient.Tensor.Narrow(axis, from, sizes[i]).Clone());
                from += sizes[i];
            }
        });
        return joined;
    }

    /// <summary>Rows of zeros to which rows are added: the way back of <see cref="SelectRows"/>.</summary>
    /// <param name="input">[M, ...].</param>
    /// <param name="index">Int64 [M]: the row in the result that each is added to.</param>
    /// <param name="count">Rows of the result.</param>
    /// <returns>[count, ...].</returns>
    public static Tensor ScatterRows(Tensor input, Tensor index, long count)
    {
        ArgumentNullException.ThrowIfNull(input);
        Tensor output = SumOfRows(input, index, [count, .. input.Shape[1..]]);
        if (!Recording(out GradientTape tape, [input]))
            return output;
        GradientSum into = tape.Find(input)!;
        tape.Record(output, [index], (gradient, saved) => into.Add(gradient.Tensor.IndexSelect(0, saved[0])));
        return output;
    }

    /// <summary>The sum of the states of each span's tokens, weighted by a softmax of the tokens' scores over the span.</summary>
    /// <param name="scores">[N].</param>
    /// <param name="states">[N, C].</param>
    /// <param name="spans">M spans, each inside 0..N-1; fastest where neighbours in the list are neighbours in the text.</param>
    /// <returns>[M, C].</returns>
    public static Tensor SpanAttention(Tensor scores, Tensor states, IReadOnlyList<MentionSpan> spans)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(states);
        ArgumentNullException.ThrowIfNull(spans);
        using TensorScope scope = new();
        Tensor output = scope.Keep(Tensor.Zeros([spans.Count, states.Size(1)], states.DType, states.Device));
        foreach (SpanBlock block in SpanBlock.Of(spans))
        {
            using TensorScope inner = new();
            output.Narrow(0, block.Row, block.Rows).CopyInPlace(block.Weights(scores, spans).MatMul(states.Narrow(0, block.Token, block.Tokens)));
        }
        if (!Recording(out GradientTape tape, [scores, states]))
            return output;
        (GradientSum? ofScores, GradientSum? ofStates) = (tape.Find(scores), tape.Find(states));
        tape.Record(output, [scores, states], (gradient, saved) =>
        {
            Tensor toScores = saved[0].ZerosLike(), toStates = saved[1].ZerosLike();
            foreach (SpanBlock block in SpanBlock.Of(spans))
            {
                using TensorScope inner = new();
                Tensor weights = block.Weights(saved[0], spans), of = gradient.Tensor.Narrow(0, block.Row, block.Rows);
                toStates.Narrow(0, block.Token, block.Tokens).AddInPlace(weights.Transpose(0, 1).MatMul(of));
                Tensor toWeights = of.MatMul(saved[1].Narrow(0, block.Token, block.Tokens).Transpose(0, 1));
                toScores.Narrow(0, block.Token, block.Tokens).AddInPlace(SoftmaxBackward(toWeights, weights).Sum(0));
            }
            ofScores?.Add(toScores);
            ofStates?.Add(toStates);
        });
        return output;
    }

    /// <summary>
    /// The sum over rows of -log of the probability that the marked elements of the row have together, by a softmax over the row: cross entropy where
    /// several answers are right.
    /// </summary>
    /// <param name="logits">[M, L]; minus infinity for an element that cannot be.</param>
    /// <param name="right">Bool [M, L], at least one of each row, none of them at minus infinity.</param>
    /// <returns>A number in the dtype of the logits; 0 for no row.</returns>
    public static Tensor MarkedLoss(Tensor logits, Tensor right)
    {
        ArgumentNullException.ThrowIfNull(logits);
        ArgumentNullException.ThrowIfNull(right);
        using TensorScope scope = new();
        Tensor wrong = right.Not(), likelihood = logits.LogSoftmax(1), some = likelihood.MaskedFill(wrong, double.NegativeInfinity);
        Tensor shares = some.Softmax(1);
        // some - log softmax(some) is the same number at all marked elements of a row: the logarithm of their sum.
        Tensor loss = scope.Keep(-(shares * (some - some.LogSoftmax(1)).MaskedFill(wrong, 0)).Sum());
        if (!Recording(out GradientTape tape, [logits]))
            return loss;
        GradientSum into = tape.Find(logits)!;
        tape.Record(loss, [likelihood.Exp() - shares], (gradient, saved) => into.Add(saved[0] * gradient.Tensor));
        return loss;
    }

    /// <summary>p * (g - sum(p * g)) over the last dimension.</summary>
    private static Tensor SoftmaxBackward(Tensor gradient, Tensor output)
    {
        Tensor weighted = gradient * output;
        return weighted - (output * weighted.Sum(-1, keep: true));
    }

    /// <summary>Spans in a row of the list, and the tokens that they cover.</summary>
    private readonly record struct SpanBlock(int Row, int Rows, int Token, int Tokens)
    {
        public static IEnumerable<SpanBlock> Of(IReadOnlyList<MentionSpan> spans)
        {
            for (int row = 0; row < spans.Count; row += SpansPerBlock)
            {
                int rows = Math.Min(SpansPerBlock, spans.Count - row);
                IEnumerable<MentionSpan> some = spans.Skip(row).Take(rows);
                (int first, int last) = (some.Min(s => s.First), some.Max(s => s.Last));
                yield return new SpanBlock(row, rows, first, last - first + 1);
            }
        }

        /// <summary>[Rows, Tokens]: the softmax over each span, 0 outside of it.</summary>
        public Tensor Weights(Tensor scores, IReadOnlyList<MentionSpan> spans)
        {
            (long[] firsts, long[] lasts) = (new long[Rows], new long[Rows]);
            for (int i = 0; i < Rows; i++)
                (firsts[i], lasts[i]) = (spans[Row + i].First - Token, spans[Row + i].Last - Token);
            Tensor places = Tensor.Arange(Tokens, scores.Device).View(1, -1);
            Tensor outside = places.Lt(HostBuffer.Upload(firsts, scores.Device).View(-1, 1))
                .Or(places.Gt(HostBuffer.Upload(lasts, scores.Device).View(-1, 1)));
            return scores.Narrow(0, Token, Tokens).View(1, -1).Expand(Rows, Tokens).MaskedFill(outside, double.NegativeInfinity).Softmax(1);
        }
    }
}
