using LongformerInterop.Tokenizers.Vocabularies;

namespace LongformerInterop.Tokenizers;

/// <summary>The defaults that a folder's files set for calls.</summary>
internal sealed record TokenizerDefaults
{
    /// <summary><c>model_max_length</c>; null: no limit.</summary>
    public int? ModelMaxLength { get; private init; }

    /// <summary><c>truncation_side</c>.</summary>
    public Side TruncationSide { get; private init; }

    /// <summary><c>padding_side</c>.</summary>
    public Side PaddingSide { get; private init; }

    /// <summary><c>split_special_tokens</c>.</summary>
    public bool SplitSpecialTokens { get; private init; }

    /// <summary><c>clean_up_tokenization_spaces</c>, which the reference heeds for WordPiece only.</summary>
    public bool CleanUp { get; private init; }

    public static TokenizerDefaults Read(TokenizerFolder folder)
    {
        JsonValue? configuration = folder.Configuration;
        return new TokenizerDefaults
        {
            ModelMaxLength = (configuration?.Optional("model_max_length") ?? configuration?.Optional("max_len"))?.AsLimit(),
            TruncationSide = ReadSide(configuration?.Optional("truncation_side") ?? folder.Json?.Optional("truncation")?.Optional("direction")),
            PaddingSide = ReadSide(configuration?.Optional("padding_side") ?? folder.Json?.Optional("padding")?.Optional("direction")),
            SplitSpecialTokens = folder.Setting("split_special_tokens", false),
            CleanUp = folder.Setting("clean_up_tokenization_spaces", false),
        };
    }

    // tokenizer.json writes "Left", tokenizer_config.json "left".
    private static Side ReadSide(JsonValue? value) => value is not { } side ? Side.Right : side.AsString() switch
    {
        "right" or "Right" => Side.Right,
        "left" or "Left" => Side.Left,
        _ => throw side.Expected("right or left"),
    };
}
