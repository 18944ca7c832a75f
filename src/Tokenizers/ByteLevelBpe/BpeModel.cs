namespace LongformerInterop.Tokenizers.ByteLevelBpe;

/// <summary>The merges, by pair of token ids, and the token of each byte. Immutable.</summary>
internal sealed class BpeModel
{
    /// <summary>The rank of a pair that is never merged.</summary>
    public const int NoMerge = int.MaxValue;

    private readonly Entry[] _table;
    private readonly int _mask;
    private readonly int[] _byteTokens;

    /// <param name="byteTokens">Token id per byte [256]; -1 where the vocabulary has none.</param>
    /// <param name="merges">Pairs in order of rank with the token that they make; of equal pairs the last counts.</param>
    public BpeModel(int[] byteTokens, IReadOnlyList<(int Left, int Right, int Result)> merges)
    {
        _byteTokens = byteTokens;
        int size = 16;
        while (size < merges.Count * 2)
            size *= 2;
        _table = new Entry[size];
        _mask = size - 1;
        for (int rank = 0; rank < merges.Count; rank++)
        {
            (int left, int right, int result) = merges[rank];
            ref Entry entry = ref Find(Key(left, right));
            entry = new Entry { Key = Key(left, right), Rank = rank, Result = result };
        }
    }

    public int TokenOfByte(byte value) => _byteTokens[value];

    /// <summary>The rank of a pair, or <see cref="NoMerge"/>.</summary>
    public int RankOf(int left, int right, out int result)
    {
        ulong key = Key(left, right);
        ref Entry entry = ref Find(key);
        result = entry.Result;
        return entry.Key == key ? entry.Rank : NoMerge;
    }

    // Ids are shifted by one so that no key is zero, which marks a free slot.
    private static ulong Key(int left, int right) => ((ulong)(uint)(left + 1) << 32) | (uint)(right + 1);

    private ref Entry Find(ulong key)
    {
        for (uint at = (uint)((key * 0x9E3779B97F4A7C15) >> 32); ; at++)
        {
            ref Entry entry = ref _table[at & (uint)_mask];
            if (entry.Key == key || entry.Key == 0)
                return ref entry;
        }
    }

    private struct Entry
    {
        public ulong Key;
        public int Rank;
        public int Result;
    }
}
