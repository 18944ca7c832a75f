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
/// <para>
/// On a GPU a step copies to the device once (tokens, positions, masks), without waiting, and waits once, for the logits.
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
    private List<LedRow> _rows = [];
    private Tensor? _logits;

    public LedCachedSession(LedDecoder decoder, LedOutputHead head, LedEncodedDocuments documents, LedConfiguration configuration, int maxLength,
        int rowsPerDocument)
    {
        (_decoder, _head, _documents) = (decoder, head, documents);
        (_maxLength, _rowsPerDocument, _vocabulary) = (maxLength, rowsPerDocument, configuration.VocabSize);
        (_used, _capacity) = (new int[documents.Count], new int[documents.Count]);
        using TensorScope scope = new();
        _nothing = Tensor.Empty([0], DType.UInt8, documents.States.Device).Keep();
        _visible = [.. Enumerable.Range(0, documents.Count).Select(d => documents.VisibleOf(d)?.Keep() ?? _nothing)];
        _layers = [.. decoder.Layers.Select(layer => new LedDecoderCache(layer, documents))];
    }

    public int Documents => _documents.Count;

    public Span<float> Start(IReadOnlyList<int[]> prompts)
    {
        using TensorScope scope = new();
        Array.Clear(_used);
        // A prompt is a chain of rows, of which only the last is continued.
        List<LedRow> fed = new();
        long[] ends = new long[prompts.Count];
        for (int document = 0; document < prompts.Count; document++)
        {
            int[] prompt = prompts[document], past = [];
            if (prompt.Length < 1 || prompt.Length > _maxLength)
                throw new InputException(new("prompts", document), $"1 to {_maxLength} tokens", $"{prompt.Length}");
            _capacity[document] = prompt.Length + ((_maxLength - prompt.Length) * _rowsPerDocument);
            for (int i = 0; i < prompt.Length; i++)
                fed.Add(new LedRow(document, prompt[i], past = [.. past, i]));
            ends[document] = fed.Count - 1;
        }
        foreach (LedDecoderCache layer in _layers)
            layer.Allocate(_capacity, _documents.States);
        LedStepLayout layout = LedStepLayout.Create(fed, _used);
        Tensor states = States(layout);
        Fed(layout);
        _rows = [.. ends.Select(end => fed[(int)end])];
        return Logits(states.Size(0) == ends.Length ? states : states.IndexSelect(0, HostBuffer.Upload(ends, states.Device)));
    }

    public Span<float> Step(scoped ReadOnlySpan<int> tokens, scoped ReadOnlySpan<int> parents)
    {
        List<LedRow> fed = new(tokens.Length);
        int slot = 0;
        for (int i = 0; i < tokens.Length; i++)
        {
            LedRow parent = _rows[parents[i]];
            if (fed.Count > 0 && fed[^1].Document > parent.Document)
                throw new InputException("parents: expected rows that ascend by document");
            slot = fed.Count > 0 && fed[^1].Document == parent.Document ? slot + 1 : _used[parent.Document];
            if (slot >= _capacity[parent.Document])
                throw new InputException($"the session is full: expected at most {_maxLength} tokens in {_rowsPerDocument} rows per document");
            fed.Add(new LedRow(parent.Document, tokens[i], [.. parent.Slots, slot]));
        }
        using TensorScope scope = new();
        LedStepLayout layout = LedStepLayout.Create(fed, _used);
        Tensor states = States(layout);
        Fed(layout);
        _rows = fed;
        return Logits(states);
    }

    public void Dispose()
    {
        foreach (LedDecoderCache layer in _layers)
            layer.Dispose();
        foreach (Tensor visible in _visible)
            visible.Dispose();
        _nothing.Dispose();
        _logits?.Dispose();
    }

    /// <summary>The decoder's last hidden states [R, C] of a step.</summary>
    private Tensor States(LedStepLayout layout)
    {
        using TensorScope scope = new();
        Tensor buffer = layout.Host.Upload(_documents.States.Device);
        LedStep step = layout.Step(buffer, _visible, _nothing);
        Tensor hidden = _decoder.EmbeddingNorm.Embed(new(_decoder.Words, layout.Ids.In(buffer, layout.Count)),
            new(_decoder.Positions, layout.Places.In(buffer, layout.Count)), wordScale: _decoder.WordScale);
        foreach (LedDecoderCache layer in _layers)
        {
            Tensor next = layer.Forward(hidden, step);
            hidden.Dispose();
            hidden = next;
        }
        return scope.Keep(_decoder.LastNorm is null ? hidden : _decoder.LastNorm.Forward(hidden));
    }

    /// <summary>The slots of these rows are taken.</summary>
    private void Fed(LedStepLayout layout)
    {
        for (int i = 0; i < layout.Documents.Length; i++)
            _used[layout.Documents[i]] += (int)layout.Rows[i];
    }

    private Span<float> Logits(Tensor states)
    {
        Tensor rows = HostRows(states.Size(0));
        // Here, and nowhere else in a step, the host waits for the device.
        if (states.Device != Device.Cpu || states.DType != DType.Float32)
            rows.CopyInPlace(_head.Forward(states));
        else
            _head.ForwardInto(rows, states);
        return Values(rows);
    }

    private Tensor HostRows(long count)
    {
        if (_logits is null || _logits.Size(0) < count)
        {
            _logits?.Dispose();
            _logits = Tensor.EmptyHost([Math.Max(count, _rowsPerDocument), _vocabulary], DType.Float32, _documents.States.Device).Keep();
        }
        return _logits.Narrow(0, 0, count);
    }

    private static Span<float> Values(Tensor rows)
    {
        ReadOnlySpan<float> values = rows.AsSpan<float>();
        return MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(values), values.Length);
    }
}
