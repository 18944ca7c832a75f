using System.Text;
using System.Text.Json;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models;

/// <summary>
/// The configuration of an LED, under the names of HF's <c>config.json</c>. allenai's own checkpoints are read too: they say
/// <c>model_type: bart</c> and are known by their <c>attention_window</c>, which counts one side. The values of a new instance are those
/// of led-base-16384.
/// </summary>
public sealed partial record LedConfiguration : ModelConfiguration
{
    /// <summary>The configuration of led-base-16384.</summary>
    public LedConfiguration() => (Architectures, Id2Label, AttentionWindow) = (["LEDForConditionalGeneration"], GenericLabels(3), [1024]);

    /// <summary>Width C of the hidden states.</summary>
    public int DModel { get; init; } = 768;

    /// <summary>Rows of the encoder's position table: the longest document.</summary>
    public int MaxEncoderPositionEmbeddings { get; init; } = 16384;

    /// <summary>Rows of the decoder's position table: the longest output.</summary>
    public int MaxDecoderPositionEmbeddings { get; init; } = 1024;

    /// <summary>Number of encoder layers.</summary>
    public int EncoderLayers { get; init; } = 6;

    /// <summary>Heads of the encoder.</summary>
    public int EncoderAttentionHeads { get; init; } = 12;

    /// <summary>Width between the two feed-forward products of the encoder.</summary>
    public int EncoderFfnDim { get; init; } = 3072;

    /// <summary>Number of decoder layers.</summary>
    public int DecoderLayers { get; init; } = 6;

    /// <summary>Heads of the decoder's self- and cross-attention.</summary>
    public int DecoderAttentionHeads { get; init; } = 12;

    /// <summary>Width between the two feed-forward products of the decoder.</summary>
    public int DecoderFfnDim { get; init; } = 3072;

    /// <summary>Feed-forward activation.</summary>
    public HiddenActivation ActivationFunction { get; init; } = HiddenActivation.Gelu;

    /// <summary>Dropout of embeddings and sublayer outputs; used only in training.</summary>
    public double Dropout { get; init; } = 0.1;

    /// <summary>Dropout of attention probabilities; used only in training.</summary>
    public double AttentionDropout { get; init; }

    /// <summary>Dropout behind the feed-forward activation; used only in training.</summary>
    public double ActivationDropout { get; init; }

    /// <summary>Dropout in the classification head; used only in training.</summary>
    public double ClassifierDropout { get; init; }

    /// <summary>Standard deviation of the initial weights.</summary>
    public double InitStd { get; init; } = 0.02;

    /// <summary>Id that the decoder begins with.</summary>
    public int DecoderStartTokenId { get; init; } = 2;

    /// <summary>Whether LayerNorm is before each sublayer, as in an LED made of mBART; HF's LED does not know it, allenai's
    /// does.</summary>
    public bool NormalizeBefore { get; init; }

    /// <summary>Whether encoder and decoder end in a LayerNorm, as mBART's do.</summary>
    public bool AddFinalLayerNorm { get; init; }

    /// <summary>Whether word vectors are multiplied with the square root of their width, as mBART's are.</summary>
    public bool ScaleEmbedding { get; init; }

    /// <summary>The factor of word vectors.</summary>
    internal double WordScale => ScaleEmbedding ? Math.Sqrt(DModel) : 1;

    /// <inheritdoc/>
    public override ModelFamily Family => ModelFamily.Led;

    internal override InputLimits Limits => new()
    {
        VocabSize = VocabSize,
        HiddenSize = DModel,
        TypeVocabSize = 1,
        PadTokenId = PadTokenId,
        SepTokenId = EosTokenId,
        PositionRows = MaxEncoderPositionEmbeddings,
        // LED's tables have no padding row, and padding takes positions too.
        FirstPosition = 0,
        PaddingTakesPositions = true,
        PositionsExplained = "per document, the encoder positions of this checkpoint",
    };

    /// <summary>
    /// The encoder's attention in the terms of <see cref="LongformerConfiguration"/>, by which the shared layers go.
    /// </summary>
    internal LongformerConfiguration Encoder => new()
    {
        Architectures = Architectures,
        VocabSize = VocabSize,
        HiddenSize = DModel,
        NumHiddenLayers = EncoderLayers,
        NumAttentionHeads = EncoderAttentionHeads,
        IntermediateSize = EncoderFfnDim,
        HiddenAct = ActivationFunction,
        HiddenDropoutProb = Dropout,
        AttentionProbsDropoutProb = AttentionDropout,
        MaxPositionEmbeddings = MaxEncoderPositionEmbeddings,
        TypeVocabSize = 1,
        PadTokenId = PadTokenId,
        BosTokenId = BosTokenId,
        EosTokenId = EosTokenId,
        SepTokenId = EosTokenId,
        AttentionWindow = AttentionWindow,
        OneSidedWindows = OneSidedWindows,
    };

    /// <summary>Whether a configuration file describes an LED: <c>model_type</c> led, or bart with attention windows (allenai's).</summary>
    /// <param name="json">The root object of config.json.</param>
    public static bool Describes(JsonElement json)
    {
        string? type = json.TryGetProperty("model_type", out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        return type == "led" || (type is "bart" or null && json.TryGetProperty("attention_window", out _)
            && json.TryGetProperty("encoder_layers", out _));
    }

    /// <summary>Whether a folder's <c>config.json</c> describes an LED; false where there is no readable one.</summary>
    public static bool IsIn(string folder)
    {
        string path = Path.Combine(Checkpoint.FolderOf(folder), "config.json");
        if (!File.Exists(path))
            return false;
        try
        {
            using JsonDocument document = JsonText.Parse(File.ReadAllBytes(path));
            return document.RootElement.ValueKind == JsonValueKind.Object && Describes(document.RootElement);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Reads <c>config.json</c> of a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The file is missing, is not JSON, describes another architecture, or has problems: all are
    /// listed.</exception>
    public static LedConfiguration Load(string folder) => LoadFrom(folder, Read);

    /// <summary>Reads a configuration from JSON.</summary>
    /// <param name="json">The text of config.json.</param>
    /// <param name="source">Its name, for messages.</param>
    /// <exception cref="CheckpointException">The text is not a JSON object, describes another architecture, or has problems: all are
    /// listed.</exception>
    public static LedConfiguration Parse(string json, string source = "config.json") => ParseFrom(Encoding.UTF8.GetBytes(json), source, Read);

    private static LedConfiguration Read(ConfigurationReader json, string source)
    {
        if (!Describes(json.Root))
            throw OtherArchitecture(json, source, "an LED: model_type \"led\", or \"bart\" with attention_window");
        bool allenai = json.Text("model_type", null) != "led";
        // allenai's keys in a file of HF's LED are those of the BART that it was made of: its class reads none of them.
        if (allenai)
            RefuseVariants(json);
        return new()
        {
            VocabSize = json.Integer("vocab_size", 50265),
            DModel = json.Integer("d_model", 1024),
            MaxEncoderPositionEmbeddings = json.Integer("max_encoder_position_embeddings", 16384),
            MaxDecoderPositionEmbeddings = json.Integer("max_decoder_position_embeddings", 1024),
            EncoderLayers = json.Integer("encoder_layers", 12),
            EncoderAttentionHeads = json.Integer("encoder_attention_heads", 16),
            EncoderFfnDim = json.Integer("encoder_ffn_dim", 4096),
            DecoderLayers = json.Integer("decoder_layers", 12),
            DecoderAttentionHeads = json.Integer("decoder_attention_heads", 16),
            DecoderFfnDim = json.Integer("decoder_ffn_dim", 4096),
            ActivationFunction = Activations.Read(json, "activation_function"),
            Dropout = json.Number("dropout", 0.1, 0, 1),
            AttentionDropout = json.Number("attention_dropout", 0, 0, 1),
            ActivationDropout = json.Number("activation_dropout", 0, 0, 1),
            ClassifierDropout = json.Number(allenai ? "classif_dropout" : "classifier_dropout", 0, 0, 1),
            InitStd = json.Number("init_std", 0.02, 0, 100),
            EosTokenId = json.Integer("eos_token_id", 2, 0),
            DecoderStartTokenId = json.Integer("decoder_start_token_id", 2, 0),
            AttentionWindow = json.IntegerOrList("attention_window") ?? [512],
            OneSidedWindows = allenai,
            IsInt8 = Int8Format.Read(json.Root, json.Problems),
            NormalizeBefore = json.Boolean("normalize_before", false),
            AddFinalLayerNorm = json.Boolean("add_final_layer_norm", false),
            ScaleEmbedding = json.Boolean("scale_embedding", false),
        };
    }

    /// <summary>BART's and allenai's switches that lead to other models than LED.</summary>
    private static void RefuseVariants(ConfigurationReader json)
    {
        foreach (string name in (string[])["static_position_embeddings", "autoregressive"])
        {
            if (json.Boolean(name, false))
                json.Problems.Add($"{name} is true, which no LED has");
        }
        if (!json.Boolean("normalize_embedding", true))
            json.Problems.Add("normalize_embedding is false, which no LED has");
        if (json.Text("attention_mode", "sliding_chunks") is not ("sliding_chunks" or "tvm") and var mode)
            json.Problems.Add($"attention_mode \"{mode}\" is not that of an LED (sliding_chunks or tvm)");
        if (json.IntegerOrList("attention_dilation") is { } dilation && dilation.Any(d => d != 1))
            json.Problems.Add($"attention_dilation must be 1 in every layer, given {string.Join(", ", dilation)}");
    }

    /// <inheritdoc/>
    public override IEnumerable<string> Problems()
    {
        if (DModel % EncoderAttentionHeads != 0)
            yield return $"d_model {DModel} is not a multiple of encoder_attention_heads {EncoderAttentionHeads}";
        if (DModel % DecoderAttentionHeads != 0)
            yield return $"d_model {DModel} is not a multiple of decoder_attention_heads {DecoderAttentionHeads}";
        foreach (string problem in SharedProblems(EncoderLayers, "encoder layers"))
            yield return problem;
        foreach ((string name, int id) in ((string, int)[])[("pad_token_id", PadTokenId), ("bos_token_id", BosTokenId), ("eos_token_id", EosTokenId),
            ("decoder_start_token_id", DecoderStartTokenId)])
        {
            if (id >= VocabSize)
                yield return $"{name} {id} is outside the vocabulary of {VocabSize}";
        }
    }
}
