namespace LongformerInterop.Models;

/// <summary>The parameters that each LED class saves, in the order of the computation.</summary>
public static class LedParameters
{
    /// <summary>HF's class names of the LEDs that this project serves.</summary>
    public static IReadOnlyList<string> Architectures { get; } =
        ["LEDModel", "LEDForConditionalGeneration", "LEDForQuestionAnswering", "LEDForSequenceClassification"];

    /// <summary>Names and shapes of a model as <c>save_pretrained</c> writes them (tied duplicates are left out), with <c>final_logits_bias</c>.</summary>
    /// <exception cref="ArgumentException">The architecture is none of <see cref="Architectures"/>.</exception>
    public static IEnumerable<ParameterShape> Of(LedConfiguration configuration, string architecture)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        if (!Architectures.Contains(architecture))
            throw new ArgumentException($"expected one of {string.Join(", ", Architectures)}, given {architecture}", nameof(architecture));
        string prefix = architecture == "LEDModel" ? "" : "led.";
        foreach (ParameterShape parameter in Body(configuration)) yield return parameter with { Name = prefix + parameter.Name };
        foreach (ParameterShape parameter in Head(configuration, architecture)) yield return parameter;
    }

    private static ParameterShape[] Head(LedConfiguration c, string architecture) => architecture switch
    {
        "LEDForConditionalGeneration" =>
            [.. c.TieWordEmbeddings ? (ParameterShape[])[] : [new("lm_head.weight", [c.VocabSize, c.DModel])], new("final_logits_bias", [1, c.VocabSize])],
        "LEDForQuestionAnswering" => Linear("qa_outputs", 2, c.DModel),
        "LEDForSequenceClassification" =>
            [.. Linear("classification_head.dense", c.DModel, c.DModel), .. Linear("classification_head.out_proj", c.NumLabels, c.DModel)],
        _ => [],
    };

    private static IEnumerable<ParameterShape> Body(LedConfiguration c)
    {
        yield return new("shared.weight", [c.VocabSize, c.DModel]);
        foreach (string side in (string[])["encoder", "decoder"])
        {
            bool encoder = side == "encoder";
            if (!c.TieWordEmbeddings) yield return new($"{side}.embed_tokens.weight", [c.VocabSize, c.DModel]);
            yield return new($"{side}.embed_positions.weight", [encoder ? c.MaxEncoderPositionEmbeddings : c.MaxDecoderPositionEmbeddings, c.DModel]);
            foreach (string norm in c.AddFinalLayerNorm ? (string[])["layernorm_embedding", "layer_norm"] : ["layernorm_embedding"])
            {
                foreach (ParameterShape parameter in Norm(norm, c.DModel)) yield return parameter with { Name = $"{side}.{parameter.Name}" };
            }
            for (int i = 0; i < (encoder ? c.EncoderLayers : c.DecoderLayers); i++)
            {
                foreach (ParameterShape parameter in Layer(c, encoder)) yield return parameter with { Name = $"{side}.layers.{i}.{parameter.Name}" };
            }
        }
    }

    private static IEnumerable<ParameterShape> Layer(LedConfiguration c, bool encoder)
    {
        long width = c.DModel, inner = encoder ? c.EncoderFfnDim : c.DecoderFfnDim;
        string[] attention = encoder
            ? ["self_attn.longformer_self_attn.query", "self_attn.longformer_self_attn.key", "self_attn.longformer_self_attn.value",
                "self_attn.longformer_self_attn.query_global", "self_attn.longformer_self_attn.key_global", "self_attn.longformer_self_attn.value_global",
                "self_attn.output"]
            : ["self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.out_proj"];
        string[] cross = encoder ? [] : ["encoder_attn.k_proj", "encoder_attn.v_proj", "encoder_attn.q_proj", "encoder_attn.out_proj"];
        return
        [
            .. attention.SelectMany(name => Linear(name, width, width)), .. Norm("self_attn_layer_norm", width),
            .. cross.SelectMany(name => Linear(name, width, width)), .. encoder ? [] : Norm("encoder_attn_layer_norm", width),
            .. Linear("fc1", inner, width), .. Linear("fc2", width, inner), .. Norm("final_layer_norm", width),
        ];
    }

    private static ParameterShape[] Linear(string name, long outputs, long inputs) => [new(name + ".weight", [outputs, inputs]), new(name + ".bias", [outputs])];

    private static ParameterShape[] Norm(string name, long size) => [new(name + ".weight", [size]), new(name + ".bias", [size])];
}
