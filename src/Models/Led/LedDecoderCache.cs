using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>One step of decoding: the rows, document by document, and the slots that they see.</summary>
/// <param name="Documents">The documents that have rows in this step, ascending.</param>
/// <param name="Rows">How many rows each of them has.</param>
/// <param name="Used">How many slots of each are taken before this step.</param>
/// <param name="SelfMasks">uint8 [rows, slots] of each, nonzero: visible; empty: all are.</param>
/// <param name="DocumentMasks">uint8 [T] of each; empty: all tokens are visible.</param>
internal sealed record LedStep(int[] Documents, long[] Rows, int[] Used, Tensor[] SelfMasks, Tensor[] DocumentMasks);

/// <summary>
/// One decoder layer with what it remembers, as its products write it: keys and values [T, H, D] of every document, and [slots, H, D] of
/// the decoder's tokens.
/// </summary>
internal sealed class LedDecoderCache : IDisposable
{
    private readonly LedDecoderLayer _layer;
    private readonly Tensor[] _crossKeys, _crossValues;
    private Tensor[] _keys = [], _values = [];

    /// <summary>Computes the keys and values of all documents.</summary>
    public LedDecoderCache(LedDecoderLayer layer, LedEncodedDocuments documents)
    {
        _layer = layer;
        using TensorScope scope = new();
        Tensor keys = ByHead(DecodeProduct.Once(layer.Cross.Key, documents.States)),
            values = ByHead(DecodeProduct.Once(layer.Cross.Value, documents.States));
        Tensor Of(Tensor all, int d) => all.Narrow(0, documents.Offsets[d], documents.Offsets[d + 1] - documents.Offsets[d]).Keep();
        _crossKeys = [.. Enumerable.Range(0, documents.Count).Select(d => Of(keys, d))];
        _crossValues = [.. Enumerable.Range(0, documents.Count).Select(d => Of(values, d))];
    }

    /// <summary>Room for the slots of every document. Memory that is never written is never taken from the system.</summary>
    /// <param name="capacity">Slots of each document.</param>
    /// <param name="like">Dtype and device.</param>
    public void Allocate(int[] capacity, Tensor like)
    {
        DisposeSlots();
        Tensor Room(int slots) => Tensor.Empty([slots, _layer.Self.Heads, _layer.Self.Size], like.DType, like.Device).Keep();
        _keys = Array.ConvertAll(capacity, Room);
        _values = Array.ConvertAll(capacity, Room);
    }

    /// <summary>[R, C] of [R, C].</summary>
    public Tensor Forward(Tensor hidden, LedStep step)
    {
        using TensorScope scope = new();
        Tensor attended = _layer.SelfNorm.After(AttendSelf(_layer.SelfNorm.Before(hidden), step), hidden);
        Tensor informed = _layer.CrossNorm.After(AttendDocuments(_layer.CrossNorm.Before(attended), step), attended);
        Tensor inner = DecodeProduct.Forward(_layer.Inner, _layer.OutputNorm.Before(informed), _layer.Activation);
        return scope.Keep(_layer.OutputNorm.After(DecodeProduct.Forward(_layer.Output, inner), informed));
    }

    public void Dispose()
    {
        DisposeSlots();
        foreach (Tensor tensor in _crossKeys.Concat(_crossValues))
            tensor.Dispose();
    }

    private void DisposeSlots()
    {
        foreach (Tensor tensor in _keys.Concat(_values))
            tensor.Dispose();
    }

    private Tensor AttendSelf(Tensor hidden, LedStep step)
    {
        using TensorScope scope = new();
        LedAttention self = _layer.Self;
        Store(_keys, self.Key, hidden, step);
        Store(_values, self.Value, hidden, step);
        Tensor[] Past(Tensor[] slots) => [.. step.Documents.Select((d, i) => slots[d].Narrow(0, 0, step.Used[i] + step.Rows[i]))];
        Tensor query = ByHead(DecodeProduct.Forward(self.Query, hidden));
        Tensor context = LongformerOps.DecodeAttention(query, Past(_keys), Past(_values), step.Rows, step.SelfMasks, self.Scale);
        return scope.Keep(DecodeProduct.Forward(self.Output, context.View(hidden.Size(0), -1)));
    }

    private Tensor AttendDocuments(Tensor hidden, LedStep step)
    {
        using TensorScope scope = new();
        Tensor[] Of(Tensor[] all) => Array.ConvertAll(step.Documents, d => all[d]);
        Tensor query = ByHead(DecodeProduct.Forward(_layer.Cross.Query, hidden));
        Tensor context = LongformerOps.DecodeAttention(query, Of(_crossKeys), Of(_crossValues), step.Rows, step.DocumentMasks, _layer.Cross.Scale);
        return scope.Keep(DecodeProduct.Forward(_layer.Cross.Output, context.View(hidden.Size(0), -1)));
    }

    /// <summary>Puts a projection of the rows into the slots of their documents: straight, where there is one document and they are the
    /// next.</summary>
    private static void Store(Tensor[] slots, Layers.Linear projection, Tensor hidden, LedStep step)
    {
        Tensor Next(int i) => slots[step.Documents[i]].Narrow(0, step.Used[i], step.Rows[i]).View(step.Rows[i], -1);
        if (step.Documents.Length == 1)
        {
            DecodeProduct.Into(Next(0), projection, hidden);
            return;
        }
        Tensor projected = DecodeProduct.Forward(projection, hidden);
        long first = 0;
        for (int i = 0; i < step.Documents.Length; first += step.Rows[i++])
            Next(i).CopyInPlace(projected.Narrow(0, first, step.Rows[i]));
    }

    /// <summary>[N, C] to [N, H, D].</summary>
    private Tensor ByHead(Tensor rows) => rows.View(-1, _layer.Self.Heads, _layer.Self.Size);
}
