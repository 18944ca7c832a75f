using LongformerInterop.Torch;

namespace LongformerInterop.Models.Graphs;

/// <summary>What graphs did for a model so far.</summary>
/// <param name="Recorded">How many pieces of work were recorded.</param>
/// <param name="Replayed">How often a record was used.</param>
/// <param name="Evicted">How many records were given up for newer ones.</param>
/// <param name="Failure">Why recording failed, after which nothing is recorded any more; null: it did not.</param>
public readonly record struct GraphStatistics(long Recorded, long Replayed, long Evicted, string? Failure);

/// <summary>
/// Records work of one shape when it comes the second time, and replays the record from then on. The work is a function of one input
/// tensor; a record reads a tensor of its own, into which each input is copied. At most so many records are kept: those used last.
/// <para>
/// Any number of threads may use a cache at once: work that is not recorded runs side by side, records are used one at a time, which
/// takes as long as telling the device what to do.
/// </para>
/// </summary>
internal sealed class GraphCache(IWorkRecorder recorder, Device device, int capacity) : IDisposable
{
    // The first time compiles kernels and may be the only one.
    private const int RecordedAtUse = 2;

    private readonly Lock _lock = new();
    private readonly Dictionary<GraphKey, Entry> _entries = [];
    private long _clock, _recorded, _replayed, _evicted;
    private string? _failure;
    private bool _disposed;

    public GraphStatistics Statistics
    {
        get
        {
            lock (_lock) return new GraphStatistics(_recorded, _replayed, _evicted, _failure);
        }
    }

    /// <summary>Does the work, or has its record do it.</summary>
    /// <param name="key">What the work is but for its input.</param>
    /// <param name="input">Int64 [words].</param>
    /// <param name="work">Makes the output of an input.</param>
    /// <returns>The output, in the caller's scope: its own, not the record's.</returns>
    public Tensor Run(GraphKey key, Tensor input, Func<Tensor, Tensor> work)
    {
        lock (_lock)
        {
            if (Recorded(key, input, work) is { } entry)
            {
                // Whatever mode the caller is in, the record's own tensor may be written.
                using (TorchRuntime.InferenceMode()) entry.Input!.CopyInPlace(input);
                entry.Work!.Replay();
                _replayed++;
                return entry.Work.Output.Clone();
            }
        }
        return work(input);
    }

    /// <summary>Forgets every record: what they read is about to go.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            foreach (Entry entry in _entries.Values) entry.Dispose();
            _entries.Clear();
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            Clear();
        }
    }

    /// <summary>The record of the work, made now if it is time; null: do without.</summary>
    private Entry? Recorded(GraphKey key, Tensor input, Func<Tensor, Tensor> work)
    {
        if (_disposed || _failure is not null)
            return null;
        if (!_entries.TryGetValue(key, out Entry? entry))
        {
            MakeRoom();
            _entries[key] = entry = new Entry();
        }
        entry.LastUse = ++_clock;
        if (entry.Work is null && ++entry.Uses >= RecordedAtUse)
            Record(entry, input, work);
        return entry.Work is null ? null : entry;
    }

    private void Record(Entry entry, Tensor input, Func<Tensor, Tensor> work)
    {
        using IDisposable mode = TorchRuntime.InferenceMode();
        using var scope = new TensorScope();
        Tensor own = input.Clone().Keep();
        try
        {
            entry.Work = recorder.Record(device, () =>
            {
                using var inner = new TensorScope();
                return inner.Keep(work(own));
            });
            entry.Input = own;
            _recorded++;
        }
        catch (LongformerException e)
        {
            // What cannot be recorded still runs. A failed recording can leave the device's allocator in a state in which another fails
            // as well, so there is no second try.
            own.Dispose();
            _failure = e.Message;
        }
    }

    private void MakeRoom()
    {
        if (_entries.Count < capacity) return;
        (GraphKey oldest, Entry entry) = _entries.MinBy(e => e.Value.LastUse);
        _entries.Remove(oldest);
        if (entry.Work is not null) _evicted++;
        entry.Dispose();
    }

    private sealed class Entry : IDisposable
    {
        public int Uses { get; set; }

        public long LastUse { get; set; }

        public Tensor? Input { get; set; }

        public IRecordedWork? Work { get; set; }

        public void Dispose()
        {
            Work?.Dispose();
            Input?.Dispose();
        }
    }
}
