using LongformerInterop.Torch;

namespace LongformerInterop.Training.Optimization;

/// <summary>Blocks of a tensor's rows, so that a half-precision matrix is widened in parts: the largest would take 150 MB at base size.</summary>
internal static class RowBlocks
{
    private const long MostElements = 4_000_000;

    /// <summary>The blocks that cover a tensor, as first row and number of rows. A scalar is one block of no rows.</summary>
    /// <param name="shape">The tensor's shape.</param>
    public static IEnumerable<(long First, long Count)> Of(long[] shape)
    {
        if (shape.Length == 0)
            return [(0, 0)];
        long width = shape.Skip(1).Aggregate(1L, (product, size) => product * size), most = Math.Max(1, MostElements / Math.Max(1, width));
        return Enumerable.Range(0, (int)((shape[0] + most - 1) / most)).Select(i => (i * most, Math.Min(most, shape[0] - (i * most))));
    }

    /// <summary>A block as a view; a scalar itself.</summary>
    public static Tensor Rows(this Tensor tensor, (long First, long Count) block) =>
        tensor.Shape.Length == 0 ? tensor : tensor.Narrow(0, block.First, block.Count);
}
