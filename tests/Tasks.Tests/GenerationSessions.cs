using LongformerInterop.Models.Led;
using LongformerInterop.Tasks.Generation;

namespace LongformerInterop.Tasks.Tests;

/// <summary>
/// A model made of a hash: logits depend on the document and on all tokens before. It also checks that the loop keeps the contract of a
/// session, and counts the rows that were asked for.
/// </summary>
internal sealed class HashSession(int vocabulary, params int[] documents) : IDecodingSession
{
    private List<(int Document, int[] Ids)> _rows = [];

    public int Documents => documents.Length;
    public int RowsComputed { get; private set; }
    public int Steps { get; private set; }

    public static GenerationVocabulary Vocabulary(int size, int positions = 64) => new(size, positions, 2, 1, [2]);

    public Span<float> Start(IReadOnlyList<int[]> prompts)
    {
        _rows = [.. prompts.Select((p, i) => (documents[i], p))];
        return Logits();
    }

    public Span<float> Step(scoped ReadOnlySpan<int> tokens, scoped ReadOnlySpan<int> parents)
    {
        Assert.That(tokens.Length, Is.EqualTo(parents.Length).And.GreaterThan(0));
        List<(int, int[])> next = new();
        for (int i = 0; i < tokens.Length; i++)
        {
            (int document, int[] ids) = _rows[parents[i]];
            next.Add((document, [.. ids, tokens[i]]));
        }
        _rows = next;
        Steps++;
        return Logits();
    }

    private Span<float> Logits()
    {
        RowsComputed += _rows.Count;
        return _rows.SelectMany(r => Logits(vocabulary, r.Document, r.Ids)).ToArray();
    }

    public static float[] Logits(int vocabulary, int document, IReadOnlyList<int> ids)
    {
        int hash = document * 7919;
        foreach (int id in ids)
            hash = unchecked(hash * 31 + id + 17);
        return [.. Enumerable.Range(0, vocabulary).Select(v => (float)(6 * CounterRandom.Uniform((uint)hash, 0, 0, v)))];
    }

    public void Dispose()
    {
    }
}

internal static class Generate
{
    public static GeneratedSequence[][] From(HashSession session, int vocabulary, GenerationOptions options,
        Action<GeneratedToken>? onToken = null, CancellationToken cancel = default) =>
        GenerationLoop.Run(session, [.. Enumerable.Repeat(GenerationPlan.Create(options, HashSession.Vocabulary(vocabulary)), session.Documents)],
            onToken, null, cancel);

    public static GeneratedSequence[][] From(int[] documents, int vocabulary, GenerationOptions options,
        Action<GeneratedToken>? onToken = null) => From(new HashSession(vocabulary, documents), vocabulary, options, onToken);
}
