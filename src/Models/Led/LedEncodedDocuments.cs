using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>Documents that went through the encoder, to be decoded any number of times. Immutable; the holder disposes it.</summary>
public sealed class LedEncodedDocuments : IDisposable
{
    internal LedEncodedDocuments(Tensor states, Tensor? visible, long[] offsets) => (States, Visible, Offsets) = (states, visible, offsets);

    /// <summary>[N, C] last hidden states of all documents, one behind the other.</summary>
    public Tensor States { get; }

    /// <summary>uint8 [N], nonzero where a token may be seen; null: all.</summary>
    public Tensor? Visible { get; }

    /// <summary>Documents + 1 offsets into N.</summary>
    public IReadOnlyList<long> Offsets { get; }

    /// <summary>Number of documents.</summary>
    public int Count => Offsets.Count - 1;

    /// <summary>uint8 [T], nonzero where a token of one document may be seen; null: all may.</summary>
    internal Tensor? VisibleOf(int document)
    {
        if (Visible is null) return null;
        using var scope = new TensorScope();
        Tensor visible = Visible.Narrow(0, Offsets[document], Offsets[document + 1] - Offsets[document]);
        return visible.Eq(0).Any().Item<bool>() ? scope.Keep(visible) : null;
    }

    /// <summary>Frees the states.</summary>
    public void Dispose()
    {
        States.Dispose();
        Visible?.Dispose();
    }
}
