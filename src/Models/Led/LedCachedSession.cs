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
/// </summary>
internal sealed class LedCachedSession : IDecodingSession
{
    private readonly LedDecoder _decoder;
    private readonly LedOutputHead _head;
    private readonly LedEncodedDocuments _documents;
    private readonly LayerCache[] _layers;
    private readonly Tensor?[] _hidden;
    private readonly int _maxLength, _rowsPerDocument, _vocabulary;
    private readonly int[] _used;
    private int _capacity;
    private List<Row> _rows = [];
    private float[] _logits = [];

    public LedCachedSession(LedDecoder decoder, LedOutputHead head, LedEncodedDocuments documents, LedConfiguration configuration, int maxLength, int rowsPerDocument)
    {
        (_decoder, _head, _documents) = (decoder, head, documents);
        (_maxLength, _rowsPerDocument, _vocabulary) = (maxLength, rowsPerDocument, configuration.VocabSize);
        _used = new int[documents.Count];
        using IDisposable mode = TorchRuntime.InferenceMode();
        _hidden = new Tensor?[documents.Count];
        for (int d = 0; d < _hidden.Length; d++) _hidden[d] = documents.HiddenOf(d)?.View(1, 1, -1).Keep();
        _layers = [.. decoder.Layers.Select(layer => new LayerCache(layer, documents))];
    }

    public int Documents => _documents.Count;

    public Span<float> Start(IReadOnlyList<int[]> prompts)
    {
        int length = prompts[0].Length;
        Allocate(length);
        Array.Clear(_used);
        // A prompt is a chain of rows, of which only the last goes on.
        var fed = new List<Row>();
        for (int document = 0; document < prompts.Count; document++)
        {
            if (prompts[document].Length != length)
                throw new InputException($"prompts: expected all of the same length, {length}, given {prompts[document].Length} for document {document}");
            int[] past = [];
            for (int i = 0; i < length; i++) fed.Add(new Row(document, prompts[document][i], past = [.. past, i]));
        }
        using IDisposable mode = TorchRuntime.InferenceMode();
        using var scope = new TensorScope();
        Tensor last = Run(fed).View(prompts.Count, length, -1).Select(1, length - 1);
        _rows = [.. fed.Where((_, i) => i % length == length - 1)];
        return Logits(last);
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
            if (slot >= _capacity)
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
        foreach (LayerCache layer in _layers) layer.Dispose();
        foreach (Tensor? hidden in _hidden) hidden?.Dispose();
    }

    /// <summary>A fed token: its document, and the slots of all tokens up to it.</summary>
    private sealed record Row(int Document, int Token, int[] Slots);

    /// <summary>The rows of one document in a step: where they begin, how many, and what is hidden from them.</summary>
    private sealed record Group(int Document, int First, int Count, Tensor? Mask);

    private void Allocate(int promptLength)
    {
        _capacity = promptLength + (Math.Max(_maxLength - promptLength, 0) * _rowsPerDocument);
        using IDisposable mode = TorchRuntime.InferenceMode();
        foreach (LayerCache layer in _layers) layer.Allocate(_capacity, _documents.Count, _documents.States);
    }

    /// <summary>Feeds tokens; [R, C] the decoder's last hidden states.</summary>
    private Tensor Run(List<Row> fed)
    {
        using var scope = new TensorScope();
        Device device = _documents.States.Device;
        List<Group> groups = GroupByDocument(fed, _documents.States.DType, device);
        long[] ids = [.. fed.Select(r => (long)r.Token)], places = [.. fed.Select(r => r.Slots.Length - 1L)];
        Tensor words = LedEncoder.Scale(Functional.Embedding(Tensor.From<long>(ids, ids.Length).To(device), _decoder.Words), _decoder.WordScale);
        Tensor positions = Functional.Embedding(Tensor.From<long>(places, places.Length).To(device), _decoder.Positions);
        Tensor hidden = _decoder.EmbeddingNorm.Forward(words, positions);
        foreach (LayerCache layer in _layers)
        {
            Tensor next = layer.Forward(hidden, groups, _used, _hidden);
            hidden.Dispose();
            hidden = next;
        }
        foreach (Group group in groups) _used[group.Document] += group.Count;
        return scope.Keep(_decoder.LastNorm is null ? hidden : _decoder.LastNorm.Forward(hidden));
    }

    private List<Group> GroupByDocument(List<Row> fed, DType dtype, Device device)
    {
        var groups = new List<Group>();
        for (int first = 0; first < fed.Count;)
        {
            int document = fed[first].Document, count = 1;
            while (first + count < fed.Count && fed[first + count].Document == document) count++;
            int slots = _used[document] + count;
            // Where every row's past is all there is, nothing needs hiding.
            bool all = fed.GetRange(first, count).TrueForAll(r => r.Slots.Length == slots);
            Tensor? mask = null;
            if (!all)
            {
                var values = new float[count * slots];
                Array.Fill(values, float.NegativeInfinity);
                for (int i = 0; i < count; i++)
                {
                    foreach (int slot in fed[first + i].Slots) values[(i * slots) + slot] = 0;
                }
                mask = Tensor.From<float>(values, 1, count, slots).To(device).To(dtype);
            }
            groups.Add(new Group(document, first, count, mask));
            first += count;
        }
        return groups;
    }

    private Span<float> Logits(Tensor states)
    {
        Tensor logits = _head.Forward(states).To(DType.Float32).To(Device.Cpu).Contiguous();
        int count = (int)logits.ElementCount;
        if (_logits.Length < count) _logits = new float[Math.Max(count, _rowsPerDocument * _vocabulary)];
        logits.AsSpan<float>().CopyTo(_logits);
        return _logits.AsSpan(0, count);
    }

    /// <summary>One decoder layer with what it remembers.</summary>
    private sealed class LayerCache : IDisposable
    {
        private readonly LedDecoderLayer _layer;
        private readonly Tensor[] _crossKeys, _crossValues;
        private Tensor[] _keys = [], _values = [];

        public LayerCache(LedDecoderLayer layer, LedEncodedDocuments documents)
        {
            _layer = layer;
            _crossKeys = new Tensor[documents.Count];
            _crossValues = new Tensor[documents.Count];
            for (int d = 0; d < documents.Count; d++)
            {
                using var scope = new TensorScope();
                Tensor states = documents.StatesOf(d);
                _crossKeys[d] = ByHead(layer.Cross.Key.Forward(states)).Contiguous().Keep();       // [H, T, D]
                _crossValues[d] = ByHead(layer.Cross.Value.Forward(states)).Contiguous().Keep();   // [H, T, D]
            }
        }

        /// <summary>Room for the slots of every document. Memory that is never written is never taken from the system.</summary>
        public void Allocate(int capacity, int documents, Tensor like)
        {
            DisposeSlots();
            long[] shape = [_layer.Self.Heads, capacity, _layer.Self.Size];
            _keys = [.. Enumerable.Range(0, documents).Select(_ => Tensor.Empty(shape, like.DType, like.Device).Keep())];
            _values = [.. Enumerable.Range(0, documents).Select(_ => Tensor.Empty(shape, like.DType, like.Device).Keep())];
        }

        /// <summary>[R, C] of [R, C].</summary>
        public Tensor Forward(Tensor hidden, List<Group> groups, int[] used, Tensor?[] hiddenTokens)
        {
            using var scope = new TensorScope();
            Tensor attended = _layer.SelfNorm.Leave(_layer.Self.Output.Forward(AttendSelf(_layer.SelfNorm.Enter(hidden), groups, used)), hidden);
            Tensor informed = _layer.CrossNorm.Leave(
                _layer.Cross.Output.Forward(AttendDocuments(_layer.CrossNorm.Enter(attended), groups, hiddenTokens)), attended);
            Tensor inner = _layer.Inner.Forward(_layer.OutputNorm.Enter(informed), _layer.Activation);
            return scope.Keep(_layer.OutputNorm.Leave(_layer.Output.Forward(inner), informed));
        }

        public void Dispose()
        {
            DisposeSlots();
            foreach (Tensor tensor in _crossKeys.Concat(_crossValues)) tensor.Dispose();
        }

        private void DisposeSlots()
        {
            foreach (Tensor tensor in _keys.Concat(_values)) tensor.Dispose();
        }

        private Tensor AttendSelf(Tensor hidden, List<Group> groups, int[] used)
        {
            using var scope = new TensorScope();
            LedAttention self = _layer.Self;
            Tensor query = self.Query.Forward(hidden).MulInPlace(self.Scale), key = self.Key.Forward(hidden), value = self.Value.Forward(hidden);
            var contexts = new Tensor[groups.Count];
            for (int g = 0; g < contexts.Length; g++)
            {
                Group group = groups[g];
                Tensor Rows(Tensor t) => ByHead(t.Narrow(0, group.First, group.Count));              // [H, R, D]
                (Tensor keys, Tensor values) = (_keys[group.Document], _values[group.Document]);
                int slots = used[group.Document];
                keys.Narrow(1, slots, group.Count).CopyInPlace(Rows(key));
                values.Narrow(1, slots, group.Count).CopyInPlace(Rows(value));
                Tensor scores = Rows(query).MatMul(keys.Narrow(1, 0, slots + group.Count).Transpose(1, 2));
                if (group.Mask is not null) scores.AddInPlace(group.Mask);
                contexts[g] = Merge(scores.Softmax(-1).MatMul(values.Narrow(1, 0, slots + group.Count)));
            }
            return scope.Keep(contexts.Length == 1 ? contexts[0] : Tensor.Cat(contexts, 0));
        }

        private Tensor AttendDocuments(Tensor hidden, List<Group> groups, Tensor?[] hiddenTokens)
        {
            using var scope = new TensorScope();
            Tensor query = _layer.Cross.Query.Forward(hidden).MulInPlace(_layer.Cross.Scale);
            var contexts = new Tensor[groups.Count];
            for (int g = 0; g < contexts.Length; g++)
            {
                Group group = groups[g];
                Tensor scores = ByHead(query.Narrow(0, group.First, group.Count)).MatMul(_crossKeys[group.Document].Transpose(1, 2));
                if (hiddenTokens[group.Document] is { } mask) scores.MaskedFillInPlace(mask, _layer.Cross.Lowest);
                contexts[g] = Merge(scores.Softmax(-1).MatMul(_crossValues[group.Document]));
            }
            return scope.Keep(contexts.Length == 1 ? contexts[0] : Tensor.Cat(contexts, 0));
        }

        /// <summary>[R, C] to [H, R, D].</summary>
        private Tensor ByHead(Tensor rows) => rows.View(-1, _layer.Self.Heads, _layer.Self.Size).Transpose(0, 1);

        /// <summary>[H, R, D] to [R, C].</summary>
        private static Tensor Merge(Tensor context) => context.Transpose(0, 1).Reshape(context.Size(1), -1);
    }
}
