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
