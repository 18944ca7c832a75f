using System.Text.Json;

namespace LongformerInterop.Models;

public sealed partial record LongformerConfiguration
{
    /// <summary>HF's keys; allenai's are added where the windows count one side.</summary>
    private protected override void Write(Utf8JsonWriter json)
    {
        json.WriteStartArray("architectures");
        foreach (string architecture in Architectures)
            json.WriteStringValue(architecture);
        json.WriteEndArray();
        if (OneSidedWindows)
            WriteAllenAi(json);
        json.WriteNumber("attention_probs_dropout_prob", AttentionProbsDropoutProb);
        WriteIntegers(json, "attention_window", AttentionWindow.Count == 1
            ? [.. Enumerable.Repeat(AttentionWindow[0], NumHiddenLayers)]
            : AttentionWindow);
        json.WriteNumber("bos_token_id", BosTokenId);
        if (Architectures.Contains(nameof(LongformerForCoreference)))
            Coreference.Write(json);
        json.WriteNumber("eos_token_id", EosTokenId);
        json.WriteString("hidden_act", Activations.NameOf(HiddenAct));
        json.WriteNumber("hidden_dropout_prob", HiddenDropoutProb);
        json.WriteNumber("hidden_size", HiddenSize);
        WriteLabels(json);
        json.WriteNumber("initializer_range", InitializerRange);
        json.WriteNumber("intermediate_size", IntermediateSize);
        json.WriteNumber("layer_norm_eps", LayerNormEps);
        json.WriteNumber("max_position_embeddings", MaxPositionEmbeddings);
        // With it the keys of allenai's package would not be read; HF's class has no place for what they say.
        if (!OneSidedWindows)
            json.WriteString("model_type", "longformer");
        json.WriteNumber("num_attention_heads", NumAttentionHeads);
        json.WriteNumber("num_hidden_layers", NumHiddenLayers);
        json.WriteNumber("pad_token_id", PadTokenId);
        if (ProblemType is not null)
            json.WriteString("problem_type", ProblemType);
        json.WriteNumber("sep_token_id", SepTokenId);
        json.WriteBoolean("tie_word_embeddings", TieWordEmbeddings);
        json.WriteNumber("type_vocab_size", TypeVocabSize);
        json.WriteNumber("vocab_size", VocabSize);
    }

    private void WriteAllenAi(Utf8JsonWriter json)
    {
        json.WriteStartArray("attention_dilation");
        for (int layer = 0; layer < NumHiddenLayers; layer++)
        {
            IReadOnlyList<int> dilation = Window(layer).Dilation ?? [1];
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
        json.WriteString("attention_mode", AttentionMode switch
        {
            AttentionMode.SlidingChunksNoOverlap => "sliding_chunks_no_overlap",
            AttentionMode.Tvm => "tvm",
            AttentionMode.FullAttention => "n2",
            _ => "sliding_chunks",
        });
        json.WriteBoolean("autoregressive", Autoregressive);
    }

    private static void WriteIntegers(Utf8JsonWriter json, string name, IReadOnlyList<int> values)
    {
        json.WriteStartArray(name);
        foreach (int value in values)
            json.WriteNumberValue(value);
        json.WriteEndArray();
    }
}
