namespace LongformerInterop.Models;

/// <summary>Loads the Longformer classes.</summary>
internal sealed class LongformerLoader : ModelLoader
{
    private const string HeadedBackbone = "longformer.", Words = "embeddings.word_embeddings.weight";

    // The prefixes of the body: with a head, and as a bare model. One without global projections is a RoBERTa by its names.
    private static readonly string[] Prefixes = [HeadedBackbone, "roberta.", ""];

    private readonly string _prefix;

    public LongformerLoader(Architecture architecture, LongformerConfiguration configuration, LoadOptions options, ParameterSource source)
        : this(architecture, configuration, options, source, Prefix(architecture, source))
    {
    }

    private LongformerLoader(Architecture architecture, LongformerConfiguration configuration, LoadOptions options,
        ParameterSource source, string prefix)
        : base(architecture, options, source, prefix, configuration.IsInt8, HeadedBackbone, Words)
    {
        Configuration = configuration;
        _prefix = prefix;
        if (!configuration.TieWordEmbeddings)
            return;
        source.Tie(prefix + Words, "lm_head.decoder.weight");
        source.Tie("lm_head.bias", "lm_head.decoder.bias");
    }

    public LongformerConfiguration Configuration { get; }

    /// <summary>Buffers, a pooler that the class does not use, heads beside the bare model, and parts that other settings leave idle.</summary>
    protected override IEnumerable<string> Ignored() =>
    [
        "*position_ids", _prefix + "pooler.*",
        .. Architecture.IsBare ? OtherHeads() : [],
        .. Configuration.AttentionMode == AttentionMode.FullAttention ? (string[])["*_global.*"] : [],
    ];

    private static string Prefix(Architecture architecture, ParameterSource source) =>
        Prefixes.FirstOrDefault(prefix => source.Contains(prefix + Words)) ?? (architecture.IsBare ? "" : HeadedBackbone);
}
