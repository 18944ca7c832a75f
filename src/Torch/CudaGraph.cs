using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>Work on tensors that was recorded once and can be done again with the values that its inputs hold by then.</summary>
public interface IRecordedWork : IDisposable
{
    /// <summary>What the work made. Every <see cref="Replay"/> writes it anew.</summary>
    Tensor Output { get; }

    /// <summary>Does the work again.</summary>
    void Replay();
}

/// <summary>Something that records work.</summary>
public interface IWorkRecorder
{
    /// <summary>
    /// Records the work. It may be run more than once meanwhile, and must read nothing but tensors that live as long as the record;
    /// whatever the host computes in it stays as it was.
    /// </summary>
    /// <param name="device">Where it runs.</param>
    /// <param name="work">Makes one tensor.</param>
    IRecordedWork Record(Device device, Func<Tensor> work);
}

/// <summary>
/// A CUDA graph: the kernels that a piece of work launches, recorded once and from then on launched together. Where the kernels are
/// short, as in small batches, launching them one by one takes longer than running them.
/// </summary>
public sealed unsafe class CudaGraph : IRecordedWork
{
    // Work is recorded on one stream of its own, by one thread at a time.
    private static readonly Lock Recording = new();

    private Tensor? output;
    private nint handle;

    private CudaGraph(nint handle) => this.handle = handle;

    /// <summary>The safety net for graphs that nobody disposed.</summary>
    ~CudaGraph() => Release();

    /// <summary>Records CUDA graphs.</summary>
    public static IWorkRecorder Recorder { get; } = new GraphRecorder();

    /// <summary>Why there are no graphs here; null where there are.</summary>
    public static string? WhyNot
    {
        get
        {
            Shim.Ensure();
            byte* reason;
            Shim.Check(NativeMethods.GraphSupport(&reason));
            return reason is null ? null : Shim.Utf8(reason);
        }
    }

    /// <inheritdoc/>
    public Tensor Output => output ?? throw new ObjectDisposedException(nameof(CudaGraph));

    /// <inheritdoc/>
    public void Replay()
    {
        ObjectDisposedException.ThrowIf(handle == 0, this);
        Shim.Check(NativeMethods.GraphReplay(handle));
        GC.KeepAlive(this);
    }

    /// <summary>Frees the graph with the memory of everything that it computes.</summary>
    public void Dispose()
    {
        output?.Dispose();
        output = null;
        Release();
        GC.SuppressFinalize(this);
    }

    private void Release()
    {
        nint released = Interlocked.Exchange(ref handle, 0);
        if (released != 0) _ = NativeMethods.GraphFree(released);
    }

    private static CudaGraph Record(Device device, Func<Tensor> work)
    {
        Shim.Ensure();
        lock (Recording)
        {
            nint created;
            Shim.Check(NativeMethods.GraphCreate(device.Index, &created));
            var graph = new CudaGraph(created);
            try
            {
                Shim.Check(NativeMethods.GraphEnter(created));
                try
                {
                    work().Dispose();
                    graph.output = graph.RecordOnce(work);
                }
                finally
                {
                    Shim.Check(NativeMethods.GraphLeave(created));
                }
                return graph;
            }
            catch
            {
                graph.Dispose();
                throw;
            }
        }
    }

    private Tensor RecordOnce(Func<Tensor> work)
    {
        Shim.Check(NativeMethods.GraphBegin(handle));
        Tensor? made = null;
        try
        {
            made = work().Keep();
        }
        finally
        {
            // Recording must end whatever happened; the first failure is the one to tell.
            int status = NativeMethods.GraphEnd(handle);
            if (made is not null && status != 0)
            {
                made.Dispose();
                Shim.Check(status);
            }
        }
        return made;
    }

    private sealed class GraphRecorder : IWorkRecorder
    {
        public IRecordedWork Record(Device device, Func<Tensor> work)
        {
            ArgumentNullException.ThrowIfNull(work);
            return CudaGraph.Record(device, work);
        }
    }
}
