using System.Text.Json.Nodes;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Tiny checkpoints of the models that are converted: 2 layers of 32, 4 heads, 40 positions, random values.</summary>
internal static class ConversionSources
{
    internal const int SourcePositions = 40;

    /// <summary>Writes config.json and model.safetensors of a RoBERTa or BERT with a Longformer class's head, and gives its tensors by
    /// name.</summary>
    /// <param name="folder">Where; it exists.</param>
    /// <param name="family">roberta or bert.</param>
    /// <param name="head">What follows "Longformer" in the class's name, such as ForMaskedLM.</param>
    /// <param name="change">Changes the tensors before they are written.</param>
    /// <param name="configure">Changes the configuration before it is written.</param>
    internal static Dictionary<string, Tensor> Write(string folder, string family, string head, Action<Dictionary<string, Tensor>>? change = null,
        Action<JsonObject>? configure = null)
    {
        bool bert = family == "bert";
        int padding = bert ? 0 : 1;
        LongformerConfiguration shape = TinyModels.Configuration with
        {
            HiddenSize = 32, NumAttentionHeads = 4, IntermediateSize = 48, NumHiddenLayers = 2, AttentionWindow = [8], VocabSize = 120,
            TypeVocabSize = bert ? 2 : 1, PadTokenId = padding, MaxPositionEmbeddings = SourcePositions + (bert ? 0 : 2), Id2Label = ["a", "b", "c"],
        };
        Dictionary<string, Tensor> tensors = [];
        IEnumerable<ParameterShape> parameters = TinyModels.Parameters(shape, "Longformer" + head);
        if (head != "Model")
        {
            parameters = parameters.Concat(TinyModels.Parameters(shape, "LongformerModel")
                .Where(p => p.Name.StartsWith("pooler", StringComparison.Ordinal))
                .Select(p => p with { Name = "longformer." + p.Name }));
        }
        foreach (ParameterShape parameter in parameters.DistinctBy(p => p.Name).Where(p => !p.Name.Contains("_global", StringComparison.Ordinal)))
        {
            string name = parameter.Name.Replace("longformer.", family + ".", StringComparison.Ordinal);
            if (bert)
            {
                name = name.Replace("lm_head.dense", "cls.predictions.transform.dense", StringComparison.Ordinal)
                    .Replace("lm_head.layer_norm", "cls.predictions.transform.LayerNorm", StringComparison.Ordinal)
                    .Replace("lm_head.bias", "cls.predictions.bias", StringComparison.Ordinal);
                if (name.StartsWith("classifier.dense", StringComparison.Ordinal))
                    continue;
                name = name.Replace("classifier.out_proj", "classifier", StringComparison.Ordinal);
            }
            tensors[name] = Tensor.From<float>(RandomCheckpoint.Values(parameter, 11), parameter.Shape);
        }
        change?.Invoke(tensors);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors);
        JsonObject configuration = new()
        {
            ["architectures"] = new JsonArray((bert ? "Bert" : "Roberta") + head), ["model_type"] = family, ["hidden_size"] = 32,
            ["num_attention_heads"] = 4,
            ["num_hidden_layers"] = 2, ["intermediate_size"] = 48, ["vocab_size"] = 120, ["type_vocab_size"] = shape.TypeVocabSize,
            ["pad_token_id"] = padding,
            ["max_position_embeddings"] = shape.MaxPositionEmbeddings, ["position_embedding_type"] = "absolute", ["hidden_act"] = "gelu",
            ["id2label"] = new JsonObject { ["0"] = "a", ["1"] = "b", ["2"] = "c" }, ["layer_norm_eps"] = 1e-12, ["use_cache"] = true,
        };
        configure?.Invoke(configuration);
        File.WriteAllText(Path.Combine(folder, "config.json"), configuration.ToJsonString());
        return tensors;
    }

    internal static float[] Rows(Tensor table, long first, long count) => table.Narrow(0, first, count).ToArray<float>();
}
