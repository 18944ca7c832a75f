using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// Several products of one input, such as query, key and value, as one: the input is read once, and one large product keeps the
/// units busier than three small ones. The parameters stay those of the parts. Where weights are neither packed nor joined, or a gradient
/// is recorded, the parts compute one by one.
/// </summary>
internal sealed class JoinedLinear
{
    private readonly Linear[] _parts;
    private readonly long[] _outputs;
    private readonly PackedWeight? _packed;
    private readonly (Tensor Weight, Tensor Bias)? _joined;

    /// <summary>Joins products that were loaded from the same checkpoint and take inputs of the same width.</summary>
    public JoinedLinear(ParameterLoader at, params Linear[] parts)
    {
        _parts = parts;
        _outputs = [.. parts.Select(p => p.Bias.Size(0))];
        _packed = at.Pack(parts);
        _joined = at.Join(parts);
    }

    /// <summary>
    /// For every part its [N, out] of the input [N, in]. Joined ones are views of one tensor, with its width for the distance of two
    /// rows: use them where strides are respected.
    /// </summary>
    /// <param name="input">[N, in].</param>
    /// <param name="int8Result">The type of what weights of eight bits give; null: Float32.</param>
    public Tensor[] Forward(Tensor input, DType? int8Result = null)
    {
        PackedWeight.Form? form = IsRecorded(input) ? null : _packed?.Get();
        if (form is null && (_joined is null || IsRecorded(input)))
            return Array.ConvertAll(_parts, part => part.Forward(input));
        using TensorScope scope = new();
        Tensor all = form is null
            ? LongformerOps.Linear(input, _joined!.Value.Weight, _joined.Value.Bias)
            : PackedWeight.Multiply(form, input, int8Result: int8Result);
        Tensor[] views = new Tensor[_parts.Length];
        long from = 0;
        for (int i = 0; i < views.Length; from += _outputs[i++])
            views[i] = scope.Keep(all.Narrow(1, from, _outputs[i]));
        return views;
    }

    private bool IsRecorded(Tensor input) => GradientTape.Records(input) || _parts.Any(p => p.IsRecorded);
}
