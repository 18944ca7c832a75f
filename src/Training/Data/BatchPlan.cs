using LongformerInterop.Torch;

namespace LongformerInterop.Training.Data;

/// <summary>How examples are put into steps, and a step's examples into batches that go through the model one after the other.</summary>
public sealed record BatchPlan
{
    /// <summary>Examples of a step; null: as many as <see cref="TokensPerStep"/> takes.</summary>
    public int? ExamplesPerStep { get; init; }

    /// <summary>The most tokens of a step (one longer example is its own step); with <see cref="ExamplesPerStep"/> not used.</summary>
    public int TokensPerStep { get; init; } = 16_384;

    /// <summary>The most tokens that pass through the model at once, as memory allows. A longer example passes alone.</summary>
    public int TokensPerBatch { get; init; } = 8_192;

    /// <summary>Of the order.</summary>
    public long Seed { get; init; }

    /// <summary>Whether every epoch has its own order; else it is that of the data.</summary>
    public bool Shuffles { get; init; } = true;

    /// <summary>The steps of an epoch: each the numbers of its examples, by batches.</summary>
    /// <param name="data">The examples.</param>
    /// <param name="epoch">From 0.</param>
    public IEnumerable<int[][]> Epoch(TokenizedData data, long epoch)
    {
        ArgumentNullException.ThrowIfNull(data);
        int[] order = Shuffles ? Mixing.Order(data.Count, Seed, epoch) : [.. Enumerable.Range(0, data.Count)];
        List<int> step = [];
        long tokens = 0;
        foreach (int example in order)
        {
            int own = data.TokenCount(example);
            bool full = ExamplesPerStep is { } most ? step.Count == most : step.Count > 0 && tokens + own > TokensPerStep;
            if (full)
            {
                yield return Batches(data, step);
                step = [];
                tokens = 0;
            }
            step.Add(example);
            tokens += own;
        }
        if (step.Count > 0)
            yield return Batches(data, step);
    }

    /// <summary>How many steps some epochs have together; the last one may be a part.</summary>
    /// <param name="data">The examples.</param>
    /// <param name="epochs">More than 0.</param>
    public long StepCount(TokenizedData data, double epochs)
    {
        long steps = 0;
        for (long epoch = 0; epoch < Math.Floor(epochs); epoch++)
            steps += Epoch(data, epoch).LongCount();
        double part = epochs - Math.Floor(epochs);
        return part == 0 ? steps : steps + Math.Max(1, (long)Math.Round(part * Epoch(data, (long)Math.Floor(epochs)).LongCount()));
    }

    /// <summary>Batches of examples in their order, for an evaluation.</summary>
    public static IEnumerable<int[]> InOrder(TokenizedData data, int tokensPerBatch)
    {
        ArgumentNullException.ThrowIfNull(data);
        return new BatchPlan { TokensPerBatch = tokensPerBatch, TokensPerStep = int.MaxValue }.Batches(data, [.. Enumerable.Range(0, data.Count)]);
    }

    /// <exception cref="InputException">A number is outside its range.</exception>
    internal void Check()
    {
        if (ExamplesPerStep is { } examples && examples < 1)
            throw new InputException($"examples of a step: expected 1 or more, given {examples}");
        if (TokensPerStep < 1)
            throw new InputException($"tokens of a step: expected 1 or more, given {TokensPerStep}");
        if (TokensPerBatch < 1)
            throw new InputException($"tokens of a batch: expected 1 or more, given {TokensPerBatch}");
    }

    private int[][] Batches(TokenizedData data, List<int> step)
    {
        List<int[]> batches = [];
        List<int> batch = [];
        long tokens = 0;
        foreach (int example in step)
        {
            int own = data.TokenCount(example);
            if (batch.Count > 0 && tokens + own > TokensPerBatch)
            {
                batches.Add([.. batch]);
                batch.Clear();
                tokens = 0;
            }
            batch.Add(example);
            tokens += own;
        }
        batches.Add([.. batch]);
        return [.. batches];
    }
}
