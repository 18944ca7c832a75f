using System.IO.Enumeration;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>Tensors of another owner, under HF's names, for a model over them. Everything that does not fit is reported
/// at once.</summary>
internal sealed class GivenTensors
{
    private readonly IReadOnlyDictionary<string, Tensor> _tensors;
    private readonly string _subject;
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string[]> _ties = new(StringComparer.Ordinal);
    private readonly List<CheckpointProblem> _problems = [];

    /// <summary>Tensors for a model.</summary>
    /// <param name="tensors">By name; all of one dtype and on one device.</param>
    /// <param name="subject">What the model is called in messages.</param>
    /// <exception cref="InputException">There is none, or one is of another dtype or on another device than the first.</exception>
    public GivenTensors(IReadOnlyDictionary<string, Tensor> tensors, string subject)
    {
        (_tensors, _subject) = (tensors, subject);
        if (tensors.Count == 0)
            throw new InputException("tensors", $"the parameters of {subject}", "none");
        (string first, Tensor like) = tensors.First();
        (DType, Device) = (like.DType, like.Device);
        foreach ((string name, Tensor tensor) in tensors)
        {
            if (tensor.DType != DType)
                throw new InputException(name, $"{DType} as {first}", $"{tensor.DType}");
            if (tensor.Device != Device)
                throw new InputException(name, $"a tensor on {Device} as {first}", $"one on {tensor.Device}");
        }
        if (!like.DType.IsFloatingPoint())
            throw new InputException(first, "a floating-point dtype", $"{like.DType}");
    }

    /// <summary>That of all of them.</summary>
    public DType DType { get; }

    /// <summary>The device of all of them.</summary>
    public Device Device { get; }

    /// <summary>All names.</summary>
    public IEnumerable<string> Names => _tensors.Keys;

    /// <summary>Whether there is a tensor of exactly this name.</summary>
    public bool Contains(string name) => _tensors.ContainsKey(name);

    /// <summary>Whether there is one of this name, one that is tied to it, or any below it.</summary>
    public bool Has(string name) => Locate(name) is not null || _tensors.Keys.Any(n => n.StartsWith(name + ".", StringComparison.Ordinal));

    /// <summary>The dtype of a tensor; null where there is none of this name.</summary>
    public DType? TypeOf(string name) => _tensors.TryGetValue(name, out Tensor? tensor) ? tensor.DType : null;

    /// <summary>Declares that these names are one tensor.</summary>
    public void Tie(ReadOnlySpan<string> names)
    {
        string[] group = names.ToArray();
        foreach (string name in group)
            _ties[name] = group;
    }

    /// <summary>The tensor; a placeholder where it is missing or of another shape, which is noted.</summary>
    public Tensor Get(string name, ReadOnlySpan<long> shape)
    {
        if (Locate(name) is not { } found)
        {
            _problems.Add(new(CheckpointProblemKind.Missing, name, InputReader.Show(shape), "given"));
            return Placeholder(shape);
        }
        Tensor tensor = _tensors[found];
        _taken.Add(found);
        if (tensor.Shape.AsSpan().SequenceEqual(shape))
            return tensor;
        _problems.Add(new(CheckpointProblemKind.Shape, name, $"expected {InputReader.Show(shape)}, found {InputReader.Show(tensor.Shape)}", "given"));
        return Placeholder(shape);
    }

    /// <summary>Refuses what is missing, of another shape, or taken by nobody; gives the names of those that the patterns let pass.</summary>
    public IReadOnlyList<string> Finish(ReadOnlySpan<string> ignored)
    {
        List<string> left = [];
        foreach (string name in _tensors.Keys.Where(n => !_taken.Contains(n)))
        {
            bool passes = false;
            foreach (string pattern in ignored)
                passes |= FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false);
            if (passes)
                left.Add(name);
            else
                _problems.Add(new(CheckpointProblemKind.Unexpected, name, InputReader.Show(_tensors[name].Shape), "given"));
        }
        return _problems.Count == 0 ? left : throw new CheckpointException($"{_subject} cannot be made of the given tensors", _problems);
    }

    private string? Locate(string name) =>
        _tensors.ContainsKey(name) ? name : _ties.TryGetValue(name, out string[]? group) ? Array.Find(group, _tensors.ContainsKey) : null;

    private static Tensor Placeholder(ReadOnlySpan<long> shape)
    {
        using TensorScope scope = new();
        Span<long> ones = stackalloc long[shape.Length];
        ones.Fill(1);
        return scope.Keep(Tensor.Zeros(ones).Expand(shape));
    }
}
