using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

/// <summary>The keys that every query of <see cref="Differentiable.DenseAttention"/> sees: all keys of its sequence, but hidden ones.</summary>
internal sealed record DenseAttentionOptions
{
    /// <summary>The sequences, those of one length together. Every query belongs to one part.</summary>
    public required IReadOnlyList<DenseAttentionPart> Parts { get; init; }

    /// <summary>Multiplies the queries.</summary>
    public required double Scale { get; init; }

    /// <summary>Probability of dropping an attention probability.</summary>
    public double Dropout { get; init; }

    /// <summary>Is given the probabilities [P, H, S, T] of every part, before anything is dropped, in the scope of the call; null: nobody
    /// looks.</summary>
    public Action<Tensor>? Probabilities { get; init; }

    /// <summary>
    /// The parts as <see cref="LongformerOps.DenseAttention"/> takes them; null where it does not: on another device than the CPU, for whoever looks
    /// at probabilities, where queries of a sequence see different keys or one sees none, and where sequences share keys.
    /// </summary>
    /// <param name="query">[N, H, D].</param>
    /// <param name="key">[M, H, D].</param>
    public DenseSequences? Fused(Tensor query, Tensor key)
    {
        if (query.Device.Type != DeviceType.Cpu || Probabilities is not null || Parts.Count == 0)
            return null;
        List<long> queries = [0], keys = [0];
        foreach (DenseAttentionPart part in Parts)
        {
            if (part.QueryFrom != queries[^1] || part.KeyFrom != keys[^1] || part.Hidden is { } hidden && hidden.Size(2) != 1)
                return null;
            for (long i = 0; i < part.Count; i++)
            {
                queries.Add(queries[^1] + part.Queries);
                keys.Add(keys[^1] + part.Keys);
            }
        }
        if (queries[^1] != query.Size(0) || keys[^1] != key.Size(0))
            return null;
        DenseSequences all = new([.. queries], [.. keys], Scale, null, Dropout, Parts[0].Seed);
        if (Parts.All(part => part.Hidden is null))
            return all;
        using TensorScope scope = new();
        Tensor[] visible = [.. Parts.Select(Visible)];
        return Parts.Zip(visible).Any(p => p.First.Hidden is not null && p.Second.Sum(1, dtype: DType.Int64).Min().Item<long>() == 0) ? null
            : all with { Mask = scope.Keep(Tensor.Cat([.. visible.Select(v => v.View(v.ElementCount))])) };

        // [P, T].
        Tensor Visible(DenseAttentionPart part) => part.Hidden is { } hidden
            ? hidden.Not().View(hidden.Size(0), part.Keys).Expand(part.Count, part.Keys).Contiguous()
            : Tensor.Ones([part.Count, part.Keys], DType.Bool, query.Device);
    }
}

/// <summary>P sequences of S queries and T keys each, one after the other.</summary>
/// <param name="Count">P.</param>
/// <param name="QueryFrom">The row of the first query.</param>
/// <param name="Queries">S.</param>
/// <param name="KeyFrom">The row of the first key.</param>
/// <param name="Keys">T.</param>
/// <param name="Hidden">Bool [P or 1, 1, S or 1, T], true where a key is hidden; null: none is. A query that sees nothing gives the mean of
/// all values.</param>
/// <param name="Seed">Of the dropout.</param>
internal sealed record DenseAttentionPart(long Count, long QueryFrom, long Queries, long KeyFrom, long Keys, Tensor? Hidden, long Seed)
{
    /// <summary>The first of its heads.</summary>
    public long HeadFrom { get; init; }

    /// <summary>How many heads it has; 0: all.</summary>
    public long Heads { get; init; }

    /// <summary>Its queries, or what is laid out like them: [P, H, S, D] of [N, H, D], a view.</summary>
    public Tensor OfQueries(Tensor rows) => ByHead(rows, QueryFrom, Queries);

    /// <summary>Its keys, or what is laid out like them: [P, H, T, D] of [M, H, D], a view.</summary>
    public Tensor OfKeys(Tensor rows) => ByHead(rows, KeyFrom, Keys);

    private Tensor ByHead(Tensor rows, long from, long length)
    {
        Tensor all = rows.Narrow(0, from, Count * length).View(Count, length, rows.Size(1), rows.Size(2)).Transpose(1, 2);
        return Heads == 0 || Heads == rows.Size(1) ? all : all.Narrow(1, HeadFrom, Heads);
    }
}
