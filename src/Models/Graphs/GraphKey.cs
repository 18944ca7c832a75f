namespace LongformerInterop.Models.Graphs;

/// <summary>Everything about a piece of work that is not in its input tensor: two pieces of one key can share a record.</summary>
internal readonly struct GraphKey : IEquatable<GraphKey>
{
    private readonly long[] _numbers;
    private readonly int _hash;

    /// <param name="numbers">Numbers that describe the work, such as lengths and offsets.</param>
    /// <param name="parts">The layout of its input.</param>
    public GraphKey(IEnumerable<long> numbers, IReadOnlyList<BufferPart> parts)
    {
        _numbers = [.. numbers, -1, .. parts.SelectMany(p => (long[])[p.Count, p.AreBytes ? 1 : 0])];
        var hash = new HashCode();
        foreach (long number in _numbers) hash.Add(number);
        _hash = hash.ToHashCode();
    }

    public bool Equals(GraphKey other) => _hash == other._hash && _numbers.AsSpan().SequenceEqual(other._numbers);

    public override bool Equals(object? obj) => obj is GraphKey other && Equals(other);

    public override int GetHashCode() => _hash;
}
