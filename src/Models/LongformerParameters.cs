namespace LongformerInterop.Models;

/// <summary>A parameter's place: its name in a Hugging Face checkpoint and its shape.</summary>
/// <param name="Name">Hugging Face's name.</param>
/// <param name="Shape">Sizes.</param>
public readonly record struct ParameterShape(string Name, long[] Shape);

/// <summary>The parameters that each model class saves, in the order of the computation.</summary>
public static class LongformerParameters
{
    /// <summary>The class names of Hugging Face that this project serves.</summary>
    public static IReadOnlyList<string> Architectures { get; } =
    [
        "LongformerModel", "LongformerForMaskedLM", "LongformerForSequenceClassification", "LongformerForQuestionAnswering",
        "LongformerForTokenClassification", "LongformerForMultipleChoice",
    ];

    /// <summary>Names and shapes of a model as <c>save_pretrained</c> writes them (tied duplicates are left out).</summary>
    /// <exception cref="ArgumentException">The architecture is none of <see cref="Architectures"/>.</exception>
    public static IEnumerable<ParameterShape> Of(LongformerConfiguration configuration, string architecture)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        if (!Architectures.Contains(architecture))
            throw new ArgumentException($"expected one of {string.Join(", ", Architectures)}, given {architecture}", nameof(architecture));
        bool bare = architecture == "LongformerModel";
        foreach (ParameterShape parameter in Body(configuration, pooler: bare || architecture == "LongformerForMultipleChoice"))
            yield return bare ? parameter : parameter with { Name = "longformer." + parameter.Name };
        foreach (ParameterShape parameter in Head(configuration, architecture))
            yield return parameter;
    }

    /// <summary>What the head of an architecture adds to the body.</summary>
    internal static IEnumerable<ParameterShape> Head(LongformerConfiguration c, string architecture)
    {
        long hidden = c.HiddenSize;
        return architecture switch
        {
            "LongformerForMaskedLM" =>
            [
                .. Linear("lm_head.dense", hidden, hidden), .. Norm("lm_head.layer_norm", hidden), new("lm_head.bias", [c.VocabSize]),
                .. c.TieWordEmbeddings ? [] : Linear("lm_head.decoder", c.VocabSize, hidden),
            ],
            "LongformerForSequenceClassification" => [.. Linear("classifier.dense", hidden, hidden), .. Linear("classifier.out_proj", c.NumLabels, hidden)],
            "LongformerForQuestionAnswering" => Linear("qa_outputs", 2, hidden),
            "LongformerForTokenClassification" => Linear("classifier", c.NumLabels, hidden),
            "LongformerForMultipleChoice" => Linear("classifier", 1, hidden),
            _ => [],
        };
    }

    private static IEnumerable<ParameterShape> Body(LongformerConfiguration c, bool pooler)
    {
        long hidden = c.HiddenSize;
        yield return new("embeddings.word_embeddings.weight", [c.VocabSize, hidden]);
        yield return new("embeddings.position_embeddings.weight", [c.MaxPositionEmbeddings, hidden]);
        yield return new("embeddings.token_type_embeddings.weight", [c.TypeVocabSize, hidden]);
        foreach (ParameterShape parameter in Norm("embeddings.LayerNorm", hidden))
            yield return parameter;
        for (int i = 0; i < c.NumHiddenLayers; i++)
            foreach (ParameterShape parameter in Layer(c))
                yield return parameter with { Name = $"encoder.layer.{i}.{parameter.Name}" };
        if (pooler)
            foreach (ParameterShape parameter in Linear("pooler.dense", hidden, hidden))
                yield return parameter;
    }

    private static IEnumerable<ParameterShape> Layer(LongformerConfiguration c)
    {
        long hidden = c.HiddenSize;
        string[] projections = c.AttentionMode == AttentionMode.FullAttention
            ? ["query", "key", "value"]
            : ["query", "key", "value", "query_global", "key_global", "value_global"];
        return
        [
            .. projections.SelectMany(name => Linear($"attention.self.{name}", hidden, hidden)),
            .. Linear("attention.output.dense", hidden, hidden), .. Norm("attention.output.LayerNorm", hidden),
            .. Linear("intermediate.dense", c.IntermediateSize, hidden),
            .. Linear("output.dense", hidden, c.IntermediateSize), .. Norm("output.LayerNorm", hidden),
        ];
    }

    private static ParameterShape[] Linear(string name, long outputs, long inputs) => [new(name + ".weight", [outputs, inputs]), new(name + ".bias", [outputs])];

    private static ParameterShape[] Norm(string name, long size) => [new(name + ".weight", [size]), new(name + ".bias", [size])];
}
