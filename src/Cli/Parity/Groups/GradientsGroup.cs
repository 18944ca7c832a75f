using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>
/// Gradients: of the attention with respect to queries, keys and values (loss = sum(out * grad_out)), and of a model's loss with
/// respect to every parameter and to the word embedding of every input position.
/// </summary>
internal sealed class GradientsGroup : ParityGroup
{
    internal override string Name => "gradients";

    internal override string? SkipReason(ParityCase parityCase) =>
        IsAttention(parityCase) || Architecture(parityCase).StartsWith("Longformer", StringComparison.Ordinal)
            ? null
            : $"gradients of {Architecture(parityCase)} are not built yet";

    internal override void Run(ParityCase parityCase, AttentionImplementation implementation, Device device, ParityReport report)
    {
        if (IsAttention(parityCase))
            RunAttention(parityCase, implementation, device, report);
        else
            RunModel(parityCase, implementation, device, report);
    }

    private static bool IsAttention(ParityCase parityCase) => parityCase.Has("left") && parityCase.Has("right");

    private static string Architecture(ParityCase parityCase) =>
        parityCase.Has("architectures") ? parityCase.Configuration.GetProperty("architectures")[0].GetString()! : "(no architecture)";

    private static void RunAttention(ParityCase parityCase, AttentionImplementation implementation, Device device, ParityReport report)
    {
        Dictionary<string, Tensor> inputs = parityCase.Inputs();
        // Copies: a leaf that requires a gradient must not be the mapped file.
        Dictionary<string, Tensor> leaves = inputs.Where(i => i.Key is not ("mask" or "grad_out"))
            .ToDictionary(i => i.Key, i => i.Value.To(device).Clone().WithGrad());
        DenseAttention attention = new(parityCase, inputs["mask"], implementation, device);
        Tensor output = attention.Run(leaves["q"], leaves["k"], leaves["v"],
            leaves.GetValueOrDefault("q_global", leaves["q"]), leaves.GetValueOrDefault("k_global", leaves["k"]),
            leaves.GetValueOrDefault("v_global", leaves["v"]));
        report.Compare("out", output);
        string[] names = [.. leaves.Keys];
        Tensor?[] gradients = output.Gradients([.. names.Select(n => leaves[n])], inputs["grad_out"].To(device), allowUnused: true);
        for (int i = 0; i < names.Length; i++)
            report.Compare($"grad_{names[i]}", gradients[i] ?? Tensor.Zeros(leaves[names[i]].Shape, DType.Float32, device));
    }

    private static void RunModel(ParityCase parityCase, AttentionImplementation implementation, Device device, ParityReport report)
    {
        using PretrainedModel model = PretrainedModel.Load(parityCase.Folder,
            new LoadOptions { Device = device, Attention = implementation, Trainable = true });
        Dictionary<string, Tensor> inputs = parityCase.Inputs();

        Tensor loss = model.Run(inputs)["loss"];
        report.Compare("loss", loss);
        Tensor?[] gradients = loss.Gradients([.. model.NamedParameters.Select(p => p.Tensor)], allowUnused: true);
        for (int i = 0; i < gradients.Length; i++)
        {
            NamedParameter parameter = model.NamedParameters[i];
            report.Compare($"grad.{parameter.Name}", gradients[i] ?? Tensor.Zeros(parameter.Tensor.Shape, DType.Float32, device));
        }
        if (report.Expects("grad_input_embeds"))
            report.Compare("grad_input_embeds", InputGradient(model, inputs));
    }

    /// <summary>
    /// The same loss from embeddings in place of ids. What the model reads from the ids (positions, the task's global tokens) is then
    /// said explicitly.
    /// </summary>
    private static Tensor InputGradient(PretrainedModel model, Dictionary<string, Tensor> inputs)
    {
        LongformerConfiguration configuration = LongformerConfigurationOf(model);
        Tensor ids = inputs["input_ids"];
        Tensor embeddings = WordEmbeddings(model, ids).Detach().Clone().WithGrad();
        Dictionary<string, Tensor> explicitInputs = inputs.Where(i => i.Key != "input_ids").ToDictionary(i => i.Key, i => i.Value);
        explicitInputs["inputs_embeds"] = embeddings;
        explicitInputs.TryAdd("position_ids", Positions(ids, configuration.PadTokenId));
        explicitInputs.TryAdd("global_attention_mask", TaskGlobals(model, ids, configuration.SepTokenId));
        Tensor loss = model.Run(explicitInputs)["loss"];
        return loss.Gradients([embeddings])[0]!;
    }

    private static LongformerConfiguration LongformerConfigurationOf(PretrainedModel model) => model switch
    {
        LongformerForMaskedLM m => m.Configuration,
        LongformerForSequenceClassification m => m.Configuration,
        LongformerForQuestionAnswering m => m.Configuration,
        LongformerForTokenClassification m => m.Configuration,
        LongformerForMultipleChoice m => m.Configuration,
        _ => throw new IOException($"{model.Architecture} has no loss"),
    };

    private static Tensor WordEmbeddings(PretrainedModel model, Tensor ids) => model switch
    {
        LongformerForMaskedLM m => m.WordEmbeddings(ids),
        LongformerForSequenceClassification m => m.WordEmbeddings(ids),
        LongformerForQuestionAnswering m => m.WordEmbeddings(ids),
        LongformerForTokenClassification m => m.WordEmbeddings(ids),
        LongformerForMultipleChoice m => m.WordEmbeddings(ids),
        _ => throw new IOException($"{model.Architecture} has no loss"),
    };

    private static Tensor Positions(Tensor ids, int padding)
    {
        long[] values = ids.ToArray<long>();
        long length = ids.Shape[^1];
        long count = 0;
        for (int i = 0; i < values.Length; i++)
        {
            if (i % length == 0)
                count = 0;
            values[i] = values[i] == padding ? padding : padding + ++count;
        }
        return Tensor.From<long>(values, ids.Shape);
    }

    private static Tensor TaskGlobals(PretrainedModel model, Tensor ids, int separator)
    {
        long[] values = ids.ToArray<long>();
        int length = (int)ids.Shape[^1];
        for (int row = 0; row < values.Length; row += length)
        {
            Span<long> tokens = values.AsSpan(row, length);
            int end = tokens.IndexOf(separator);
            Range globals = model switch
            {
                LongformerForSequenceClassification => 0..1,
                LongformerForQuestionAnswering when end >= 0 => 0..end,
                LongformerForMultipleChoice when end >= 0 => Math.Min(end + 2, length)..length,
                _ => 0..0,
            };
            tokens.Clear();
            tokens[globals].Fill(1);
        }
        return Tensor.From<long>(values, ids.Shape);
    }
}
