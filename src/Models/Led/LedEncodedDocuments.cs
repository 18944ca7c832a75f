using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>Documents that went through the encoder, to be decoded any number of times. Immutable; the holder disposes it.</summary>
public sealed class LedEncodedDocuments : IDisposable
{
    private readonly bool[]? _hidesTokens;

    /// <param name="states">[N, C].</param>
    /// <param name="visible">uint8 [N], or null.</param>
    /// <param name="hidesTokens">For each document whether it hides a token; null: none does.</param>
    /// <param name="offsets">Documents + 1 offsets into N.</param>
    internal LedEncodedDocuments(Tensor states, Tensor? visible, bool[]? hidesTokens, long[] offsets) =>
        (States, Visible, _hidesTokens, Offsets) = (states, visible, hidesTokens, offsets);

    /// <summary>[N, C] last hidden states of all documents, one after the other.</summary>
    public Tensor States { get; }

    /// <summary>uint8 [N], nonzero where a token may be seen; null: all.</summary>
    public Tensor? Visible { get; }

    /// <summary>Documents + 1 offsets into N.</summary>
    public IReadOnlyList<long> Offsets { get; }

    /// <summary>Number of documents.</summary>
    public int Count => Offsets.Count - 1;

    /// <summary>uint8 [T], nonzero where a token of one document may be seen; null: all may.</summary>
    internal Tensor? VisibleOf(int document) => Visible is null || _hidesTokens?[document] == false
        ? null : Visible.Narrow(0, Offsets[document], Offsets[document + 1] - Offsets[document]);

    /// <summary>Frees the states.</summary>
    public void Dispose()
    {
        States.Dispose();
        Visible?.Dispose();
    }
}
