using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.CharacterLm;

/// <summary>
/// The attention of one layer with its residual and LayerNorm, as transformer-xl's <c>RelPartialLearnableMultiHeadAttn</c>, over a causal window
/// with a dilation for each head.
/// </summary>
internal sealed class RelativeAttention : IDisposable
{
    private readonly PlainLinear _queryKeyValue, _output, _position;
    private readonly LayerNorm _norm;
    private readonly Tensor _contentBias, _positionBias;
    private readonly int _heads, _headSize;
    private readonly bool _preNorm;
    private readonly AttentionImplementation _implementation;

    /// <summary>Takes the layer's parameters below a path.</summary>
    /// <param name="at">Their path in the checkpoint.</param>
    /// <param name="biases">The <c>r_w_bias</c> and <c>r_r_bias</c> that the layers share; null: below the path too.</param>
    /// <param name="c">The sizes.</param>
    /// <param name="options">Implementation and packing.</param>
    public RelativeAttention(ParameterLoader at, (Tensor Content, Tensor Position)? biases, CharacterLanguageModelConfiguration c,
        LoadOptions options)
    {
        bool packs = CharacterLanguageModel.Packs(options, at.DType);
        (_heads, _headSize, _preNorm, _implementation) = (c.Heads, c.HeadSize, c.PreNorm, options.Attention);
        long width = c.Heads * c.HeadSize;
        _queryKeyValue = new PlainLinear(at.Get("qkv_net.weight", 3 * width, c.HiddenSize), null, packs);
        _position = new PlainLinear(at.Get("r_net.weight", width, c.HiddenSize), null, packs);
        _output = new PlainLinear(at.Get("o_net.weight", c.HiddenSize, width), null, packs);
        _norm = LayerNorm.Load(at / "layer_norm", c.HiddenSize, c.LayerNormEps);
        (_contentBias, _positionBias) = biases ?? (at.Get("r_w_bias", c.Heads, c.HeadSize), at.Get("r_r_bias", c.Heads, c.HeadSize));
    }

    /// <summary>The layer's table of distances, [P, H, D], from their embeddings [P, C].</summary>
    public Tensor Table(Tensor distances) => Differentiable.Reshape(_position.Forward(distances), distances.Size(0), _heads, _headSize);

    /// <summary>The biases of the distances.</summary>
    public RelativePositions Positions(Tensor table) => new(table, _contentBias, _positionBias);

    /// <summary>Queries, keys and values [N, H, D] of the layer's input [N, C].</summary>
    public (Tensor Query, Tensor Key, Tensor Value) Project(Tensor hidden)
    {
        Tensor[] parts = _queryKeyValue.ForwardParts(_preNorm ? _norm.Forward(hidden) : hidden, 3);
        Tensor[] rows = Array.ConvertAll(parts, part => Differentiable.Reshape(part, part.Size(0), _heads, _headSize));
        return (rows[0], rows[1], rows[2]);
    }

    /// <summary>The attention of whole sequences of one length: [B*T, H, D].</summary>
    public Tensor Attend(Tensor query, Tensor key, Tensor value, Tensor table, LayerPattern pattern, long sequences, double dropout, long seed)
    {
        long[] offsets = [.. Enumerable.Range(0, (int)sequences + 1).Select(s => s * (query.Size(0) / sequences))];
        return Differentiable.RelativeBandedAttention(query, key, value, Positions(table), new BandedAttentionOptions
        {
            WindowLeft = pattern.Window, WindowRight = 0, Dilation = pattern.Dilation, SequenceOffsets = offsets, Dropout = dropout, Seed = seed,
            Implementation = _implementation,
        });
    }

    /// <summary>The output projection of the attention [N, H, D], with residual and LayerNorm: [N, C].</summary>
    public Tensor Close(Tensor attended, Tensor hidden, Func<Tensor, Tensor> drop)
    {
        Tensor projected = drop(_output.Forward(Differentiable.Reshape(attended, attended.Size(0), _heads * (long)_headSize)));
        return _preNorm ? Differentiable.Add(hidden, projected) : _norm.Forward(projected, hidden);
    }

    /// <summary>Frees what was packed.</summary>
    public void Dispose()
    {
        foreach (PlainLinear part in (PlainLinear[])[_queryKeyValue, _output, _position])
            part.Dispose();
    }
}

/// <summary>The keys that one layer sees.</summary>
/// <param name="Window">Keys to the left, in steps of the dilation.</param>
/// <param name="Dilation">Of each head.</param>
internal sealed record LayerPattern(long Window, long[] Dilation)
{
    /// <summary>How many characters back the farthest key is.</summary>
    public long Reach { get; } = Window > int.MaxValue ? long.MaxValue : Window * Dilation.Max();

    /// <summary>Rows that a table of distances needs for sequences of some length.</summary>
    public long TableRows(long length) => Math.Min(Reach, Math.Max(length, 1) - 1) + 1;
}

/// <summary>The embeddings of distances, as transformer-xl's <c>PositionalEmbedding</c>: half sines, half cosines.</summary>
internal static class DistanceEmbedding
{
    /// <summary>[count, width] of the distances 0, 1, ...</summary>
    public static Tensor Of(long count, int width, int clamp, DType dtype, Device device)
    {
        using TensorScope scope = new();
        double[] values = new double[count * width];
        int half = width / 2;
        // As the reference: the frequencies and their products with the distance in Float32.
        float[] frequencies = new float[half];
        for (int i = 0; i < half; i++)
            frequencies[i] = (float)(1 / Math.Pow(10000, 2.0 * i / width));
        for (long p = 0; p < count; p++)
        {
            float distance = clamp > 0 ? Math.Min(p, clamp) : p;
            for (int i = 0; i < half; i++)
            {
                (double sine, double cosine) =
                    Math.SinCos(dtype == DType.Float64 ? distance / Math.Pow(10000, 2.0 * i / width) : distance * frequencies[i]);
                values[(p * width) + i] = sine;
                values[(p * width) + half + i] = cosine;
            }
        }
        return scope.Keep(Tensor.From<double>(values, count, width).To(dtype).To(device));
    }
}
