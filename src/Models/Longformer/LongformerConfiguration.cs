using System.Text;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models;

/// <summary>Which attention a checkpoint was made with: <c>attention_mode</c> of the allenai configuration.</summary>
public enum AttentionMode
{
    /// <summary>Window of the paper: <c>sliding_chunks</c>, and every HF checkpoint.</summary>
    SlidingChunks,
    /// <summary>Blocks that see the block before, themselves and the block after: <c>sliding_chunks_no_overlap</c>.</summary>
    SlidingChunksNoOverlap,
    /// <summary>The window of the TVM kernel, which may be dilated and autoregressive: <c>tvm</c>.</summary>
    Tvm,
    /// <summary>Ordinary full self-attention without global projections: <c>n2</c>.</summary>
    FullAttention,
}

/// <summary>The window of a query in one layer.</summary>
/// <param name="Left">Keys to the left, in steps of the dilation.</param>
/// <param name="Right">Keys to the right, in steps of the dilation; 0 is causal.</param>
/// <param name="Dilation">One value for all heads or one per head; null means 1.</param>
public readonly record struct LayerWindow(int Left, int Right, IReadOnlyList<int>? Dilation);

/// <summary>
/// The configuration of a Longformer, under the names of HF's <c>config.json</c>. allenai's own configuration (recognised
/// by its key <c>attention_mode</c> without <c>model_type</c> longformer, with windows that count one side) is read too. The values of a new instance
/// are those of longformer-base-4096.
/// </summary>
public sealed partial record LongformerConfiguration : ModelConfiguration
{
    /// <summary>The configuration of longformer-base-4096.</summary>
    public LongformerConfiguration() => (Architectures, Id2Label, AttentionWindow) = (["LongformerModel"], GenericLabels(2), [512]);

    /// <summary>Width C of the hidden states.</summary>
    public int HiddenSize { get; init; } = 768;

    /// <summary>Number of encoder layers.</summary>
    public int NumHiddenLayers { get; init; } = 12;

    /// <summary>Number of heads H; each has C / H dimensions.</summary>
    public int NumAttentionHeads { get; init; } = 12;

    /// <summary>Width between the two feed-forward products.</summary>
    public int IntermediateSize { get; init; } = 3072;

    /// <summary>Feed-forward activation.</summary>
    public HiddenActivation HiddenAct { get; init; } = HiddenActivation.Gelu;

    /// <summary>Dropout of embeddings and sublayer outputs; used only in training.</summary>
    public double HiddenDropoutProb { get; init; } = 0.1;

    /// <summary>Dropout of attention probabilities; used only in training.</summary>
    public double AttentionProbsDropoutProb { get; init; } = 0.1;

    /// <summary>Rows of the position embedding table; see <see cref="MaxTokens"/> for how long a document may be.</summary>
    public int MaxPositionEmbeddings { get; init; } = 4098;

    /// <summary>Entries of the token type table.</summary>
    public int TypeVocabSize { get; init; } = 1;

    /// <summary>Added to the variance in every LayerNorm.</summary>
    public double LayerNormEps { get; init; } = 1e-5;

    /// <summary>Standard deviation of the initial weights.</summary>
    public double InitializerRange { get; init; } = 0.02;

    /// <summary>Id of the separator, <c>&lt;/s&gt;</c>.</summary>
    public int SepTokenId { get; init; } = 2;

    /// <summary>allenai's <c>attention_mode</c>.</summary>
    public AttentionMode AttentionMode { get; init; } = AttentionMode.SlidingChunks;

    /// <summary>Dilation of every layer, one value for its heads or one per head; empty: none.</summary>
    public IReadOnlyList<IReadOnlyList<int>> AttentionDilation { get; init; } = [];

    /// <summary>Whether a token sees only itself and the tokens before it.</summary>
    public bool Autoregressive { get; init; }

    /// <summary>The sizes of a coreference head; no other class has any use for them.</summary>
    public Coreference.CoreferenceConfiguration Coreference { get; init; } = new();

    /// <summary>Dimensions of a head, D = C / H.</summary>
    public int HeadSize => HiddenSize / NumAttentionHeads;

    /// <summary>
    /// Tokens that a document may have: positions begin at <c>padding_idx + 1</c>, so a table of 4,098 rows serves 4,096 tokens.
    /// </summary>
    public int MaxTokens => MaxPositionEmbeddings - PadTokenId - 1;

    /// <summary>The largest two-sided window of all layers, to whose multiple HF pads.</summary>
    public int LargestWindow => AttentionWindow.Max() * (OneSidedWindows ? 2 : 1);

    /// <summary>Returns the window of a query in layer <paramref name="layer"/>.</summary>
    public LayerWindow Window(int layer)
    {
        int window = AttentionWindow[AttentionWindow.Count == 1 ? 0 : layer];
        int side = OneSidedWindows ? window : window / 2;
        IReadOnlyList<int>? dilation = AttentionDilation.Count switch
        {
            0 => null,
            1 => AttentionDilation[0],
            _ => AttentionDilation[layer],
        };
        return new LayerWindow(side, Autoregressive ? 0 : side, dilation is null || dilation.All(d => d == 1) ? null : dilation);
    }

    /// <summary>Reads <c>config.json</c> of a checkpoint folder.</summary>
    /// <exception cref="CheckpointException">The file is missing, is not JSON, describes another architecture, or has problems: all are
    /// listed.</exception>
    public static LongformerConfiguration Load(string folder) => LoadFrom(folder, Read);

    /// <summary>Reads a configuration from UTF-8 JSON.</summary>
    /// <param name="json">The text of config.json.</param>
    /// <param name="source">Its name, for messages.</param>
    /// <exception cref="CheckpointException">The text is not a JSON object, describes another architecture, or has problems: all are
    /// listed.</exception>
    public static LongformerConfiguration Parse(ReadOnlySpan<byte> json, string source = "config.json") => ParseFrom(json, source, Read);

    /// <summary>Reads a configuration from JSON text; see <see cref="Parse(ReadOnlySpan{byte}, string)"/>.</summary>
    public static LongformerConfiguration Parse(string json, string source = "config.json") => Parse(Encoding.UTF8.GetBytes(json), source);

    private static LongformerConfiguration Read(ConfigurationReader json, string source)
    {
        // The hub's own checkpoints carry allenai's keys with HF's windows: model_type decides, and HF's class reads none of those keys.
        bool hugging = json.Text("model_type", null) == "longformer";
        bool allenai = !hugging && json.Has("attention_mode");
        RefuseOtherArchitecture(json, allenai, source);
        IReadOnlyList<int>? windows = json.IntegerOrList("attention_window");
        if (windows is null && allenai)
            json.Problems.Add("attention_window is missing, the window of every layer on one side");
        int eos = json.Integer("eos_token_id", 2, 0);
        return new()
        {
            VocabSize = json.Integer("vocab_size", 30522),
            HiddenSize = json.Integer("hidden_size", 768),
            // A single attention layer of allenai's has no num_hidden_layers; its window list says how many there are.
            NumHiddenLayers = json.Integer("num_hidden_layers", allenai && windows is not null ? windows.Count : 12),
            NumAttentionHeads = json.Integer("num_attention_heads", 12),
            IntermediateSize = json.Integer("intermediate_size", 3072),
            HiddenAct = Activations.Read(json, "hidden_act"),
            HiddenDropoutProb = json.Number("hidden_dropout_prob", 0.1, 0, 1),
            AttentionProbsDropoutProb = json.Number("attention_probs_dropout_prob", 0.1, 0, 1),
            MaxPositionEmbeddings = json.Integer("max_position_embeddings", 512),
            TypeVocabSize = json.Integer("type_vocab_size", 2),
            LayerNormEps = json.Number("layer_norm_eps", 1e-12, 0, 1),
            InitializerRange = json.Number("initializer_range", 0.02, 0, 100),
            EosTokenId = eos,
            SepTokenId = json.Integer("sep_token_id", allenai ? eos : 2, 0),
            AttentionWindow = windows ?? [512],
            OneSidedWindows = allenai,
            IsInt8 = Int8Format.Read(json.Root, json.Problems),
            AttentionMode = hugging ? AttentionMode.SlidingChunks : Mode(json),
            AttentionDilation = hugging ? [] : json.IntegersPerHead("attention_dilation") ?? [],
            Autoregressive = !hugging && json.Boolean("autoregressive", false),
            Coreference = Models.Coreference.CoreferenceConfiguration.Read(json),
        };
    }

    /// <inheritdoc/>
    public override IEnumerable<string> Problems()
    {
        if (HiddenSize % NumAttentionHeads != 0)
            yield return $"hidden_size {HiddenSize} is not a multiple of num_attention_heads {NumAttentionHeads}";
        foreach (string problem in SharedProblems(NumHiddenLayers, "layers"))
            yield return problem;
        if (AttentionDilation.Count > 1 && AttentionDilation.Count != NumHiddenLayers)
            yield return $"attention_dilation has {AttentionDilation.Count} values for {NumHiddenLayers} layers";
        for (int layer = 0; layer < AttentionDilation.Count; layer++)
        {
            IReadOnlyList<int> dilation = AttentionDilation[layer];
            if (dilation.Any(d => d < 1))
                yield return $"attention_dilation of layer {layer} must be at least 1, given {string.Join(", ", dilation)}";
            if (dilation.Count != 1 && dilation.Count != NumAttentionHeads)
                yield return $"attention_dilation of layer {layer} has {dilation.Count} values for {NumAttentionHeads} heads";
            if (OneSidedWindows && AttentionMode != AttentionMode.Tvm && dilation.Any(d => d > 1))
                yield return $"attention_dilation {dilation.Max()} of layer {layer} needs attention_mode tvm";
        }
        if (OneSidedWindows && Autoregressive && AttentionMode != AttentionMode.Tvm)
            yield return "autoregressive attention needs attention_mode tvm";
        if (PadTokenId >= VocabSize)
            yield return $"pad_token_id {PadTokenId} is outside the vocabulary of {VocabSize}";
        if (MaxTokens < 1)
            yield return $"max_position_embeddings {MaxPositionEmbeddings} leaves no position after pad_token_id {PadTokenId}";
    }

    /// <inheritdoc/>
    public override ModelFamily Family => ModelFamily.Longformer;

    internal override InputLimits Limits => new()
    {
        VocabSize = VocabSize,
        HiddenSize = HiddenSize,
        TypeVocabSize = TypeVocabSize,
        PadTokenId = PadTokenId,
        SepTokenId = SepTokenId,
        PositionRows = MaxPositionEmbeddings,
        FirstPosition = PadTokenId + 1,
        PositionsExplained = $"per sequence, the positions of this checkpoint (max_position_embeddings {MaxPositionEmbeddings} - padding_idx "
        + $"{PadTokenId} - 1)",
    };

    private static void RefuseOtherArchitecture(ConfigurationReader json, bool allenai, string source)
    {
        string? type = json.Text("model_type", null);
        // allenai's and the notebook's checkpoints say "roberta" but hold a window: that key is what makes them a Longformer.
        bool longformer = type == "longformer" || allenai
            || (type is null or "roberta" or "xlm-roberta" or "camembert" && json.Has("attention_window"));
        if (!longformer)
            throw OtherArchitecture(json, source, "a Longformer: model_type \"longformer\", or \"roberta\" with attention_window");
    }

    private static AttentionMode Mode(ConfigurationReader json)
    {
        switch (json.Text("attention_mode", null))
        {
            case null or "sliding_chunks": return AttentionMode.SlidingChunks;
            case "sliding_chunks_no_overlap": return AttentionMode.SlidingChunksNoOverlap;
            case "tvm": return AttentionMode.Tvm;
            case "n2": return AttentionMode.FullAttention;
            case string other:
                json.Problems.Add($"attention_mode \"{other}\" is unknown (sliding_chunks, sliding_chunks_no_overlap, tvm or n2)");
                return AttentionMode.SlidingChunks;
        }
    }
}
