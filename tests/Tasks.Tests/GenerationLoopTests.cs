using LongformerInterop.Tasks.Generation;

namespace LongformerInterop.Tasks.Tests;

public sealed class GenerationLoopTests
{
    private const int V = 23;

    private static readonly GenerationOptions[] Kinds =
    [
        new() { MaxTokens = 15 },
        new() { MaxTokens = 15, NoRepeatNgram = 2, MinTokens = 6 },
        new() { MaxTokens = 12, Sample = true, Seed = 3 },
        new() { MaxTokens = 12, Sample = true, Seed = 4, TopK = 5, TopP = 0.8, Temperature = 1.5, NBest = 3 },
        new() { MaxTokens = 15, Beams = 4 },
        new() { MaxTokens = 15, Beams = 3, EarlyStopping = EarlyStopping.AtBeamCount, LengthPenalty = 2, NBest = 2 },
        new() { MaxTokens = 9, Beams = 5, EarlyStopping = EarlyStopping.Never, LengthPenalty = 0.5, ForcedFirstToken = 0, ForcedLastTokens = [2] },
        new() { MaxTokens = 9, Beams = 3, Sample = true, Seed = 11, NBest = 3 },
        new() { MaxTokens = 9, Beams = 2, DecoderPrompt = [2, 5, 6], RepetitionPenalty = 1.3, BeginSuppressedTokens = [4] },
    ];

    private static void AreSame(GeneratedSequence a, GeneratedSequence b)
    {
        Assert.That(a.Ids, Is.EqualTo(b.Ids));
        Assert.That(a.Score, Is.EqualTo(b.Score));
        Assert.That(a.TokenScores, Is.EqualTo(b.TokenScores));
    }

    [Test]
    public void A_batch_gives_what_each_document_gives_alone([ValueSource(nameof(Kinds))] GenerationOptions options)
    {
        int[] documents = [3, 1, 4, 1, 5];
        GeneratedSequence[][] batch = Generate.From(documents, V, options);
        for (int d = 0; d < documents.Length; d++)
        {
            GeneratedSequence[] alone = Generate.From([documents[d]], V, options)[0];
            Assert.That(batch[d], Has.Length.EqualTo(alone.Length).And.Length.EqualTo(options.NBest ?? 1));
            for (int i = 0; i < alone.Length; i++)
                AreSame(batch[d][i], alone[i]);
        }
    }

    [Test]
    public void Streamed_tokens_are_the_returned_ones_in_order([ValueSource(nameof(Kinds))] GenerationOptions options)
    {
        Dictionary<(int, int), List<int>> streamed = new();
        GeneratedSequence[][] results = Generate.From([3, 1, 4], V, options, token =>
        {
            List<int> list = streamed.TryGetValue((token.Document, token.Sequence), out List<int>? found)
                ? found
                : streamed[(token.Document, token.Sequence)] = [];
            Assert.That(token.Position, Is.EqualTo(list.Count + (options.DecoderPrompt?.Count ?? 1)));
            list.Add(token.Id);
        });
        foreach (((int document, int sequence), List<int> ids) in streamed)
        {
            GeneratedSequence result = results[document][sequence];
            Assert.That(ids, Is.EqualTo(result.Ids.Skip(result.PromptLength)));
        }
        Assert.That(streamed, Has.Count.EqualTo(3 * (options.Beams is null ? options.NBest ?? 1 : 1)));
    }

    [Test]
    public void Beam_search_with_one_beam_follows_the_greedy_path([Range(0, 19)] int document)
    {
        // Without processors that act differently on logits and log-probabilities, one beam must walk as greedy search does.
        GenerationPlan plan = GenerationPlan.Create(new GenerationOptions { MaxTokens = 14, EarlyStopping = EarlyStopping.AtBeamCount },
            HashSession.Vocabulary(V));
        BeamSearch search = new(plan);
        while (!search.Done)
            search.Advance(new LogitsRows(HashSession.Logits(V, document, search.Running[0].Ids), V));
        GeneratedSequence greedy = Generate.From([document], V, new GenerationOptions { MaxTokens = 14 })[0][0];
        // The beam ends at the first end token that leads; greedy search ends at the same place.
        Assert.That(search.Results(1).First().Ids, Is.EqualTo(greedy.Ids));
        Assert.That(search.Results(1).First().Score, Is.EqualTo(greedy.Score).Within(1e-5));
    }

    [Test]
    public void With_enough_beams_the_search_is_exhaustive([Range(0, 9)] int document)
    {
        // 4 tokens, at most 3 new ones: 27 open prefixes at most. All sequences are enumerated and scored by the definition.
        const int tokens = 4;
        GenerationOptions options = new() { Beams = 32, MaxTokens = 3, LengthPenalty = 1.5, EarlyStopping = EarlyStopping.Never, NBest = 3 };
        List<(int[] Ids, double Score)> all = new();
        void Visit(int[] ids, double sum)
        {
            if (ids.Length > 1 && (ids[^1] == 2 || ids.Length == 4))
            {
                all.Add((ids, sum / Math.Pow(ids.Length - 1, 1.5)));
                return;
            }
            float[] logits = HashSession.Logits(tokens, document, ids);
            double normaliser = Math.Log(logits.Sum(l => Math.Exp(l)));
            for (int t = 0; t < tokens; t++)
                Visit([.. ids, t], sum + logits[t] - normaliser);
        }
        Visit([2], 0);
        (int[] Ids, double Score)[] expected = [.. all.OrderByDescending(a => a.Score).Take(3)];
        GeneratedSequence[] best = Generate.From([document], tokens, options)[0];
        for (int i = 0; i < 3; i++)
        {
            Assert.That(best[i].Ids, Is.EqualTo(expected[i].Ids));
            Assert.That(best[i].Score, Is.EqualTo(expected[i].Score).Within(1e-5));
        }
    }

    [Test]
    public void Beam_results_are_sorted_different_and_scored_by_their_tokens([Values(2, 4, 7)] int beams)
    {
        GeneratedSequence[] results =
            Generate.From([8], V, new GenerationOptions { Beams = beams, NBest = beams, MaxTokens = 12, LengthPenalty = 0.7 })[0];
        Assert.That(results.Select(r => r.Score), Is.Ordered.Descending);
        Assert.That(results.Select(r => string.Join(' ', r.Ids)), Is.Unique);
        foreach (GeneratedSequence r in results)
        {
            Assert.That(r.Score, Is.EqualTo(r.TokenScores.Sum() / Math.Pow(r.TokenScores.Count, 0.7)).Within(1e-5));
            Assert.That(r.TokenScores, Has.Count.EqualTo(r.Ids.Count - 1));
            Assert.That(r.Ended, Is.EqualTo(r.Ids[^1] == 2));
        }
    }

    [Test]
    public void Finished_documents_cost_nothing()
    {
        GenerationOptions options = new() { MaxTokens = 30 };
        int[] documents = [.. Enumerable.Range(0, 12)];
        HashSession session = new(V, documents);
        GeneratedSequence[][] results = Generate.From(session, V, options);
        Assert.That(session.RowsComputed, Is.EqualTo(results.Sum(r => r[0].TokenScores.Count)));
    }

    [Test]
    public void Kept_logits_go_on_with_padding_as_in_HF()
    {
        GeneratedSequence[][] results = Generate.From([0, 1, 2, 3], V, new GenerationOptions { MaxTokens = 20, KeepLogits = true });
        int steps = results.Max(r => r[0].TokenScores.Count);
        foreach (GeneratedSequence[] r in results)
        {
            Assert.That(r[0].Logits, Has.Count.EqualTo(steps));
            int document = Array.IndexOf(results, r);
            int[] padded = [.. r[0].Ids, .. Enumerable.Repeat(1, steps)];
            for (int t = 0; t < steps; t++)
                Assert.That(r[0].Logits![t], Is.EqualTo(HashSession.Logits(V, document, padded[..(t + 1)])));
        }
    }

    [Test]
    public void Samples_follow_the_probabilities()
    {
        GenerationOptions options = new() { Sample = true, NBest = 4000, MaxTokens = 1, TopK = 0, Seed = 99 };
        GeneratedSequence[] samples = Generate.From([5], V, options)[0];
        float[] logits = HashSession.Logits(V, 5, [2]);
        double sum = logits.Sum(l => Math.Exp(l));
        for (int t = 0; t < V; t++)
        {
            double p = Math.Exp(logits[t]) / sum;
            Assert.That(samples.Count(s => s.Ids[^1] == t) / 4000.0, Is.EqualTo(p).Within(4 * Math.Sqrt(p * (1 - p) / 4000) + 1e-3));
        }
    }

    [Test]
    public void Another_seed_gives_other_samples_and_the_same_seed_the_same()
    {
        string Text(ulong seed) =>
            string.Join(' ', Generate.From([5], V, new GenerationOptions { Sample = true, Seed = seed, MaxTokens = 20 })[0][0].Ids);
        string first = Text(1);
        Assert.That(Text(1), Is.EqualTo(first));
        Assert.That(Text(2), Is.Not.EqualTo(first));
    }

    [Test]
    public void Cancellation_ends_the_loop_before_the_next_step()
    {
        using CancellationTokenSource source = new();
        HashSession session = new(V, 1);
        int seen = 0;
        Assert.That(() => Generate.From(session, V, new GenerationOptions { MaxTokens = 50, SuppressedTokens = [2] }, _ =>
        {
            if (++seen == 3)
                source.Cancel();
        }, source.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(session.Steps, Is.EqualTo(2));
    }

    [Test]
    public void A_search_in_which_everything_is_forbidden_still_returns()
    {
        GenerationOptions options = new() { Beams = 2, MaxTokens = 5, SuppressedTokens = [.. Enumerable.Range(0, V)], NBest = 2 };
        Assert.That(Generate.From([1], V, options)[0], Is.Not.Empty);
    }
}
