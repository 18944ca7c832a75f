using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// The weights of one or several products of the same input, one after the other in the layout of the matrix product. Packed at first use, by
/// the first thread that needs them, and kept until the model is disposed. Plain weights of a mapped file then leave this process's memory:
/// only saving reads them again.
/// </summary>
internal sealed class PackedWeight(params Linear[] parts) : IDisposable
{
    private readonly Lock _lock = new();
    private volatile Form? _form;

    /// <summary>The packed weight; null where packing gains nothing (another dtype or device) and the parts are to be used.</summary>
    public Form? Get()
    {
        Form form = _form ?? Make();
        return form.Packed.ElementCount > 0 ? form : null;
    }

    /// <summary>activation(product) of input [N, in] with a packed weight.</summary>
    /// <param name="form">The weight.</param>
    /// <param name="input">[N, in].</param>
    /// <param name="activation">The function after the product.</param>
    /// <param name="int8Result">The type of what a weight of eight bits gives, whatever the input's; null: the bias's.</param>
    public static Tensor Multiply(Form form, Tensor input, Activation activation = Activation.None, DType? int8Result = null)
    {
        if (form.Scale is null)
            return LongformerOps.Linear(input, form.Shape, form.Bias, form.Packed, activation);
        using TensorScope scope = new();
        Tensor output = Tensor.Empty([input.Size(0), form.Shape.Size(0)], int8Result ?? form.Bias.DType, input.Device);
        return scope.Keep(LongformerOps.Int8LinearInto(output, input, form.Shape, form.Scale, form.Bias, form.Packed, activation));
    }

    /// <summary>Frees the packed form; the plain weights are not its own.</summary>
    public void Dispose()
    {
        if (_form is not { } form)
            return;
        form.Packed.Dispose();
        form.Shape.Dispose();
        form.Bias.Dispose();
        form.Scale?.Dispose();
    }

    private Form Make()
    {
        lock (_lock)
        {
            if (_form is not null)
                return _form;
            using TensorScope scope = new();
            Tensor Joined(Func<Linear, Tensor> of) => parts.Length == 1 ? of(parts[0]) : Tensor.Cat([.. parts.Select(of)], 0);
            bool int8 = parts[0].Int8 is not null;
            Tensor Stored(Linear part) => int8 ? part.Int8!.Quantized : part.Weight;
            Tensor weight = Joined(Stored);
            Tensor bias = Joined(part => part.Bias);
            Tensor? scale = int8 ? Joined(part => part.Int8!.Scale()) : null;
            Tensor packed = int8 ? LongformerOps.Int8Pack(weight) : LongformerOps.LinearPack(weight);
            // With the packed weight at hand the plain one is asked for its shape only: one number repeats for all of them.
            Tensor shape = Tensor.Zeros([1, 1], weight.DType).Expand(weight.Size(0), weight.Size(1));
            if (packed.ElementCount > 0)
            {
                foreach (Linear part in parts)
                    MappedMemory.Leave(Stored(part));
            }
            return _form = new Form(shape.Keep(), bias.Alias().Keep(), packed.Keep(), scale?.Alias().Keep());
        }
    }

    /// <summary>The argument for <see cref="LongformerOps.Linear"/> or <see cref="LongformerOps.Int8Linear"/>.</summary>
    /// <param name="Shape">[out, in], in place of the plain weight.</param>
    /// <param name="Bias">[out].</param>
    /// <param name="Packed">The weights.</param>
    /// <param name="Scale">Of weights of eight bits [out]; null for others.</param>
    public sealed record Form(Tensor Shape, Tensor Bias, Tensor Packed, Tensor? Scale);
}
