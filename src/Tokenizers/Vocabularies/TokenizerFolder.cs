using System.Globalization;

namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>Which of HF's classes a folder's tokenizer is loaded by; that decides what its files overrule.</summary>
internal enum TokenizerKind
{
    /// <summary>A plain tokenizer.json (<c>PreTrainedTokenizerFast</c>, <c>TokenizersBackend</c>, or a class this library does not
    /// know).</summary>
    AsWritten,

    /// <summary>No file says; names in tokenizer_config.json overrule tokenizer.json.</summary>
    Unsaid,

    /// <summary><c>RobertaTokenizer</c> and the classes that are the same: Longformer, LED, BART.</summary>
    Roberta,

    /// <summary><c>BertTokenizer</c> and the classes that are the same.</summary>
    Bert,
}

/// <summary>The files of a tokenizer's folder and the rules that follow from them.</summary>
internal sealed class TokenizerFolder
{
    private static readonly string[] RobertaClasses = ["Roberta", "Longformer", "Bart", "LED", "Mvp"];
    private static readonly string[] BertClasses =
        ["Bert", "DistilBert", "Electra", "MobileBert", "ConvBert", "SqueezeBert", "Lxmert", "LayoutLM", "Retribert"];

    private static readonly string[] RobertaModels =
        ["roberta", "longformer", "bart", "led", "mvp", "ibert", "data2vec-text", "lilt", "mega", "mra", "roberta-prelayernorm",
            "bridgetower", "clap"];

    private static readonly string[] BertModels =
    [
        "bert", "distilbert", "electra", "convbert", "mobilebert", "squeezebert", "lxmert", "layoutlm", "megatron-bert", "nezha",
        "ernie", "nomic_bert",
        "retribert", "realm", "qdqbert", "visual_bert", "vilt", "bros", "align", "blip", "flava", "git", "tvp", "chinese_clip",
    ];

    private TokenizerFolder(string path)
    {
        Path = path;
        Configuration = JsonValue.TryReadObject(PathOf("tokenizer_config.json"));
        SpecialTokensMap = JsonValue.TryReadObject(PathOf("special_tokens_map.json"));
        AddedTokens = JsonValue.TryReadObject(PathOf("added_tokens.json"));
        Model = ReadModel(PathOf("config.json"));
        Json = JsonValue.TryReadObject(PathOf("tokenizer.json"));
        Kind = KindOf(ClassName(), Text(Model, "model_type"));
        IsOlder = MadeBefore5();
    }

    public string Path { get; }

    /// <summary>tokenizer.json.</summary>
    public JsonValue? Json { get; }

    /// <summary>tokenizer_config.json.</summary>
    public JsonValue? Configuration { get; }

    public JsonValue? SpecialTokensMap { get; }

    public JsonValue? AddedTokens { get; }

    public TokenizerKind Kind { get; }

    /// <summary>
    /// Whether transformers before 5 made the folder. That version changed a tokenizer.json where it contradicts tokenizer_config.json and kept the
    /// rest of it; 5 builds these classes again from the vocabulary. A checkpoint was trained with the version that made it.
    /// </summary>
    public bool IsOlder { get; }

    /// <summary>config.json of the model, for its type and version; null if there is none.</summary>
    private JsonValue? Model { get; }

    public static TokenizerFolder Read(string path) => new(path);

    public string PathOf(string file) => System.IO.Path.Combine(Path, file);

    /// <summary>A setting of tokenizer_config.json, with what the class takes where the file does not say.</summary>
    public bool Setting(string key, bool fallback) => Configuration?.Boolean(key, fallback) ?? fallback;

    /// <summary>A setting that tokenizer_config.json names expressly; null if it does not.</summary>
    public bool? Setting(string key) => Configuration?.Optional(key)?.AsBoolean();

    /// <summary>The class named, without "Fast"; null where none is.</summary>
    public string? ClassName()
    {
        string? name = Configuration?.Optional("tokenizer_class") is { } value ? value.AsString() : Text(Model, "tokenizer_class");
        return name is not null && name != "PreTrainedTokenizerFast" && name.EndsWith("Fast", StringComparison.Ordinal) ? name[..^4] : name;
    }

    /// <summary>Refuses a folder of vocabulary files whose class would cut text in another way.</summary>
    public void CheckClass(TokenizerKind kind)
    {
        if (ClassName() is not { } name || name is "PreTrainedTokenizerFast" or "TokenizersBackend" or "PreTrainedTokenizer"
            || KindOf(name, null) == kind)
        {
            return;
        }
        string[] classes = kind == TokenizerKind.Roberta ? RobertaClasses : BertClasses;
        throw new TokenizerException(
            $"{PathOf("tokenizer_config.json")}: tokenizer_class: expected a tokenizer of the kinds "
            + $"{string.Join(", ", classes.Select(s => s + "Tokenizer"))}, "
            + $"given \"{name}\"");
    }

    private static TokenizerKind KindOf(string? name, string? model)
    {
        if (name is null)
        {
            return model is null ? TokenizerKind.Unsaid
                : RobertaModels.Contains(model) ? TokenizerKind.Roberta
                : BertModels.Contains(model) ? TokenizerKind.Bert
                : TokenizerKind.AsWritten;
        }

        return RobertaClasses.Any(c => name == c + "Tokenizer") ? TokenizerKind.Roberta
            : BertClasses.Any(c => name == c + "Tokenizer") ? TokenizerKind.Bert
            : TokenizerKind.AsWritten;
    }

    private static string? Text(JsonValue? from, string key) => from?.Optional(key) is { IsString: true } value ? value.AsString() : null;

    // config.json is the model's: its reader reports its faults.
    private static JsonValue? ReadModel(string path)
    {
        try
        {
            return JsonValue.TryReadObject(path);
        }
        catch (TokenizerException)
        {
            return null;
        }
    }

    private bool MadeBefore5()
    {
        if (Text(Model, "transformers_version") is { } version
            && int.TryParse(version.Split('.')[0], NumberStyles.None, CultureInfo.InvariantCulture, out int major))
        {
            return major < 5;
        }

        // 5 writes neither of these, and names its backend.
        return Configuration?.Optional("backend") is null
               && (SpecialTokensMap is not null || AddedTokens is not null || Configuration?.Optional("added_tokens_decoder") is not null
                   || Json is null);
    }
}
