using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>A fed token: its document, and the slots of all tokens up to it.</summary>
internal sealed record LedRow(int Document, int Token, int[] Slots);

/// <summary>The layout of a decoding step on the host: its rows by document, and the places of their tokens, positions, slots and masks.</summary>
internal sealed class LedStepLayout
{
    private readonly List<BufferPart?> _masks = [];

    private LedStepLayout(List<LedRow> fed, int[] used)
    {
        Count = fed.Count;
        Ids = Host.Add([.. fed.Select(r => (long)r.Token)]);
        Places = Host.Add([.. fed.Select(r => r.Slots.Length - 1L)]);
        List<int> documents = new();
        List<long> rows = new();
        for (int first = 0, count; first < fed.Count; first += count)
        {
            int document = fed[first].Document;
            count = 1;
            while (first + count < fed.Count && fed[first + count].Document == document)
                count++;
            documents.Add(document);
            rows.Add(count);
            Add(fed.GetRange(first, count), used[document] + count);
        }
        Documents = [.. documents];
        Rows = [.. rows];
        Used = [.. documents.Select(d => used[d])];
    }

    /// <summary>The values.</summary>
    public HostBuffer Host { get; } = new();

    /// <summary>R, the rows of all documents.</summary>
    public int Count { get; }

    /// <summary>[R] the tokens.</summary>
    public BufferPart Ids { get; }

    /// <summary>[R] their positions.</summary>
    public BufferPart Places { get; }

    /// <summary>The documents that have rows, ascending.</summary>
    public int[] Documents { get; }

    /// <summary>How many rows each of them has.</summary>
    public long[] Rows { get; }

    /// <summary>How many slots of each are taken before this step.</summary>
    public int[] Used { get; }

    /// <summary>Lays out a step.</summary>
    /// <param name="fed">The rows, ascending by document.</param>
    /// <param name="used">How many slots of every document are taken.</param>
    public static LedStepLayout Create(List<LedRow> fed, int[] used) => new(fed, used);

    /// <summary>The step, its values in a buffer on the device.</summary>
    /// <param name="buffer">The uploaded <see cref="Host"/>.</param>
    /// <param name="documentMasks">For every document uint8 [T], or no elements.</param>
    /// <param name="nothing">No elements.</param>
    public LedStep Step(Tensor buffer, Tensor[] documentMasks, Tensor nothing) => new(
        Documents, Rows, Used,
        [.. _masks.Select((m, i) => m is { } mask ? mask.In(buffer, Rows[i], mask.Count / Rows[i]) : nothing)],
        [.. Documents.Select(d => documentMasks[d])]);

    /// <summary>Returns the slots that are hidden from the rows of one document, which look at so many slots.</summary>
    private void Add(List<LedRow> rows, int slots)
    {
        // Where every row's past is all there is, nothing needs hiding.
        if (rows.TrueForAll(r => r.Slots.Length == slots))
        {
            _masks.Add(null);
            return;
        }
        byte[] visible = new byte[rows.Count * slots];
        for (int i = 0; i < rows.Count; i++)
        {
            foreach (int slot in rows[i].Slots)
                visible[(i * slots) + slot] = 1;
        }
        _masks.Add(Host.Add(visible));
    }
}
