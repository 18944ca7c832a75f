using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>The checked inputs of the decoder: B rows of S tokens, each reading one document.</summary>
internal sealed record LedDecoderBatch
{
    /// <summary>B.</summary>
    public required long Rows { get; init; }

    /// <summary>S.</summary>
    public required long Length { get; init; }

    /// <summary>int64 [B * S], or null with <see cref="InputsEmbeds"/>.</summary>
    public Tensor? InputIds { get; init; }

    /// <summary>[B * S, C], or null with <see cref="InputIds"/>.</summary>
    public Tensor? InputsEmbeds { get; init; }

    /// <summary>bool [B, 1, 1, S], true where a decoder token is hidden; null: none is.</summary>
    public Tensor? Hidden { get; init; }

    /// <summary>[N, C] the encoder's last hidden states.</summary>
    public required Tensor EncoderStates { get; init; }

    /// <summary>Offsets of the documents in N.</summary>
    public required long[] Offsets { get; init; }

    /// <summary>uint8 [N]: tokens of the documents that may be seen; null: all.</summary>
    public Tensor? Visible { get; init; }

    /// <summary>For each row the document that it reads; null: row b reads document b.</summary>
    public int[]? Documents { get; init; }

    public int Document(int row) => Documents is null ? row : Documents[row];
}

/// <summary>The decoder's outputs: hidden states [B * S, C], probabilities per layer [B, H, S, S] and [B, H, S, T].</summary>
internal sealed record LedDecoderOutputs(
    Tensor LastHiddenState, IReadOnlyList<Tensor>? HiddenStates, IReadOnlyList<Tensor>? SelfAttentions, IReadOnlyList<Tensor>? CrossAttentions);

/// <summary>BART's decoder: causal self-attention, cross-attention to the encoder's states, feed-forward. All positions at once.</summary>
internal sealed class LedDecoder
{
    public LedDecoder(LedLoader loader, Tensor words)
    {
        (LedConfiguration c, ParameterLoader at) = (loader.Configuration, loader.Body / "decoder");
        Words = words;
        Positions = (at / "embed_positions").Get("weight", c.MaxDecoderPositionEmbeddings, c.DModel);
        EmbeddingNorm = LayerNorm.Load(at / "layernorm_embedding", c.DModel, LedEncoder.LayerNormEps);
        Layers = [.. Enumerable.Range(0, c.DecoderLayers).Select(i => new LedDecoderLayer((at / "layers" / $"{i}").InLayers(), c, i))];
        PaddingId = c.PadTokenId;
        LastNorm = c.AddFinalLayerNorm ? LayerNorm.Load(at / "layer_norm", c.DModel, LedEncoder.LayerNormEps) : null;
        WordScale = c.WordScale;
    }

    /// <summary>[V, C].</summary>
    public Tensor Words { get; }

    /// <summary>[positions, C].</summary>
    public Tensor Positions { get; }

    public LayerNorm EmbeddingNorm { get; }

    public IReadOnlyList<LedDecoderLayer> Layers { get; }

    /// <summary>Behind the last layer, where the layers have theirs in front.</summary>
    public LayerNorm? LastNorm { get; }

    /// <summary>The factor of word vectors: 1, or the square root of C.</summary>
    public double WordScale { get; }

    public int PaddingId { get; }

    /// <summary>Runs all layers; <paramref name="words"/> [B * S, C] are the word vectors, where the caller looked them up already.</summary>
    public LedDecoderOutputs Forward(LedDecoderBatch batch, LedDropout dropout, bool keepHiddenStates, bool keepAttentions,
        CancellationToken cancellation, Tensor? words = null)
    {
        using TensorScope scope = new();
        (EmbeddingRows rows, double scale) = LedEncoder.WordRows(Words, batch.InputIds, words, batch.InputsEmbeds, PaddingId, WordScale);
        Tensor embedded = EmbeddingNorm.Embed(rows, PositionRows(batch), wordScale: scale);
        Tensor hidden = dropout.Hidden.Apply(embedded, dropout.Decoder(0), 0);
        Tensor mask = CausalMask(batch.Length, hidden.Device);
        if (batch.Hidden is not null)
            mask = mask.Or(batch.Hidden);
        if (GradientTape.Current is { RecomputesLayers: true } tape)
            tape.Hold(mask, batch.Visible);

        List<Tensor>? states = keepHiddenStates ? [hidden] : null;
        List<Tensor>? self = keepAttentions ? [] : null, cross = keepAttentions ? [] : null;
        foreach (LedDecoderLayer layer in Layers)
        {
            CancelPoll.ThrowIfStopped(cancellation, often: true);
            hidden = keepAttentions ? layer.Forward(hidden, batch, mask, dropout, self, cross)
                : GradientTape.Layer([hidden, batch.EncoderStates],
                    inputs => layer.Forward(inputs[0], batch with { EncoderStates = inputs[1] }, mask, dropout, null, null));
            states?.Add(hidden);
        }
        if (LastNorm is not null)
        {
            hidden = LastNorm.Forward(hidden);
            if (states is not null)
                states[^1] = hidden;
        }
        foreach (Tensor kept in (IEnumerable<Tensor>)[hidden, .. states ?? [], .. self ?? [], .. cross ?? []])
            scope.Keep(kept);
        return new LedDecoderOutputs(hidden, states, self, cross);
    }

    /// <summary>Every row of the batch takes the same positions. The whole table where it has a gradient: a part of it would be a step of its own,
    /// which the embeddings' backward could not wait behind.</summary>
    private EmbeddingRows PositionRows(LedDecoderBatch batch)
    {
        if (!GradientTape.Records(Positions))
            return new(Positions.Narrow(0, 0, batch.Length));
        long[] ids = [.. Enumerable.Range(0, (int)(batch.Rows * batch.Length)).Select(i => i % batch.Length)];
        return new(Positions, HostBuffer.Upload(ids, Positions.Device));
    }

    /// <summary>bool [1, 1, S, S], true where a key is behind the query.</summary>
    private static Tensor CausalMask(long length, Device device)
    {
        using TensorScope scope = new();
        Tensor place = Tensor.Arange(length, device);
        return scope.Keep(place.View(1, length).Gt(place.View(length, 1)).View(1, 1, length, length));
    }
}

/// <summary>Self-attention, cross-attention, feed-forward; each with its residual and LayerNorm.</summary>
internal sealed class LedDecoderLayer
{
    private readonly int _layer;

    public LedDecoderLayer(ParameterLoader at, LedConfiguration c, int layer)
    {
        Self = new LedAttention(at / "self_attn", c);
        SelfNorm = SublayerNorm.Load(at / "self_attn_layer_norm", c);
        Cross = new LedAttention(at / "encoder_attn", c);
        CrossNorm = SublayerNorm.Load(at / "encoder_attn_layer_norm", c);
        Inner = Linear.Load(at / "fc1", c.DecoderFfnDim, c.DModel);
        Output = Linear.Load(at / "fc2", c.DModel, c.DecoderFfnDim);
        OutputNorm = SublayerNorm.Load(at / "final_layer_norm", c);
        Activation = c.ActivationFunction;
        _layer = layer;
    }

    public LedAttention Self { get; }

    public SublayerNorm SelfNorm { get; }

    public LedAttention Cross { get; }

    public SublayerNorm CrossNorm { get; }

    public Linear Inner { get; }

    public Linear Output { get; }

    public SublayerNorm OutputNorm { get; }

    public HiddenActivation Activation { get; }

    /// <summary>[B * S, C] of [B * S, C].</summary>
    public Tensor Forward(Tensor hidden, LedDecoderBatch batch, Tensor mask, LedDropout dropout, List<Tensor>? self, List<Tensor>? cross)
    {
        using TensorScope scope = new();
        int place = dropout.Decoder(_layer + 1);
        Tensor Drop(Tensor t, int number) => dropout.Hidden.Apply(t, place, number);

        hidden = SelfNorm.After(Drop(AttendSelf(SelfNorm.Before(hidden), batch, mask, dropout, self), 0), hidden);
        hidden = CrossNorm.After(Drop(AttendDocument(CrossNorm.Before(hidden), batch, dropout, cross), 1), hidden);
        Tensor inner = dropout.Activation.Apply(Inner.Forward(OutputNorm.Before(hidden), Activation), place, 2);
        return scope.Keep(OutputNorm.After(Drop(Output.Forward(inner), 3), hidden));
    }

    private Tensor AttendSelf(Tensor hidden, LedDecoderBatch batch, Tensor mask, LedDropout dropout, List<Tensor>? trace)
    {
        using TensorScope scope = new();
        (Tensor query, Tensor key, Tensor value) = (Self.Query.Forward(hidden), Self.Key.Forward(hidden), Self.Value.Forward(hidden));
        if (trace is null && batch.Hidden is null && dropout.Attention.HiddenProbability == 0 && hidden.Device == Device.Cpu
            && GradientTape.Records(query, key, value))
        {
            return scope.Keep(Self.Output.Forward(Self.AttendBefore(query, key, value, batch.Rows, batch.Length)));
        }
        Tensor context = Self.Attend(query, key, value, new DenseAttentionOptions
        {
            Parts = [new(batch.Rows, 0, batch.Length, 0, batch.Length, mask, dropout.Attention.SeedAt(dropout.Decoder(_layer + 1), 4))],
            Scale = Self.Scale,
            Dropout = dropout.Attention.HiddenProbability,
            Probabilities = trace is null ? null : probabilities => trace.Add(probabilities.Keep()),   // [B, H, S, S]
        });
        return scope.Keep(Self.Output.Forward(context));
    }

    /// <summary>Each row against its own document, so that documents of unequal length need no padding.</summary>
    private Tensor AttendDocument(Tensor hidden, LedDecoderBatch batch, LedDropout dropout, List<Tensor>? trace)
    {
        using TensorScope scope = new();
        Tensor? invisible = batch.Visible?.Eq(0);
        DenseAttentionPart Part(int row)
        {
            int document = batch.Document(row);
            (long from, long length) = (batch.Offsets[document], batch.Offsets[document + 1] - batch.Offsets[document]);
            return new(1, row * batch.Length, batch.Length, from, length, invisible?.Narrow(0, from, length).View(1, 1, 1, length),
                dropout.Attention.SeedAt(dropout.Cross(_layer, batch.Rows, row), 0));
        }
        List<Tensor> rows = [];
        Tensor context = Cross.Attend(
            Cross.Query.Forward(hidden), Cross.Key.Forward(batch.EncoderStates), Cross.Value.Forward(batch.EncoderStates), new DenseAttentionOptions
            {
                Parts = [.. Enumerable.Range(0, (int)batch.Rows).Select(Part)],
                Scale = Cross.Scale,
                Dropout = dropout.Attention.HiddenProbability,
                Probabilities = trace is null ? null : probabilities => rows.Add(probabilities.Keep()),   // [1, H, S, T]
            });
        trace?.Add(Joined(rows).Keep());
        return scope.Keep(Cross.Output.Forward(context));
    }

    /// <summary>[B, H, S, T] of B times [1, H, S, T_b], which are disposed: zeros behind the end of a shorter document.</summary>
    private static Tensor Joined(List<Tensor> rows)
    {
        using TensorScope scope = new();
        long longest = rows.Max(row => row.Size(-1));
        Tensor all = scope.Keep(Tensor.Cat([.. rows.Select(row => row.Pad([0, longest - row.Size(-1)], 0))], 0));
        foreach (Tensor row in rows)
            row.Dispose();
        return all;
    }
}

/// <summary>The projections of one attention of the decoder.</summary>
internal sealed class LedAttention
{
    public LedAttention(ParameterLoader at, LedConfiguration c)
    {
        Heads = c.DecoderAttentionHeads;
        Size = c.DModel / c.DecoderAttentionHeads;
        Key = Linear.Load(at / "k_proj", c.DModel, c.DModel);
        Value = Linear.Load(at / "v_proj", c.DModel, c.DModel);
        Query = Linear.Load(at / "q_proj", c.DModel, c.DModel);
        Output = Linear.Load(at / "out_proj", c.DModel, c.DModel);
    }

    public int Heads { get; }

    public int Size { get; }

    public Linear Query { get; }

    public Linear Key { get; }

    public Linear Value { get; }

    public Linear Output { get; }

    public double Scale => 1 / Math.Sqrt(Size);

    /// <summary>Context [N, C] of every token's own sequence up to itself: a window without an end. Its gradient needs no probabilities of pairs of
    /// tokens.</summary>
    /// <param name="query">[N, C], of sequences of one length.</param>
    /// <param name="key">[N, C].</param>
    /// <param name="value">[N, C].</param>
    /// <param name="sequences">How many.</param>
    /// <param name="length">Of each.</param>
    public Tensor AttendBefore(Tensor query, Tensor key, Tensor value, long sequences, long length)
    {
        using TensorScope scope = new();
        Tensor ByHead(Tensor states) => Differentiable.Reshape(states, sequences * length, Heads, Size);
        Tensor context = Differentiable.BandedAttention(ByHead(query), ByHead(key), ByHead(value), new BandedAttentionOptions
        {
            WindowLeft = Math.Max(0, length - 1), WindowRight = 0, Scale = Scale,
            SequenceOffsets = [.. Enumerable.Range(0, (int)sequences + 1).Select(i => i * length)],
        });
        return scope.Keep(Differentiable.Reshape(context, sequences * length, (long)Heads * Size));
    }

    /// <summary>Context [N, C] of queries [N, C], keys and values [M, C].</summary>
    public Tensor Attend(Tensor query, Tensor key, Tensor value, DenseAttentionOptions options)
    {
        using TensorScope scope = new();
        Tensor ByHead(Tensor states) => Differentiable.Reshape(states, states.Size(0), Heads, Size);
        Tensor context = Differentiable.DenseAttention(ByHead(query), ByHead(key), ByHead(value), options);
        return scope.Keep(Differentiable.Reshape(context, query.Size(0), (long)Heads * Size));
    }
}
