using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Search;

/// <summary>
/// An index as a file: safetensors, so that numpy or PyTorch read it too, and mapped into memory, so that it opens in milliseconds and takes only
/// the pages that a search touches. Everything that a search follows is checked when it is followed.
/// </summary>
internal sealed class IndexFile : IDisposable
{
    public const string Format = "longformer-index-1";

    private readonly List<Tensor> _tensors = [];
    private readonly SafetensorsFile _file;
    private Tensor _texts = null!, _sources = null!, _terms = null!;
    private long[] _textOffsets = [], _sourceOffsets = [], _termOffsets = [], _postingOffsets = [];

    private IndexFile(SafetensorsFile file) => _file = file;

    public string Path => _file.Path;

    public IReadOnlyDictionary<string, string> Settings => _file.Metadata;

    public int DocumentCount { get; private set; }

    public int PassageCount { get; private set; }

    /// <summary>[P, C], each of length 1; null: an index of words alone.</summary>
    public Tensor? Vectors { get; private set; }

    /// <summary>[P * 3]: document, first character, the one behind the last.</summary>
    public long[] Passages { get; private set; } = [];

    /// <summary>[D + 1], the first passage of each document.</summary>
    public int[] FirstPassage { get; private set; } = [];

    /// <summary>[D, 32], SHA-256 of each document's source and text.</summary>
    public Tensor Hashes { get; private set; } = null!;

    public int[] PassageWords { get; private set; } = [];

    public Tensor Postings { get; private set; } = null!;

    public int WordCount => _termOffsets.Length - 1;

    /// <exception cref="CheckpointException">It cannot be read, or is no index; the message says why.</exception>
    public static IndexFile Open(string path)
    {
        SafetensorsFile file = SafetensorsFile.Open(path);
        IndexFile? index = null;
        try
        {
            string? format = file.Metadata.GetValueOrDefault("format");
            if (format != Format)
                throw new CheckpointException($"{path}: expected an index of the format {Format}, given {format ?? "a file that names none"}");
            index = new IndexFile(file);
            index.Read();
            return index;
        }
        catch (Exception e)
        {
            index?.Dispose();
            file.Dispose();
            if (e is OverflowException)
                throw new CheckpointException($"{path}: an index of more passages than are served: {e.Message}", e);
            throw;
        }
    }

    public string Text(int document) => Decoded(_texts, _textOffsets, document);

    public string Source(int document) => Decoded(_sources, _sourceOffsets, document);

    /// <summary>The postings of a word, from and to; an empty range: no passage has it.</summary>
    public (long From, long To) Find(string word)
    {
        byte[] wanted = Encoding.UTF8.GetBytes(word);
        ReadOnlySpan<byte> terms = _terms.AsBytes();
        for (int low = 0, high = WordCount - 1; low <= high;)
        {
            int middle = low + ((high - low) / 2);
            int order = terms[(int)_termOffsets[middle]..(int)_termOffsets[middle + 1]].SequenceCompareTo(wanted);
            if (order == 0)
                return (_postingOffsets[middle], _postingOffsets[middle + 1]);
            (low, high) = order < 0 ? (middle + 1, high) : (low, middle - 1);
        }
        return (0, 0);
    }

    public void Dispose()
    {
        foreach (Tensor tensor in _tensors)
            tensor.Dispose();
        _file.Dispose();
    }

    public CheckpointException Malformed(string problem) => new($"{Path}: a malformed index: {problem}");

    private void Read()
    {
        Tensor passages = Get("passages", DType.Int64, -1, 3);
        PassageCount = checked((int)passages.Size(0));
        Passages = Memory<long>(passages);
        (_texts, _textOffsets) = Parts("texts");
        (_sources, _sourceOffsets) = Parts("sources");
        DocumentCount = _textOffsets.Length - 1;
        if (_sourceOffsets.Length != _textOffsets.Length)
            throw Malformed($"{DocumentCount} texts, but {_sourceOffsets.Length - 1} sources");
        Hashes = Get("hashes", DType.UInt8, DocumentCount, 32);
        (_terms, _termOffsets) = Parts("terms");
        Postings = Get("postings", DType.Int32, -1, 2);
        _postingOffsets = Offsets("postings_offsets", _termOffsets.Length, Postings.Size(0));
        PassageWords = Memory<int>(Get("passage_words", DType.Int32, PassageCount));
        Vectors = _file.Entries.ContainsKey("vectors") ? Get("vectors", DType.Float32, PassageCount, -1) : null;
        ReadPassages();
    }

    private void ReadPassages()
    {
        FirstPassage = new int[DocumentCount + 1];
        long document = -1, end = 0;
        for (int p = 0; p < PassageCount; p++)
        {
            (long of, long from, long to) = (Passages[3 * p], Passages[(3 * p) + 1], Passages[(3 * p) + 2]);
            if (of != document)
            {
                if (of != document + 1 || of >= DocumentCount)
                    throw Malformed($"passage {p} is of document {of}, expected {document} or {document + 1} of {DocumentCount}");
                FirstPassage[of] = p;
                (document, end) = (of, 0);
            }
            if (from < end || to <= from || to > int.MaxValue)
                throw Malformed($"passage {p} has the characters {from} to {to}, behind {end}");
            end = to;
        }
        if (document != DocumentCount - 1)
            throw Malformed($"{DocumentCount} documents, but passages of {document + 1}");
        FirstPassage[^1] = PassageCount;
    }

    private static string Decoded(Tensor bytes, long[] offsets, int i)
    {
        using TensorScope scope = new();
        return Encoding.UTF8.GetString(bytes.Narrow(0, offsets[i], offsets[i + 1] - offsets[i]).AsBytes());
    }

    private (Tensor Bytes, long[] Offsets) Parts(string name)
    {
        Tensor bytes = Get(name, DType.UInt8, -1);
        return (bytes, Offsets($"{name}_offsets", -1, bytes.Size(0)));
    }

    /// <summary>Offsets from 0, ascending, that end where their table does.</summary>
    private long[] Offsets(string name, long count, long end)
    {
        long[] offsets = Memory<long>(Get(name, DType.Int64, count));
        if (offsets.Length == 0 || offsets[0] != 0 || offsets[^1] != end)
            throw Malformed($"{name}: expected offsets from 0 to {end}, given {(offsets.Length == 0 ? "none" : $"{offsets[0]} to {offsets[^1]}")}");
        for (int i = 1; i < offsets.Length; i++)
        {
            if (offsets[i] < offsets[i - 1])
                throw Malformed($"{name}[{i}]: expected at least {offsets[i - 1]}, given {offsets[i]}");
        }
        return offsets;
    }

    private Tensor Get(string name, DType dtype, params ReadOnlySpan<long> shape)
    {
        if (!_file.Entries.TryGetValue(name, out TensorEntry? entry))
            throw Malformed($"no tensor \"{name}\"");
        ReadOnlySpan<long> given = entry.Shape;
        bool fits = entry.Type.ToDType() == dtype && given.Length == shape.Length;
        for (int i = 0; fits && i < shape.Length; i++)
            fits = shape[i] < 0 || shape[i] == given[i];
        if (!fits)
        {
            throw Malformed(string.Create(CultureInfo.InvariantCulture, $"\"{name}\": expected {dtype} [{string.Join(", ", shape.ToArray())}], ")
                + $"given {entry.Type} [{string.Join(", ", given.ToArray())}]");
        }
        Tensor tensor = _file.Get(name).Keep();
        _tensors.Add(tensor);
        return tensor;
    }

    private static T[] Memory<T>(Tensor tensor) where T : unmanaged => MemoryMarshal.Cast<byte, T>(tensor.AsBytes()).ToArray();
}
