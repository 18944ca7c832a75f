using LongformerInterop.Models;
using LongformerInterop.Tests;
using LongformerInterop.Torch;
using Microsoft.Extensions.AI;

namespace LongformerInterop.Tasks.Tests;

[TestFixture]
public class DocumentEncoderTests
{
    private static readonly string[] Documents =
    [
        "A short one.",
        "A longer document, which has quite a few more tokens than the first and therefore needs its own place in the batch.",
        "x",
    ];

    private DocumentEncoder _encoder = null!;

    [OneTimeSetUp]
    public void Load() => _encoder = DocumentEncoder.Load(TinyCheckpoints.Base);

    [OneTimeTearDown]
    public void Free() => _encoder.Dispose();

    [Test]
    public void A_batch_of_unequal_documents_equals_the_single_runs([Values(Pooling.Cls, Pooling.Mean, Pooling.Tokens)] Pooling pooling,
        [Values] AttentionImplementation attention)
    {
        using DocumentEncoder encoder = DocumentEncoder.Load(TinyCheckpoints.Base, new LoadOptions { Attention = attention });
        float[][] together = encoder.Encode(Documents, pooling);
        for (int i = 0; i < Documents.Length; i++)
            Assert.That(together[i], Is.EqualTo(encoder.Encode([Documents[i]], pooling)[0]).Within(2e-5), $"document {i}");
    }

    [Test]
    public void The_size_of_a_batch_does_not_change_the_vectors()
    {
        float[][] one = _encoder.Encode(Documents, Pooling.Mean, new EmbeddingOptions { TokensPerBatch = 1 });
        Assert.That(_encoder.Encode(Documents).Zip(one).Max(p => p.First.Zip(p.Second).Max(v => Math.Abs(v.First - v.Second))), Is.LessThan(2e-5));
    }

    [Test]
    public void The_mean_is_that_of_all_tokens_and_the_first_token_is_that_of_cls_with_equal_global_tokens()
    {
        EmbeddingOptions options = new() { Global = GlobalTokens.First };
        float[] tokens = _encoder.Encode([Documents[1]], Pooling.Tokens, options)[0];
        int hidden = _encoder.HiddenSize;
        int count = tokens.Length / hidden;
        float[] mean = [.. Enumerable.Range(0, hidden).Select(c => Enumerable.Range(0, count).Average(t => tokens[(t * hidden) + c]))];
        Assert.That(_encoder.Encode([Documents[1]], Pooling.Mean, options)[0], Is.EqualTo(mean).Within(1e-5));
        Assert.That(_encoder.Encode([Documents[1]], Pooling.Cls)[0], Is.EqualTo(tokens[..hidden]).Within(1e-6));
    }

    [Test]
    public void Global_tokens_change_the_result()
    {
        float[] none = _encoder.Encode([Documents[1]], Pooling.Mean)[0];
        float[] first = _encoder.Encode([Documents[1]], Pooling.Mean, new EmbeddingOptions { Global = GlobalTokens.First })[0];
        float[] others = _encoder.Encode([Documents[1]], Pooling.Mean, new EmbeddingOptions { Global = GlobalTokens.At(2, 5) })[0];
        Assert.That(none.Zip(first).Max(p => Math.Abs(p.First - p.Second)), Is.GreaterThan(1e-3));
        Assert.That(others.Zip(first).Max(p => Math.Abs(p.First - p.Second)), Is.GreaterThan(1e-3));
    }

    [Test]
    public void Normalized_vectors_have_length_one() =>
        Assert.That(_encoder.Encode(Documents, Pooling.Cls, new EmbeddingOptions { Normalize = true }).Select(v => v.Sum(x => x * x)),
            Is.All.EqualTo(1f).Within(1e-5));

    [Test]
    public void Too_long_a_document_is_refused_with_both_numbers_and_truncated_on_request()
    {
        string document = string.Concat(Enumerable.Repeat("word ", 500));
        InputException error = Assert.Throws<InputException>(() => _encoder.Encode(["fine", document]))!;
        Assert.That(error.Message, Does.Contain("documents[1]").And.Contain($"{TinyCheckpoints.MaxTokens}"));
        int tokens = _encoder.Tokenizer.Encode(document).Count;
        Assert.That(error.Message, Does.Contain($"{tokens} tokens"));
        DocumentEmbedding cut = _encoder.EncodeEach([document], Pooling.Mean, new EmbeddingOptions { Truncate = true }).Single();
        Assert.That(cut.Tokens, Is.EqualTo(TinyCheckpoints.MaxTokens));
    }

    [TestCase("", "documents[0]: the text is empty")]
    [TestCase("</s><s></s>", "documents[0]: the text consists of special tokens only")]
    [TestCase(null, "documents[0]: expected a text, given null")]
    public void A_document_without_text_is_refused(string? document, string message) =>
        Assert.That(() => _encoder.Encode([document!]), Throws.TypeOf<InputException>().With.Message.EqualTo(message));

    [Test]
    public void Tokens_are_counted_as_the_model_gets_them()
    {
        string document = string.Concat(Enumerable.Repeat("word ", 500));
        Assert.That(_encoder.CountTokens(Documents), Is.EqualTo(_encoder.EncodeEach(Documents).Select(e => e.Tokens)));
        Assert.That(_encoder.CountTokens([document], new EmbeddingOptions { Truncate = true }), Is.EqualTo(new[] { TinyCheckpoints.MaxTokens }));
        Assert.That(_encoder.CountTokens([]), Is.Empty);
        Assert.That(() => _encoder.CountTokens(["fine", document]), Throws.TypeOf<InputException>().With.Message.Contains("documents[1]"));
        Assert.That(() => _encoder.CountTokens([""]), Throws.TypeOf<InputException>().With.Message.EqualTo("documents[0]: the text is empty"));
        Assert.That(() => _encoder.CountTokens(Documents, cancellation: new CancellationToken(true)),
            Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public void No_document_gives_no_vector() => Assert.That(_encoder.Encode([]), Is.Empty);

    [Test]
    public void Progress_is_told_after_every_batch_and_the_results_come_in_order()
    {
        List<TaskProgress> reports = [];
        EmbeddingOptions options = new() { TokensPerBatch = 10 };
        int[] order = [.. _encoder.EncodeEach(Documents, Pooling.Mean, options, new Collect(reports)).Select(e => e.Index)];
        Assert.That(order, Is.EqualTo(new[] { 0, 1, 2 }));
        Assert.That(reports[^1].Done, Is.EqualTo(3));
        Assert.That(reports.Select(r => r.Total), Is.All.EqualTo(3));
    }

    [Test]
    public void A_run_stops_between_two_layers_of_one_batch()
    {
        using CancellationTokenSource source = new();
        int layers = 0;
        using CancelPoll poll = new(often =>
        {
            if (often && ++layers == 2)
                source.Cancel();
        });
        Assert.That(() => _encoder.Encode([Documents[0]], cancellation: source.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(layers, Is.EqualTo(2));
    }

    [Test]
    public void A_cancelled_run_stops()
    {
        using CancellationTokenSource source = new();
        source.Cancel();
        Assert.That(() => _encoder.Encode(Documents, cancellation: source.Token), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public async Task Many_threads_share_one_encoder()
    {
        float[][] expected = _encoder.Encode(Documents);
        float[][][] results = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => _encoder.EncodeAsync(Documents)));
        foreach (float[][] result in results)
        {
            for (int i = 0; i < expected.Length; i++)
                Assert.That(result[i], Is.EqualTo(expected[i]).Within(1e-6));
        }
    }

    [Test]
    public void No_tensor_outlives_a_call()
    {
        _encoder.Encode(Documents);
        long before = TorchRuntime.LiveTensorCount;
        _encoder.Encode(Documents, Pooling.Tokens);
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }

    [Test]
    public async Task The_encoder_serves_as_an_embedding_generator()
    {
        using DocumentEmbeddingGenerator generator = new(_encoder, Pooling.Cls);
        GeneratedEmbeddings<Embedding<float>> embeddings = await generator.GenerateAsync(Documents);
        float[][] expected = _encoder.Encode(Documents, Pooling.Cls);
        Assert.That(embeddings.Select(e => e.Vector.ToArray()), Is.EqualTo(expected).Within(1e-6));
        Assert.That(embeddings.Usage!.InputTokenCount, Is.EqualTo(Documents.Sum(d => _encoder.Tokenizer.Encode(d).Count)));
        Assert.That(generator.GetService(typeof(DocumentEncoder)), Is.SameAs(_encoder));
        Assert.That(() => new DocumentEmbeddingGenerator(_encoder, Pooling.Tokens), Throws.ArgumentException);
    }

    [Test]
    public void A_checkpoint_with_a_head_encodes_as_well()
    {
        using DocumentEncoder encoder = DocumentEncoder.Load(TinyCheckpoints.QuestionAnswering);
        Assert.That(encoder.Encode(["text"])[0], Has.Length.EqualTo(encoder.HiddenSize));
    }

    private sealed class Collect(List<TaskProgress> reports) : IProgress<TaskProgress>
    {
        public void Report(TaskProgress value) => reports.Add(value);
    }
}
