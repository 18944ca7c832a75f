using System.Text.Json;

namespace LongformerInterop.Models;

/// <summary>Writes a <see cref="LongformerConfiguration"/> under Hugging Face's names.</summary>
internal static class ConfigurationWriter
{
    public static void Write(Utf8JsonWriter json, LongformerConfiguration c)
    {
        json.WriteStartObject();
        json.WriteStartArray("architectures");
        foreach (string architecture in c.Architectures)
            json.WriteStringValue(architecture);
        json.WriteEndArray();
        if (c.OneSidedWindows)
            WriteAllenAi(json, c);
        json.WriteNumber("attention_probs_dropout_prob", c.AttentionProbsDropoutProb);
        WriteIntegers(json, "attention_window", c.AttentionWindow.Count == 1 ? [.. Enumerable.Repeat(c.AttentionWindow[0], c.NumHiddenLayers)] : c.AttentionWindow);
        json.WriteNumber("bos_token_id", c.BosTokenId);
        json.WriteNumber("eos_token_id", c.EosTokenId);
        json.WriteString("hidden_act", c.HiddenAct switch
        {
            HiddenActivation.GeluTanh => "gelu_new",
            HiddenActivation.Relu => "relu",
            HiddenActivation.Silu => "silu",
            HiddenActivation.Tanh => "tanh",
            _ => "gelu",
        });
        json.WriteNumber("hidden_dropout_prob", c.HiddenDropoutProb);
        json.WriteNumber("hidden_size", c.HiddenSize);
        json.WriteStartObject("id2label");
        for (int id = 0; id < c.NumLabels; id++)
            json.WriteString($"{id}", c.Id2Label[id]);
        json.WriteEndObject();
        json.WriteNumber("initializer_range", c.InitializerRange);
        json.WriteNumber("intermediate_size", c.IntermediateSize);
        json.WriteStartObject("label2id");
        for (int id = 0; id < c.NumLabels; id++)
            json.WriteNumber(c.Id2Label[id], id);
        json.WriteEndObject();
        json.WriteNumber("layer_norm_eps", c.LayerNormEps);
        json.WriteNumber("max_position_embeddings", c.MaxPositionEmbeddings);
        json.WriteString("model_type", "longformer");
        json.WriteNumber("num_attention_heads", c.NumAttentionHeads);
        json.WriteNumber("num_hidden_layers", c.NumHiddenLayers);
        json.WriteNumber("pad_token_id", c.PadTokenId);
        if (c.ProblemType is not null)
            json.WriteString("problem_type", c.ProblemType);
        json.WriteNumber("sep_token_id", c.SepTokenId);
        json.WriteBoolean("tie_word_embeddings", c.TieWordEmbeddings);
        json.WriteNumber("type_vocab_size", c.TypeVocabSize);
        json.WriteNumber("vocab_size", c.VocabSize);
        json.WriteEndObject();
    }

    private static void WriteAllenAi(Utf8JsonWriter json, LongformerConfiguration c)
    {
        json.WriteStartArray("attention_dilation");
        for (int layer = 0; layer < c.NumHiddenLayers; layer++)
        {
            IReadOnlyList<int> dilation = c.Window(layer).Dilation ?? [1];
            if (dilation.Count == 1)
            {
                json.WriteNumberValue(dilation[0]);
                continue;
            }
            json.WriteStartArray();
            foreach (int value in dilation)
                json.WriteNumberValue(value);
            json.WriteEndArray();
        }
        json.WriteEndArray();
        json.WriteString("attention_mode", c.AttentionMode switch
        {
            AttentionMode.SlidingChunksNoOverlap => "sliding_chunks_no_overlap",
            AttentionMode.Tvm => "tvm",
            AttentionMode.FullAttention => "n2",
            _ => "sliding_chunks",
        });
        json.WriteBoolean("autoregressive", c.Autoregressive);
    }

    private static void WriteIntegers(Utf8JsonWriter json, string name, IReadOnlyList<int> values)
    {
        json.WriteStartArray(name);
        foreach (int value in values)
            json.WriteNumberValue(value);
        json.WriteEndArray();
    }
}
