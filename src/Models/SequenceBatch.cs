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

    /// <summary>int64 [N], or null with <see cref="InputsEmbeds"/>.</summary>
    public Tensor? InputIds { get; init; }

    /// <summary>[N, C], or null with <see cref="InputIds"/>.</summary>
    public Tensor? InputsEmbeds { get; init; }

    /// <summary>int64 [N].</summary>
    public required Tensor PositionIds { get; init; }

    /// <summary>int64 [N].</summary>
    public required Tensor TokenTypeIds { get; init; }

    /// <summary>uint8 [N], nonzero where a token may be seen; null: all.</summary>
    public Tensor? Visible { get; init; }

    /// <summary>The tokens with global attention; null: none.</summary>
    public GlobalTokens? Globals { get; init; }

    /// <summary>What the caller wants called before every layer; null: nothing.</summary>
    public Action? BeforeLayer { get; init; }

    public int SequenceCount => Offsets.Length - 1;

    public long TokenCount => Offsets[^1];

    public bool IsPacked => TokenShape.Length == 1;

    /// <summary>Gives a per-token result [N, ...] the caller's layout, [B, T, ...] or [N, ...].</summary>
    public Tensor Unflatten(Tensor tokens) =>
        IsPacked ? tokens : tokens.View([.. TokenShape, .. tokens.Shape[1..]]);

    /// <summary>The rows [S, C] of the first tokens in [N, C].</summary>
    public Tensor FirstTokens(Tensor hidden) => hidden.IndexSelect(0, Tensor.From<long>(Offsets.AsSpan(..^1), SequenceCount).To(hidden.Device));
}

/// <summary>
/// The M tokens with global attention of a batch, laid out as [S, G] slots, where G is the largest number in one sequence.
/// </summary>
internal sealed class GlobalTokens
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

    public static GlobalTokens? Create(long[] offsets, ReadOnlySpan<bool> isGlobal, Device device)
    {
        int sequences = offsets.Length - 1;
        var counts = new int[sequences];
        for (int s = 0; s < sequences; s++)
            counts[s] = isGlobal[(int)offsets[s]..(int)offsets[s + 1]].Count(true);
        int perSequence = counts.Max();
        if (perSequence == 0)
            return null;
        var index = new long[sequences * perSequence];
        var slotRows = new long[index.Length];
        var rows = new List<long>();
        var filled = new List<long>();
        for (int s = 0; s < sequences; s++)
        {
            int slot = s * perSequence;
            Array.Fill(index, -1, slot, perSequence);
            Array.Fill(slotRows, offsets[s], slot, perSequence);
            for (long row = offsets[s]; row < offsets[s + 1]; row++)
            {
                if (!isGlobal[(int)row])
                    continue;
                index[slot] = row - offsets[s];
                slotRows[slot] = row;
                rows.Add(row);
                filled.Add(slot++);
            }
        }
        return new GlobalTokens
        {
            Index = Tensor.From<long>(index, sequences, perSequence).To(device),
            SlotRows = Tensor.From<long>(slotRows, slotRows.Length).To(device),
            Rows = Tensor.From<long>(rows.ToArray(), rows.Count).To(device),
            FilledSlots = filled.Count == index.Length ? null : Tensor.From<long>(filled.ToArray(), filled.Count).To(device),
            PerSequence = perSequence,
        };
    }
}
