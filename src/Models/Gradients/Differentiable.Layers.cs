using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

// Products, activations, normalization and embeddings.
public static partial class Differentiable
{
    /// <summary>activation(input x weight^T + bias): [..., in] -> [..., out].</summary>
    /// <param name="input">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="packed">The result of <see cref="LongformerOps.LinearPack"/> for the weight, or null. A gradient needs the weight itself beside
    /// it.</param>
    /// <param name="activation">The function after the product; where a gradient is recorded its own operator.</param>
    public static Tensor Linear(Tensor input, Tensor weight, Tensor? bias = null, Tensor? packed = null, Activation activation = Activation.None)
    {
        if (!Recording(out GradientTape tape, [input, weight, bias]))
            return LongformerOps.Linear(input, weight, bias, packed, activation);
        if (activation != Activation.None)
        {
            using TensorScope scope = new();
            return scope.Keep(Activate(Linear(input, weight, bias, packed), activation));
        }
        Tensor output = LongformerOps.Linear(input, weight, bias, packed);
        (GradientSum? ofInput, GradientSum? ofWeight, GradientSum? ofBias) = (tape.Find(input), tape.Find(weight), tape.Find(bias));
        (long outputs, long inputs) = (weight.Size(0), weight.Size(1));
        // Of few rows the weight's gradient is larger than what it is made of.
        bool waits = ofWeight is not null && !tape.IsMade(weight) && !tape.IsMade(bias)
            && input.ElementCount / Math.Max(inputs, 1) * (outputs + inputs) < outputs * inputs;
        tape.Record(output, [input, weight], (gradient, saved) =>
        {
            if (!waits)
            {
                AddTo(ofInput, ofWeight, ofBias, gradient, saved);
                return;
            }
            AddTo(ofInput, null, null, gradient, saved);
            tape.Postpone(gradient, saved, (kept, factors) => AddTo(null, ofWeight, ofBias, kept, factors));
        });
        return output;

        static void AddTo(GradientSum? ofInput, GradientSum? ofWeight, GradientSum? ofBias, Gradient gradient, Tensor[] saved)
        {
            // Where a gradient exists, as of what went into several products, the product adds to it.
            (Tensor? toInput, Tensor? toWeight) = (ofInput?.Own, ofWeight?.Own);
            if (toInput is not null || toWeight is not null)
                LongformerOps.LinearBackwardInto(gradient.Tensor, saved[0], saved[1], toInput, toWeight);
            (Tensor? x, Tensor? w, Tensor? b) = LongformerOps.LinearBackward(gradient.Tensor, saved[0], saved[1],
                ofInput is not null && toInput is null, ofWeight is not null && toWeight is null, ofBias is not null);
            if (x is not null)
                ofInput!.Add(x);
            if (w is not null)
                ofWeight!.Add(w);
            if (b is not null)
                ofBias!.Add(b);
        }
    }

    /// <summary>activation(input) x weight^T + bias: [..., in] -> [..., out]. Where a gradient is recorded, neither the activation nor two gradients
    /// of its width exist at one time.</summary>
    /// <param name="input">[..., in].</param>
    /// <param name="activation">The function before the product.</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="packed">As for <see cref="Linear"/>.</param>
    public static Tensor ActivatedLinear(Tensor input, Activation activation, Tensor weight, Tensor? bias = null, Tensor? packed = null)
    {
        using TensorScope scope = new();
        if (!GradientTape.Records(input))
            return scope.Keep(Linear(LongformerOps.Activate(input, activation), weight, bias, packed));
        GradientTape tape = GradientTape.Current!;
        Tensor output = scope.Keep(LongformerOps.Linear(LongformerOps.Activate(input, activation), weight, bias, packed));
        (GradientSum ofInput, GradientSum? ofWeight, GradientSum? ofBias) = (tape.Find(input)!, tape.Find(weight), tape.Find(bias));
        tape.Record(output, [input, weight], (gradient, saved) =>
        {
            Tensor? toWeight = ofWeight?.Own;
            (Tensor x, Tensor? w, Tensor? b) = LongformerOps.ActivatedLinearBackward(gradient.Tensor, saved[0], saved[1], activation,
                ofWeight is not null && toWeight is null, ofBias is not null, toWeight);
            ofInput.Add(x);
            if (w is not null)
                ofWeight!.Add(w);
            if (b is not null)
                ofBias!.Add(b);
        });
        return output;
    }

    /// <summary>Rows [N, C] scaled to Euclidean length 1; a row of zeros stays one.</summary>
    public static Tensor NormalizeRows(Tensor input)
    {
        using TensorScope scope = new();
        Tensor length = ((input * input).Sum([1], keep: true) + 1e-24).Sqrt();
        Tensor unit = scope.Keep(input / length);
        if (!Recording(out GradientTape tape, [input]))
            return unit;
        GradientSum into = tape.Find(input)!;
        // The part along the row changes nothing.
        tape.Record(unit, [unit, length], (gradient, saved) =>
            into.Add((gradient.Tensor - (saved[0] * (gradient.Tensor * saved[0]).Sum([1], keep: true))) / saved[1]));
        return unit;
    }

    /// <summary>A function of every element.</summary>
    public static Tensor Activate(Tensor input, Activation activation)
    {
        Tensor output = LongformerOps.Activate(input, activation);
        if (!Recording(out GradientTape tape, [input]))
            return output;
        GradientSum into = tape.Find(input)!;
        tape.Record(output, [input], (gradient, saved) => into.Add(LongformerOps.ActivationBackward(gradient.Tensor, saved[0], activation)),
            remake: saved => LongformerOps.Activate(saved[0], activation));
        return output;
    }

    /// <summary>LayerNorm(input + residual) over the last dimension.</summary>
    /// <param name="input">[..., C].</param>
    /// <param name="residual">As the input, or null.</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="epsilon">Added to the variance.</param>
    public static Tensor AddLayerNorm(Tensor input, Tensor? residual, Tensor weight, Tensor bias, double epsilon)
    {
        Tensor output = LongformerOps.AddLayerNorm(input, residual, weight, bias, epsilon);
        if (!Recording(out GradientTape tape, [input, residual, weight, bias]))
            return output;
        (GradientSum? ofInput, GradientSum? ofResidual) = (tape.Find(input), tape.Find(residual));
        (GradientSum? ofWeight, GradientSum? ofBias) = (tape.Find(weight), tape.Find(bias));
        tape.Record(output, [input, residual, weight, bias], (gradient, saved) =>
        {
            AddNormGradients(ofInput, ofResidual, ofWeight, ofBias,
                LongformerOps.AddLayerNormBackward(gradient.Tensor, saved[0], saved[1], saved[2], epsilon));
        }, remake: saved => LongformerOps.AddLayerNorm(saved[0], saved[1], saved[2], saved[3], epsilon));
        return output;
    }

    /// <summary>Input and residual get the same gradient, that of their sum.</summary>
    private static void AddNormGradients(GradientSum? ofInput, GradientSum? ofResidual, GradientSum? ofWeight, GradientSum? ofBias,
        (Tensor Sum, Tensor Weight, Tensor Bias) of)
    {
        Gradient both = Gradient.Own(of.Sum);
        ofInput?.Share(both);
        ofResidual?.Share(both);
        both.Release();
        ofWeight?.Add(of.Weight);
        ofBias?.Add(of.Bias);
    }

    /// <summary>LayerNorm(dropout(input) + residual) over the last dimension, as <see cref="LongformerOps.DropoutAddLayerNorm"/>.</summary>
    /// <param name="input">[..., C].</param>
    /// <param name="residual">As the input, or null.</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="probability">From 0 to below 1.</param>
    /// <param name="seed">Of the dropout.</param>
    public static Tensor DropoutAddLayerNorm(Tensor input, Tensor? residual, Tensor weight, Tensor bias, double epsilon,
        double probability, long seed)
    {
        Tensor output = LongformerOps.DropoutAddLayerNorm(input, residual, weight, bias, epsilon, probability, seed);
        if (!Recording(out GradientTape tape, [input, residual, weight, bias]))
            return output;
        (GradientSum? ofInput, GradientSum? ofResidual) = (tape.Find(input), tape.Find(residual));
        (GradientSum? ofWeight, GradientSum? ofBias) = (tape.Find(weight), tape.Find(bias));
        tape.Record(output, [input, residual, weight, bias], (gradient, saved) =>
        {
            (Tensor x, Tensor r, Tensor w, Tensor b) = LongformerOps.DropoutAddLayerNormBackward(
                gradient.Tensor, saved[0], saved[1], saved[2], epsilon, probability, seed);
            ofInput?.Add(x);
            ofResidual?.Add(r);
            ofWeight?.Add(w);
            ofBias?.Add(b);
        }, remake: saved => LongformerOps.DropoutAddLayerNorm(saved[0], saved[1], saved[2], saved[3], epsilon, probability, seed));
        return output;
    }

    /// <summary>
    /// The same of an input that nothing else needs: on a CPU, in Float32 and Float64, the sum takes its place, the one tensor that is kept, of
    /// which the output can be made again. Elsewhere it is the same.
    /// </summary>
    /// <param name="input">[..., C]; its values are lost.</param>
    /// <param name="residual">As the input.</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="probability">From 0 to below 1.</param>
    /// <param name="seed">Of the dropout.</param>
    public static Tensor DropoutAddLayerNormOver(Tensor input, Tensor residual, Tensor weight, Tensor bias, double epsilon,
        double probability, long seed)
    {
        if (input.Device != Device.Cpu || input.DType is not (DType.Float32 or DType.Float64)
            || !Recording(out GradientTape tape, [input, residual, weight, bias]))
        {
            return probability == 0 ? AddLayerNorm(input, residual, weight, bias, epsilon)
                : DropoutAddLayerNorm(input, residual, weight, bias, epsilon, probability, seed);
        }
        Tensor output = LongformerOps.DropoutAddLayerNormOver(input, residual, weight, bias, epsilon, probability, seed);
        (GradientSum? ofInput, GradientSum? ofResidual) = (tape.Find(input), tape.Find(residual));
        (GradientSum? ofWeight, GradientSum? ofBias) = (tape.Find(weight), tape.Find(bias));
        tape.Record(output, [input, weight, bias], (gradient, saved) =>
        {
            if (probability == 0)
            {
                AddNormGradients(ofInput, ofResidual, ofWeight, ofBias,
                    LongformerOps.AddLayerNormBackward(gradient.Tensor, saved[0], null, saved[1], epsilon));
                return;
            }
            (Tensor x, Tensor r, Tensor w, Tensor b) =
                LongformerOps.DropoutAddLayerNormOverBackward(gradient.Tensor, saved[0], saved[1], epsilon, probability, seed);
            ofInput?.Add(x);
            ofResidual?.Add(r);
            ofWeight?.Add(w);
            ofBias?.Add(b);
        }, remake: saved => LongformerOps.AddLayerNorm(saved[0], null, saved[1], saved[2], epsilon));
        return output;
    }

    /// <summary>Rows of a table by index, [..., C].</summary>
    /// <param name="ids">Integers, any shape [...].</param>
    /// <param name="table">[rows, C].</param>
    /// <param name="padding">A row that gets no gradient.</param>
    public static Tensor Embedding(Tensor ids, Tensor table, long padding)
    {
        Tensor rows = Functional.Embedding(ids, table);
        if (!Recording(out GradientTape tape, [table]))
            return rows;
        GradientSum into = tape.Find(table)!;
        long count = table.Size(0);
        tape.Record(rows, [ids], (gradient, saved) => into.Add(Functional.EmbeddingBackward(gradient.Tensor, saved[0], count, padding)));
        return rows;
    }

    /// <summary>The embeddings of N tokens, normalized: LayerNorm(wordScale * word + position + type), [N, C].</summary>
    /// <param name="words">The words' rows, or the tokens' own vectors.</param>
    /// <param name="positions">The positions' rows.</param>
    /// <param name="types">The token types' rows, or null.</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="wordScale">The factor of the words' rows.</param>
    public static Tensor Embed(EmbeddingRows words, EmbeddingRows positions, EmbeddingRows? types, Tensor weight, Tensor bias, double epsilon,
        double wordScale = 1)
    {
        Tensor output = LongformerOps.Embed(words, positions, types, weight, bias, epsilon, wordScale);
        if (!Recording(out GradientTape tape, [words.Table, positions.Table, types?.Table, weight, bias]))
            return output;
        (GradientSum? ofWords, GradientSum? ofPositions, GradientSum? ofTypes) =
            (tape.Find(words.Table), tape.Find(positions.Table), tape.Find(types?.Table));
        (GradientSum? ofWeight, GradientSum? ofBias) = (tape.Find(weight), tape.Find(bias));
        // Nothing in front of it waits for its gradients, and that of a large table needs memory: an LED's decoder begins when its encoder is
        // still to come.
        bool waits = !tape.IsMade(words.Table) && !tape.IsMade(positions.Table) && !tape.IsMade(types?.Table);
        tape.Record(output, [words.Table, words.Ids, positions.Table, positions.Ids, types?.Table, types?.Ids, weight, bias], (gradient, saved) =>
        {
            if (waits)
                tape.Postpone(gradient, saved, Add);
            else
                Add(gradient, saved);
        });
        return output;

        void Add(Gradient gradient, Tensor[] saved)
        {
            EmbedGradients of = LongformerOps.EmbedBackward(
                gradient.Tensor, words with { Table = saved[0], Ids = saved[1] }, positions with { Table = saved[2], Ids = saved[3] },
                types is null ? null : types with { Table = saved[4], Ids = saved[5] }, saved[6], saved[7], epsilon, wordScale, ofWords?.Own);
            if (of.Words is not null)
                ofWords?.Add(of.Words);
            ofPositions?.Add(of.Positions);
            if (of.Types is not null)
                ofTypes?.Add(of.Types);
            ofWeight?.Add(of.Weight);
            ofBias?.Add(of.Bias);
        }
    }
}
