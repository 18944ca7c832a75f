using LongformerInterop.Torch;

namespace LongformerInterop.Models.Layers;

/// <summary>
/// Gathers the attention probabilities of every layer. The attention operators never store them; where the caller asks, they are
/// computed again here, in the layout of HF. Padded batches only.
/// </summary>
internal sealed class AttentionTrace : IDisposable
{
    private readonly List<Tensor> _local = [];
    private readonly List<Tensor> _global = [];

    /// <summary>Per layer [B, H, T, G + left + right + 1], in the current scope.</summary>
    public IReadOnlyList<Tensor> Local => [.. _local.Select(InCurrentScope)];

    /// <summary>Per layer [B, H, P, G], in the current scope; null where no token is global.</summary>
    public IReadOnlyList<Tensor>? Global => _global.Count == 0 ? null : [.. _global.Select(InCurrentScope)];

    /// <summary>Probabilities of the local queries, zero in the rows of padding and of global queries.</summary>
    public void AddLocal(Tensor query, Tensor key, SequenceBatch batch, LayerWindow window, long[]? dilation)
    {
        using TensorScope scope = new();
        Tensor probabilities = LongformerOps.BandedAttentionProbabilities(query, key, new BandedAttentionOptions
        {
            WindowLeft = window.Left,
            WindowRight = window.Right,
            Dilation = dilation,
            Mask = batch.Visible,
            GlobalIndex = batch.Globals?.Index,
            SequenceOffsets = batch.Offsets,
        });
        // Global queries are computed like local ones and then overwritten; their own are among the global probabilities.
        if (batch.Globals is not null)
            probabilities = probabilities.IndexFill(0, batch.Globals.Rows, 0);
        _local.Add(batch.Unflatten(probabilities).Transpose(1, 2).Contiguous().Keep());
    }

    /// <summary>
    /// Probabilities of the global queries over P keys, P the length rounded up to a multiple of the largest window; 1/P in the columns of
    /// empty slots, as the softmax of the reference leaves there.
    /// </summary>
    public void AddGlobal(Tensor query, Tensor key, SequenceBatch batch, GlobalSlots globals, long largestWindow)
    {
        using TensorScope scope = new();
        (long sequences, long length) = (batch.TokenShape[0], batch.TokenShape[1]);
        Tensor probabilities = LongformerOps.GlobalAttentionProbabilities(
            query, key, globals.Index, new GlobalAttentionOptions { Mask = batch.Visible, SequenceOffsets = batch.Offsets });   // [B, G, H, T]
        long padded = (length + largestWindow - 1) / largestWindow * largestWindow;
        (long slots, long heads) = (query.Size(1), query.Size(2));
        probabilities = Tensor.Cat(
            [probabilities, Tensor.Zeros([sequences, slots, heads, padded - length], probabilities.DType, probabilities.Device)], -1);
        Tensor empty = globals.Index.Lt(0).View(sequences, slots, 1, 1);
        _global.Add(probabilities.MaskedFill(empty, 1.0 / padded).Permute(0, 2, 3, 1).Contiguous().Keep());
    }

    public void Dispose()
    {
        foreach (Tensor tensor in _local.Concat(_global))
            tensor.Dispose();
    }

    private static Tensor InCurrentScope(Tensor kept) => kept.Alias();
}
