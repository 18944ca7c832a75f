using System.Globalization;
using System.Numerics;
using System.Text;
using LongformerInterop.Checkpoints.Pickling;
using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// A file of <c>torch.save</c> (<c>.bin</c>, <c>.pt</c>, <c>.ckpt</c>), memory-mapped: the zip format (torch 1.6 and later) and the
/// older one. Its pickle is read by a machine that knows tensors, ordered dicts and plain values, and executes nothing.
/// </summary>
/// <remarks>
/// Tensors that share a storage share its bytes here too, and strided views are views. In the zip format the data are aligned and
/// are used in place; in the older one they are anywhere and are copied when taken. Source: torch/serialization.py (1.13).
/// </remarks>
internal sealed class TorchFile : ITensorFile
{
    private static readonly BigInteger LegacyMagic = BigInteger.Parse("1950a86a20f9469cfc6c", NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private readonly MappedFile _map;

    private TorchFile(MappedFile map, IReadOnlyDictionary<string, TensorEntry> entries)
    {
        _map = map;
        Entries = entries;
    }

    public string Path => _map.Path;

    public IReadOnlyDictionary<string, TensorEntry> Entries { get; }

    public IReadOnlyDictionary<string, string> Metadata { get; } = new Dictionary<string, string>();

    public Tensor Get(TensorEntry entry) => TensorFiles.View(_map, entry);

    public void CopyTo(TensorEntry entry, Stream target) => TensorFiles.Copy(_map, entry, target);

    public void Dispose() => _map.Dispose();

    /// <summary>Whether a file begins as a zip archive.</summary>
    internal static bool IsZip(ReadOnlySpan<byte> start) => start.StartsWith("PK\x03\x04"u8);

    /// <summary>
    /// Whether a file begins as a pickle of protocol 2 or later, as the older format does. A safetensors file can begin with the same
    /// two bytes, but the upper half of its header's length is zero.
    /// </summary>
    internal static bool IsPickle(ReadOnlySpan<byte> start) =>
        start.Length > 8 && start[0] == 0x80 && start[1] is >= 2 and <= 5 && start[4..8].IndexOfAnyExcept((byte)0) >= 0;

    internal static TorchFile OpenZip(string path) => Open(path, ReadZip);

    internal static TorchFile OpenLegacy(string path) => Open(path, ReadLegacy);

    private static TorchFile Open(string path, Func<MappedFile, Dictionary<string, TensorEntry>> read)
    {
        MappedFile map = MappedFile.Open(path);
        try
        {
            return new TorchFile(map, read(map));
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    private static Dictionary<string, TensorEntry> ReadZip(MappedFile map)
    {
        Dictionary<string, ZipEntry> archive = ZipDirectory.Read(map);
        string[] pickles = [.. archive.Keys.Where(n => n.EndsWith("/data.pkl", StringComparison.Ordinal) && n.Count(c => c == '/') == 1)];
        if (pickles.Length != 1)
        {
            throw new CheckpointException(
                $"{map.Path}: a zip archive, but not one of torch.save: it has {(pickles.Length == 0 ? "no" : "more than one")} data.pkl");
        }
        string root = pickles[0][..^"data.pkl".Length];
        if (archive.ContainsKey(root + "constants.pkl") || archive.Keys.Any(n => n.StartsWith(root + "code/", StringComparison.Ordinal)))
            throw new CheckpointException($"{map.Path}: a TorchScript program, not a state dict: save model.state_dict() instead");
        if (archive.TryGetValue(root + "byteorder", out ZipEntry order) && order.Length < 16)
        {
            byte[] text = new byte[order.Length];
            map.Read(order.Begin, text);
            if (!text.AsSpan().SequenceEqual("little"u8))
            {
                throw new CheckpointException(
                    $"{map.Path}: its numbers are in {SafetensorsHeader.Quote(Encoding.UTF8.GetString(text))}-endian order, only little "
                    + "is supported");
            }
        }
        ZipEntry pickle = archive[pickles[0]];
        PickleStream stream = new(map, pickle.Begin, pickle.Begin + pickle.Length);
        Unpickler unpickler = new(stream) { PersistentLoad = id => Storage(id, stream) };
        object? value = unpickler.Load();
        Dictionary<string, PickleTensor> tensors = StateDict.Find(value, unpickler.Unknown, map.Path);
        return Describe(map, tensors, storage =>
        {
            if (!archive.TryGetValue($"{root}data/{storage.Key}", out ZipEntry data))
                throw new CheckpointException($"{map.Path}: the archive has no data {SafetensorsHeader.Quote(storage.Key)}");
            return (data.Begin, data.Length);
        });
    }

    // Magic number, version, system, the value, the storages' names: five pickles; then each storage: its length and its bytes.
    private static Dictionary<string, TensorEntry> ReadLegacy(MappedFile map)
    {
        PickleStream stream = new(map, 0, map.Length);
        object? magic = new Unpickler(stream).Load();
        if (!(magic is BigInteger number && number == LegacyMagic))
            throw new CheckpointException($"{map.Path}: a pickle, but not a file of torch.save");
        if (new Unpickler(stream).Load() is not 1001L)
            throw new CheckpointException($"{map.Path}: an unknown version of torch's older format");
        if (new Unpickler(stream).Load() is PickleDictionary system && system.Find("little_endian") is false)
            throw new CheckpointException($"{map.Path}: its numbers are in big-endian order, only little is supported");
        Dictionary<string, PickleStorage> storages = new(StringComparer.Ordinal);
        Unpickler unpickler = new(stream)
        {
            PersistentLoad = id =>
            {
                PickleStorage storage = Storage(id, stream);
                if (!storages.TryAdd(storage.Key, storage)
                    && (storages[storage.Key].Type != storage.Type || storages[storage.Key].Root != storage.Root))
                {
                    throw stream.Failure($"the storage {SafetensorsHeader.Quote(storage.Key)} is described in two ways");
                }
                return storage;
            },
        };
        object? value = unpickler.Load();
        object? keys = new Unpickler(stream).Load();
        Dictionary<string, PickleTensor> tensors = StateDict.Find(value, unpickler.Unknown, map.Path);
        if (keys is not PickleSequence list)
            throw stream.Failure("the names of the storages are missing");
        Dictionary<string, (long Begin, long Length)> data = new(StringComparer.Ordinal);
        long position = stream.Position;
        byte[] length = new byte[sizeof(long)];
        foreach (object? key in list.Items)
        {
            if (key is not string name || !storages.TryGetValue(name, out PickleStorage? storage))
                throw stream.Failure("a storage without a tensor");
            if (position > map.Length - length.Length)
                throw new CheckpointException($"{map.Path}: cut off before the data {SafetensorsHeader.Quote(name)}");
            map.Read(position, length);
            position += length.Length;
            long count = BitConverter.ToInt64(length);
            long expected = storage.Root >= 0 ? storage.Root : storage.Count;
            if (count < 0 || (storage.Root < 0 && count != expected))
            {
                throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                    $"{map.Path}: the data {SafetensorsHeader.Quote(name)} should have {expected} elements, the file says {count}"));
            }
            Int128 bytes = (Int128)count * ElementBytes(storage.Type);
            if (bytes > map.Length - position)
                throw new CheckpointException($"{map.Path}: cut off inside the data {SafetensorsHeader.Quote(name)}");
            if (!data.TryAdd(name, (position, (long)bytes)))
                throw stream.Failure($"the storage {SafetensorsHeader.Quote(name)} comes twice");
            position += (long)bytes;
        }
        return Describe(map, tensors, storage => data.TryGetValue(storage.Key, out (long, long) range)
            ? range
            : throw new CheckpointException($"{map.Path}: the file has no data {SafetensorsHeader.Quote(storage.Key)}"));
    }

    // ('storage', class, key, location, elements[, None or (view key, offset, size)]): what persistent_id writes.
    private static PickleStorage Storage(object? id, PickleStream stream)
    {
        if (id is not PickleSequence { Items: ["storage", var kind, string key, _, long count, ..] items })
            throw stream.Failure("a persistent id that is no storage");
        StoredType? type = kind switch
        {
            PickleGlobal global when TorchGlobals.TryStorage(global, out StoredType? known) => known,
            PickleDType dtype when dtype.Type is not null => dtype.Type,
            PickleGlobal global => throw stream.Failure($"the storage class {SafetensorsHeader.Quote(global.FullName)} is unknown or not supported"),
            _ => throw stream.Failure("a storage without a class"),
        };
        if (count < 0)
            throw stream.Failure("a storage of negative length");
        if (items.Count > 5 && items[5] is PickleSequence { Items: [string, long first, long size] })
        {
            return first >= 0 && size >= 0
                ? new PickleStorage(key, type, size, first, count)
                : throw stream.Failure("a view of a storage with a negative length");
        }
        return new PickleStorage(key, type, count);
    }

    private static int ElementBytes(StoredType? type) => type is { } known ? known.Bits() / 8 : 1;

    private static Dictionary<string, TensorEntry> Describe(MappedFile map, Dictionary<string, PickleTensor> tensors,
        Func<PickleStorage, (long Begin, long Length)> locate)
    {
        Dictionary<string, TensorEntry> entries = new(StringComparer.Ordinal);
        foreach ((string name, PickleTensor tensor) in tensors)
        {
            string what = $"{map.Path}: tensor {SafetensorsHeader.Quote(name)}";
            CheckLayout(tensor, what);
            int elementBytes = tensor.Type.Bits() / 8;
            // A storage of plain bytes counts bytes.
            Int128 available = (Int128)tensor.Storage.Count * ElementBytes(tensor.Storage.Type);
            (long begin, long length) = locate(tensor.Storage);
            Int128 first = (Int128)tensor.Storage.First * ElementBytes(tensor.Storage.Type);
            if (first + available > length)
            {
                throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                    $"{what}: its storage should have {(long)Int128.Min(first + available, long.MaxValue)} bytes, the file has {length}"));
            }
            Int128 offset = (Int128)tensor.Offset * elementBytes;
            TensorEntry entry = new(name, tensor.Type, tensor.Shape, begin + (long)first + (long)Int128.Min(offset, length), map.Path,
                Contiguous(tensor) ? null : tensor.Strides);
            if (offset + entry.SpanBytes > available)
            {
                throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                    $"{what} {TensorEntry.ShapeText(tensor.Shape)} with strides {TensorEntry.ShapeText(tensor.Strides)} at {tensor.Offset} ")
                    + string.Create(CultureInfo.InvariantCulture, $"reaches beyond its storage of {(long)available} bytes"));
            }
            // One stored value can be expanded without end; no weight is larger than the file that it comes from.
            if (entry.ByteCount > map.Length)
                throw new CheckpointException($"{what} {TensorEntry.ShapeText(tensor.Shape)} repeats its values beyond the size of the file");
            entries.Add(name, entry);
        }
        return entries;
    }

    private static void CheckLayout(PickleTensor tensor, string what)
    {
        if (tensor.Offset < 0 || tensor.Shape.Length != tensor.Strides.Length || tensor.Shape.Any(s => s < 0) || tensor.Strides.Any(s => s < 0))
        {
            throw new CheckpointException(string.Create(CultureInfo.InvariantCulture, $"{what}: impossible offset {tensor.Offset}, shape ")
                + $"[{string.Join(", ", tensor.Shape)}] or strides [{string.Join(", ", tensor.Strides)}]");
        }
        Int128 elements = 1, last = 0;
        for (int i = 0; i < tensor.Shape.Length; i++)
        {
            elements *= Math.Max(tensor.Shape[i], 1);
            last += (Int128)Math.Max(tensor.Shape[i] - 1, 0) * tensor.Strides[i];
            if (elements > long.MaxValue / 64 || last > long.MaxValue / 64)
                throw new CheckpointException($"{what}: the shape {TensorEntry.ShapeText(tensor.Shape)} has more elements than memory can address");
        }
    }

    // Strides of dimensions of size 1 do not matter, nor any of an empty tensor.
    private static bool Contiguous(PickleTensor tensor)
    {
        long expected = 1;
        for (int i = tensor.Shape.Length - 1; i >= 0; i--)
        {
            if (tensor.Shape[i] == 0)
                return true;
            if (tensor.Shape[i] > 1 && tensor.Strides[i] != expected)
                return tensor.Shape.Contains(0);
            expected *= tensor.Shape[i];
        }
        return true;
    }
}
