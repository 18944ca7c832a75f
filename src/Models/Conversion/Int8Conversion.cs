using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Conversion;

/// <summary>
/// A conversion whose result holds the weights of the layers' products in eight bits, in the form of <see cref="Int8Format"/>: what a model
/// that is loaded with <see cref="DType.Int8"/> computes with, and saves. The word table, the positions, LayerNorm, biases, poolers and heads keep
/// their dtype.
/// </summary>
internal static class Int8Conversion
{
    internal static ConversionPlan Apply(ConversionPlan plan, SourceCheckpoint source)
    {
        ConfigurationObject configuration = plan.Configuration?.Copy() ?? throw source.RefuseInt8("there is no config.json beside its weights");
        List<TensorSource> tensors = [];
        int count = 0;
        foreach (TensorSource tensor in plan.Tensors)
        {
            if (!IsProduct(tensor))
            {
                tensors.Add(tensor);
                continue;
            }
            count++;
            tensors.AddRange(Quantize(tensor));
        }
        if (count == 0)
            throw source.RefuseInt8("it holds no layers with products");
        configuration.SetInt8();
        return plan with { Configuration = configuration, Tensors = tensors,
            Notes = [.. plan.Notes, $"the weights of {count} products of the layers have eight bits, a scale for each output"] };
    }

    /// <summary>Whether a tensor is the weight of a product in a layer of an encoder or decoder.</summary>
    private static bool IsProduct(TensorSource tensor)
    {
        string[] path = tensor.Name.Split('.');
        int layer = Array.FindIndex(path, part => part is "layer" or "layers");
        return tensor.Shape.Length == 2 && path[^1] == "weight" && layer >= 0 && layer + 1 < path.Length && path[layer + 1].All(char.IsAsciiDigit)
            && tensor.Type is StoredType.F32 or StoredType.F16 or StoredType.BF16 or StoredType.F64;
    }

    /// <summary>The weight and its scales. Each is quantized when its turn comes, since the scales of all come before the weights in the
    /// file: neither is held until then.</summary>
    private static IEnumerable<TensorSource> Quantize(TensorSource source) =>
    [
        TensorSource.Deferred(source.Name, DType.Int8, source.Shape, () =>
        {
            using TensorScope scope = new();
            return LongformerOps.Int8Quantize(Read(source)).Quantized.Keep();
        }),
        TensorSource.Deferred(source.Name + Int8Format.ScaleSuffix, DType.Float32, [source.Shape[0], 1], () =>
        {
            using TensorScope scope = new();
            Tensor factors = LongformerOps.Int8Quantize(Read(source)).Scale;
            return factors.View(factors.Size(0), 1).Keep();
        }),
    ];

    private static Tensor Read(TensorSource source)
    {
        byte[] bytes = new byte[source.ByteCount];
        using (MemoryStream stream = new(bytes))
            source.WriteTo(stream);
        using TensorScope scope = new();
        Tensor flat = Tensor.From<byte>(bytes, bytes.Length);
        return scope.Keep(flat.ViewAs(source.Type.ToDType()!.Value).View(source.Shape));
    }
}
