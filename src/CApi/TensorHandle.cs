using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi;

/// <summary>lf_tensor: a tensor outside every scope, with the memory that its properties are handed out from.</summary>
internal sealed unsafe class TensorHandle : IDisposable
{
    private readonly BorrowedMemory _borrowed = new();

    /// <summary>Takes the tensor over.</summary>
    public TensorHandle(Tensor tensor) => Tensor = tensor.Keep();

    public Tensor Tensor { get; }

    public long* Shape => _borrowed.Values(0, 0, () => Tensor.Shape, out _);

    public long* Strides => _borrowed.Values(1, 0, () => Tensor.Strides, out _);

    public byte* Device => _borrowed.Text(2, 0, () => Tensor.Device.ToString(), out _);

    /// <summary>Returns a new handle for a tensor that belongs to something else.</summary>
    public static TensorHandle Share(Tensor tensor) => new(Tensor.FromHandle(tensor.Handle, own: false));

    /// <summary>A handle for a result: row-major.</summary>
    public static TensorHandle Result(Tensor tensor)
    {
        Tensor contiguous = tensor.Contiguous();
        GC.KeepAlive(tensor);
        return new TensorHandle(contiguous);
    }

    public void Dispose()
    {
        Tensor.Dispose();
        _borrowed.Dispose();
    }
}

/// <summary>lf_tensors: named tensors, in order.</summary>
internal sealed unsafe class TensorMap : IDisposable
{
    private readonly BorrowedMemory _borrowed = new();
    private readonly List<(string Name, TensorHandle Tensor)> _tensors = [];
    private readonly Dictionary<string, int> _index = new(StringComparer.Ordinal);

    public int Count => _tensors.Count;

    /// <summary>Outputs of a model: row-major.</summary>
    public static TensorMap Results(IReadOnlyDictionary<string, Tensor> outputs) => Make(outputs, TensorHandle.Result);

    /// <summary>Tensors of somebody else.</summary>
    public static TensorMap Shared(IEnumerable<KeyValuePair<string, Tensor>> tensors) => Make(tensors, TensorHandle.Share);

    /// <summary>All tensors of a safetensors file, where they are.</summary>
    public static TensorMap Open(string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        return Make(file.Entries.Keys.Select(name => KeyValuePair.Create(name, file.Get(name))), t => new TensorHandle(t));
    }

    /// <summary>Returns a new handle.</summary>
    public TensorHandle At(int index) => TensorHandle.Share(_tensors[index].Tensor.Tensor);

    public byte* Name(int index) => _borrowed.Text(0, index, () => _tensors[index].Name, out _);

    /// <summary>Returns a new handle.</summary>
    public TensorHandle Get(string name) => _index.TryGetValue(name, out int index)
        ? At(index)
        : throw new CallException(Status.NotFound,
            $"no tensor \"{name}\"; there are {string.Join(", ", _tensors.Take(20).Select(t => t.Name))}{(Count > 20 ? "..." : "")}");

    public void Dispose()
    {
        foreach ((_, TensorHandle tensor) in _tensors)
            tensor.Dispose();
        _borrowed.Dispose();
    }

    private static TensorMap Make(IEnumerable<KeyValuePair<string, Tensor>> tensors, Func<Tensor, TensorHandle> make)
    {
        TensorMap map = new();
        try
        {
            foreach ((string name, Tensor tensor) in tensors)
            {
                map._index.Add(name, map._tensors.Count);
                map._tensors.Add((name, make(tensor)));
            }
            return map;
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }
}

/// <summary>Memory of the caller that a tensor borrows.</summary>
internal sealed unsafe class CallerMemory(nint release, nint context) : IMemoryLease
{
    /// <summary>Set once the tensor exists: before that the memory stays the caller's.</summary>
    public volatile bool Armed;

    public void Return()
    {
        if (Armed && release != 0)
            ((delegate* unmanaged[Cdecl]<void*, void>)release)((void*)context);
    }
}
