using LongformerInterop.Tasks.Generation;

namespace LongformerInterop.Tasks.Tests;

/// <summary>Every logits processor against values computed by hand.</summary>
public sealed class GenerationProcessorTests
{
    private const float None = float.NegativeInfinity;

    private static float[] Apply(LogitsProcessor processor, int[] ids, params float[] scores)
    {
        processor.Apply(ids, scores);
        return scores;
    }

    [Test]
    public void Repetition_penalty_divides_positive_and_multiplies_negative_scores_once_per_token() =>
        Assert.That(Apply(new RepetitionPenalty(2f), [0, 1, 1, 3], 4f, -3f, 5f, 0f), Is.EqualTo(new[] { 2f, -6f, 5f, 0f }));

    [Test]
    public void No_repeat_ngram_forbids_what_followed_the_last_tokens_before() =>
        Assert.That(Apply(new NoRepeatNgram(3), [1, 2, 3, 0, 1, 2, 0, 1, 2], 1f, 1f, 1f, 1f), Is.EqualTo(new[] { None, 1f, 1f, None }));

    [Test]
    public void No_repeat_unigram_forbids_every_token_that_occurred() =>
        Assert.That(Apply(new NoRepeatNgram(1), [2, 0], 1f, 1f, 1f), Is.EqualTo(new[] { None, 1f, None }));

    [Test]
    public void No_repeat_ngram_waits_until_an_ngram_fits() =>
        Assert.That(Apply(new NoRepeatNgram(4), [1, 1], 1f, 1f), Is.EqualTo(new[] { 1f, 1f }));

    [Test]
    public void Bad_words_of_one_token_are_always_forbidden_except_a_lone_end_token() =>
        Assert.That(Apply(new BadWords([[1], [2]], [2]), [0], 1f, 1f, 1f), Is.EqualTo(new[] { 1f, None, 1f }));

    [Test]
    public void Bad_words_of_more_tokens_are_forbidden_behind_their_beginning() =>
        Assert.That(Apply(new BadWords([[0, 1, 3], [1, 2]], [2]), [2, 0, 1], 1f, 1f, 1f, 1f), Is.EqualTo(new[] { 1f, 1f, None, None }));

    [Test]
    public void Bad_words_longer_than_the_tokens_so_far_are_not_seen_as_in_HF() =>
        Assert.That(Apply(new BadWords([[1, 2]], []), [1], 1f, 1f, 1f), Is.EqualTo(new[] { 1f, 1f, 1f }));

    [TestCase(3, None)]
    [TestCase(4, 1f)]
    public void Minimum_length_counts_the_start_token(int length, float expected) =>
        Assert.That(Apply(new MinimumLength(4, [1]), new int[length], 1f, 1f), Is.EqualTo(new[] { 1f, expected }));

    [Test]
    public void Forced_first_token_leaves_only_itself_behind_the_start_token()
    {
        Assert.That(Apply(new ForcedFirst(1), [2], 3f, 3f, 3f), Is.EqualTo(new[] { None, 0f, None }));
        Assert.That(Apply(new ForcedFirst(1), [2, 1], 3f, 3f, 3f), Is.EqualTo(new[] { 3f, 3f, 3f }));
    }

    [Test]
    public void Forced_last_tokens_act_one_before_the_maximum_length()
    {
        Assert.That(Apply(new ForcedLast(4, [0, 2]), [5, 5, 5], 3f, 3f, 3f), Is.EqualTo(new[] { 0f, None, 0f }));
        Assert.That(Apply(new ForcedLast(4, [0, 2]), [5, 5], 3f, 3f, 3f), Is.EqualTo(new[] { 3f, 3f, 3f }));
    }

    [Test]
    public void Suppressed_tokens_are_forbidden_always_and_begin_suppressed_at_one_length()
    {
        Assert.That(Apply(new Suppressed([0]), [5, 5], 3f, 3f), Is.EqualTo(new[] { None, 3f }));
        Assert.That(Apply(new BeginSuppressed([0], 2), [5, 5], 3f, 3f), Is.EqualTo(new[] { None, 3f }));
        Assert.That(Apply(new BeginSuppressed([0], 2), [5, 5, 5], 3f, 3f), Is.EqualTo(new[] { 3f, 3f }));
    }

    [Test]
    public void Temperature_divides() =>
        Assert.That(Apply(new Temperature(2f), [], 3f, -1f, None), Is.EqualTo(new[] { 1.5f, -0.5f, None }));

    [Test]
    public void Top_k_keeps_the_best_and_their_equals() =>
        Assert.That(Apply(new TopK(2), [], 1f, 5f, 3f, 3f, 0f), Is.EqualTo(new[] { None, 5f, 3f, 3f, None }));

    [Test]
    public void Top_k_over_the_vocabulary_changes_nothing() =>
        Assert.That(Apply(new TopK(9), [], 1f, 2f), Is.EqualTo(new[] { 1f, 2f }));

    [TestCase(0.65, 2)]
    [TestCase(0.5, 1)]
    [TestCase(0.95, 3)]
    [TestCase(1.0, 4)]
    public void Top_p_keeps_the_fewest_best_that_reach_p(double p, int kept)
    {
        // Probabilities 0.5, 0.25, 0.2, 0.05: from below 0.05, 0.25, 0.5 go while they are at most 1 - p.
        float[] scores = [MathF.Log(0.2f), MathF.Log(0.5f), MathF.Log(0.05f), MathF.Log(0.25f)];
        Assert.That(Apply(new TopP(p, 1), [], scores).Count(float.IsFinite), Is.EqualTo(kept));
    }

    [Test]
    public void Top_p_keeps_at_least_as_many_as_beams_need() =>
        Assert.That(Apply(new TopP(0.01, 2), [], 9f, 1f, 0f), Is.EqualTo(new[] { 9f, 1f, None }));

    [Test]
    public void Log_softmax_agrees_with_its_definition_in_double([Values(1, 7, 16, 33, 5000)] int count, [Values(0f, 80f)] float shift)
    {
        Random random = new(5);
        float[] scores = [.. Enumerable.Range(0, count).Select(_ => shift + 10f * random.NextSingle())];
        double normaliser = Math.Log(scores.Sum(s => Math.Exp(s)));
        double[] expected = [.. scores.Select(s => s - normaliser)];
        RowMath.LogSoftmax(scores);
        for (int i = 0; i < count; i++)
            Assert.That(scores[i], Is.EqualTo(expected[i]).Within(2e-6));
    }

    [Test]
    public void Forbidden_tokens_stay_forbidden_through_log_softmax()
    {
        float[] scores = [0f, None, 0f];
        RowMath.LogSoftmax(scores);
        Assert.That(scores, Is.EqualTo(new[] { -MathF.Log(2), None, -MathF.Log(2) }).Within(1e-6));
    }

    [Test]
    public void Candidate_set_holds_what_sorting_would_give([Values(1, 3, 8, 40)] int count, [Values(1, 2, 3, 4)] int seed)
    {
        Random random = new(seed);
        CandidateSet set = new(count);
        List<Candidate> all = new();
        for (int row = 0; row < 3; row++)
        {
            float[] scores = [.. Enumerable.Range(0, 61).Select(_ => (float)random.Next(30))];
            set.Scan(scores, row, row);
            all.AddRange(scores.Select((s, i) => new Candidate(s + row, row, i)));
        }
        Assert.That(set.Best.ToArray(), Is.EqualTo(all.OrderByDescending(c => c.Score).Take(count)));
    }

    [Test]
    public void Philox_gives_the_published_test_vectors()
    {
        // Random123, kat_vectors: philox4x32 10.
        Assert.That(CounterRandom.Philox(0, 0, 0, 0, 0, 0), Is.EqualTo((0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)));
        Assert.That(CounterRandom.Philox(~0u, ~0u, ~0u, ~0u, ~0u, ~0u), Is.EqualTo((0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)));
        Assert.That(CounterRandom.Philox(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0),
            Is.EqualTo((0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)));
    }

    [Test]
    public void Uniform_numbers_fill_the_open_interval_evenly()
    {
        double[] draws = [.. Enumerable.Range(0, 20000).Select(i => CounterRandom.Uniform(7, 0, 1, i))];
        Assert.That(draws, Has.All.GreaterThan(0.0).And.All.LessThan(1.0));
        Assert.That(draws.Average(), Is.EqualTo(0.5).Within(0.01));
        Assert.That(draws.Count(d => d < 0.1), Is.EqualTo(2000).Within(150));
    }
}
