using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>
/// The readable decoding session: every step runs the decoder over all tokens of all rows, as in training, and keeps nothing. The cached
/// session is tested against it.
/// </summary>
internal sealed class LedUncachedSession(LedDecoder decoder, LedOutputHead head, LedEncodedDocuments documents, LedConfiguration configuration)
    : IDecodingSession
{
    private List<(int Document, int[] Ids)> _rows = [];

    public int Documents => documents.Count;

    public Span<float> Start(IReadOnlyList<int[]> prompts)
    {
        _rows = [.. prompts.Select((ids, document) => (document, ids))];
        return Run();
    }

    public Span<float> Step(scoped ReadOnlySpan<int> tokens, scoped ReadOnlySpan<int> parents)
    {
        List<(int, int[])> next = new();
        for (int i = 0; i < tokens.Length; i++)
        {
            (int document, int[] ids) = _rows[parents[i]];
            next.Add((document, [.. ids, tokens[i]]));
        }
        _rows = next;
        return Run();
    }

    public void Dispose()
    {
    }

    private Span<float> Run()
    {
        using TensorScope scope = new();
        (long rows, int length) = (_rows.Count, _rows.Max(r => r.Ids.Length));
        // Shorter rows are filled up behind their end, where no token of theirs looks.
        long[] ids = [.. _rows.SelectMany(r => r.Ids.Concat(Enumerable.Repeat(decoder.PaddingId, length - r.Ids.Length))).Select(id => (long)id)];
        long[] ends = [.. _rows.Select((r, i) => ((long)i * length) + r.Ids.Length - 1)];
        LedDecoderOutputs outputs = decoder.Forward(
            new LedDecoderBatch
            {
                Rows = rows,
                Length = length,
                InputIds = HostBuffer.Upload(ids, documents.States.Device),
                EncoderStates = documents.States,
                Offsets = [.. documents.Offsets],
                Visible = documents.Visible,
                Documents = [.. _rows.Select(r => r.Document)],
            },
            new LedDropout(null, configuration), keepHiddenStates: false, keepAttentions: false, CancellationToken.None);
        Tensor last = outputs.LastHiddenState.IndexSelect(0, HostBuffer.Upload(ends, documents.States.Device));
        return head.Forward(last).To(DType.Float32).ToArray<float>();
    }
}
