using System.Runtime.InteropServices;
using System.Text;

namespace LongformerInterop.Tasks.Search;

/// <summary>
/// Counts the words of passages while an index is made: for every word the passages that have it, with how often. Takes about 12 bytes for every
/// different word of a passage.
/// </summary>
internal sealed class WordCounter
{
    private readonly Dictionary<string, int> _terms = new(StringComparer.Ordinal);
    private readonly List<(int Term, int Passage, int Count)> _counts = [];
    private readonly Dictionary<int, int> _passage = [];
    private readonly List<int> _lengths = [];

    /// <summary>Counts the next passage.</summary>
    public void Add(string passage)
    {
        int words = 0;
        _passage.Clear();
        foreach ((string word, _) in Words.Of(passage))
        {
            ref int term = ref CollectionsMarshal.GetValueRefOrAddDefault(_terms, word, out bool known);
            if (!known)
                term = _terms.Count - 1;
            CollectionsMarshal.GetValueRefOrAddDefault(_passage, term, out _)++;
            words++;
        }
        foreach ((int term, int count) in _passage)
            _counts.Add((term, _lengths.Count, count));
        _lengths.Add(words);
    }

    /// <summary>The tables of an index: words in the order of their bytes, and the postings of each in the order of the passages.</summary>
    public WordTables Finish()
    {
        byte[][] bytes = new byte[_terms.Count][];
        foreach ((string word, int term) in _terms)
            bytes[term] = Encoding.UTF8.GetBytes(word);
        int[] order = [.. Enumerable.Range(0, bytes.Length)];
        Array.Sort(order, (a, b) => bytes[a].AsSpan().SequenceCompareTo(bytes[b]));
        int[] place = new int[order.Length];
        for (int i = 0; i < order.Length; i++)
            place[order[i]] = i;
        // Counted first, so that each posting is put where it belongs at once.
        long[] offsets = new long[order.Length + 1];
        foreach ((int term, _, _) in _counts)
            offsets[place[term] + 1]++;
        for (int i = 0; i < order.Length; i++)
            offsets[i + 1] += offsets[i];
        long[] next = offsets[..^1];
        int[] postings = new int[2 * _counts.Count];
        foreach ((int term, int passage, int count) in _counts)
        {
            long at = 2 * next[place[term]]++;
            (postings[at], postings[at + 1]) = (passage, count);
        }
        (byte[] terms, long[] ends) = Joined(order.Select(o => bytes[o]));
        return new WordTables(terms, ends, offsets, postings, [.. _lengths]);
    }

    /// <summary>Some byte strings behind one another, with where each begins and the last ends.</summary>
    public static (byte[] Bytes, long[] Offsets) Joined(IEnumerable<byte[]> parts)
    {
        using MemoryStream bytes = new();
        List<long> offsets = [0];
        foreach (byte[] part in parts)
        {
            bytes.Write(part);
            offsets.Add(bytes.Length);
        }
        return (bytes.ToArray(), [.. offsets]);
    }
}

/// <summary>The words of an index.</summary>
/// <param name="Terms">All words behind one another, UTF-8, ascending by their bytes.</param>
/// <param name="TermOffsets">[V + 1], where each word begins.</param>
/// <param name="PostingOffsets">[V + 1], where the postings of each word begin.</param>
/// <param name="Postings">[N, 2]: a passage, and how often the word is in it.</param>
/// <param name="Lengths">[P], the words of each passage.</param>
internal sealed record WordTables(byte[] Terms, long[] TermOffsets, long[] PostingOffsets, int[] Postings, int[] Lengths);
