namespace LongformerInterop.Torch;

/// <summary>
/// Disposes every tensor that is made on this thread until it ends, except those that are kept. Scopes nest; each belongs to its
/// thread, so none may span an <c>await</c>.
/// </summary>
/// <example><code>
/// using TensorScope scope = new();
/// Tensor hidden = Functional.Linear(x, weight, bias);
/// return scope.Keep(Functional.Gelu(hidden));    // hidden is disposed, the caller gets the result
/// </code></example>
public sealed class TensorScope : IDisposable
{
    [ThreadStatic] private static TensorScope? _current;
    [ThreadStatic] private static List<Tensor>? _spare; // a list to use again, so that a scope in a loop does not allocate one

    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly List<Tensor> _tensors;
    private bool _disposed;

    /// <summary>Opens a scope inside the current one of this thread.</summary>
    public TensorScope()
    {
        _tensors = _spare ?? [];
        _spare = null;
        Outer = _current;
        _current = this;
    }

    /// <summary>The innermost scope of this thread; null if there is none.</summary>
    public static TensorScope? Current => _current;

    /// <summary>The scope around this one; null if there is none.</summary>
    internal TensorScope? Outer { get; }

    /// <summary>How many tensors joined so far, among them those that were disposed or kept since.</summary>
    public int Count => _tensors.Count;

    /// <summary>
    /// Lets a tensor outlive this scope: it moves to the scope around it, or to the caller's care where there is none. A tensor
    /// of another scope stays where it is. Gives the tensor itself.
    /// </summary>
    public Tensor Keep(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return ReferenceEquals(tensor.Scope, this) ? tensor.MoveToOuterScope() : tensor;
    }

    /// <summary>Lets two tensors outlive this scope.</summary>
    public (Tensor First, Tensor Second) Keep(Tensor first, Tensor second) => (Keep(first), Keep(second));

    /// <summary>Lets tensors outlive this scope.</summary>
    public void Keep(IEnumerable<Tensor> kept)
    {
        ArgumentNullException.ThrowIfNull(kept);
        foreach (Tensor tensor in kept)
            Keep(tensor);
    }

    /// <summary>Disposes the tensors that still belong to the scope.</summary>
    /// <exception cref="InvalidOperationException">Called on another thread, or while a scope inside this one is open.</exception>
    public void Dispose()
    {
        if (_disposed)
            return;
        if (_thread != Environment.CurrentManagedThreadId)
            throw new InvalidOperationException("a TensorScope ends on the thread that opened it; it must not span an await");
        if (!ReferenceEquals(_current, this))
            throw new InvalidOperationException("a TensorScope ends before the one around it: a scope inside this one is still open");
        _disposed = true;
        _current = Outer;
        foreach (Tensor tensor in _tensors)
        {
            if (ReferenceEquals(tensor.Scope, this))
                tensor.Dispose();
        }
        _tensors.Clear();
        if (_tensors.Capacity <= 4096)
            _spare = _tensors;
    }

    internal void Add(Tensor tensor)
    {
        // A scope that has ended, or one of another thread (a tensor moved there from elsewhere), takes nothing in: the tensor is
        // then its holder's to dispose.
        if (!_disposed && _thread == Environment.CurrentManagedThreadId)
            _tensors.Add(tensor);
    }
}
