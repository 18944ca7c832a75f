using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>How documents are put together must not change what comes out.</summary>
public class BatchTests
{
    private const double Tolerance = 2e-5;

    private static readonly int[][] Documents = [.. new[] { 37, 5, 1, 64, 20 }.Select((length, i) => TinyModels.Document(length, i))];

    private static readonly byte[][] Globals =
        [.. Documents.Select((d, i) => Enumerable.Range(0, d.Length).Select(t => (byte)(i != 1 && (t == 0 || t % 11 == i) ? 1 : 0)).ToArray())];

    [Test]
    public void Packed_documents_equal_single_ones([Values] AttentionImplementation implementation)
    {
        using TensorScope scope = new();
        using LongformerModel model = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { Attention = implementation });
        BaseModelOutputs packed = model.Forward(LongformerInputs.Pack(Documents, Globals) with { OutputHiddenStates = true });
        long offset = 0;
        for (int s = 0; s < Documents.Length; s++)
        {
            BaseModelOutputs single = model.Forward(LongformerInputs.Pack([Documents[s]], [Globals[s]]) with { OutputHiddenStates = true });
            Golden.AssertClose(packed.LastHiddenState.Narrow(0, offset, Documents[s].Length), single.LastHiddenState, Tolerance, 0, $"document {s}");
            Golden.AssertClose(packed.PoolerOutput!.Narrow(0, s, 1), single.PoolerOutput!, Tolerance, 0, $"pooled document {s}");
            Golden.AssertClose(packed.HiddenStates![1].Narrow(0, offset, Documents[s].Length), single.HiddenStates![1], Tolerance, 0,
                $"layer 0 of document {s}");
            offset += Documents[s].Length;
        }
        Assert.That(packed.LastHiddenState.Shape, Is.EqualTo([offset, 32]));
    }

    [Test]
    public void Padded_documents_equal_packed_ones([Values] bool left)
    {
        using TensorScope scope = new();
        using LongformerModel model = TinyModels.Load(LongformerModel.Load);
        Tensor padded = model.Forward(TinyModels.Pad(Documents, Globals, left)).LastHiddenState;
        Tensor packed = model.Forward(LongformerInputs.Pack(Documents, Globals)).LastHiddenState;
        long offset = 0;
        for (int s = 0; s < Documents.Length; s++)
        {
            Golden.AssertClose(
                TinyModels.Unpad(padded, s, Documents[s].Length, left), packed.Narrow(0, offset, Documents[s].Length), Tolerance, 0, $"document {s}");
            offset += Documents[s].Length;
        }
    }

    [Test]
    public void Heads_score_packed_documents_as_single_ones()
    {
        using TensorScope scope = new();
        using LongformerForSequenceClassification classifier = TinyModels.Load(LongformerForSequenceClassification.Load);
        using LongformerForTokenClassification tagger = TinyModels.Load(LongformerForTokenClassification.Load);
        using LongformerForMaskedLM language = TinyModels.Load(LongformerForMaskedLM.Load);
        using LongformerForQuestionAnswering answerer = TinyModels.Load(LongformerForQuestionAnswering.Load);
        int[][] questions = [.. Documents.Where(d => d.Length > 10)];
        foreach (int[] question in questions)
            question[5] = 2;
        LongformerInputs packed = LongformerInputs.Pack(questions);
        (Tensor classes, Tensor tags, Tensor words) =
            (classifier.Forward(packed).Logits, tagger.Forward(packed).Logits, language.Forward(packed).Logits);
        SpanOutputs spans = answerer.Forward(packed);
        long offset = 0;
        for (int s = 0; s < questions.Length; s++)
        {
            LongformerInputs single = TinyModels.Pad([questions[s]]);
            (long from, long length) = (offset, questions[s].Length);
            Golden.AssertClose(classes.Narrow(0, s, 1), classifier.Forward(single).Logits, Tolerance, 0, "classes");
            Golden.AssertClose(tags.Narrow(0, from, length), tagger.Forward(single).Logits.Select(0, 0), Tolerance, 0, "tags");
            Golden.AssertClose(words.Narrow(0, from, length), language.Forward(single).Logits.Select(0, 0), 1e-4, 0, "words");
            Golden.AssertClose(spans.StartLogits.Narrow(0, from, length), answerer.Forward(single).StartLogits.Select(0, 0), Tolerance, 0, "starts");
            offset += length;
        }
    }

    [Test]
    public void Packed_choices_equal_padded_ones()
    {
        using TensorScope scope = new();
        using LongformerForMultipleChoice model = TinyModels.Load(LongformerForMultipleChoice.Load);
        int[][] choices = [.. Enumerable.Range(0, 4).Select(i => TinyModels.Document(20 + i, 90 + i))];
        foreach (int[] choice in choices)
            (choice[6], choice[7]) = (2, 2);
        LongformerInputs padded = TinyModels.Pad(choices);
        Tensor labels = Tensor.From<long>([1, 0]);
        LogitsOutputs expected = model.Forward(new LongformerInputs
        {
            InputIds = padded.InputIds!.View(2, 2, 23), AttentionMask = padded.AttentionMask!.View(2, 2, 23), Labels = labels,
        });
        LogitsOutputs packed = model.Forward(LongformerInputs.Pack(choices) with { Choices = 2, Labels = labels });
        Golden.AssertClose(packed.Logits, expected.Logits, Tolerance, 0, "logits");
        Golden.AssertClose(packed.Loss!, expected.Loss!, Tolerance, 0, "loss");
    }

    [Test]
    public void Answer_losses_of_packed_documents_are_the_mean_over_the_documents()
    {
        using TensorScope scope = new();
        using LongformerForQuestionAnswering model = TinyModels.Load(LongformerForQuestionAnswering.Load);
        int[][] documents = [TinyModels.Document(30, 1), TinyModels.Document(17, 2)];
        Tensor Loss(int[][] which, long[] start, long[] end) => model.Forward(LongformerInputs.Pack(which) with
        {
            StartPositions = Tensor.From<long>(start), EndPositions = Tensor.From<long>(end),
        }).Loss!;

        double both = Loss(documents, [3, 5], [4, 9]).ToDouble();
        double first = Loss([documents[0]], [3], [4]).ToDouble(), second = Loss([documents[1]], [5], [9]).ToDouble();
        Assert.That(both, Is.EqualTo((first + second) / 2).Within(1e-5));
        // A position behind the end does not count.
        Assert.That(Loss(documents, [3, 99], [4, 17]).ToDouble(), Is.EqualTo(first).Within(1e-5));
    }

    [Test]
    public void Any_documents_and_windows_agree_between_the_implementations([Range(0, 11)] int seed)
    {
        Random random = new(seed);
        LongformerConfiguration configuration = TinyModels.Configuration with
        {
            NumHiddenLayers = 2, OneSidedWindows = true, AttentionMode = AttentionMode.Tvm, AttentionWindow = [random.Next(1, 9), random.Next(1, 30)],
            AttentionDilation = [[random.Next(1, 4)], [1, 2, random.Next(1, 5), 1]], Autoregressive = seed % 3 == 0,
        };
        int[][] documents = [.. Enumerable.Range(0, random.Next(1, 5)).Select(i => TinyModels.Document(random.Next(1, 90), seed + i))];
        byte[][] globals = [.. documents.Select(d => d.Select(_ => (byte)(random.Next(8) == 0 ? 1 : 0)).ToArray())];
        using TensorScope scope = new();
        Tensor[] results = [.. Enum.GetValues<AttentionImplementation>().Select(implementation =>
        {
            using LongformerModel model = TinyModels.Load(LongformerModel.Load, configuration, new LoadOptions { Attention = implementation });
            return model.Forward(LongformerInputs.Pack(documents, globals)).LastHiddenState;
        })];
        Golden.AssertClose(results[0], results[2], Tolerance, 0, "fused against loop");
        Golden.AssertClose(results[1], results[2], Tolerance, 0, "chunks against loop");
    }

    [TestCase(AttentionMode.FullAttention)]
    [TestCase(AttentionMode.SlidingChunksNoOverlap)]
    public void The_other_attention_modes_take_packed_documents_too(AttentionMode mode)
    {
        LongformerConfiguration configuration = TinyModels.Configuration with { OneSidedWindows = true, AttentionMode = mode, AttentionWindow = [4] };
        int[][] documents = [TinyModels.Document(24, 1), TinyModels.Document(9, 2)];
        byte[][] globals = [new byte[24], new byte[9]];
        globals[0][0] = globals[0][7] = globals[1][3] = 1;
        using TensorScope scope = new();
        using LongformerModel model = TinyModels.Load(LongformerModel.Load, configuration);
        Tensor packed = model.Forward(LongformerInputs.Pack(documents, globals)).LastHiddenState;
        for (int s = 0; s < 2; s++)
        {
            Golden.AssertClose(
                packed.Narrow(0, s * 24, documents[s].Length),
                model.Forward(TinyModels.Pad([documents[s]], [globals[s]])).LastHiddenState.Select(0, 0),
                Tolerance, 0, $"document {s}");
        }
    }
}
