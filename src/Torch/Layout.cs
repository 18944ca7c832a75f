namespace LongformerInterop.Torch;

/// <summary>How sizes and strides describe the elements of a tensor.</summary>
internal static class Layout
{
    /// <summary>Whether elements are in row-major order without gaps. Strides of dimensions of size 1 do not matter.</summary>
    public static bool IsContiguous(ReadOnlySpan<long> sizes, ReadOnlySpan<long> strides)
    {
        long expected = 1;
        bool contiguous = true;
        for (int d = sizes.Length - 1; d >= 0; d--)
        {
            if (sizes[d] == 0)
                return true;
            if (sizes[d] == 1)
                continue;
            contiguous &= strides[d] == expected;
            expected *= sizes[d];
        }
        return contiguous;
    }

    /// <summary>Writes row-major strides.</summary>
    public static void RowMajor(ReadOnlySpan<long> sizes, Span<long> strides)
    {
        long step = 1;
        for (int d = sizes.Length - 1; d >= 0; d--)
        {
            strides[d] = step;
            step *= Math.Max(1, sizes[d]);
        }
    }

    /// <summary>
    /// Writes the strides with which the same memory shows another shape; false where no strides do. Both shapes have the same number of
    /// elements.
    /// </summary>
    /// <remarks>From the last dimension on, dimensions of the old shape without a gap between them form a block; a block must be
    /// made of whole dimensions of the new shape.</remarks>
    public static bool TryView(ReadOnlySpan<long> sizes, ReadOnlySpan<long> strides, ReadOnlySpan<long> shape, Span<long> steps)
    {
        if (shape.Contains(0) || sizes.Contains(0))
        {
            RowMajor(shape, steps);
            return true;
        }
        int to = shape.Length - 1;
        long elements = 1, covered = 1, step = sizes.IsEmpty ? 1 : strides[^1];
        for (int from = sizes.Length - 1; from >= 0; from--)
        {
            elements *= sizes[from];
            if (from > 0 && (sizes[from - 1] == 1 || strides[from - 1] == elements * step))
                continue;
            while (to >= 0 && (covered < elements || shape[to] == 1))
            {
                steps[to] = covered * step;
                covered *= shape[to];
                to--;
            }
            if (covered != elements)
                return false;
            if (from == 0)
                break;
            step = strides[from - 1];
            elements = covered = 1;
        }
        for (; to >= 0; to--)
            steps[to] = 1; // only dimensions of size 1 are left
        return true;
    }
}
