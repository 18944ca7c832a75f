using System.Numerics;
using System.Runtime.InteropServices;

namespace LongformerInterop.Tasks.Generation;

/// <summary>One possible continuation.</summary>
/// <param name="Score">Its score.</param>
/// <param name="Row">The beam it continues.</param>
/// <param name="Token">The token it appends.</param>
internal readonly record struct Candidate(float Score, int Row, int Token);

/// <summary>
/// The best k of many scores, found in one pass: rows are scanned in vectors against the worst score held, and only what beats it is
/// looked at one by one. Of equal scores the one seen first wins.
/// </summary>
internal sealed class CandidateSet(int capacity)
{
    private readonly Candidate[] _best = new Candidate[capacity];
    private int _count;

    /// <summary>The held candidates, best first.</summary>
    public ReadOnlySpan<Candidate> Best => _best.AsSpan(0, _count);

    /// <summary>The worst score held once the set is full; minus infinity before.</summary>
    public float Threshold => _count < capacity ? float.NegativeInfinity : _best[^1].Score;

    /// <summary>Forgets all candidates.</summary>
    public void Clear() => _count = 0;

    /// <summary>Offers every token of a row, at score + offset rounded to float as torch adds them.</summary>
    /// <param name="scores">[V]</param>
    /// <param name="offset">The number that is added to each.</param>
    /// <param name="row">The row's number in the candidates.</param>
    public void Scan(ReadOnlySpan<float> scores, float offset, int row)
    {
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(scores);
        Vector<float> voffset = new(offset);
        int width = Vector<float>.Count;
        for (int i = 0; i < vectors.Length; i++)
        {
            if (_count == capacity && !Vector.GreaterThanAny(vectors[i] + voffset, new Vector<float>(Threshold)))
                continue;
            for (int j = i * width; j < (i + 1) * width; j++)
                Offer(new Candidate(scores[j] + offset, row, j));
        }
        for (int j = vectors.Length * width; j < scores.Length; j++)
            Offer(new Candidate(scores[j] + offset, row, j));
    }

    /// <summary>Keeps a candidate if it is better than the worst held, or the set is not full.</summary>
    public void Offer(Candidate candidate)
    {
        if (_count == capacity)
        {
            // Written so that NaN is never kept in place of a number.
            if (!(candidate.Score > _best[^1].Score))
                return;
        }
        else
        {
            _count++;
        }
        int at = _count - 1;
        while (at > 0 && candidate.Score > _best[at - 1].Score)
        {
            _best[at] = _best[at - 1];
            at--;
        }
        _best[at] = candidate;
    }
}
