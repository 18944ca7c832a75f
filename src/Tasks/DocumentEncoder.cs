using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Models.Led;
using LongformerInterop.Tasks.Search;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>Options of <see cref="DocumentEncoder"/>.</summary>
public sealed record EmbeddingOptions : TaskOptions
{
    /// <summary>
    /// Scale every vector to Euclidean length 1 (a zero vector stays zero). Null: as a folder of sentence-transformers says; not where it
    /// says nothing, and not with <see cref="Pooling.Tokens"/>, since it speaks of the vector of a text.
    /// </summary>
    public bool? Normalize { get; init; }

    /// <summary>The name of a prompt of a folder of sentence-transformers, which is put before every document; null: the folder's default, if it has
    /// one.</summary>
    public string? PromptName { get; init; }
}

/// <summary>The result for one document.</summary>
/// <param name="Index">Which document, counted from 0.</param>
/// <param name="Tokens">T, its tokens, the special ones included.</param>
/// <param name="Values">C values; with <see cref="Pooling.Tokens"/> T x C values, token by token.</param>
public sealed record DocumentEmbedding(int Index, int Tokens, float[] Values);

/// <summary>
/// Turns documents into vectors, by the pooling and normalization of a sentence-transformers folder unless a call says otherwise. Global attention by
/// default: the first token with <see cref="Pooling.Cls"/> and of an LED, none otherwise. Thread-safe; dispose it to free the model.
/// </summary>
public sealed class DocumentEncoder : TextTask
{
    private readonly Func<LongformerInputs, CancellationToken, Tensor> _hidden;
    private readonly SentenceTransformersFolder _folder;
    private readonly int[] _globals;
    private readonly Lazy<string> _fingerprint;

    private DocumentEncoder(LongformerModel model, TextInputs inputs, SentenceTransformersFolder folder, string path)
        : base(model, inputs)
    {
        _fingerprint = new(() => ModelFingerprint.Of(path, model.Options.BaseFolder));
        (_folder, HiddenSize, Folder, _globals) = (folder, model.Configuration.HiddenSize, path, []);
        _hidden = (batch, cancellation) => model.Forward(batch, cancellation).LastHiddenState;
    }

    private DocumentEncoder(LedModel model, TextInputs inputs, SentenceTransformersFolder folder, string path)
        : base(model, inputs)
    {
        _fingerprint = new(() => ModelFingerprint.Of(path, model.Options.BaseFolder));
        // An LED learns with its first token global.
        (_folder, HiddenSize, Folder, _globals) = (folder, model.Configuration.DModel, path, [0]);
        _hidden = (batch, cancellation) =>
        {
            using LedEncodedDocuments encoded = model.Encode(new LedInputs { Documents = batch.Documents }, cancellation);
            return encoded.States.Alias();
        };
    }

    /// <summary>The folder that it was loaded from.</summary>
    internal string Folder { get; }

    /// <summary>Says whether another encoder makes the same vectors.</summary>
    internal string Fingerprint => _fingerprint.Value;

    /// <summary>How tokens become a vector where a call does not say: as a folder of sentence-transformers says, else the mean.</summary>
    public Pooling DefaultPooling => _folder.Pooling ?? Pooling.Mean;

    /// <summary>C, the width of the hidden states.</summary>
    public int HiddenSize { get; }

    /// <summary>The width of a vector made by a pooling: C, unless the folder's own joins poolings or has dense layers.</summary>
    public int WidthOf(Pooling pooling) => pooling == Pooling.Sentence ? _folder.Width(HiddenSize) : HiddenSize;

    /// <summary>The prompts of a folder of sentence-transformers, by name.</summary>
    public IReadOnlyDictionary<string, string> Prompts => _folder.Prompts;

    /// <summary>Tokens at which a text is cut with <see cref="TaskOptions.Truncate"/>: the positions, or what the folder's files say.</summary>
    internal int LongestInput => Math.Min(MaxTokens, Math.Min(_folder.MaxLength ?? MaxTokens, Tokenizer.ModelMaxLength ?? MaxTokens));

    /// <summary>The first of some prompts that the folder has; null: none, or the folder's default is to be used.</summary>
    internal string? PromptAmong(params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            if (Prompts.ContainsKey(name))
                return name;
        }
        return null;
    }

    /// <summary>Loads a checkpoint folder; a head that it has is left alone, and so is an LED's decoder.</summary>
    /// <param name="folder">The folder of a Longformer, or of an LED, whose encoder is used; null for the model in the box
    /// (<see cref="DefaultModel"/>).</param>
    /// <param name="options">How to load it.</param>
    /// <exception cref="LongformerException">The folder is no such checkpoint, or there is no model in the box.</exception>
    /// <exception cref="TokenizerException">The tokenizer's files are missing or malformed.</exception>
    public static DocumentEncoder Load(string? folder = null, LoadOptions? options = null) => LoadFolder(folder ?? DefaultModel.Folder, options);

    private static DocumentEncoder LoadFolder(string folder, LoadOptions? options)
    {
        string described = Checkpoint.IsAdapter(folder) ? Checkpoint.FolderOf(folder, options?.BaseFolder) : folder;
        SentenceTransformersFolder defaults = SentenceTransformersFolder.Read(described);
        return LedConfiguration.IsIn(Checkpoint.FolderOf(folder, options?.BaseFolder))
            ? Load(folder, options, LedModel.Load, (model, inputs) => new DocumentEncoder(model, inputs, defaults, folder))
            : Load(folder, options, LongformerModel.Load, (model, inputs) => new DocumentEncoder(model, inputs, defaults, folder));
    }

    /// <summary>Encodes documents of any number and unequal lengths; the vectors come in the order of the documents.</summary>
    /// <param name="documents">The documents.</param>
    /// <param name="pooling">One vector per document, or (<see cref="Pooling.Tokens"/>) T x C values per document; null:
    /// <see cref="DefaultPooling"/>.</param>
    /// <param name="options">Normalization, truncation, global tokens, batch size.</param>
    /// <param name="progress">Called after every batch.</param>
    /// <param name="cancellation">Stops between two layers of the model.</param>
    /// <exception cref="InputException">A document is empty or longer than <see cref="TextTask.MaxTokens"/>; the message names it.</exception>
    public float[][] Encode(IReadOnlyList<string> documents, Pooling? pooling = null, EmbeddingOptions? options = null,
        IProgress<TaskProgress>? progress = null, CancellationToken cancellation = default) =>
        [.. EncodeEach(documents, pooling, options, progress, cancellation).Select(e => e.Values)];

    /// <summary><see cref="Encode"/> on a thread of the pool.</summary>
    public Task<float[][]> EncodeAsync(IReadOnlyList<string> documents, Pooling? pooling = null, EmbeddingOptions? options = null,
        IProgress<TaskProgress>? progress = null, CancellationToken cancellation = default) =>
        Task.Run(() => Encode(documents, pooling, options, progress, cancellation), cancellation);

    /// <summary>As <see cref="Encode"/>, with the result of every document as soon as its batch is done.</summary>
    public IEnumerable<DocumentEmbedding> EncodeEach(IReadOnlyList<string> documents, Pooling? pooling = null,
        EmbeddingOptions? options = null, IProgress<TaskProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        Pooling chosen = pooling ?? DefaultPooling;
        options ??= new EmbeddingOptions();
        if (chosen == Pooling.Sentence && _folder.Steps is null)
        {
            throw new InputException("pooling", "cls, mean or tokens, since the folder is not one of sentence-transformers with a pooling",
                "sentence");
        }
        return EncodeBatches(documents, chosen, chosen == Pooling.Sentence ? options : options with { Normalize = Normalizes(chosen, options) },
            progress, cancellation);
    }

    /// <summary>How many tokens each document has for the model, special tokens included; the model does not run.</summary>
    /// <param name="documents">The documents.</param>
    /// <param name="options">Whether documents are cut.</param>
    /// <param name="cancellation">Stops between two documents.</param>
    /// <exception cref="InputException">As <see cref="Encode"/>.</exception>
    public int[] CountTokens(IReadOnlyList<string> documents, EmbeddingOptions? options = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        options ??= new EmbeddingOptions();
        int[] counts = new int[documents.Count];
        for (int i = 0; i < counts.Length; i++)
        {
            CancelPoll.ThrowIfStopped(cancellation);
            counts[i] = EncodeText(documents[i], i, options).Count;
        }
        return counts;
    }

    /// <summary>Whether a call with this pooling and these options scales its vectors to length 1.</summary>
    public bool Normalizes(Pooling pooling, EmbeddingOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return options.Normalize ?? (pooling != Pooling.Tokens && _folder.Normalize == true);
    }

    private IEnumerable<DocumentEmbedding> EncodeBatches(IReadOnlyList<string> documents, Pooling pooling, EmbeddingOptions options,
        IProgress<TaskProgress>? progress, CancellationToken cancellation)
    {
        int done = 0;
        long tokens = 0;
        foreach (List<TextInput> batch in TextInputs.Batches(Prepare(documents, pooling, options), options))
        {
            CancelPoll.ThrowIfStopped(cancellation);
            List<float[]> vectors = Run(batch, pooling, options, cancellation);
            for (int i = 0; i < batch.Count; i++)
                yield return new DocumentEmbedding(done + i, batch[i].Length, vectors[i]);
            done += batch.Count;
            tokens += batch.Sum(b => (long)b.Length);
            progress?.Report(new TaskProgress(done, documents.Count, tokens));
        }
    }

    private IEnumerable<TextInput> Prepare(IReadOnlyList<string> documents, Pooling pooling, EmbeddingOptions options)
    {
        for (int i = 0; i < documents.Count; i++)
        {
            ArgumentName name = Name(i);
            Encoding encoding = EncodeText(documents[i], i, options);
            yield return new TextInput(encoding, options.Global.Resolve(encoding, Tokenizer, pooling == Pooling.Cls ? [0] : _globals, name));
        }
    }

    private Encoding EncodeText(string text, int document, EmbeddingOptions options)
    {
        if (text is null)
            throw new InputException(Name(document), "a text", "null");
        return Inputs.Encode(_folder.Prepare(_folder.PromptOf(options.PromptName) + text), null, Name(document), options,
            limit: _folder.MaxLength ?? (_folder.HasModules ? Tokenizer.ModelMaxLength : null));
    }

    /// <summary>Tokens of the prompt with the special ones before it, as sentence-transformers counts them.</summary>
    private int PromptLength(EmbeddingOptions options)
    {
        string prompt = _folder.PromptOf(options.PromptName);
        if (prompt.Length == 0)
            return 0;
        ReadOnlySpan<int> ids = Tokenizer.Encode(_folder.Prepare(prompt)).Ids.Span;
        return ids.Length > 0 && (ids[^1] == Tokenizer.SpecialTokens.Separator || ids[^1] == Tokenizer.SpecialTokens.End)
            ? ids.Length - 1
            : ids.Length;
    }

    private static ArgumentName Name(int document) => new("documents", document);

    private List<float[]> Run(List<TextInput> batch, Pooling pooling, EmbeddingOptions options, CancellationToken cancellation)
    {
        using TensorScope scope = new();
        Tensor hidden = _hidden(TextInputs.Pack(batch), cancellation);
        if (pooling == Pooling.Sentence)
            return Sentences(TextInputs.ToFloats(hidden), batch, options);
        // Pooled where the model is, so that the host waits once, for all vectors together.
        float[] values = TextInputs.ToFloats(Pool(hidden, batch, pooling));
        List<float[]> vectors = [];
        int from = 0;
        foreach (TextInput input in batch)
        {
            int count = HiddenSize * (pooling == Pooling.Tokens ? input.Length : 1);
            // All there is: nothing to cut out.
            float[] vector = count == values.Length ? values : values[from..(from + count)];
            if (options.Normalize == true)
                Normalize(vector, HiddenSize);
            vectors.Add(vector);
            from += count;
        }
        return vectors;
    }

    /// <summary>The vectors that the folder's own modules make.</summary>
    private List<float[]> Sentences(ReadOnlySpan<float> hidden, List<TextInput> batch, EmbeddingOptions options)
    {
        int prompt = _folder.Steps!.IncludePrompt ? 0 : PromptLength(options), from = 0;
        List<float[]> vectors = [];
        foreach (TextInput input in batch)
        {
            float[] vector = _folder.Steps.Pool(hidden.Slice(from * HiddenSize, input.Length * HiddenSize), HiddenSize, prompt);
            // A normalization at the end is the caller's to leave out.
            int steps = _folder.Behind is [.., SentenceNormalize] && options.Normalize == false ? _folder.Behind.Count - 1 : _folder.Behind.Count;
            foreach (SentenceStep step in _folder.Behind.Take(steps))
                vector = step.Apply(vector);
            if (options.Normalize == true)
                Normalize(vector, vector.Length);
            vectors.Add(vector);
            from += input.Length;
        }
        return vectors;
    }

    /// <summary>[documents, C], or all tokens [N, C].</summary>
    private static Tensor Pool(Tensor hidden, List<TextInput> batch, Pooling pooling)
    {
        if (pooling == Pooling.Tokens)
            return hidden;
        Tensor[] pooled = new Tensor[batch.Count];
        long offset = 0;
        for (int i = 0; i < pooled.Length; offset += batch[i++].Length)
        {
            pooled[i] = pooling == Pooling.Cls
                ? hidden.Narrow(0, offset, 1) : hidden.Narrow(0, offset, batch[i].Length).To(DType.Float32).Mean([0], keep: true);
        }
        return pooled.Length == 1 ? pooled[0] : Tensor.Cat(pooled, 0);
    }

    /// <summary>Scales every row of <paramref name="width"/> values to length 1.</summary>
    internal static void Normalize(Span<float> values, int width)
    {
        for (int row = 0; row < values.Length; row += width)
        {
            Span<float> vector = values.Slice(row, width);
            double squares = 0;
            foreach (float v in vector)
                squares += (double)v * v;
            if (squares == 0)
                continue;
            double scale = 1 / Math.Sqrt(squares);
            for (int i = 0; i < vector.Length; i++)
                vector[i] = (float)(vector[i] * scale);
        }
    }
}
