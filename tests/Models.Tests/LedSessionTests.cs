using LongformerInterop.Models.Led;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>The cached decoding session against the readable one that keeps nothing.</summary>
public sealed class LedSessionTests
{
    private static LedEncodedDocuments Encode(LedForConditionalGeneration model, bool holes = false)
    {
        long[][] documents = [[0, 9, 8, 7, 6, 5, 2], [0, .. Enumerable.Range(10, 50).Select(i => (long)i), 2], [0, 4, 2]];
        long[] offsets = [0, 7, 59, 62];
        return model.Encode(new LedInputs
        {
            InputIds = Tensor.From<long>(documents.SelectMany(d => d).ToArray(), 62),
            AttentionMask = holes ? Tensor.From<long>([.. Enumerable.Range(0, 62).Select(i => i % 7 == 3 ? 0L : 1L)], 62) : null,
            GlobalAttentionMask = Tensor.From<long>([.. Enumerable.Range(0, 62).Select(i => offsets.Contains(i) ? 1L : 0L)], 62),
            SequenceOffsets = offsets,
        });
    }

    private static LedForConditionalGeneration Model() => LedForConditionalGeneration.Load(Golden.Open("led", "generate_greedy").Folder);

    /// <summary>Splits, drops, reorders and whole documents that end, at random.</summary>
    [Test]
    public void Cached_and_uncached_decoding_agree(
        [Values(1, 2, 3, 4)] int seed, [Values(1, 5)] int promptLength, [Values] bool holes, [Values] bool unequal)
    {
        Random random = new(seed);
        using TensorScope scope = new();
        using LedForConditionalGeneration model = Model();
        using LedEncodedDocuments documents = Encode(model, holes);
        const int most = 4;
        using IDecodingSession cached = model.StartDecoding(documents, 40, most);
        using IDecodingSession plain = model.StartDecoding(documents, 40, most, useCache: false);
        int[][] prompts = [.. Enumerable.Range(0, 3)
            .Select(d => Enumerable.Range(0, promptLength + (unequal ? 2 - d : 0)).Select(_ => random.Next(200)).ToArray())];
        Compare(cached.Start(prompts), plain.Start(prompts), 0);
        int[] owner = [0, 1, 2];
        for (int step = 1; step <= 14; step++)
        {
            List<int> parents = new();
            for (int document = 0; document < 3; document++)
            {
                int[] rows = [.. Enumerable.Range(0, owner.Length).Where(r => owner[r] == document)];
                // The third document ends half way.
                if (rows.Length == 0 || (document == 2 && step > 7))
                    continue;
                for (int i = random.Next(1, most + 1); i > 0; i--)
                    parents.Add(rows[random.Next(rows.Length)]);
            }
            int[] tokens = [.. parents.Select(_ => random.Next(200))];
            Compare(cached.Step(tokens, [.. parents]), plain.Step(tokens, [.. parents]), step);
            owner = [.. parents.Select(p => owner[p])];
        }
    }

    private static void Compare(ReadOnlySpan<float> actual, ReadOnlySpan<float> expected, int step)
    {
        Assert.That(actual.Length, Is.EqualTo(expected.Length));
        double worst = 0;
        for (int i = 0; i < actual.Length; i++)
            worst = Math.Max(worst, Math.Abs(actual[i] - expected[i]));
        Assert.That(worst, Is.LessThan(5e-5), $"step {step}");
    }

    [Test]
    public void A_session_can_be_started_again()
    {
        using TensorScope scope = new();
        using LedForConditionalGeneration model = Model();
        using LedEncodedDocuments documents = Encode(model);
        using IDecodingSession session = model.StartDecoding(documents, 10);
        float[] first = session.Start([[2], [2], [2]]).ToArray();
        session.Step([5, 6, 7], [0, 1, 2]);
        Assert.That(session.Start([[2], [2], [2]]).ToArray(), Is.EqualTo(first));
    }

    [Test]
    public void What_a_session_cannot_do_is_refused()
    {
        using TensorScope scope = new();
        using LedForConditionalGeneration model = Model();
        using LedEncodedDocuments documents = Encode(model);
        Assert.That(() => model.StartDecoding(documents, 65),
            Throws.InstanceOf<InputException>().With.Message.Contains("64 positions of the decoder, given 65"));
        using IDecodingSession session = model.StartDecoding(documents, 2);
        Assert.That(() => session.Start([[2], [2, 3, 4], [2]]),
            Throws.InstanceOf<InputException>().With.Message.Contains("prompts[1]: expected 1 to 2 tokens, given 3"));
        Assert.That(() => session.Start([[2], [2], []]),
            Throws.InstanceOf<InputException>().With.Message.Contains("prompts[2]: expected 1 to 2 tokens, given 0"));
        session.Start([[2], [2], [2]]);
        Assert.That(() => session.Step([5, 6], [1, 0]), Throws.InstanceOf<InputException>().With.Message.Contains("ascend by document"));
        session.Step([5], [0]);
        Assert.That(() => session.Step([5], [0]), Throws.InstanceOf<InputException>().With.Message.Contains("the session is full"));
    }

    /// <summary>A step's products do not depend on what else is in the batch; the encoder's may by a rounding.</summary>
    [Test]
    public void A_document_gives_the_same_logits_alone_and_in_a_batch()
    {
        using TensorScope scope = new();
        using LedForConditionalGeneration model = Model();
        using LedEncodedDocuments documents = Encode(model);
        using IDecodingSession together = model.StartDecoding(documents, 10, 2);
        using LedEncodedDocuments second = model.Encode(new LedInputs
        {
            InputIds = Tensor.From<long>([0, .. Enumerable.Range(10, 50).Select(i => (long)i), 2], 1, 52),
            GlobalAttentionMask = Tensor.From<long>([1, .. new long[51]], 1, 52),
        });
        using IDecodingSession alone = model.StartDecoding(second, 10, 2);
        int vocabulary = model.Configuration.VocabSize;
        // A product of another number of rows may add in another order: 8e-6 on a processor with AVX2 alone.
        const double rounding = 2e-5;
        float[] expected = alone.Start([[2]]).ToArray();
        Assert.That(together.Start([[2, 7, 8], [2], [2, 9]]).Slice(vocabulary, vocabulary).ToArray(), Is.EqualTo(expected).Within(rounding));
        expected = alone.Step([5, 6], [0, 0]).ToArray();
        Assert.That(together.Step([1, 5, 6, 2], [0, 1, 1, 2]).Slice(vocabulary, 2 * vocabulary).ToArray(), Is.EqualTo(expected).Within(rounding));
    }

    [Test]
    public void A_session_frees_what_it_made()
    {
        using LedForConditionalGeneration model = Model();
        void Decode()
        {
            using TensorScope scope = new();
            using LedEncodedDocuments documents = Encode(model);
            using IDecodingSession session = model.StartDecoding(documents, 8, 2);
            session.Start([[2], [2], [2]]);
            session.Step([5, 6, 7], [0, 0, 2]);
        }
        Decode();
        long before = TorchRuntime.LiveTensorCount;  // with the weights that are packed when first used
        Decode();
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }
}
