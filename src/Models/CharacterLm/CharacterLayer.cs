using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.CharacterLm;

/// <summary>One layer: attention, then two feed-forward products (<c>pos_ff</c>), each with its residual and LayerNorm.</summary>
internal sealed class CharacterLayer : IDisposable
{
    private readonly PlainLinear _inner, _output;
    private readonly LayerNorm _norm;
    private readonly Activation _activation;
    private readonly bool _preNorm;
    private readonly int _layer;

    public CharacterLayer(ParameterLoader at, (Tensor, Tensor)? biases, CharacterLanguageModelConfiguration c, int layer, LoadOptions options)
    {
        bool packs = CharacterLanguageModel.Packs(options, at.DType);
        Attention = new RelativeAttention(at / "dec_attn", biases, c, options);
        ParameterLoader feedForward = at / "pos_ff";
        _inner = new PlainLinear(feedForward.Get("CoreNet.0.weight", c.InnerSize, c.HiddenSize),
            feedForward.Get("CoreNet.0.bias", c.InnerSize), packs);
        _output = new PlainLinear(feedForward.Get("CoreNet.3.weight", c.HiddenSize, c.InnerSize),
            feedForward.Get("CoreNet.3.bias", c.HiddenSize), packs);
        _norm = LayerNorm.Load(feedForward / "layer_norm", c.HiddenSize, c.LayerNormEps);
        (_activation, _preNorm, _layer) = (Activations.FunctionOf(c.Activation), c.PreNorm, layer);
    }

    public RelativeAttention Attention { get; }

    /// <summary>The layer of whole sequences: [B*T, C].</summary>
    /// <param name="hidden">[B*T, C].</param>
    /// <param name="distances">[P, C], at least as many as the layer's pattern needs.</param>
    /// <param name="pattern">What it sees.</param>
    /// <param name="sequences">B.</param>
    /// <param name="dropout">Of the pass.</param>
    public Tensor Forward(Tensor hidden, Tensor distances, LayerPattern pattern, long sequences, Dropout dropout)
    {
        using TensorScope scope = new();
        Tensor table = Attention.Table(distances.Narrow(0, 0, pattern.TableRows(hidden.Size(0) / sequences)));
        (Tensor query, Tensor key, Tensor value) = Attention.Project(hidden);
        Tensor attended = Attention.Attend(query, key, value, table, pattern, sequences, dropout.AttentionProbability, dropout.SeedAt(_layer, 0));
        return scope.Keep(FeedForward(Attention.Close(attended, hidden, x => dropout.Apply(x, _layer, 1)), dropout));
    }

    /// <summary>Computes the part behind the attention: [N, C] of [N, C].</summary>
    public Tensor FeedForward(Tensor attended, Dropout dropout)
    {
        using TensorScope scope = new();
        Tensor inner = dropout.Apply(_inner.Forward(_preNorm ? _norm.Forward(attended) : attended, _activation), _layer, 2);
        Tensor added = dropout.Apply(_output.Forward(inner), _layer, 3);
        return scope.Keep(_preNorm ? Differentiable.Add(attended, added) : _norm.Forward(added, attended));
    }

    /// <summary>Frees what was packed.</summary>
    public void Dispose()
    {
        Attention.Dispose();
        _inner.Dispose();
        _output.Dispose();
    }
}
