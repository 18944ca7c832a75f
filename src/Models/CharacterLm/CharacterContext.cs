using LongformerInterop.Models.CharacterLm;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// A text that a <see cref="CharacterLanguageModel"/> reads piece by piece: of each layer the keys and values that its window still reaches are
/// kept, no more, so that a text of any length takes the same memory and a character the same time. Its result for a piece is the model's
/// for the same piece at the end of the whole text so far. Not for several threads at once.
/// </summary>
public sealed class CharacterContext : IDisposable
{
    private static readonly Dropout None = new(null, 0, 0);
    private readonly CharacterLanguageModel _model;
    private readonly LayerContext[] _layers;

    /// <summary>An empty text.</summary>
    /// <param name="model">The model; it must live as long.</param>
    public CharacterContext(CharacterLanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _layers = [.. model.LayersInOrder.Select((layer, i) => new LayerContext(layer, model.Patterns[i], model))];
    }

    /// <summary>Characters read so far.</summary>
    public long Length { get; private set; }

    /// <summary>Characters whose keys and values the widest layer keeps now.</summary>
    public long Kept => _layers.Max(layer => layer.Count);

    /// <summary>Reads on.</summary>
    /// <param name="ids">The next characters, at least one.</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    /// <returns>The hidden states behind the last layer, [T, C].</returns>
    /// <exception cref="InputException">An id is no symbol, or there is none.</exception>
    public Tensor Read(ReadOnlySpan<int> ids, CancellationToken cancellation = default)
    {
        if (ids.Length == 0)
            throw new InputException("ids", "at least one symbol", "none");
        long[] values = new long[ids.Length];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = (uint)ids[i] < (uint)_model.Configuration.VocabularySize ? ids[i]
                : throw new InputException("ids", $"symbols 0..{_model.Configuration.VocabularySize - 1}", $"{ids[i]}");
        }
        using TensorScope scope = new();
        Tensor hidden = _model.Embed(values, None);
        foreach (LayerContext layer in _layers)
        {
            CancelPoll.ThrowIfStopped(cancellation, often: true);
            using TensorScope inner = new();
            hidden = layer.Forward(hidden).MoveToOuterScope();
        }
        Length += ids.Length;
        return scope.Keep(hidden);
    }

    /// <summary>Forgets the text.</summary>
    public void Clear()
    {
        foreach (LayerContext layer in _layers)
            layer.Clear();
        Length = 0;
    }

    /// <summary>Frees what is kept.</summary>
    public void Dispose()
    {
        foreach (LayerContext layer in _layers)
            layer.Dispose();
    }

    /// <summary>The keys and values of one layer, and its table of distances.</summary>
    private sealed class LayerContext(CharacterLayer layer, LayerPattern pattern, CharacterLanguageModel model) : IDisposable
    {
        // Rows from..from + count of the buffers are the text's last ones.
        private Tensor? _keys, _values, _table, _reversed, _hidden;
        private long _from;

        public long Count { get; private set; }

        public Tensor Forward(Tensor hidden)
        {
            (Tensor query, Tensor key, Tensor value) = layer.Attention.Project(hidden);
            long before = Count, added = hidden.Size(0);
            Append(key, value);
            Tensor keys = _keys!.Narrow(0, _from, Count), values = _values!.Narrow(0, _from, Count);
            Tensor attended;
            if (added == 1)
            {
                attended = Last(query, keys, values);
            }
            else
            {
                // The operator has a query for every key; those of the characters before are nobody's.
                Tensor queries = before == 0 ? query
                    : Tensor.Cat([Tensor.Zeros([before, query.Size(1), query.Size(2)], query.DType, query.Device), query]);
                attended = layer.Attention.Attend(queries, keys, values, Table(Count), pattern, 1, 0, 0).Narrow(0, before, added).Contiguous();
            }
            Forget();
            return layer.FeedForward(layer.Attention.Close(attended, hidden, x => x), None);
        }

        public void Clear() => (_from, Count) = (0, 0);

        public void Dispose()
        {
            foreach (Tensor? tensor in (Tensor?[])[_keys, _values, _table, _reversed, _hidden])
                tensor?.Dispose();
            (_keys, _values, _table, _reversed, _hidden) = (null, null, null, null, null);
        }

        /// <summary>The attention [1, H, D] of one query, the last, over all that is kept.</summary>
        private Tensor Last(Tensor query, Tensor keys, Tensor values)
        {
            Tensor table = Table(Count);
            RelativePositions positions = layer.Attention.Positions(table);
            long rows = _reversed!.Size(0);
            Tensor scores = (keys * (query + positions.ContentBias!))
                .AddInPlace(_reversed.Narrow(0, rows - Count, Count) * (query + positions.PositionBias!)).Sum(-1, dtype: Wide(keys.DType));
            scores = scores * (1 / Math.Sqrt(query.Size(2)));
            if (_hidden is not null)
                scores.MaskedFillInPlace(_hidden.Narrow(0, rows - Count, Count), double.NegativeInfinity);
            Tensor weights = scores.Softmax(0).To(values.DType).Unsqueeze(-1);
            return (values * weights).Sum(0, dtype: Wide(values.DType)).To(values.DType).Unsqueeze(0);
        }

        private static DType Wide(DType dtype) => dtype == DType.Float64 ? DType.Float64 : DType.Float32;

        private void Append(Tensor key, Tensor value)
        {
            long added = key.Size(0), needed = Count + added;
            if (_keys is null || _from + needed > _keys.Size(0))
            {
                // Room for as much again, so that a character copies one row on average.
                long room = Math.Max(2 * needed, 64);
                (_keys, _values) = (Moved(_keys), Moved(_values));
                _from = 0;

                Tensor Moved(Tensor? old)
                {
                    Tensor fresh = Tensor.Empty([room, key.Size(1), key.Size(2)], key.DType, key.Device).Keep();
                    if (old is not null && Count > 0)
                        fresh.Narrow(0, 0, Count).CopyInPlace(old.Narrow(0, _from, Count));
                    old?.Dispose();
                    return fresh;
                }
            }
            _keys!.Narrow(0, _from + Count, added).CopyInPlace(key);
            _values!.Narrow(0, _from + Count, added).CopyInPlace(value);
            Count = needed;
        }

        /// <summary>Drops the keys and values that the next character does not see.</summary>
        private void Forget()
        {
            long most = Math.Min(pattern.Reach, Count);
            _from += Count - most;
            Count = most;
        }

        /// <summary>The table of distances for so many keys, [P, H, D], made once for all that come.</summary>
        private Tensor Table(long length)
        {
            long rows = pattern.TableRows(length);
            if (_table is not null && _table.Size(0) >= rows)
                return _table;
            rows = Math.Min(pattern.TableRows(long.MaxValue), Math.Max(rows, 2 * (_table?.Size(0) ?? 0)));
            using TensorScope scope = new();
            CharacterLanguageModelConfiguration c = model.Configuration;
            Tensor table = layer.Attention.Table(DistanceEmbedding.Of(rows, c.HiddenSize, c.ClampLength, model.DType, model.Device));
            long[] backwards = [.. Enumerable.Range(0, (int)rows).Select(i => rows - 1 - i)];
            Tensor reversed = table.IndexSelect(0, HostBuffer.Upload(backwards, model.Device));
            Tensor? hidden = HiddenKeys(backwards);
            foreach (Tensor? old in (Tensor?[])[_table, _reversed, _hidden])
                old?.Dispose();
            (_table, _reversed, _hidden) = (table.Keep(), reversed.Keep(), hidden?.Keep());
            return _table;
        }

        /// <summary>Bool [P, H], true where a head does not see a distance; null: all see all.</summary>
        private Tensor? HiddenKeys(long[] distances)
        {
            long[] dilation = pattern.Dilation;
            if (dilation.All(d => d == 1))
                return null;
            bool[] hidden = new bool[distances.Length * dilation.Length];
            for (int i = 0; i < distances.Length; i++)
            {
                for (int h = 0; h < dilation.Length; h++)
                    hidden[(i * dilation.Length) + h] = distances[i] % dilation[h] != 0 || distances[i] / dilation[h] > pattern.Window;
            }
            return Tensor.From<bool>(hidden, distances.Length, dilation.Length).To(model.Device);
        }
    }
}
