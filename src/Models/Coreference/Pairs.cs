using LongformerInterop.Torch;

namespace LongformerInterop.Models.Coreference;

/// <summary>
/// The P = k A pairs of each kept span with its antecedents, row by row, on a device. A pair that is none, where a span has fewer antecedents, is one
/// with the span 0 and is put out by <see cref="Absent"/>.
/// </summary>
internal sealed record Pairs
{
    /// <summary>Int64 [P]: the spans.</summary>
    public required Tensor Spans { get; init; }

    /// <summary>Int64 [P]: the antecedents.</summary>
    public required Tensor Antecedents { get; init; }

    /// <summary>Int64 [P]: the pairs in a matrix [k, k], flat.</summary>
    public required Tensor Cells { get; init; }

    /// <summary>Int64 [k (1 + A)]: the same with the span itself in front, in place of no antecedent.</summary>
    public required Tensor CellsWithNone { get; init; }

    /// <summary>Int64 [P]: the bucket of the distance in kept spans.</summary>
    public required Tensor Distances { get; init; }

    /// <summary>Int64 [P]: 1 where both have the same speaker.</summary>
    public required Tensor SameSpeaker { get; init; }

    /// <summary>Int64 [P].</summary>
    public required Tensor Genres { get; init; }

    /// <summary>Int64 [P]: how many segments they are apart, up to the most that there is a feature for.</summary>
    public required Tensor SegmentsApart { get; init; }

    /// <summary>Float32 [k, A]: minus infinity where the pair is none, else 0.</summary>
    public required Tensor Absent { get; init; }

    public static Pairs Of(int[][] antecedents, MentionSpan[] spans, long[] offsets, CoreferenceTokens tokens, CoreferenceConfiguration c,
        Device device)
    {
        int count = spans.Length, width = antecedents[0].Length, all = count * width;
        long[] i = new long[all], j = new long[all], cells = new long[all], withNone = new long[count * (width + 1)], distances = new long[all],
            speakers = new long[all], genres = new long[all], segments = new long[all];
        float[] absent = new float[all];
        Array.Fill(genres, tokens.Genre);
        int[] segmentOf = new int[count];
        for (int s = 0, segment = 0; s < count; s++)
        {
            while (offsets[segment + 1] <= spans[s].First)
                segment++;
            segmentOf[s] = segment;
        }
        for (int s = 0, p = 0; s < count; s++)
        {
            withNone[s * (width + 1)] = ((long)s * count) + s;
            for (int a = 0; a < width; a++, p++)
            {
                int other = Math.Max(antecedents[s][a], 0);
                absent[p] = antecedents[s][a] < 0 ? float.NegativeInfinity : 0;
                (i[p], j[p], cells[p]) = (s, other, ((long)s * count) + other);
                withNone[(s * (width + 1)) + 1 + a] = cells[p];
                distances[p] = SpanSelection.Bucket(s - other);
                speakers[p] = tokens.Speakers[spans[s].First] == tokens.Speakers[spans[other].First] ? 1 : 0;
                segments[p] = Math.Min(segmentOf[s] - segmentOf[other], c.MaxTrainingSegments - 1);
            }
        }
        Tensor On(long[] values) => HostBuffer.Upload(values, device);
        return new Pairs
        {
            Spans = On(i), Antecedents = On(j), Cells = On(cells), CellsWithNone = On(withNone), Distances = On(distances),
            SameSpeaker = On(speakers), Genres = On(genres), SegmentsApart = On(segments),
            Absent = Tensor.From<float>(absent, count, width).To(device),
        };
    }
}
