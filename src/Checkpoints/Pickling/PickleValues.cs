namespace LongformerInterop.Checkpoints.Pickling;

// The types of unpickled values, beside null, bool, long, BigInteger, double, string and byte[]. None of these has behaviour.

/// <summary>A list, a set or a tuple: items in order.</summary>
internal sealed class PickleSequence(List<object?> items)
{
    internal List<object?> Items { get; } = items;
}

/// <summary>
/// A dictionary, as the pairs in the order in which they came. Nothing is hashed: keys from a hostile file could be chosen to collide.
/// </summary>
internal sealed class PickleDictionary
{
    internal List<(object? Key, object? Value)> Pairs { get; } = [];

    internal object? Find(string key) => Pairs.FindLast(p => p.Key is string text && text == key).Value;
}

/// <summary>The name of a Python class or function. It is compared with known names and never looked up anywhere.</summary>
internal sealed record PickleGlobal(string Module, string Name)
{
    internal string FullName => $"{Module}.{Name}";
}

/// <summary>The place of a value that an unknown class or function would have made: only the name is kept.</summary>
internal sealed record PickleOpaque(PickleGlobal Maker);

/// <summary>An element type by itself, such as <c>torch.float16</c>; null for one that checkpoints here cannot have.</summary>
internal sealed record PickleDType(StoredType? Type, string Name);

/// <summary>Bytes that tensors share.</summary>
/// <param name="Key">The name of the data in the archive.</param>
/// <param name="Type">The element type; null for a storage of plain bytes, whose tensors bring their own.</param>
/// <param name="Count">The number of elements (bytes for plain bytes).</param>
/// <param name="First">For a view of another storage (torch before 1.0): where it begins there, in elements.</param>
/// <param name="Root">The number of elements of the storage under that key, where it is named only through such views; else -1.</param>
internal sealed record PickleStorage(string Key, StoredType? Type, long Count, long First = 0, long Root = -1);

/// <summary>
/// A tensor of a kind that no model here takes: sparse, quantized, complex with 16 bytes, without data. Only a model that needs it fails.
/// </summary>
internal sealed record PickleForeignTensor(string Kind);

/// <summary>A tensor: a strided view of a storage. Offset and strides count elements.</summary>
internal sealed record PickleTensor(PickleStorage Storage, StoredType Type, long Offset, long[] Shape, long[] Strides);
