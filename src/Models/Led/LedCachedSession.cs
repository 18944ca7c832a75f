using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>
/// The fast decoding session. Of each document the keys and values of cross-attention are computed once; those of the decoder's own tokens go
/// into slots of a cache that is allocated once, a slot per fed token, in the order in which they are fed.
/// <para>
/// Beams are never copied: a row is the list of its slots, so that rows that split share their past, and reordering beams only
/// changes lists of integers. A step multiplies the queries of all rows of a document with all its slots at once and hides from each row
/// what is not its past. Rows that nobody continues leave nothing to compute.
/// </para>
/// <para>
/// A step costs what it reads: every weight of the decoder, and the documents' keys and values, once for all rows.
/// </para>
/// </summary>
internal sealed class LedCachedSession : IDecodingSession
{
    private readonly LedDecoder _decoder;
    private readonly LedOutputHead _head;
    private readonly LedEncodedDocuments _documents;
    private readonly LedDecoderCache[] _layers;
    private readonly Tensor[] _visible;
    private readonly Tensor _nothing;
    private readonly int _maxLength, _rowsPerDocument, _vocabulary;
    private readonly int[] _used, _capacity;
    private List<Row> _rows = [];
    private Tensor? _logits;

    public LedCachedSession(LedDecoder decoder, LedOutputHead head, LedEncodedDocuments documents, LedConfiguration configuration, int maxLength, int rowsPerDocument)
    {
        (_decoder, _head, _documents) = (decoder, head, documents);
        (_maxLength, _rowsPerDocument, _vocabulary) = (maxLength, rowsPerDocument, configuration.VocabSize);
        (_used, _capacity) = (new int[documents.Count], new int[documents.Count]);
        using IDisposable mode = TorchRuntime.InferenceMode();
        using var scope = new TensorScope();
        _nothing = Tensor.Empty([0], DType.UInt8, documents.States.Device).Keep();
        _visible = [.. Enumerable.Range(0, documents.Count).Select(d => documents.VisibleOf(d)?.Keep() ?? _nothing)];
        _layers = [.. decoder.Layers.Select(layer => new LedDecoderCache(layer, documents))];
    }

    public int Documents => _documents.Count;

    public Span<float> Start(IReadOnlyList<int[]> prompts)
    {
        using IDisposable mode = TorchRuntime.InferenceMode();
        using var scope = new TensorScope();
        Array.Clear(_used);
        // A prompt is a chain of rows, of which only the last goes on.
        var fed = new List<Row>();
        var ends = new long[prompts.Count];
        for (int document = 0; document < prompts.Count; document++)
        {
            int[] prompt = prompts[document], past = [];
            if (prompt.Length < 1 || prompt.Length > _maxLength)
                throw new InputException($"prompts[{document}]: expected 1 to {_maxLength} tokens, given {prompt.Length}");
            _capacity[document] = prompt.Length + ((_maxLength - prompt.Length) * _rowsPerDocument);
            for (int i = 0; i < prompt.Length; i++) fed.Add(new Row(document, prompt[i], past = [.. past, i]));
            ends[document] = fed.Count - 1;
        }
        foreach (LedDecoderCache layer in _layers) layer.Allocate(_capacity, _documents.States);
        Tensor states = Run(fed);
        _rows = [.. ends.Select(end => fed[(int)end])];
        return Logits(states.Size(0) == ends.Length ? states : states.IndexSelect(0, Tensor.From<long>(ends, ends.Length).To(states.Device)));
    }

    public Span<float> Step(scoped ReadOnlySpan<int> tokens, scoped ReadOnlySpan<int> parents)
    {
        var fed = new List<Row>(tokens.Length);
        int slot = 0;
        for (int i = 0; i < tokens.Length; i++)
        {
            Row parent = _rows[parents[i]];
            if (fed.Count > 0 && fed[^1].Document > parent.Document)
                throw new InputException("parents: expected rows that ascend by document");
            slot = fed.Count > 0 && fed[^1].Document == parent.Document ? slot + 1 : _used[parent.Document];
            if (slot >= _capacity[parent.Document])
                throw new InputException($"the session is full: expected at most {_maxLength} tokens in {_rowsPerDocument} rows per document");
            fed.Add(new Row(parent.Document, tokens[i], [.. parent.Slots, slot]));
        }
        using IDisposable mode = TorchRuntime.InferenceMode();
        using var scope = new TensorScope();
        Tensor states = Run(fed);
        _rows = fed;
        return Logits(states);
    }

    public void Dispose()
    {
        foreach (LedDecoderCache layer in _layers) layer.Dispose();
        foreach (Tensor visible in _visible) visible.Dispose();
        _nothing.Dispose();
        _logits?.Dispose();
    }

    /// <summary>A fed token: its document, and the slots of all tokens up to it.</summary>
    private sealed record Row(int Document, int Token, int[] Slots);

    /// <summary>Feeds tokens; [R, C] the decoder's last hidden states.</summary>
    private Tensor Run(List<Row> fed)
    {
        using var scope = new TensorScope();
        Device device = _documents.States.Device;
        LedStep step = Group(fed, device);
        long[] ids = [.. fed.Select(r => (long)r.Token)], places = [.. fed.Select(r => r.Slots.Length - 1L)];
        Tensor words = LedEncoder.Scale(Functional.Embedding(Tensor.From<long>(ids, ids.Length).To(device), _decoder.Words), _decoder.WordScale);
        Tensor positions = Functional.Embedding(Tensor.From<long>(places, places.Length).To(device), _decoder.Positions);
        Tensor hidden = _decoder.EmbeddingNorm.Forward(words, positions);
        foreach (LedDecoderCache layer in _layers)
        {
            Tensor next = layer.Forward(hidden, step);
            hidden.Dispose();
            hidden = next;
        }
        for (int i = 0; i < step.Documents.Length; i++) _used[step.Documents[i]] += (int)step.Rows[i];
        return scope.Keep(_decoder.LastNorm is null ? hidden : _decoder.LastNorm.Forward(hidden));
    }

    /// <summary>The rows of each document, and what is hidden from them.</summary>
    private LedStep Group(List<Row> fed, Device device)
    {
        var documents = new List<int>();
        var rows = new List<long>();
        var masks = new List<Tensor>();
        for (int first = 0, count; first < fed.Count; first += count)
        {
            int document = fed[first].Document;
            count = 1;
            while (first + count < fed.Count && fed[first + count].Document == document) count++;
            documents.Add(document);
            rows.Add(count);
            int slots = _used[document] + count;
            // Where every row's past is all there is, nothing needs hiding.
            bool all = fed.GetRange(first, count).TrueForAll(r => r.Slots.Length == slots);
            if (all)
            {
                masks.Add(_nothing);
                continue;
            }
            var visible = new byte[count * slots];
            for (int i = 0; i < count; i++)
            {
                foreach (int slot in fed[first + i].Slots) visible[(i * slots) + slot] = 1;
            }
            masks.Add(Tensor.From<byte>(visible, count, slots).To(device));
        }
        return new LedStep([.. documents], [.. rows], [.. documents.Select(d => _used[d])], [.. masks], [.. documents.Select(d => _visible[d])]);
    }

    private Span<float> Logits(Tensor states)
    {
        if (_logits is null || _logits.Size(0) < states.Size(0))
        {
            _logits?.Dispose();
            _logits = Tensor.Empty([Math.Max(states.Size(0), _rowsPerDocument), _vocabulary], DType.Float32).Keep();
        }
        Tensor rows = _logits.Narrow(0, 0, states.Size(0));
        if (states.Device == Device.Cpu && states.DType == DType.Float32) _head.ForwardInto(rows, states);
        else rows.CopyInPlace(_head.Forward(states));
        ReadOnlySpan<float> values = rows.AsSpan<float>();
        return MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(values), values.Length);
    }
}
