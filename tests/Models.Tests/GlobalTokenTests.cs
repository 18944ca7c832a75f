using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Which tokens are global: the task's own choice where the caller does not say, and the ways to say it.</summary>
public class GlobalTokenTests
{
    private static int[] WithSeparators(int length, params int[] at)
    {
        int[] ids = TinyModels.Document(length, 5);
        foreach (int i in at)
            ids[i] = 2;
        return ids;
    }

    private static byte[] Mask(int length, Range ones)
    {
        byte[] mask = new byte[length];
        mask.AsSpan(ones).Fill(1);
        return mask;
    }

    [Test]
    public void A_classified_text_has_its_first_token_global()
    {
        using TensorScope scope = new();
        using LongformerForSequenceClassification model = TinyModels.Load(LongformerForSequenceClassification.Load);
        int[] text = TinyModels.Document(40, 1);
        float[] Logits(byte[]? globals) => model.Forward(LongformerInputs.Pack([text], globals is null ? null : [globals])).Logits.ToArray<float>();
        Assert.That(Logits(null), Is.EqualTo(Logits(Mask(40, 0..1))));
        Assert.That(Logits(null), Is.Not.EqualTo(Logits(Mask(40, 0..0))));
    }

    [TestCase(new[] { 7 })]
    [TestCase(new[] { 7, 8 })]
    [TestCase(new[] { 7, 8, 20, 21, 30 })]
    public void A_question_is_what_stands_before_the_first_separator_whatever_their_number(int[] separators)
    {
        using TensorScope scope = new();
        using LongformerForQuestionAnswering model = TinyModels.Load(LongformerForQuestionAnswering.Load);
        int[] ids = WithSeparators(40, separators);
        float[] Start(byte[]? globals) =>
            model.Forward(LongformerInputs.Pack([ids], globals is null ? null : [globals])).StartLogits.ToArray<float>();
        Assert.That(Start(null), Is.EqualTo(Start(Mask(40, 0..7))));
    }

    [Test]
    public void Without_a_separator_no_token_is_global()
    {
        using TensorScope scope = new();
        using LongformerForQuestionAnswering model = TinyModels.Load(LongformerForQuestionAnswering.Load);
        int[] ids = [.. TinyModels.Document(40, 1)[..^1], 9];
        float[] Start(byte[]? globals) =>
            model.Forward(LongformerInputs.Pack([ids], globals is null ? null : [globals])).StartLogits.ToArray<float>();
        Assert.That(Start(null), Is.EqualTo(Start(new byte[40])));
    }

    [Test]
    public void A_choice_is_what_stands_behind_the_pair_of_separators()
    {
        using TensorScope scope = new();
        using LongformerForMultipleChoice model = TinyModels.Load(LongformerForMultipleChoice.Load);
        int[] ids = WithSeparators(40, 11, 12);
        float[] Logits(byte[]? globals) =>
            model.Forward(LongformerInputs.Pack([ids, ids], globals is null ? null : [globals, globals]) with { Choices = 2 })
                .Logits.ToArray<float>();
        Assert.That(Logits(null), Is.EqualTo(Logits(Mask(40, 13..40))));
    }

    [Test]
    public void A_two_in_the_attention_mask_is_a_global_token()
    {
        using TensorScope scope = new();
        using LongformerModel model = TinyModels.Load(LongformerModel.Load);
        Tensor ids = Tensor.From<long>(Array.ConvertAll(TinyModels.Document(6, 1), i => (long)i), 1, 6);
        Tensor allenai = model.Forward(new LongformerInputs { InputIds = ids, AttentionMask = Tensor.From<long>([2, 1, 1, 2, 1, 0], 1, 6) })
            .LastHiddenState;
        Tensor huggingFace = model.Forward(new LongformerInputs
        {
            InputIds = ids, AttentionMask = Tensor.From<long>([1, 1, 1, 1, 1, 0], 1, 6),
            GlobalAttentionMask = Tensor.From<long>([1, 0, 0, 1, 0, 1], 1, 6),
        }).LastHiddenState;
        Assert.That(allenai.ToArray<float>(), Is.EqualTo(huggingFace.ToArray<float>()));
    }

    [Test]
    public void Masks_may_be_of_any_number_type()
    {
        using TensorScope scope = new();
        using LongformerModel model = TinyModels.Load(LongformerModel.Load);
        LongformerInputs inputs = TinyModels.Pad([TinyModels.Document(20, 1), TinyModels.Document(11, 2)]);
        float[] expected = model.Forward(inputs).LastHiddenState.ToArray<float>();
        foreach (DType dtype in (DType[])[DType.Bool, DType.Int32, DType.UInt8, DType.Float32, DType.Float64])
        {
            Assert.That(model.Forward(inputs with { AttentionMask = inputs.AttentionMask!.To(dtype) }).LastHiddenState.ToArray<float>(),
                Is.EqualTo(expected), $"{dtype}");
        }
        Assert.That(model.Forward(inputs with { InputIds = inputs.InputIds!.To(DType.Int32) }).LastHiddenState.ToArray<float>(),
            Is.EqualTo(expected));
    }

    [Test]
    public void Gradients_of_packed_documents_equal_those_of_padded_ones([Values] AttentionImplementation implementation)
    {
        using TensorScope scope = new();
        using LongformerForTokenClassification model = TinyModels.Load(
            LongformerForTokenClassification.Load, options: new LoadOptions { Attention = implementation, Trainable = true });
        int[][] documents = [TinyModels.Document(33, 1), TinyModels.Document(12, 2)];
        byte[][] globals = [Mask(33, 0..2), Mask(12, 4..5)];
        LongformerInputs padded = TinyModels.Pad(documents, globals), packed = LongformerInputs.Pack(documents, globals);
        long[] labels = [.. Enumerable.Range(0, 45).Select(i => i % 7 == 3 ? -100L : i % 3)];
        Dictionary<string, float[]> first = Gradients(packed with { Labels = Tensor.From<long>(labels) });
        Dictionary<string, float[]> second =
            Gradients(padded with { Labels = Tensor.From<long>([.. labels, .. Enumerable.Repeat(-100L, 21)], 2, 33) });
        foreach ((string name, float[] values) in first)
            Assert.That(second[name], Is.EqualTo(values).Within(2e-6), name);

        Dictionary<string, float[]> Gradients(LongformerInputs inputs)
        {
            using GradientSet gradients = model.CreateGradients();
            using (GradientTape tape = new(gradients))
                tape.Backward(model.Forward(inputs).Loss!);
            return model.NamedParameters.ToDictionary(p => p.Name, p => gradients[p.Tensor]!.ToArray<float>());
        }
    }
}
