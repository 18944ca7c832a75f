using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// A checked batch in the one layout that the layers know: all tokens of all sequences behind one another, N in total, with the
/// offsets of the S sequences. A padded [B, T] batch is the case 0, T, 2T, ...; its padding positions are tokens that are not
/// visible, and pass through the layers as in the reference.
/// </summary>
internal sealed class SequenceBatch
{
    /// <summary>S + 1 offsets into the N tokens.</summary>
    public required long[] Offsets { get; init; }

    /// <summary>Shape of the outputs per token: [B, T], or [N] when packed.</summary>
    public required long[] TokenShape { get; init; }

    /// <summary>For multiple choice: [B, choices].</summary>
    public required long[] SequenceShape { get; init; }

    /// <summary>Where ids, positions, masks and indices are in the uploaded buffer.</summary>
    public required BatchLayout Layout { get; init; }

    /// <summary>int64 [N], or null with <see cref="InputsEmbeds"/>.</summary>
    public Tensor? InputIds { get; init; }

    /// <summary>[N, C], or null with <see cref="InputIds"/>.</summary>
    public Tensor? InputsEmbeds { get; init; }

    /// <summary>int64 [N].</summary>
    public required Tensor PositionIds { get; init; }

    /// <summary>int64 [N].</summary>
    public required Tensor TokenTypeIds { get; init; }

    /// <summary>int64 [S]: the rows in N of the sequences' first tokens.</summary>
    public required Tensor FirstRows { get; init; }

    /// <summary>uint8 [N], nonzero where a token may be seen; null: all.</summary>
    public Tensor? Visible { get; init; }

    /// <summary>The tokens with global attention; null: none.</summary>
    public GlobalSlots? Globals { get; init; }

    /// <summary>A batch of values that are on the device.</summary>
    /// <param name="layout">The places of the values.</param>
    /// <param name="buffer">The uploaded <see cref="HostBuffer"/>.</param>
    /// <param name="embeds">[N, C] in place of ids.</param>
    public static SequenceBatch Create(BatchLayout layout, Tensor buffer, Tensor? embeds)
    {
        long tokens = layout.Offsets[^1];
        return new SequenceBatch
        {
            Layout = layout,
            Offsets = layout.Offsets,
            TokenShape = layout.TokenShape,
            SequenceShape = layout.SequenceShape,
            InputIds = layout.Ids?.In(buffer, tokens),
            InputsEmbeds = embeds,
            PositionIds = layout.Positions.In(buffer, tokens),
            TokenTypeIds = layout.Types?.In(buffer, tokens) ?? Tensor.Zeros([tokens], DType.Int64, buffer.Device),
            FirstRows = layout.FirstRows.In(buffer, layout.Offsets.Length - 1),
            Visible = layout.Visible?.In(buffer, tokens),
            Globals = layout.Globals is null ? null : GlobalSlots.Create(layout.Globals, buffer),
        };
    }

    public int SequenceCount => Offsets.Length - 1;

    public long TokenCount => Offsets[^1];

    public bool IsPacked => TokenShape.Length == 1;

    /// <summary>Gives a per-token result [N, ...] the caller's layout, [B, T, ...] or [N, ...].</summary>
    public Tensor Unflatten(Tensor tokens) =>
        IsPacked ? tokens : Differentiable.Reshape(tokens, [.. TokenShape, .. tokens.Shape[1..]]);

    /// <summary>The rows [S, C] of the first tokens in [N, C].</summary>
    public Tensor FirstTokens(Tensor hidden) => Differentiable.SelectRows(hidden, FirstRows);

    /// <summary>The tensors that the layers read in addition to their input, where a tape runs them again after this pass.</summary>
    public IEnumerable<Tensor?> ReadByLayers => [Visible, Globals?.Index, Globals?.SlotRows, Globals?.Rows, Globals?.FilledSlots];
}

/// <summary>A batch as the host read it: shapes, and the values for the device with their places.</summary>
internal sealed class BatchLayout
{
    /// <summary>S + 1 offsets into the N tokens.</summary>
    public required long[] Offsets { get; init; }

    /// <summary>[B, T], or [N] when packed.</summary>
    public required long[] TokenShape { get; init; }

    /// <summary>For multiple choice: [B, choices].</summary>
    public required long[] SequenceShape { get; init; }

    public BufferPart? Ids { get; init; }

    public required BufferPart Positions { get; init; }

    /// <summary>Null: all 0.</summary>
    public BufferPart? Types { get; init; }

    public required BufferPart FirstRows { get; init; }

    /// <summary>Null: all visible.</summary>
    public BufferPart? Visible { get; init; }

    /// <summary>For each sequence whether it hides a token; null: none does.</summary>
    public bool[]? HidesTokens { get; init; }

    public GlobalLayout? Globals { get; init; }
}

/// <summary>
/// The M tokens with global attention of a batch, laid out as [S, G] slots, where G is the largest number in one sequence.
/// </summary>
internal sealed class GlobalSlots
{
    /// <summary>int64 [S, G]: positions inside the sequence, ascending, then -1.</summary>
    public required Tensor Index { get; init; }

    /// <summary>int64 [S * G]: the row in N of every slot; an empty slot points at the first token of its sequence.</summary>
    public required Tensor SlotRows { get; init; }

    /// <summary>int64 [M]: rows in N of the global tokens.</summary>
    public required Tensor Rows { get; init; }

    /// <summary>int64 [M]: the slots that hold them; null where no slot is empty.</summary>
    public Tensor? FilledSlots { get; init; }

    /// <summary>G.</summary>
    public required int PerSequence { get; init; }

    /// <summary>The tokens of a batch in its buffer on the device.</summary>
    public static GlobalSlots Create(GlobalLayout layout, Tensor buffer) => new()
    {
        Index = layout.Index.In(buffer, layout.Index.Count / layout.PerSequence, layout.PerSequence),
        SlotRows = layout.SlotRows.In(buffer, layout.SlotRows.Count),
        Rows = layout.Rows.In(buffer, layout.Rows.Count),
        FilledSlots = layout.FilledSlots?.In(buffer, layout.FilledSlots.Value.Count),
        PerSequence = layout.PerSequence,
    };
}

/// <summary>The places of the indices of <see cref="GlobalSlots"/>.</summary>
internal sealed record GlobalLayout(BufferPart Index, BufferPart SlotRows, BufferPart Rows, BufferPart? FilledSlots, int PerSequence)
{
    /// <summary>Lays out the global tokens of every sequence; null where there are none.</summary>
    /// <param name="offsets">S + 1 offsets of the sequences in N.</param>
    /// <param name="positions">For each sequence the positions of its global tokens, ascending.</param>
    /// <param name="host">Gets the indices.</param>
    public static GlobalLayout? Create(long[] offsets, IReadOnlyList<int>[] positions, HostBuffer host)
    {
        int perSequence = positions.Max(p => p.Count), total = positions.Sum(p => p.Count), slots = positions.Length * perSequence;
        if (total == 0)
            return null;
        BufferPart index = host.Reserve(slots), slotRows = host.Reserve(slots), rows = host.Reserve(total);
        BufferPart? filled = total == slots ? null : host.Reserve(total);
        Span<long> indices = host.Longs(index), ofSlots = host.Longs(slotRows), ofTokens = host.Longs(rows);
        Span<long> filledSlots = filled is { } part ? host.Longs(part) : default;
        int token = 0;
        for (int s = 0; s < positions.Length; s++)
        {
            int slot = s * perSequence;
            indices.Slice(slot, perSequence).Fill(-1);
            ofSlots.Slice(slot, perSequence).Fill(offsets[s]);
            for (int i = 0; i < positions[s].Count; i++, slot++, token++)
            {
                indices[slot] = positions[s][i];
                ofSlots[slot] = ofTokens[token] = offsets[s] + positions[s][i];
                if (!filledSlots.IsEmpty)
                    filledSlots[token] = slot;
            }
        }
        return new GlobalLayout(index, slotRows, rows, filled, perSequence);
    }
}
