namespace LongformerInterop.Tasks.Generation;

/// <summary>
/// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): the random numbers of sampling. A draw is a
/// function of its place alone, the key being the seed and the counter (step, sample, draw): there is no state to carry, nothing depends
/// on the order of work, and the same seed gives the same text alone, in a batch, on any machine.
/// </summary>
public static class CounterRandom
{
    /// <summary>A uniform number in the open interval (0, 1), of 52 random bits.</summary>
    /// <param name="seed">The user's seed.</param>
    /// <param name="sample">Which of the samples of a document.</param>
    /// <param name="step">Which token of the sequence.</param>
    /// <param name="draw">Which draw within the step.</param>
    public static double Uniform(ulong seed, int sample, int step, long draw)
    {
        (uint a, uint b, _, _) = Philox((uint)draw, (uint)((ulong)draw >> 32), (uint)step, (uint)sample, (uint)seed, (uint)(seed >> 32));
        ulong bits = ((ulong)a << 32 | b) >> 12;
        return (bits + 0.5) * (1.0 / (1UL << 52));
    }

    /// <summary>Ten rounds of Philox 4x32 on a counter and a key.</summary>
    internal static (uint, uint, uint, uint) Philox(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        for (int round = 0; round < 10; round++)
        {
            ulong p0 = 0xD2511F53UL * c0, p1 = 0xCD9E8D57UL * c2;
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            k0 += 0x9E3779B9;
            k1 += 0xBB67AE85;
        }
        return (c0, c1, c2, c3);
    }
}
