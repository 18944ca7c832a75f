using System.Text.Json;

namespace LongformerInterop.Models;

public sealed partial record LedConfiguration
{
    /// <summary>HF's keys: <c>model_type</c> led and two-sided windows, for a configuration of any origin.</summary>
    private protected override void Write(Utf8JsonWriter json)
    {
        json.WriteStartArray("architectures");
        foreach (string name in Architectures)
            json.WriteStringValue(name.Replace("Bart", "LED", StringComparison.Ordinal));
        json.WriteEndArray();
        json.WriteString("model_type", "led");
        json.WriteString("activation_function", Activations.NameOf(ActivationFunction));
        json.WriteStartArray("attention_window");
        for (int layer = 0; layer < EncoderLayers; layer++)
            json.WriteNumberValue(AttentionWindow[AttentionWindow.Count == 1 ? 0 : layer] * (OneSidedWindows ? 2 : 1));
        json.WriteEndArray();
        foreach ((string name, int value) in ((string, int)[])[
            ("vocab_size", VocabSize), ("d_model", DModel), ("max_encoder_position_embeddings", MaxEncoderPositionEmbeddings),
            ("max_decoder_position_embeddings", MaxDecoderPositionEmbeddings), ("encoder_layers", EncoderLayers),
            ("encoder_attention_heads", EncoderAttentionHeads), ("encoder_ffn_dim", EncoderFfnDim), ("decoder_layers", DecoderLayers),
            ("decoder_attention_heads", DecoderAttentionHeads), ("decoder_ffn_dim", DecoderFfnDim), ("pad_token_id", PadTokenId),
            ("bos_token_id", BosTokenId), ("eos_token_id", EosTokenId), ("decoder_start_token_id", DecoderStartTokenId)])
        {
            json.WriteNumber(name, value);
        }
        foreach ((string name, double value) in ((string, double)[])[
            ("dropout", Dropout), ("attention_dropout", AttentionDropout), ("activation_dropout", ActivationDropout),
            ("classifier_dropout", ClassifierDropout), ("init_std", InitStd)])
        {
            json.WriteNumber(name, value);
        }
        json.WriteBoolean("is_encoder_decoder", true);
        json.WriteBoolean("tie_word_embeddings", TieWordEmbeddings);
        foreach ((string name, bool value) in ((string, bool)[])[
            ("normalize_before", NormalizeBefore), ("add_final_layer_norm", AddFinalLayerNorm), ("scale_embedding", ScaleEmbedding)])
        {
            if (value)
                json.WriteBoolean(name, true);
        }
        if (ProblemType is not null)
            json.WriteString("problem_type", ProblemType);
        WriteLabels(json);
    }
}
