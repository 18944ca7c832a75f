using LongformerInterop.Tasks;

namespace LongformerInterop.CApi;

/// <summary>One call of a document encoder: its options and texts are read, the model has not run yet.</summary>
internal sealed unsafe class EncoderCall : IDisposable
{
    private readonly Lease<TaskHandle> _handle;
    private readonly DocumentEncoder _encoder;
    private readonly TaskCall _call;
    private readonly CallContext _watch;
    private readonly EmbeddingOptions _how;
    private readonly string[] _texts;

    public EncoderCall(string function, nint encoder, byte** documents, nuint* lengths, nuint count, nint options)
    {
        _handle = Handles.UseTask<DocumentEncoder>(encoder, "encoder");
        _encoder = (DocumentEncoder)_handle.Value.Task;
        TaskCall? call = null;
        try
        {
            _call = call = new TaskCall(options);
            Pooling = call.Reader.Choice("pooling", _encoder.DefaultPooling, ("mean", Pooling.Mean), ("cls", Pooling.Cls), ("tokens", Pooling.Tokens),
                ("sentence", Pooling.Sentence));
            _how = call.Apply(new EmbeddingOptions { Normalize = call.Reader.Flag("normalize"), PromptName = call.Reader.Text("prompt_name") });
            _watch = call.Start(function);
            _texts = CMemory.Documents(documents, lengths, count, "documents");
        }
        catch
        {
            call?.Dispose();
            _handle.Dispose();
            throw;
        }
    }

    /// <summary>How tokens become vectors.</summary>
    public Pooling Pooling { get; }

    /// <summary>Documents.</summary>
    public int Count => _texts.Length;

    /// <summary>C, the width of a vector.</summary>
    public int Width => _encoder.WidthOf(Pooling);

    /// <summary>Where each document's tokens begin and the last one's end, from the tokenizer alone.</summary>
    public long[] Offsets()
    {
        int[] tokens = _encoder.CountTokens(_texts, _how, _watch.Token);
        long[] ends = new long[tokens.Length + 1];
        for (int i = 0; i < tokens.Length; i++)
            ends[i + 1] = ends[i] + tokens[i];
        return ends;
    }

    /// <summary>Runs the model. The vectors are held until the last batch is done, so that a call that fails has written nothing.</summary>
    public List<float[]> Run(out long[] offsets)
    {
        List<float[]> vectors = [];
        offsets = new long[_texts.Length + 1];
        foreach (DocumentEmbedding e in _encoder.EncodeEach(_texts, Pooling, LogSink.In(_how), _watch, _watch.Token))
        {
            vectors.Add(e.Values);
            offsets[e.Index + 1] = offsets[e.Index] + e.Tokens;
        }
        _watch.Finish();
        return vectors;
    }

    /// <summary>Copies vectors one after the other.</summary>
    public static void Write(List<float[]> vectors, float* target)
    {
        foreach (float[] vector in vectors)
        {
            vector.CopyTo(new Span<float>(target, vector.Length));
            target += vector.Length;
        }
    }

    public void Dispose()
    {
        _call.Dispose();
        _handle.Dispose();
    }
}
