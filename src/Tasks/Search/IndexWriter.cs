using System.Globalization;
using System.Security.Cryptography;
using LongformerInterop.Checkpoints;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Search;

/// <summary>
/// Makes an index, a document at a time: texts and vectors wait in files beside the index, which then becomes one file under its name at once.
/// While it works it holds one of these files open, so that two processes never make one index.
/// </summary>
internal sealed class IndexWriter : IDisposable
{
    private const int PassagesPerCall = 256;

    private readonly string _path, _vectorPath, _textPath;
    private readonly DocumentEncoder? _encoder;
    private readonly IndexOptions _options;
    private readonly IndexFile? _before;
    private readonly Dictionary<string, int> _known = new(StringComparer.Ordinal);
    private readonly FileStream _vectors, _texts;
    private readonly WordCounter _words = new();
    private readonly List<long> _passages = [], _textOffsets = [0];
    private readonly List<byte[]> _sources = [], _hashes = [];
    private readonly List<string> _empty = [];
    private readonly List<(string Text, string Source)> _open = [];
    private readonly EmbeddingOptions _encoding;
    private readonly int _most, _width;
    private int _reused;

    /// <exception cref="CheckpointException">Another process makes this index, or the files cannot be written.</exception>
    public IndexWriter(string path, DocumentEncoder? encoder, IndexOptions options)
    {
        options.Check();
        _path = Path.GetFullPath(path);
        string folder = Path.GetDirectoryName(_path)!, name = Path.GetFileName(_path);
        (_vectorPath, _textPath) = (Path.Combine(folder, $".{name}.vectors.part"), Path.Combine(folder, $".{name}.texts.part"));
        (_encoder, _options) = (encoder, options);
        _encoding = options.Encoding with
        {
            PromptName = options.Encoding.PromptName ?? encoder?.PromptAmong("document", "passage", "corpus"), Normalize = true, Truncate = true,
        };
        _width = encoder?.WidthOf(encoder.DefaultPooling) ?? 0;
        _most = Most(encoder, options, _encoding);
        Settings = SettingsOf(encoder, options);
        _vectors = Open(_vectorPath);
        try
        {
            _texts = Open(_textPath);
            _before = Before(path);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private Dictionary<string, string> Settings { get; }

    /// <summary>Takes the next document.</summary>
    public void Add(SearchDocument document, CancellationToken cancellation)
    {
        byte[] text = System.Text.Encoding.UTF8.GetBytes(document.Text);
        // Half a surrogate pair has no UTF-8: offsets refer to the text as it is kept.
        string kept = System.Text.Encoding.UTF8.GetString(text);
        byte[] hash = SHA256.HashData(text);
        List<TextRange> passages = Known(hash) is { } number ? Copy(number) : Cut(kept, document.Source);
        if (passages.Count == 0)
        {
            _empty.Add(document.Source);
            return;
        }
        foreach (TextRange passage in passages)
        {
            _passages.AddRange([_sources.Count, passage.Start, passage.End]);
            _words.Add(kept[passage.Start..passage.End]);
        }
        _sources.Add(System.Text.Encoding.UTF8.GetBytes(document.Source));
        _hashes.Add(hash);
        _texts.Write(text);
        _textOffsets.Add(_texts.Position);
        if (_open.Count >= PassagesPerCall)
            Encode(cancellation);
    }

    /// <summary>Writes the index under its name.</summary>
    public IndexResult Finish(CancellationToken cancellation)
    {
        Encode(cancellation);
        if (_sources.Count == 0)
            throw new InputException("documents", "at least one with a word in it", _empty.Count == 0 ? "none" : $"{_empty.Count} without any");
        using TensorScope scope = new();
        WordTables words = _words.Finish();
        (byte[] sources, long[] sourceOffsets) = WordCounter.Joined(_sources);
        int passages = _passages.Count / 3;
        List<TensorSource> tensors =
        [
            TensorSource.FromStream("texts", DType.UInt8, [_textOffsets[^1]], _texts),
            From<long>("texts_offsets", [.. _textOffsets]), From("sources", sources), From("sources_offsets", sourceOffsets),
            From<byte>("hashes", [.. _hashes.SelectMany(h => h)], _hashes.Count, 32), From<long>("passages", [.. _passages], passages, 3),
            From("terms", words.Terms), From("terms_offsets", words.TermOffsets), From("postings_offsets", words.PostingOffsets),
            From("postings", words.Postings, words.Postings.Length / 2, 2), From("passage_words", words.Lengths),
        ];
        if (_encoder is not null)
            tensors.Add(TensorSource.FromStream("vectors", DType.Float32, [passages, _width], _vectors));
        // A Windows file that is mapped cannot be replaced.
        _before?.Dispose();
        SafetensorsWriter.Write(_path, tensors, Settings);
        return new IndexResult(_sources.Count, passages, _reused, _empty);
    }

    public void Dispose()
    {
        _before?.Dispose();
        foreach ((FileStream? file, string path) in new (FileStream?, string)[] { (_texts, _textPath), (_vectors, _vectorPath) })
        {
            if (file is null)
                continue;
            file.Dispose();
            File.Delete(path);
        }
    }

    /// <summary>All that the passages and vectors of an index depend on besides the texts.</summary>
    private static Dictionary<string, string> SettingsOf(DocumentEncoder? encoder, IndexOptions options) => new()
    {
        ["format"] = IndexFile.Format,
        ["model"] = encoder is null ? "" : encoder.Fingerprint,
        ["model_folder"] = encoder is null ? "" : Path.GetFullPath(encoder.Folder),
        ["passage_tokens"] = options.PassageTokens.ToString(CultureInfo.InvariantCulture),
        ["prompt"] = options.Encoding.PromptName ?? "",
    };

    private static int Most(DocumentEncoder? encoder, IndexOptions options, EmbeddingOptions encoding)
    {
        int most = options.PassageTokens == 0 ? int.MaxValue : options.PassageTokens;
        if (encoder is null)
            return most;
        int special = encoder.CountTokens(["a"], encoding)[0] - 1;
        most = Math.Min(most, encoder.LongestInput);
        return most > special + 4 ? most - special
            : throw new InputException("passage tokens", $"more than {special + 4}, since prompt and special tokens take {special}", $"{most}");
    }

    private List<TextRange> Cut(string text, string source)
    {
        TextRange[] units = _encoder is null ? [.. Words.Of(text).Select(w => w.Range)]
            : _encoder.Tokenizer.Encode(text, options: new EncodeOptions { AddSpecialTokens = false }).Offsets.ToArray();
        List<TextRange> passages = Passages.Cut(text, units, _most);
        if (_encoder is not null)
            _open.AddRange(passages.Select(p => (text[p.Start..p.End], source)));
        return passages;
    }

    private void Encode(CancellationToken cancellation)
    {
        if (_encoder is null || _open.Count == 0)
            return;
        // Long ones first: a batch then holds texts of one length.
        int[] order = [.. Enumerable.Range(0, _open.Count).OrderByDescending(i => _open[i].Text.Length)];
        float[][] vectors = new float[order.Length][];
        try
        {
            foreach (DocumentEmbedding embedding in _encoder.EncodeEach([.. order.Select(i => _open[i].Text)], null, _encoding, null, cancellation))
                vectors[order[embedding.Index]] = embedding.Values;
        }
        catch (InputException e) when (e.Argument is { Name: "documents", Index: [long index] })
        {
            throw new InputException($"{_open[order[index]].Source}: {e.Message}", e);
        }
        foreach (float[] vector in vectors)
            _vectors.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(vector));
        _open.Clear();
    }

    /// <summary>The index that is there, if its vectors are to be had again.</summary>
    private IndexFile? Before(string path)
    {
        if (!File.Exists(path))
            return null;
        IndexFile before;
        try
        {
            before = IndexFile.Open(path);
        }
        catch (CheckpointException)
        {
            throw new CheckpointException(
                $"{path}: there is a file of this name, which is no index: expected a new name, or an index to bring up to date");
        }
        if (!Settings.All(s => s.Key == "model_folder" || before.Settings.GetValueOrDefault(s.Key) == s.Value)
            || (before.Vectors is { } vectors ? vectors.Size(1) != _width : _encoder is not null))
        {
            before.Dispose();
            return null;
        }
        using TensorScope scope = new();
        ReadOnlySpan<byte> hashes = before.Hashes.AsBytes();
        for (int d = 0; d < before.DocumentCount; d++)
            _known[Convert.ToHexString(hashes.Slice(d * 32, 32))] = d;
        return before;
    }

    private int? Known(byte[] hash) => _before is not null && _known.TryGetValue(Convert.ToHexString(hash), out int document) ? document : null;

    private List<TextRange> Copy(int document)
    {
        // In order: those that wait come before.
        Encode(CancellationToken.None);
        _reused++;
        (int from, int to) = (_before!.FirstPassage[document], _before.FirstPassage[document + 1]);
        if (_before.Vectors is { } vectors)
        {
            using TensorScope scope = new();
            _vectors.Write(vectors.Narrow(0, from, to - from).AsBytes());
        }
        int At(int place) => (int)_before.Passages[place];
        return [.. Enumerable.Range(from, to - from).Select(p => new TextRange(At((3 * p) + 1), At((3 * p) + 2)))];
    }

    private static TensorSource From<T>(string name, T[] values, params ReadOnlySpan<long> shape) where T : unmanaged =>
        TensorSource.From(name, Tensor.From<T>(values, shape.IsEmpty ? [values.Length] : shape));

    private FileStream Open(string path)
    {
        try
        {
            FileStream file = new(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1 << 16);
            // Left by a process that was killed.
            file.SetLength(0);
            return file;
        }
        catch (DirectoryNotFoundException e)
        {
            throw new CheckpointException($"{_path}: cannot be written: its folder does not exist", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new CheckpointException($"{_path}: cannot be written: {e.Message}", e);
        }
        catch (IOException e)
        {
            throw new CheckpointException($"{_path}: another process makes this index, or its folder cannot be written: {e.Message}", e);
        }
    }
}
