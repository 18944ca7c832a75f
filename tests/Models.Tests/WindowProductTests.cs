using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>The raw window products against their definition, written as loops over every element.</summary>
public class WindowProductTests
{
    private static Tensor Random(int seed, params long[] shape)
    {
        float[] values = RandomCheckpoint.Values(new ParameterShape("values.bias", shape), seed);
        return Tensor.From<float>(values.Select(v => v * 10).ToArray(), shape);
    }

    /// <summary>q[i] . k[i + d(j - left)] for every row and column; <paramref name="outside"/> where there is no such key.</summary>
    private static float[] Scores(Tensor query, Tensor key, int left, int right, int[] dilation, float outside)
    {
        (float[] q, float[] k) = (query.ToArray<float>(), key.ToArray<float>());
        (long batch, long length, long heads, long size) = (query.Size(0), query.Size(1), query.Size(2), query.Size(3));
        List<float> scores = new();
        for (long b = 0; b < batch; b++)
        {
            for (long i = 0; i < length; i++)
            {
                for (long h = 0; h < heads; h++)
                {
                    for (long j = -left; j <= right; j++)
                    {
                        long other = i + (dilation[dilation.Length == 1 ? 0 : h] * j);
                        double sum = 0;
                        for (long d = 0; d < size && other >= 0 && other < length; d++)
                        {
                            sum += (double)q[(((((b * length) + i) * heads) + h) * size) + d]
                                * k[(((((b * length) + other) * heads) + h) * size) + d];
                        }
                        scores.Add(other < 0 || other >= length ? outside : (float)sum);
                    }
                }
            }
        }
        return [.. scores];
    }

    [TestCase(32, 4)]
    [TestCase(37, 4)]
    [TestCase(3, 4)]
    [TestCase(1, 2)]
    [TestCase(50, 1)]
    public void Sliding_chunks_score_any_length(int length, int window)
    {
        using TensorScope scope = new();
        (Tensor q, Tensor k) = (Random(1, 2, length, 3, 5), Random(2, 2, length, 3, 5));
        Tensor scores = WindowProducts.SlidingChunksScores(q, k, window);
        Assert.That(scores.Shape, Is.EqualTo([2L, length, 3, (2 * window) + 1]));
        Assert.That(scores.ToArray<float>(), Is.EqualTo(Scores(q, k, window, window, [1], float.NegativeInfinity)).Within(1e-4));
    }

    [Test]
    public void Chunks_and_columns_give_one_context([Values(32, 37, 3)] int length)
    {
        using TensorScope scope = new();
        (Tensor q, Tensor k, Tensor v) = (Random(1, 2, length, 3, 5), Random(2, 2, length, 3, 5), Random(3, 2, length, 3, 5));
        Tensor probabilities = WindowProducts.SlidingChunksScores(q, k, 4).Softmax(-1);
        Golden.AssertClose(
            WindowProducts.SlidingChunksContext(probabilities, v, 4), WindowProducts.DilatedContext(probabilities, v, 4, 4, [1]), 1e-5, 0, "context");
    }

    [Test]
    public void Dilated_scores_take_a_dilation_per_head()
    {
        using TensorScope scope = new();
        (Tensor q, Tensor k) = (Random(1, 2, 30, 3, 5), Random(2, 2, 30, 3, 5));
        Assert.That(
            WindowProducts.DilatedScores(q, k, 5, 2, [1, 4, 9]).ToArray<float>(), Is.EqualTo(Scores(q, k, 5, 2, [1, 4, 9], 0)).Within(1e-4));
    }

    [Test]
    public void Invalid_locations_are_those_outside_the_sequence([Values(3, 20)] int length, [Values] bool autoregressive)
    {
        using TensorScope scope = new();
        int[] dilation = [1, 2, 4];
        int right = autoregressive ? 0 : 3;
        Tensor ones = Tensor.Ones([1, length, 3, 4 + right]);
        float[] masked = WindowProducts.MaskInvalidLocations(ones, 3, dilation, autoregressive).ToArray<float>();
        float[] expected = Scores(Tensor.Ones([1, length, 3, 1]), Tensor.Ones([1, length, 3, 1]), 3, right, dilation, float.NegativeInfinity);
        Assert.That(masked, Is.EqualTo(expected));
    }

    [Test]
    public void Blocks_without_overlap_see_the_block_before_and_the_one_after()
    {
        using TensorScope scope = new();
        (Tensor q, Tensor k, Tensor v) = (Random(1, 1, 12, 1, 5), Random(2, 1, 12, 1, 5), Random(3, 1, 12, 1, 5));
        Tensor scores = WindowProducts.NoOverlapScores(q, k, 4);
        float[] dense = q.View(12, 5).MatMul(k.View(12, 5).Transpose(0, 1)).ToArray<float>();
        float[] blocks = scores.ToArray<float>();
        for (int i = 0; i < 12; i++)
        {
            for (int j = 0; j < 12; j++)
            {
                int other = ((i / 4) - 1) * 4 + j;
                float expected = other is >= 0 and < 12 ? dense[(i * 12) + other] : 0;
                Assert.That(blocks[(i * 12) + j], Is.EqualTo(expected).Within(1e-4), $"row {i}, column {j}");
            }
        }
        // With only the middle block's columns the context is that of the block itself.
        Tensor own = Tensor.Zeros([1, 12, 1, 12]).IndexFill(3, Tensor.From<long>([4, 5, 6, 7]), 0.25);
        Golden.AssertClose(
            WindowProducts.NoOverlapContext(own, v, 4).View(3, 4, 5), v.View(3, 4, 5).Mean(1, keep: true).Expand(3, 4, 5).Contiguous(),
            1e-5, 0, "context");
    }

    [Test]
    public void Padding_goes_to_a_multiple_of_twice_the_window()
    {
        using TensorScope scope = new();
        (Tensor ids, Tensor mask) = WindowProducts.PadToWindowSize(Tensor.From<long>([5, 6, 7], 1, 3), Tensor.From<long>([1, 1, 1], 1, 3), 2, 1);
        Assert.That(ids.ToArray<long>(), Is.EqualTo([5, 6, 7, 1]));
        Assert.That(mask.ToArray<long>(), Is.EqualTo([1, 1, 1, 0]));
    }

    [Test]
    public void Wrong_shapes_are_named()
    {
        using TensorScope scope = new();
        Tensor q = Tensor.Zeros([1, 10, 2, 4]);
        Assert.Multiple(() =>
        {
            Assert.That(() => WindowProducts.NoOverlapScores(q, q, 4),
                Throws.TypeOf<InputException>().With.Message.Contains("a multiple of the block 4, given 10"));
            Assert.That(() => WindowProducts.SlidingChunksScores(q, Tensor.Zeros([1, 9, 2, 4]), 2),
                Throws.TypeOf<InputException>().With.Message.Contains("key: expected the query's shape [1, 10, 2, 4], given [1, 9, 2, 4]"));
            Assert.That(() => WindowProducts.SlidingChunksContext(Tensor.Zeros([1, 10, 2, 4]), q, 2),
                Throws.TypeOf<InputException>().With.Message.Contains("probabilities: expected shape [1, 10, 2, 5]"));
            Assert.That(() => WindowProducts.SlidingChunksScores(q, q, 0),
                Throws.TypeOf<InputException>().With.Message.Contains("window: expected at least 1"));
            Assert.That(() => WindowProducts.DilatedScores(q, q, 1, 1, [1, 2, 3]),
                Throws.TypeOf<InputException>().With.Message.Contains("one per head (2), given 3"));
        });
    }
}
