using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Tests;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Tests;

/// <summary>Generation with a real model: the ids of HF, with and without the cache, alone and in batches, streamed and whole.</summary>
public sealed class GenerationLedTests
{
    private static string Goldens => Repository.Golden("led");

    private static IEnumerable<string> Cases() =>
        Directory.EnumerateDirectories(Goldens, "generate*").Select(folder => Path.GetFileName(folder)!).Order(StringComparer.Ordinal);

    private static IEnumerable<string> Kinds() =>
        Cases().Where(name => name is "generate_beam4" or "generate_beam4_n_best" or "generate_greedy_constrained");

    private static (LedForConditionalGeneration Model, GenerationDocument[] Documents, GenerationOptions Options) Open(string name)
    {
        string folder = Path.Combine(Goldens, name);
        using JsonDocument description = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "case.json")));
        GenerationOptions options = GenerationOptions.Parse(description.RootElement.GetProperty("generation").GetRawText());
        using SafetensorsFile inputs = SafetensorsFile.Open(Path.Combine(folder, "inputs.safetensors"));
        using TensorScope scope = new();
        Tensor ids = inputs.Get("input_ids");
        int length = (int)ids.Size(1);
        long[]? Values(string tensor) => inputs.Entries.ContainsKey(tensor) ? inputs.Get(tensor).ToArray<long>() : null;
        (long[] tokens, long[]? mask, long[]? global) = (Values("input_ids")!, Values("attention_mask"), Values("global_attention_mask"));
        GenerationDocument[] documents = [.. Enumerable.Range(0, (int)ids.Size(0)).Select(row =>
        {
            Range range = (row * length)..((row + 1) * length);
            return new GenerationDocument(Array.ConvertAll(tokens[range], id => (int)id))
            {
                // Without a mask HF sees the padding ids of an encoder-decoder's input.
                Visible = mask is null ? null : Array.ConvertAll(mask[range], v => v != 0),
                GlobalPositions = global is null ? [] : [.. global[range].Index().Where(v => v.Item != 0).Select(v => v.Index)],
            };
        })];
        return (LedForConditionalGeneration.Load(folder), documents, options);
    }

    [Test]
    public void Ids_are_those_of_HF([ValueSource(nameof(Cases))] string name, [Values] bool useCache)
    {
        (LedForConditionalGeneration model, GenerationDocument[] documents, GenerationOptions options) = Open(name);
        using (model)
        using (SafetensorsFile expected = SafetensorsFile.Open(Path.Combine(Goldens, name, "expected.safetensors")))
        using (TensorScope scope = new())
        {
            GeneratedSequence[] sequences = [.. new TextGenerator(model).Generate(documents, options, useCache).SelectMany(s => s)];
            Tensor ids = expected.Get("sequences");
            long[] rows = ids.ToArray<long>();
            int width = (int)ids.Size(1);
            for (int i = 0; i < sequences.Length; i++)
                Assert.That(sequences[i].Ids, Is.EqualTo(rows.Skip(i * width).Take(sequences[i].Ids.Count)), $"row {i}");
            Assert.That(sequences.Max(s => s.Ids.Count), Is.EqualTo(width));
            if (expected.Entries.ContainsKey("sequences_scores"))
                Assert.That(sequences.Select(s => s.Score), Is.EqualTo(expected.Get("sequences_scores").ToArray<float>()).Within(3e-5));
        }
    }

    [Test]
    public void A_batch_gives_what_each_document_gives_alone([ValueSource(nameof(Kinds))] string name)
    {
        (LedForConditionalGeneration model, GenerationDocument[] documents, GenerationOptions options) = Open(name);
        using (model)
        {
            TextGenerator generator = new(model);
            // Documents of one token and of many, among the golden's own.
            GenerationDocument[] all = [new([0]), .. documents, new([.. Enumerable.Range(3, 70)])];
            IReadOnlyList<IReadOnlyList<GeneratedSequence>> batch = generator.Generate(all, options);
            for (int i = 0; i < all.Length; i++)
            {
                IReadOnlyList<GeneratedSequence> alone = generator.Generate([all[i]], options)[0];
                for (int n = 0; n < alone.Count; n++)
                {
                    Assert.That(batch[i][n].Ids, Is.EqualTo(alone[n].Ids), $"document {i}, result {n}");
                    Assert.That(batch[i][n].Score, Is.EqualTo(alone[n].Score).Within(1e-4));
                }
            }
        }
    }

    [Test]
    public void Streamed_tokens_are_the_result([ValueSource(nameof(Kinds))] string name)
    {
        (LedForConditionalGeneration model, GenerationDocument[] documents, GenerationOptions options) = Open(name);
        using (model)
        {
            List<int>[] streamed = [.. documents.Select(_ => new List<int>())];
            IReadOnlyList<IReadOnlyList<GeneratedSequence>> results = new TextGenerator(model)
                .Generate(documents, options, token => streamed[token.Document].Add(token.Id));
            for (int i = 0; i < documents.Length; i++)
                Assert.That(streamed[i], Is.EqualTo(results[i][0].Ids.Skip(1)));
        }
    }

    [Test]
    public void A_decoder_prompt_is_continued_with_and_without_cache()
    {
        (LedForConditionalGeneration model, GenerationDocument[] documents, _) = Open("generate_greedy");
        using (model)
        {
            TextGenerator generator = new(model);
            GenerationDocument[] prompted = [.. documents.Select((d, i) => d with { DecoderPrompt = [2, 30 + i, 40] })];
            GenerationOptions options = new() { Beams = 3, MaxTokens = 10 };
            GeneratedSequence[][] cached = generator.Generate(prompted, options, useCache: true),
                plain = generator.Generate(prompted, options, useCache: false);
            for (int i = 0; i < prompted.Length; i++)
            {
                Assert.That(cached[i][0].Ids, Is.EqualTo(plain[i][0].Ids));
                Assert.That(cached[i][0].Ids.Take(3), Is.EqualTo(prompted[i].DecoderPrompt));
                Assert.That(cached[i][0].PromptLength, Is.EqualTo(3));
            }
        }
    }

    [Test]
    public void Decoder_prompts_of_a_batch_may_differ_in_length([Values(1, 3)] int beams, [Values] bool useCache)
    {
        (LedForConditionalGeneration model, GenerationDocument[] documents, _) = Open("generate_greedy");
        using (model)
        {
            TextGenerator generator = new(model);
            int[][] prompts = [[2, 30, 40, 7, 9], [2], [2, 5]];
            GenerationDocument[] prompted = [.. documents.Select((d, i) => d with { DecoderPrompt = prompts[i % prompts.Length] })];
            GenerationOptions options = new() { Beams = beams, MaxTokens = 8, MinTokens = 4 };
            GeneratedSequence[][] together = generator.Generate(prompted, options, useCache);
            for (int i = 0; i < prompted.Length; i++)
            {
                GeneratedSequence alone = generator.Generate([prompted[i]], options, useCache)[0][0];
                Assert.That(together[i][0].Ids, Is.EqualTo(alone.Ids), $"document {i}");
                Assert.That(together[i][0].PromptLength, Is.EqualTo(prompts[i % prompts.Length].Length));
                Assert.That(together[i][0].Score, Is.EqualTo(alone.Score).Within(1e-5));
            }
        }
    }

    [Test]
    public void Cancellation_reaches_into_the_encoder()
    {
        (LedForConditionalGeneration model, GenerationDocument[] documents, _) = Open("generate_beam4");
        using (model)
        using (CancellationTokenSource source = new())
        {
            int layers = 0;
            using CancelPoll poll = new(often =>
            {
                if (often && ++layers == 2)
                    source.Cancel();
            });
            Assert.That(() => new TextGenerator(model).Generate(documents, new GenerationOptions { MaxTokens = 4 }, cancellation: source.Token),
                Throws.InstanceOf<OperationCanceledException>());
            Assert.That(layers, Is.EqualTo(2));
        }
    }

    [Test]
    public void Cancellation_frees_everything()
    {
        (LedForConditionalGeneration model, GenerationDocument[] documents, _) = Open("generate_greedy");
        using (model)
        {
            // The model keeps the tensors that the first use of the weights makes.
            new TextGenerator(model).Generate(documents, new GenerationOptions { Beams = 4, MaxTokens = 2 });
            long before = TorchRuntime.LiveTensorCount;
            using CancellationTokenSource source = new();
            Assert.That(() => new TextGenerator(model).Generate(documents, new GenerationOptions { Beams = 4, MaxTokens = 30 },
                progress: new Cancel(source), cancellation: source.Token), Throws.InstanceOf<OperationCanceledException>());
            Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
        }
    }

    [Test]
    public void Wrong_documents_are_named()
    {
        (LedForConditionalGeneration model, _, _) = Open("generate_greedy");
        using (model)
        {
            TextGenerator generator = new(model);
            void Refused(GenerationDocument document, string message) =>
                Assert.That(() => generator.Generate([new([0, 2]), document]), Throws.InstanceOf<InputException>().With.Message.Contains(message));
            Refused(new([]), "documents[1]: expected at least one visible token, given none");
            Refused(new([0, 2]) { Visible = [true] }, "documents[1]: expected Visible for 2 tokens, given 1");
            Refused(new([0, 2]) { GlobalPositions = [2] }, "documents[1]: expected global positions within its 2 tokens, given 2");
            Refused(new([.. Enumerable.Repeat(5, 257)]),
                "expected at most 256 tokens per document, the encoder positions of this checkpoint, given 257");
            Refused(new([0, 200]), "expected an id of the vocabulary, 0..199, given 200");
            Assert.That(generator.Generate([]), Is.Empty);
        }
    }

    private sealed class Cancel(CancellationTokenSource source) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value)
        {
            if (value.Step == 3)
                source.Cancel();
        }
    }
}
