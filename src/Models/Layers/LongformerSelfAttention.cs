using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// The attention of the paper (section 3.1): every token attends to a window around itself and to the global tokens, with the projections
/// Q_s, K_s, V_s; every global token attends to all tokens, with its own projections, Q_g, K_g, V_g.
/// </summary>
public sealed class LongformerSelfAttention
{
    private readonly JoinedLinear _projections;
    private readonly Linear? _queryGlobal, _keyGlobal, _valueGlobal;
    private readonly LongformerConfiguration _configuration;
    private readonly AttentionImplementation _implementation;
    private readonly LayerWindow _window;
    private readonly long[]? _dilation;
    private readonly int _layer;
    private readonly DType? _int8Window;

    internal LongformerSelfAttention(ParameterLoader at, LongformerConfiguration configuration, int layer, AttentionImplementation implementation)
    {
        long hidden = configuration.HiddenSize;
        _projections = new JoinedLinear(
            at, Linear.Load(at / "query", hidden, hidden), Linear.Load(at / "key", hidden, hidden), Linear.Load(at / "value", hidden, hidden));
        if (configuration.AttentionMode != AttentionMode.FullAttention)
        {
            _queryGlobal = Linear.Load(at / "query_global", hidden, hidden);
            _keyGlobal = Linear.Load(at / "key_global", hidden, hidden);
            _valueGlobal = Linear.Load(at / "value_global", hidden, hidden);
        }
        _configuration = configuration;
        _implementation = implementation;
        _window = configuration.Window(layer);
        _dilation = _window.Dilation?.Select(d => (long)d).ToArray();
        _layer = layer;
        // With weights of eight bits the products around the attention round more than BFloat16 does; where the processor multiplies that
        // faster than Float32, the window's attention is in it.
        bool isFused = implementation == AttentionImplementation.Fused
            && configuration.AttentionMode is (AttentionMode.SlidingChunks or AttentionMode.Tvm);
        _int8Window = at.TakesInt8 && isFused && LongformerOps.MultipliesBFloat16 ? DType.BFloat16 : null;
    }

    /// <summary>Context [N, C] of hidden states [N, C], before the output projection. Of a model of eight bits it may be in BFloat16.</summary>
    internal Tensor Forward(Tensor hidden, SequenceBatch batch, Dropout dropout, AttentionTrace? trace)
    {
        using TensorScope scope = new();
        (long tokens, long heads, long size) = (batch.TokenCount, _configuration.NumAttentionHeads, _configuration.HeadSize);
        Tensor[] projected = Array.ConvertAll(_projections.Forward(hidden, _int8Window), t => Differentiable.Reshape(t, tokens, heads, size));
        (Tensor query, Tensor key, Tensor value) = (projected[0], projected[1], projected[2]);
        Tensor context = _configuration.AttentionMode switch
        {
            AttentionMode.FullAttention => AllenaiAttention.Full(query, key, value, batch, dropout, _layer),
            AttentionMode.SlidingChunksNoOverlap => AllenaiAttention.NoOverlap(query, key, value, batch, _window.Left, dropout, _layer),
            _ => Window(query, key, value, batch, dropout, trace),
        };
        context = Differentiable.Reshape(context, tokens, heads * size);
        if (batch.Globals is null || _configuration.AttentionMode == AttentionMode.FullAttention)
            return scope.Keep(context);
        Tensor rows = Global(hidden, batch, batch.Globals, dropout, trace);
        bool isBanded = _configuration.AttentionMode != AttentionMode.SlidingChunksNoOverlap;
        return scope.Keep(Differentiable.ReplaceRows(context, batch.Globals.Rows, rows.DType == context.DType ? rows : rows.To(context.DType),
            overwrites: isBanded));
    }

    /// <summary>The rows of all tokens, [N, H, D]; those of global tokens are overwritten afterwards.</summary>
    private Tensor Window(Tensor query, Tensor key, Tensor value, SequenceBatch batch, Dropout dropout, AttentionTrace? trace)
    {
        Tensor output = Differentiable.BandedAttention(query, key, value, new BandedAttentionOptions
        {
            WindowLeft = _window.Left,
            WindowRight = _window.Right,
            Dilation = _dilation,
            Mask = batch.Visible,
            GlobalIndex = batch.Globals?.Index,
            SequenceOffsets = batch.Offsets,
            Dropout = dropout.AttentionProbability,
            Seed = dropout.SeedAt(_layer, 0),
            Implementation = _implementation,
        });
        trace?.AddLocal(Traced(query), Traced(key), batch, _window, _dilation);
        return output;

        Tensor Traced(Tensor t) => _int8Window is null ? t : t.To(DType.Float32);
    }

    /// <summary>The rows of the M global tokens, [M, C]: attention to every visible token of their sequence.</summary>
    private Tensor Global(Tensor hidden, SequenceBatch batch, GlobalSlots globals, Dropout dropout, AttentionTrace? trace)
    {
        using TensorScope scope = new();
        (long heads, long size, long slots) = (_configuration.NumAttentionHeads, _configuration.HeadSize, globals.PerSequence);
        Tensor query = Differentiable.Reshape(
            _queryGlobal!.Forward(Differentiable.SelectRows(hidden, globals.SlotRows)), batch.SequenceCount, slots, heads, size);
        GlobalAttentionOptions options = new()
        {
            Mask = batch.Visible,
            SequenceOffsets = batch.Offsets,
            Dropout = dropout.AttentionProbability,
            Seed = dropout.SeedAt(_layer, 1),
        };
        // One global token must not cost two projections of the whole sequence: the operator folds them into the query where that is cheaper.
        Tensor output = Differentiable.FoldedGlobalAttention(
            query, hidden, _keyGlobal!.Weight, _keyGlobal.Bias, _valueGlobal!.Weight, _valueGlobal.Bias, globals.Index, options);
        trace?.AddGlobal(query, _keyGlobal.Forward(hidden).View(batch.TokenCount, heads, size), batch, globals, _configuration.LargestWindow);
        Tensor rows = Differentiable.Reshape(output, batch.SequenceCount * slots, heads * size);
        return scope.Keep(globals.FilledSlots is null ? rows : Differentiable.SelectRows(rows, globals.FilledSlots));
    }
}

/// <summary>One attention layer by itself, with allenai's mask, for tests and parity cases of the module.</summary>
public sealed class LongformerSelfAttentionModule : IDisposable
{
    private readonly LongformerConfiguration _configuration;
    private readonly LongformerSelfAttention _layer;
    private readonly IDisposable[] _owned;
    private readonly LoadOptions _options;

    private LongformerSelfAttentionModule(LongformerConfiguration configuration, LongformerSelfAttention layer, ParameterLoader loader,
        LoadOptions options)
    {
        _configuration = configuration;
        _layer = layer;
        _owned = [.. loader.Loaded.Select(p => p.Tensor), .. loader.Owned];
        _options = options;
    }

    /// <summary>Loads a folder whose weights are named relative to the module: <c>query.weight</c>...</summary>
    /// <exception cref="CheckpointException">The configuration or the weights do not fit.</exception>
    public static LongformerSelfAttentionModule Load(string folder, LoadOptions? options = null)
    {
        options ??= new LoadOptions();
        LongformerConfiguration configuration = LongformerConfiguration.Load(folder);
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        Weights weights = new(checkpoint, nameof(LongformerSelfAttention));
        ParameterLoader loader = new(ParameterSource.From(weights), options, options.DType ?? DType.Float32);
        LongformerSelfAttention layer = new(loader, configuration, 0, options.Attention);
        weights.Finish();
        return new LongformerSelfAttentionModule(configuration, layer, loader, options);
    }

    /// <summary>Context [B, T, C] of hidden states [B, T, C].</summary>
    /// <param name="hiddenStates">[B, T, C].</param>
    /// <param name="attentionMask">[B, T]: negative is padding, 0 a local token, positive a global one; null: all local.</param>
    /// <exception cref="InputException">A shape is wrong.</exception>
    public Tensor Forward(Tensor hiddenStates, Tensor? attentionMask = null)
    {
        ArgumentNullException.ThrowIfNull(hiddenStates);
        using TensorScope scope = new();
        Tensor? mask = attentionMask is null ? null : ToModelMask(attentionMask);
        SequenceBatch batch = InputReader.Read(
            new LongformerInputs { InputsEmbeds = hiddenStates, AttentionMask = mask }, _configuration.Limits with { PositionRows = int.MaxValue },
            GlobalRule.None, _options.Device, hiddenStates.DType, allowPaddingRows: true);
        return scope.Keep(batch.Unflatten(_layer.Forward(batch.InputsEmbeds!, batch, new Dropout(null, 0, 0), null)));
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        foreach (IDisposable owned in _owned)
            owned.Dispose();
    }

    /// <summary>allenai's -10000, 0, +10000 as 0, 1, 2.</summary>
    private static Tensor ToModelMask(Tensor mask)
    {
        double[] values = HostValues.ToDouble(mask);
        return Tensor.From<long>(Array.ConvertAll(values, v => Math.Sign(v) + 1L), mask.Shape);
    }
}
