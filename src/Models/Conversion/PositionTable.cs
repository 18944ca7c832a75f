using System.Globalization;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models.Conversion;

/// <summary>
/// The paper's way to more positions (Longformer, section 5: "we copy the 512 position embeddings multiple times"): attention is local, so
/// that every window finds the neighborhood of positions that it was trained on, except where one copy meets the next.
/// </summary>
internal static class PositionTable
{
    /// <summary>The rows of the longer table: those in front, then the source's positions over and over.</summary>
    /// <param name="rows">Rows of the source's table.</param>
    /// <param name="first">Its first row that is a position.</param>
    /// <param name="front">Rows of the longer table that are no positions.</param>
    /// <param name="positions">Positions wanted; null: as many as the source has.</param>
    /// <param name="basePositions">How many of the source's positions are copied; null: all.</param>
    /// <param name="where">The table, for messages.</param>
    /// <exception cref="CheckpointException">The table has no positions, or fewer than are to be copied.</exception>
    internal static List<RowRange> Tile(long rows, long first, IEnumerable<RowRange> front, int? positions, int? basePositions, string where)
    {
        long available = rows - first;
        if (available < 1)
        {
            throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                $"{where}: expected more than {first} rows, given {rows}"));
        }
        if (basePositions > available)
        {
            throw new CheckpointException(string.Create(CultureInfo.InvariantCulture,
                $"{where}: {basePositions} positions are to be copied, it has {available}"));
        }
        long step = basePositions ?? available, wanted = positions ?? available;
        List<RowRange> ranges = [.. front];
        for (long done = 0; done < wanted; done += step)
            ranges.Add(new RowRange(first, Math.Min(step, wanted - done)));
        return ranges;
    }
}
