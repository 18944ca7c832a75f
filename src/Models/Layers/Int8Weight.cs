using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// The weight of a product in eight bits: scale * quantized, a factor for each output. Both belong to the model, and so does the weight
/// in Float32, which is made where a layer asks for it: the global attention folds it into its queries.
/// </summary>
/// <param name="quantized">Int8 [out, in].</param>
/// <param name="scale">Float32 [out, 1], as the checkpoint has it.</param>
internal sealed class Int8Weight(Tensor quantized, Tensor scale) : IDisposable
{
    private readonly Lock _lock = new();
    private volatile Tensor? _dequantized;

    /// <summary>Int8 [out, in].</summary>
    public Tensor Quantized => quantized;

    /// <summary>Float32 [out]. It joins the caller's scope.</summary>
    public Tensor Scale() => scale.View(scale.Size(0));

    /// <summary>Float32 [out, in], made once.</summary>
    public Tensor Dequantized()
    {
        if (_dequantized is { } made)
            return made;
        lock (_lock)
            return _dequantized ??= Dequantize(quantized, scale).Keep();
    }

    /// <summary>Float32 [out, in] of Int8 [out, in] and Float32 [out, 1].</summary>
    public static Tensor Dequantize(Tensor quantized, Tensor scale)
    {
        using TensorScope scope = new();
        return scope.Keep(quantized.To(DType.Float32) * scale);
    }

    /// <summary>Frees what was made here.</summary>
    public void Dispose() => _dequantized?.Dispose();
}

/// <summary>A copy of a table [rows, C] in eight bits, made at the first use by the first thread that needs it.</summary>
internal sealed class Int8Table(Tensor table) : IDisposable
{
    private readonly Lock _lock = new();
    private volatile Copy? _copy;

    public Copy Get()
    {
        if (_copy is { } made)
            return made;
        lock (_lock)
        {
            if (_copy is not null)
                return _copy;
            (Tensor quantized, Tensor scale) = LongformerOps.Int8Quantize(table);
            return _copy = new Copy(quantized.Keep(), scale.Keep());
        }
    }

    public void Dispose()
    {
        _copy?.Quantized.Dispose();
        _copy?.Scale.Dispose();
    }

    /// <param name="Quantized">Int8 [rows, C].</param>
    /// <param name="Scale">Float32 [rows].</param>
    public sealed record Copy(Tensor Quantized, Tensor Scale);
}
