namespace LongformerInterop.Models.Led;

/// <summary>Loads the LED classes. allenai's names (<c>model.encoder</c>) are read as HF's (<c>led.encoder</c>).</summary>
internal sealed class LedLoader : ModelLoader
{
    private const string HeadedBackbone = "led.";

    private static readonly string[] EmbeddingTables = ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

    public LedLoader(Architecture architecture, LedConfiguration configuration, LoadOptions options, ParameterSource source)
        : this(architecture, configuration, options, source, Prefix(architecture, source))
    {
    }

    private LedLoader(Architecture architecture, LedConfiguration configuration, LoadOptions options, ParameterSource source, string prefix)
        : base(architecture, options, source, prefix, configuration.IsInt8, HeadedBackbone, EmbeddingTables)
    {
        Configuration = configuration;
        if (configuration.TieWordEmbeddings)
            source.Tie([.. EmbeddingTables.Select(name => prefix + name), "lm_head.weight"]);
    }

    public LedConfiguration Configuration { get; }

    /// <summary>Heads that the file may hold besides the one that is loaded: BART's checkpoints carry several.</summary>
    protected override IEnumerable<string> Ignored() => OtherHeads();

    private static string Prefix(Architecture architecture, ParameterSource source) =>
        source.IsDry ? (architecture.IsBare ? "" : HeadedBackbone) : source.ContainsBelow(HeadedBackbone) ? HeadedBackbone : "";
}
