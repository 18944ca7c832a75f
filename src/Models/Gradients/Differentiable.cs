using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

/// <summary>
/// The operators that a <see cref="GradientTape"/> records, each with its backward beside it. Without a tape, or for tensors that depend on
/// nothing that it differentiates by, they are the operators of <see cref="LongformerOps"/> and <see cref="Tensor"/> and nothing more. Shapes and
/// errors are those of these operators too. Dimensions: N tokens, B sequences of T tokens, H heads, D head dimension, C hidden size.
/// </summary>
public static partial class Differentiable
{
    /// <summary>The sum of two tensors of one shape.</summary>
    public static Tensor Add(Tensor left, Tensor right)
    {
        Tensor sum = left + right;
        if (!Recording(out GradientTape tape, [left, right]))
            return sum;
        (GradientSum? first, GradientSum? second) = (tape.Find(left), tape.Find(right));
        tape.Record(sum, [], (gradient, _) =>
        {
            first?.Share(gradient);
            second?.Share(gradient);
        });
        return sum;
    }

    /// <summary>A tensor times a number.</summary>
    public static Tensor Scale(Tensor input, double factor)
    {
        Tensor scaled = input * factor;
        if (!Recording(out GradientTape tape, [input]))
            return scaled;
        GradientSum into = tape.Find(input)!;
        tape.Record(scaled, [], (gradient, _) => into.Add(gradient.Tensor * factor));
        return scaled;
    }

    /// <summary>Elements dropped with some probability and the kept ones divided by 1 - p, as <see cref="LongformerOps.HiddenDropout"/> chooses
    /// them.</summary>
    /// <param name="input">Any shape.</param>
    /// <param name="probability">p, from 0 to below 1.</param>
    /// <param name="seed">The same seed drops the same elements.</param>
    public static Tensor Dropout(Tensor input, double probability, long seed)
    {
        Tensor kept = LongformerOps.HiddenDropout(input, probability, seed);
        if (!Recording(out GradientTape tape, [input]))
            return kept;
        GradientSum into = tape.Find(input)!;
        tape.Record(kept, [], (gradient, _) => into.Add(LongformerOps.HiddenDropout(gradient.Tensor, probability, seed)));
        return kept;
    }

    /// <summary>The same elements in another shape; one size may be -1. Copied only where the strides require it.</summary>
    public static Tensor Reshape(Tensor input, params ReadOnlySpan<long> shape)
    {
        Tensor reshaped = input.Reshape(shape);
        if (ReferenceEquals(reshaped, input) || !Recording(out GradientTape tape, [input]))
            return reshaped;
        GradientSum into = tape.Find(input)!;
        long[] before = input.Shape;
        tape.Record(reshaped, [], (gradient, _) => into.Share(gradient, gradient.Tensor.Reshape(before)));
        return reshaped;
    }

    /// <summary>In another dtype or on another device; the same memory if nothing changes. The gradient comes back in the input's.</summary>
    public static Tensor To(Tensor input, Device device, DType dtype)
    {
        Tensor converted = input.To(device).To(dtype);
        if (ReferenceEquals(converted, input) || !Recording(out GradientTape tape, [input]))
            return converted;
        GradientSum into = tape.Find(input)!;
        (Device place, DType before) = (input.Device, input.DType);
        tape.Record(converted, [], (gradient, _) => into.Share(gradient, gradient.Tensor.To(place).To(before)));
        return converted;
    }

    /// <summary><paramref name="length"/> positions of a dimension from <paramref name="start"/> on; a view.</summary>
    public static Tensor Narrow(Tensor input, int dimension, long start, long length)
    {
        Tensor part = input.Narrow(dimension, start, length);
        if (!Recording(out GradientTape tape, [input]))
            return part;
        GradientSum into = tape.Find(input)!;
        long[] shape = input.Shape;
        tape.Record(part, [], (gradient, _) => into.AddPart(shape, dimension, start, gradient.Tensor));
        return part;
    }

    /// <summary>Rows by index: [M, ...] of [N, ...].</summary>
    /// <param name="input">[N, ...].</param>
    /// <param name="index">Int64 [M].</param>
    /// <param name="empty">Bool [M], true where the result is a row of zeros in spite of the index; null: nowhere.</param>
    public static Tensor SelectRows(Tensor input, Tensor index, Tensor? empty = null)
    {
        using TensorScope scope = new();
        Tensor rows = input.IndexSelect(0, index);
        if (empty is not null)
            rows.MaskedFillInPlace(ByRow(empty, rows.Rank), 0);
        scope.Keep(rows);
        if (!Recording(out GradientTape tape, [input]))
            return rows;
        GradientSum into = tape.Find(input)!;
        long[] shape = input.Shape;
        tape.Record(rows, [index, empty], (gradient, saved) =>
        {
            Tensor of = gradient.Tensor;
            if (saved[1] is { } zeros)
                of = of.MaskedFill(ByRow(zeros, of.Rank), 0);
            if (into.Own is { } own && own.Device == Device.Cpu)
                own.IndexAddInPlace(0, saved[0], of);
            else
                into.Add(SumOfRows(of, saved[0], shape));
        });
        return rows;
    }

    /// <summary>Zeros of a shape to which rows are added, in the same order in each run.</summary>
    private static Tensor SumOfRows(Tensor rows, Tensor index, long[] shape)
    {
        long width = shape[1..].Aggregate(1L, (product, size) => product * size);
        return Functional.EmbeddingBackward(rows.Reshape(rows.Shape[0], width), index, shape[0]).View(shape);
    }

    /// <summary>
    /// A tensor [N, ...] with some rows replaced. Where nothing is recorded, they are written into the tensor itself, which is returned: it may be
    /// needed nowhere else.
    /// </summary>
    /// <param name="input">[N, ...].</param>
    /// <param name="index">Int64 [M], each row at most once.</param>
    /// <param name="rows">[M, ...].</param>
    /// <param name="overwrites">
    /// Whether they are also written into the tensor itself where a gradient is recorded. Whatever made it must not need these rows for its backward:
    /// attention does not, since their gradient is 0.
    /// </param>
    public static Tensor ReplaceRows(Tensor input, Tensor index, Tensor rows, bool overwrites = false)
    {
        if (!Recording(out GradientTape tape, [input, rows]))
            return input.IndexCopyInPlace(0, index, rows);
        Tensor output = overwrites ? input.IndexCopyInPlace(0, index, rows).Alias() : input.IndexCopy(0, index, rows);
        (GradientSum? around, GradientSum? inside) = (tape.Find(input), tape.Find(rows));
        tape.Record(output, [index], (gradient, saved) =>
        {
            inside?.Add(gradient.Tensor.IndexSelect(0, saved[0]));
            if (around is null)
                return;
            if (gradient.IsAlone && gradient.Tensor.IsContiguous)
            {
                gradient.Tensor.IndexCopyInPlace(0, saved[0], Tensor.Zeros([saved[0].Size(0), .. gradient.Tensor.Shape[1..]], gradient.Tensor.DType,
                    gradient.Tensor.Device));
                around.Share(gradient);
            }
            else
            {
                around.Add(gradient.Tensor.IndexFill(0, saved[0], 0));
            }
        });
        return output;
    }

    /// <summary>[M] as [M, 1, ...], of the given rank.</summary>
    private static Tensor ByRow(Tensor flags, int rank) => flags.View([-1, .. Enumerable.Repeat(1L, rank - 1)]);

    private static bool Recording(out GradientTape tape, params ReadOnlySpan<Tensor?> inputs)
    {
        tape = GradientTape.Current!;
        return GradientTape.Records(inputs);
    }
}
